//! todo
#![allow(unused_variables)]

use crate::ops::conv2d::Geometry;
use crate::ops::conv2d::Kernels;
use crate::{Cpu, Device, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn conv2d(
        &self,
        g: &Geometry,
        x: &Self::Floats,
        w: &Self::Floats,
        b: Option<&Self::Floats>,
        relu: bool,
    ) -> Result<Self::Floats> {
        todo!()
    }
    fn conv2d_dx(&self, g: &Geometry, w: &Self::Floats, dy: &Self::Floats) -> Result<Self::Floats> {
        todo!()
    }
    fn conv2d_dw(&self, g: &Geometry, x: &Self::Floats, dy: &Self::Floats) -> Result<Self::Floats> {
        todo!()
    }
}
