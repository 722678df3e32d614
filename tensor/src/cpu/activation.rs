//! todo
#![allow(unused_variables)]

use crate::ops::activation::Activation;
use crate::ops::activation::Kernels;
use crate::{Cpu, Device, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn activation(&self, f: Activation, len: usize, x: &Self::Floats) -> Result<Self::Floats> {
        todo!()
    }
    fn activation_dx(&self, f: Activation, len: usize, y: &Self::Floats, dy: &Self::Floats) -> Result<Self::Floats> {
        todo!()
    }
}
