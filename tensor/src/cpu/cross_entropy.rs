//! todo
#![allow(unused_variables)]

use crate::ops::cross_entropy::Kernels;
use crate::{Cpu, Device, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn softmax(&self, rows: usize, c: usize, logits: &Self::Floats) -> Result<Self::Floats> {
        todo!()
    }
    fn cross_entropy(&self, rows: usize, c: usize, logits: &Self::Floats, labels: &Self::Ints) -> Result<Self::Floats> {
        todo!()
    }
    fn cross_entropy_dx(
        &self,
        rows: usize,
        c: usize,
        logits: &Self::Floats,
        labels: &Self::Ints,
        factor: f64,
    ) -> Result<Self::Floats> {
        todo!()
    }
    fn label_rank(&self, rows: usize, c: usize, logits: &Self::Floats, labels: &Self::Ints) -> Result<Self::Ints> {
        todo!()
    }
}
