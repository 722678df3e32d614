//! Sums, products and scaling, in fixed chunks.

use rayon::prelude::*;

use super::buffer::Buffer;
use crate::ops::elementwise::{Binary, Kernels};
use crate::{Cpu, Element, Result};

/// Values that one task works on.
pub(super) const CHUNK: usize = 1 << 14;

impl<E: Element> Kernels for Cpu<E> {
    fn binary(&self, op: Binary, len: usize, a: &Self::Floats, b: &Self::Floats) -> Result<Self::Floats> {
        match op {
            Binary::Add => self.map2(len, a, b, |a, b| a + b),
            Binary::Subtract => self.map2(len, a, b, |a, b| a - b),
            Binary::Multiply => self.map2(len, a, b, |a, b| a * b),
        }
    }

    fn add_scaled(&self, len: usize, y: &mut Self::Floats, factor: f64, x: &Self::Floats) -> Result<()> {
        let (factor, x, y) = (E::of(factor), &x.as_slice()[..len], &mut y.make_mut()?[..len]);
        self.install(|| {
            y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
                y.iter_mut().zip(x).for_each(|(y, &x)| *y += factor * x);
            });
        });
        Ok(())
    }

    fn affine(&self, len: usize, x: &Self::Floats, factor: f64, shift: f64) -> Result<Self::Floats> {
        let (factor, shift, x) = (E::of(factor), E::of(shift), &x.as_slice()[..len]);
        let mut y = self.take(len)?;
        let out = y.make_mut()?;
        self.install(|| {
            out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = factor * x + shift);
            });
        });
        Ok(y)
    }
}

impl<E: Element> Cpu<E> {
    /// c = f(a, b), value by value.
    fn map2(&self, len: usize, a: &Buffer<E>, b: &Buffer<E>, f: impl Fn(E, E) -> E + Sync) -> Result<Buffer<E>> {
        let (a, b) = (&a.as_slice()[..len], &b.as_slice()[..len]);
        let mut c = self.take(len)?;
        let out = c.make_mut()?;
        self.install(|| {
            let inputs = a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK));
            out.par_chunks_mut(CHUNK).zip(inputs).for_each(|(c, (a, b))| {
                c.iter_mut().zip(a.iter().zip(b)).for_each(|(c, (&a, &b))| *c = f(a, b));
            });
        });
        Ok(c)
    }
}
