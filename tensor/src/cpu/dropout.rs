//! todo
#![allow(unused_variables)]

use crate::ops::dropout::Kernels;
use crate::random::Stream;
use crate::{Cpu, Device, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn dropout(&self, len: usize, x: &Self::Floats, p: f32, factor: f64, stream: Stream) -> Result<Self::Floats> {
        todo!()
    }
}
