//! Local response normalisation, then max-pooling: one kernel after the other.

use crate::ops::lrn::Lrn;
use crate::ops::lrn_pool::{Forward, Kernels, in_turn, in_turn_dx, no_base};
use crate::ops::pool::Geometry;
use crate::{Cpu, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn lrn_max_pool(&self, lrn: &Lrn, g: &Geometry, x: &Self::Floats) -> Result<Forward<Self::Floats, Self::Ints>> {
        in_turn(self, lrn, g, x)
    }

    fn lrn_max_pool_dx(
        &self,
        lrn: &Lrn,
        g: &Geometry,
        x: &Self::Floats,
        base: Option<&Self::Floats>,
        positions: &Self::Ints,
        dy: &Self::Floats,
    ) -> Result<Self::Floats> {
        in_turn_dx(self, lrn, g, [x, base.ok_or_else(no_base)?, dy], positions)
    }
}
