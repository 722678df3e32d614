//! Elementwise operations on two tensors, and scaling.

use rayon::prelude::*;

use super::buffer::Buffer;
use super::compiled::CpuKernel;
use crate::ops::elementwise::{AddScaled, Binary, BinaryOperator, BroadcastBinary, MulAddScalar};
use crate::ops::layout::Layout;
use crate::{Cpu, Element, Result};

/// The number of values in one task.
pub(super) const CHUNK: usize = 1 << 14;

/// Runs `$run` with the function `$f` of an operator, so that its loop is compiled for each.
macro_rules! with_operator {
    (@ |$a:ident, $b:ident| $result:expr, $f:ident => $run:expr) => {{
        let $f = |$a: E, $b: E| $result;
        $run
    }};
    ($operator:expr, $f:ident => $run:expr) => {
        match $operator {
            BinaryOperator::Add => with_operator!(@ |a, b| a + b, $f => $run),
            BinaryOperator::Subtract => with_operator!(@ |a, b| a - b, $f => $run),
            BinaryOperator::Multiply => with_operator!(@ |a, b| a * b, $f => $run),
            BinaryOperator::Divide => with_operator!(@ |a, b| a / b, $f => $run),
            BinaryOperator::Minimum => with_operator!(@ |a, b| minimum(a, b), $f => $run),
            BinaryOperator::Maximum => with_operator!(@ |a, b| maximum(a, b), $f => $run),
            BinaryOperator::Less => with_operator!(@ |a, b| less(a, b), $f => $run),
        }
    };
}

/// The smaller value, the first of equals; NaN if one is NaN.
#[inline(always)]
pub(super) fn minimum<E: Element>(a: E, b: E) -> E {
    if b < a || b.is_nan() { b } else { a }
}

/// The larger value, the first of equals; NaN if one is NaN.
#[inline(always)]
pub(super) fn maximum<E: Element>(a: E, b: E) -> E {
    if b > a || b.is_nan() { b } else { a }
}

#[inline(always)]
fn less<E: Element>(a: E, b: E) -> E {
    if a < b { E::one() } else { E::zero() }
}

impl<E: Element> CpuKernel<Binary> for Cpu<E> {
    fn run(&self, op: &Binary, [a, b]: [&Buffer<E>; 2]) -> Result<[Buffer<E>; 1]> {
        let &Binary { operator, len } = op;
        Ok([with_operator!(operator, f => self.map2(len, a, b, f))?])
    }
}

impl<E: Element> CpuKernel<BroadcastBinary> for Cpu<E> {
    fn run(&self, op: &BroadcastBinary, [a, b]: [&Buffer<E>; 2]) -> Result<[Buffer<E>; 1]> {
        Ok([with_operator!(op.operator, f => self.map2_layout(&op.layout, a, b, f))?])
    }
}

impl<E: Element> CpuKernel<AddScaled> for Cpu<E> {
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

impl<E: Element> CpuKernel<MulAddScalar> for Cpu<E> {
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

    /// Computes c = f(a, b) for each value of a layout.
    fn map2_layout(
        &self,
        layout: &Layout,
        a: &Buffer<E>,
        b: &Buffer<E>,
        f: impl Fn(E, E) -> E + Sync,
    ) -> Result<Buffer<E>> {
        let a = a.as_slice();
        let b = b.as_slice();
        let mut c = self.alloc(layout.len())?;
        let out = c.make_mut()?;
        let strides = layout.inner().strides;
        self.install(|| {
            out.par_chunks_mut(CHUNK).enumerate().for_each(|(i, c)| {
                let first = i * CHUNK;
                layout.for_each_run(first..first + c.len(), |run, [a_start, b_start]| {
                    let c = &mut c[run];
                    let len = c.len();
                    let pairs = c.iter_mut();
                    match strides {
                        [0, _] => {
                            let a = a[a_start];
                            pairs.zip(&b[b_start..][..len]).for_each(|(c, &b)| *c = f(a, b));
                        }
                        [_, 0] => {
                            let b = b[b_start];
                            pairs.zip(&a[a_start..][..len]).for_each(|(c, &a)| *c = f(a, b));
                        }
                        _ => {
                            let inputs = a[a_start..][..len].iter().zip(&b[b_start..][..len]);
                            pairs.zip(inputs).for_each(|(c, (&a, &b))| *c = f(a, b));
                        }
                    }
                });
            });
        });
        Ok(c)
    }
}
