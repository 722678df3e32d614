//! todo
#![allow(unused_variables)]

use crate::ops::pool::Geometry;
use crate::ops::pool::Kernels;
use crate::{Cpu, Device, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn max_pool(&self, g: &Geometry, x: &Self::Floats) -> Result<(Self::Floats, Self::Ints)> {
        todo!()
    }
    fn max_pool_dx(&self, g: &Geometry, positions: &Self::Ints, dy: &Self::Floats) -> Result<Self::Floats> {
        todo!()
    }
    fn average_pool(&self, g: &Geometry, x: &Self::Floats) -> Result<Self::Floats> {
        todo!()
    }
    fn average_pool_dx(&self, g: &Geometry, dy: &Self::Floats) -> Result<Self::Floats> {
        todo!()
    }
}
