//! ReLU, tanh and the logistic function.

use rayon::prelude::*;

use super::Buffer;
use super::compiled::CpuKernel;
use super::reduce::JOB;
use super::simd::multiversion;
use crate::ops::activation::{Activation, ActivationBackward, ActivationForward};
use crate::{Cpu, Element, Result};

impl<E: Element> CpuKernel<ActivationForward> for Cpu<E> {
    fn run(&self, op: &ActivationForward, [x]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 1]> {
        let &ActivationForward { f, len } = op;
        let mut result = self.alloc(len)?;
        let y = result.make_mut()?;
        let x = x.as_slice();
        self.install(|| y.par_chunks_mut(JOB).zip(x.par_chunks(JOB)).for_each(|(y, x)| apply(f, x, y)));
        Ok([result])
    }
}

impl<E: Element> CpuKernel<ActivationBackward> for Cpu<E> {
    fn run(&self, op: &ActivationBackward, (dy, [y]): (&mut Buffer<E>, [&Buffer<E>; 1])) -> Result<[Buffer<E>; 0]> {
        let f = op.f;
        let y = y.as_slice();
        let dy = dy.make_mut()?;
        self.install(|| {
            dy.par_chunks_mut(JOB).zip(y.par_chunks(JOB)).for_each(|(dy, y)| gradient_in_place(f, y, dy));
        });
        Ok([])
    }
}

multiversion! {
    fn apply<E: Element>(f: Activation, x: &[E], y: &mut [E]) {
        let zero = E::zero();
        let one = E::one();
        let pairs = y.iter_mut().zip(x);
        match f {
            // Not `max`, which would turn NaN into 0.
            Activation::Relu => pairs.for_each(|(y, &x)| *y = if x <= zero { zero } else { x }),
            Activation::Tanh => pairs.for_each(|(y, &x)| *y = x.tanh()),
            Activation::Logistic => pairs.for_each(|(y, &x)| *y = one / (one + (-x).exp())),
        }
    }
}

/// f'(x) dy, computed from y.
#[inline(always)]
fn derivative<E: Element>(f: Activation, y: E, dy: E) -> E {
    match f {
        Activation::Relu if y > E::zero() => dy,
        Activation::Relu => E::zero(),
        Activation::Tanh => dy * (E::one() - y * y),
        Activation::Logistic => dy * (y * (E::one() - y)),
    }
}

multiversion! {
    fn gradient_in_place<E: Element>(f: Activation, y: &[E], dy: &mut [E]) {
        let all = dy.iter_mut().zip(y);
        match f {
            Activation::Relu => all.for_each(|(dy, &y)| *dy = derivative(Activation::Relu, y, *dy)),
            f => all.for_each(|(dy, &y)| *dy = derivative(f, y, *dy)),
        }
    }
}
