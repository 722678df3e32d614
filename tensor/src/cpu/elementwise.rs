//! Sums, differences, products and scaling.

use rayon::prelude::*;

use super::buffer::Buffer;
use crate::ops::elementwise::{AddScaled, Binary, BinaryOperator, MulAddScalar};
use crate::{Cpu, Element, Kernel, Result};

/// The number of values in one task.
pub(super) const CHUNK: usize = 1 << 14;

impl<E: Element> Kernel<Binary> for Cpu<E> {
    fn run(&self, op: &Binary, [a, b]: [&Buffer<E>; 2]) -> Result<[Buffer<E>; 1]> {
        let &Binary { operator, len } = op;
        let result = match operator {
            BinaryOperator::Add => self.map2(len, a, b, |a, b| a + b),
            BinaryOperator::Subtract => self.map2(len, a, b, |a, b| a - b),
            BinaryOperator::Multiply => self.map2(len, a, b, |a, b| a * b),
        }?;
        Ok([result])
    }
}

impl<E: Element> Kernel<AddScaled> for Cpu<E> {
    fn run(&self, op: &AddScaled, (y, [x]): (&mut Buffer<E>, [&Buffer<E>; 1])) -> Result<[Buffer<E>; 0]> {
        let &AddScaled { len, factor } = op;
        let factor = E::of(factor);
        let x = &x.as_slice()[..len];
        let y = &mut y.make_mut()?[..len];
        self.install(|| {
            y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
                y.iter_mut().zip(x).for_each(|(y, &x)| *y += factor * x);
            });
        });
        Ok([])
    }
}

impl<E: Element> Kernel<MulAddScalar> for Cpu<E> {
    fn run(&self, op: &MulAddScalar, [x]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 1]> {
        let &MulAddScalar { len, factor, shift } = op;
        let factor = E::of(factor);
        let shift = E::of(shift);
        let x = &x.as_slice()[..len];
        let mut y = self.alloc(len)?;
        let out = y.make_mut()?;
        self.install(|| {
            out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = factor * x + shift);
            });
        });
        Ok([y])
    }
}

impl<E: Element> Cpu<E> {
    /// Computes c = f(a, b) for each pair of values.
    fn map2(&self, len: usize, a: &Buffer<E>, b: &Buffer<E>, f: impl Fn(E, E) -> E + Sync) -> Result<Buffer<E>> {
        let a = &a.as_slice()[..len];
        let b = &b.as_slice()[..len];
        let mut c = self.alloc(len)?;
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
