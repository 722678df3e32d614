//! Other processors have no units for products of `bf16` that this crate knows.

use super::ConvolutionOperands;
use crate::cpu::{Buffer, Cpu};
use crate::ops::conv2d::Geometry;
use crate::ops::linear::Product;
use crate::{Element, Result, Workspace};

/// There is none.
pub(in crate::cpu) enum TileConvolution {}

impl TileConvolution {
    pub fn forward(_: &Geometry) -> Option<Self> {
        None
    }

    pub fn backward(_: &Geometry) -> Option<Self> {
        None
    }

    pub fn workspace(&self, _: usize) -> Workspace {
        match *self {}
    }

    pub fn run<E: Element>(&self, _: &Cpu<E>, _: &ConvolutionOperands<'_, E>, _: &mut [u16]) -> Result<()> {
        match *self {}
    }
}

/// There is none.
pub(in crate::cpu) enum TileWeightGradient {}

impl TileWeightGradient {
    pub fn new(_: &Geometry) -> Option<Self> {
        None
    }

    pub fn workspace(&self, _: usize) -> Workspace {
        match *self {}
    }

    pub fn run<E: Element>(&self, _: &Cpu<E>, _: &[u16], _: &[u16], _: &mut [f32]) -> Result<()> {
        match *self {}
    }
}

/// There is none.
pub(in crate::cpu) enum TileProduct {}

impl TileProduct {
    pub fn new(_: &Product) -> Option<Self> {
        None
    }

    pub fn is_weights(&self) -> bool {
        match *self {}
    }

    pub fn workspace(&self, _: usize) -> Workspace {
        match *self {}
    }

    pub fn run<E: Element>(&self, _: &Cpu<E>, _: &[u16], _: &Buffer<E>, _: &mut [f32]) -> Result<()> {
        match *self {}
    }
}

/// The name of the unit.
pub(in crate::cpu) fn unit_name() -> Option<&'static str> {
    None
}
