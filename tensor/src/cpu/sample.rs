//! todo
#![allow(unused_variables)]

use crate::ops::sample::Kernels;
use crate::random::Stream;
use crate::{Cpu, Device, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn sample_normal(&self, len: usize, mean: f64, deviation: f64, stream: Stream) -> Result<Self::Floats> {
        todo!()
    }
    fn sample_uniform(&self, len: usize, low: f64, high: f64, stream: Stream) -> Result<Self::Floats> {
        todo!()
    }
}
