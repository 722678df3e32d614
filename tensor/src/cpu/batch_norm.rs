//! todo
#![allow(unused_variables)]

use crate::ops::batch_norm::Kernels;
use crate::{Cpu, Device, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn batch_statistics(&self, rows: usize, c: usize, x: &Self::Floats) -> Result<(Self::Floats, Self::Floats)> {
        todo!()
    }
    fn batch_norm(
        &self,
        rows: usize,
        c: usize,
        x: &Self::Floats,
        statistics: (&Self::Floats, &Self::Floats),
        gamma: &Self::Floats,
        beta: &Self::Floats,
        epsilon: f64,
    ) -> Result<Self::Floats> {
        todo!()
    }
    fn batch_norm_backward(
        &self,
        rows: usize,
        c: usize,
        x: &Self::Floats,
        statistics: (&Self::Floats, &Self::Floats),
        gamma: &Self::Floats,
        dy: &Self::Floats,
        epsilon: f64,
    ) -> Result<(Self::Floats, Self::Floats, Self::Floats)> {
        todo!()
    }
}
