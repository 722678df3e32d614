//! todo
#![allow(unused_variables)]

use crate::ops::linear::Kernels;
use crate::ops::linear::Product;
use crate::{Cpu, Device, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn matmul(
        &self,
        p: &Product,
        a: &Self::Floats,
        b: &Self::Floats,
        bias: Option<&Self::Floats>,
        relu: bool,
    ) -> Result<Self::Floats> {
        todo!()
    }
}
