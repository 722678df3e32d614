//! todo
#![allow(unused_variables)]

use crate::ops::lrn::Kernels;
use crate::ops::lrn::Lrn;
use crate::{Cpu, Device, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn lrn(&self, spec: &Lrn, shape: [usize; 4], x: &Self::Floats) -> Result<(Self::Floats, Self::Floats)> {
        todo!()
    }
    fn lrn_dx(
        &self,
        spec: &Lrn,
        shape: [usize; 4],
        x: &Self::Floats,
        base: &Self::Floats,
        dy: &Self::Floats,
    ) -> Result<Self::Floats> {
        todo!()
    }
}
