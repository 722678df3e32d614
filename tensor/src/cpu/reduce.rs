//! todo
#![allow(unused_variables)]

use crate::ops::reduce::Kernels;
use crate::{Cpu, Device, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn sum(&self, len: usize, x: &Self::Floats) -> Result<Self::Floats> {
        todo!()
    }
    fn sum_rows(&self, rows: usize, c: usize, x: &Self::Floats) -> Result<Self::Floats> {
        todo!()
    }
    fn max_columns(&self, rows: usize, c: usize, x: &Self::Floats) -> Result<(Self::Floats, Self::Ints)> {
        todo!()
    }
    fn all_finite(&self, len: usize, x: &Self::Floats) -> Result<Self::Ints> {
        todo!()
    }
}
