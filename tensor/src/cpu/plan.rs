//! The CPU's memory, for plans: its arena, and what its kernels take beside their outputs.

use std::any::Any;
use std::marker::PhantomData;

use super::buffer::POOLED_FROM;
use super::space::{Space, occupied};
use super::{conv2d, linear, local2d, lrn, lrn_pool};
use crate::ops::{lrn::Lrn, pool};
use crate::plan::{Arena, Block, Kernel, Needs, Plan, Rules};
use crate::{Element, Error, Result};

pub(super) fn plan<E: Element>(threads: usize, fast: bool) -> Plan {
    let bytes = size_of::<E>();
    Plan::new(Rules {
        number: bytes,
        activation: bytes,
        in_place: true,
        arena: Box::new(Planned::default()),
        kernels: Box::new(Beside::<E> { element: PhantomData, threads, fast }),
    })
}

/// The arena without its memory.
#[derive(Default)]
struct Planned {
    space: Space,
    /// Bytes of the buffers that are too short for it.
    short: u64,
}

impl Arena for Planned {
    fn take(&mut self, block: &Block) -> Result<Box<dyn Any + Send + Sync>> {
        if block.len < POOLED_FROM {
            self.short += block.size();
            return Ok(Box::new(0u64));
        }
        let start = occupied(block.size()).and_then(|len| self.space.fill(len).or_else(|| self.space.grow(len)));
        let start = start.ok_or_else(|| Error::Memory { device: "cpu".into(), needed: block.size() })?;
        Ok(Box::new(start))
    }

    fn give(&mut self, block: &Block, place: Box<dyn Any + Send + Sync>) {
        if block.len < POOLED_FROM {
            self.short -= block.size();
        } else if let (Ok(start), Some(len)) = (place.downcast::<u64>(), occupied(block.size())) {
            self.space.give(*start, len);
        }
    }

    fn held(&self) -> u64 {
        self.space.end() + self.short
    }
}

struct Beside<E> {
    element: PhantomData<fn() -> E>,
    threads: usize,
    /// Whether fast algorithms are allowed.
    fast: bool,
}

impl<E: Element> Needs for Beside<E> {
    fn fuses_lrn_pool(&self, lrn: &Lrn, g: &pool::Geometry) -> bool {
        lrn_pool::fuses::<E>(lrn, g)
    }

    fn kept(&self, kernel: &Kernel<'_>) -> usize {
        match *kernel {
            Kernel::Conv2d(g) => conv2d::kept(g, self.fast),
            Kernel::Matmul(p) => linear::kept(p, self.fast),
            _ => 0,
        }
    }

    fn workspace(&self, kernel: &Kernel<'_>) -> Vec<usize> {
        match *kernel {
            Kernel::Conv2d(g) => conv2d::workspace(g, self.threads, self.fast),
            Kernel::Conv2dDx(g) => conv2d::dx_workspace(g, self.threads, self.fast),
            Kernel::Conv2dDw(g) => conv2d::dw_workspace(g, self.threads, self.fast),
            Kernel::Local2d(g) | Kernel::Local2dDx(g) => local2d::workspace(g, self.threads),
            Kernel::Local2dDw(g) => local2d::dw_workspace(g, self.threads),
            Kernel::Matmul(p) => linear::workspace(p, self.threads, self.fast),
            Kernel::Lrn(spec, shape) | Kernel::LrnDx(spec, shape) => lrn::workspace(spec, shape),
        }
    }
}
