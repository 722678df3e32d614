//! The CPU's memory, for plans: its pool, and what its kernels take beside their outputs.

use std::marker::PhantomData;

use super::buffer::POOLED_FROM;
use super::{conv2d, linear, local2d, lrn, lrn_pool};
use crate::Element;
use crate::ops::{lrn::Lrn, pool};
use crate::plan::{Kernel, Needs, Plan, Rules, SameLength};

pub(super) fn plan<E: Element>(threads: usize, fast: bool) -> Plan {
    let bytes = size_of::<E>();
    Plan::new(Rules {
        number: bytes,
        activation: bytes,
        arena: Box::new(SameLength::new(POOLED_FROM)),
        kernels: Box::new(Beside::<E> { element: PhantomData, threads, fast }),
    })
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
            Kernel::Matmul(p) => linear::workspace(p),
            Kernel::Lrn(spec, shape) | Kernel::LrnDx(spec, shape) => lrn::workspace(spec, shape),
        }
    }
}
