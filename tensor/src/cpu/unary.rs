//! Elementwise functions.

use rayon::prelude::*;

use super::Buffer;
use super::compiled::CpuKernel;
use super::reduce::JOB;
use super::simd::multiversion;
use crate::ops::unary::{Unary, UnaryBackward, UnaryOperator};
use crate::{Cpu, Element, Result};

impl<E: Element> CpuKernel<Unary> for Cpu<E> {
    fn run(&self, op: &Unary, [x]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 1]> {
        let &Unary { operator, bounds, len } = op;
        let mut result = self.alloc(len)?;
        let y = result.make_mut()?;
        let x = x.as_slice();
        self.install(|| {
            y.par_chunks_mut(JOB).zip(x.par_chunks(JOB)).for_each(|(y, x)| apply(operator, bounds, x, y));
        });
        Ok([result])
    }
}

impl<E: Element> CpuKernel<UnaryBackward> for Cpu<E> {
    fn run(&self, op: &UnaryBackward, [dy, kept]: [&Buffer<E>; 2]) -> Result<[Buffer<E>; 1]> {
        let &UnaryBackward { operator, bounds, len } = op;
        let mut result = self.alloc(len)?;
        let dx = result.make_mut()?;
        let inputs = dy.as_slice().par_chunks(JOB).zip(kept.as_slice().par_chunks(JOB));
        self.install(|| {
            dx.par_chunks_mut(JOB).zip(inputs).for_each(|(dx, (dy, kept))| gradient(operator, bounds, dy, kept, dx));
        });
        Ok([result])
    }
}

multiversion! {
    fn apply<E: Element>(operator: UnaryOperator, bounds: [f64; 2], x: &[E], y: &mut [E]) {
        let [low, high] = bounds.map(E::of);
        let pairs = y.iter_mut().zip(x);
        match operator {
            UnaryOperator::Exp => pairs.for_each(|(y, &x)| *y = x.exp()),
            UnaryOperator::Log => pairs.for_each(|(y, &x)| *y = x.ln()),
            UnaryOperator::Sqrt => pairs.for_each(|(y, &x)| *y = x.sqrt()),
            UnaryOperator::Abs => pairs.for_each(|(y, &x)| *y = x.abs()),
            UnaryOperator::Square => pairs.for_each(|(y, &x)| *y = x * x),
            UnaryOperator::Reciprocal => pairs.for_each(|(y, &x)| *y = E::one() / x),
            // Not `min` and `max`, which would turn NaN into a bound.
            UnaryOperator::Clamp => {
                pairs.for_each(|(y, &x)| *y = if x < low { low } else if x > high { high } else { x });
            }
        }
    }
}

multiversion! {
    fn gradient<E: Element>(operator: UnaryOperator, bounds: [f64; 2], dy: &[E], kept: &[E], dx: &mut [E]) {
        let [low, high] = bounds.map(E::of);
        let zero = E::zero();
        let all = dx.iter_mut().zip(dy.iter().zip(kept));
        match operator {
            UnaryOperator::Exp => all.for_each(|(dx, (&dy, &y))| *dx = dy * y),
            UnaryOperator::Log => all.for_each(|(dx, (&dy, &x))| *dx = dy / x),
            UnaryOperator::Sqrt => all.for_each(|(dx, (&dy, &y))| *dx = dy / (y + y)),
            UnaryOperator::Abs => all.for_each(|(dx, (&dy, &x))| {
                *dx = if x > zero { dy } else if x < zero { -dy } else { zero };
            }),
            UnaryOperator::Square => all.for_each(|(dx, (&dy, &x))| *dx = dy * (x + x)),
            UnaryOperator::Reciprocal => all.for_each(|(dx, (&dy, &y))| *dx = -(dy * y * y)),
            UnaryOperator::Clamp => all.for_each(|(dx, (&dy, &x))| {
                *dx = if x >= low && x <= high { dy } else { zero };
            }),
        }
    }
}
