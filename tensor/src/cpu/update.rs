//! todo
#![allow(unused_variables)]

use crate::ops::update::AdamStep;
use crate::ops::update::Kernels;
use crate::ops::update::SgdStep;
use crate::{Cpu, Device, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn sgd_step(
        &self,
        len: usize,
        s: &SgdStep,
        w: &mut Self::Floats,
        v: &mut Self::Floats,
        g: &Self::Floats,
    ) -> Result<()> {
        todo!()
    }
    fn adam_step(
        &self,
        len: usize,
        s: &AdamStep,
        w: &mut Self::Floats,
        m: &mut Self::Floats,
        v: &mut Self::Floats,
        g: &Self::Floats,
    ) -> Result<()> {
        todo!()
    }
}
