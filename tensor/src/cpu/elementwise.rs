//! todo
#![allow(unused_variables)]

use crate::ops::elementwise::Binary;
use crate::ops::elementwise::Kernels;
use crate::{Cpu, Device, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn binary(&self, op: Binary, len: usize, a: &Self::Floats, b: &Self::Floats) -> Result<Self::Floats> {
        todo!()
    }
    fn add_scaled(&self, len: usize, y: &mut Self::Floats, factor: f64, x: &Self::Floats) -> Result<()> {
        todo!()
    }
    fn affine(&self, len: usize, x: &Self::Floats, factor: f64, shift: f64) -> Result<Self::Floats> {
        todo!()
    }
}
