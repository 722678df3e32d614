//! ReLU, tanh and the logistic function.

use rayon::prelude::*;

use super::reduce::JOB;
use super::simd::multiversion;
use crate::ops::activation::{Activation, Kernels};
use crate::{Cpu, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn activation(&self, f: Activation, len: usize, x: &Self::Floats) -> Result<Self::Floats> {
        let mut result = self.take(len)?;
        let (y, x) = (result.make_mut()?, x.as_slice());
        self.install(|| y.par_chunks_mut(JOB).zip(x.par_chunks(JOB)).for_each(|(y, x)| apply(f, x, y)));
        Ok(result)
    }

    fn activation_dx(&self, f: Activation, len: usize, y: &Self::Floats, dy: &Self::Floats) -> Result<Self::Floats> {
        let mut result = self.take(len)?;
        let (dx, y, dy) = (result.make_mut()?, y.as_slice(), dy.as_slice());
        self.install(|| {
            let jobs = dx.par_chunks_mut(JOB).zip(y.par_chunks(JOB)).zip(dy.par_chunks(JOB));
            jobs.for_each(|((dx, y), dy)| gradient(f, y, dy, dx));
        });
        Ok(result)
    }

    fn activation_dx_in_place(&self, f: Activation, _: usize, y: &Self::Floats, dy: &mut Self::Floats) -> Result<()> {
        let (y, dy) = (y.as_slice(), dy.make_mut()?);
        self.install(|| {
            dy.par_chunks_mut(JOB).zip(y.par_chunks(JOB)).for_each(|(dy, y)| gradient_in_place(f, y, dy));
        });
        Ok(())
    }
}

multiversion! {
    fn apply<E: Element>(f: Activation, x: &[E], y: &mut [E]) {
        let (zero, one) = (E::zero(), E::one());
        let pairs = y.iter_mut().zip(x);
        match f {
            // Not `max`, which would turn NaN into 0.
            Activation::Relu => pairs.for_each(|(y, &x)| *y = if x <= zero { zero } else { x }),
            Activation::Tanh => pairs.for_each(|(y, &x)| *y = x.tanh()),
            Activation::Logistic => pairs.for_each(|(y, &x)| *y = one / (one + (-x).exp())),
        }
    }
}

/// f'(x) dy, from y.
#[inline(always)]
fn slope<E: Element>(f: Activation, y: E, dy: E) -> E {
    match f {
        Activation::Relu if y > E::zero() => dy,
        Activation::Relu => E::zero(),
        Activation::Tanh => dy * (E::one() - y * y),
        Activation::Logistic => dy * (y * (E::one() - y)),
    }
}

multiversion! {
    fn gradient<E: Element>(f: Activation, y: &[E], dy: &[E], dx: &mut [E]) {
        let all = dx.iter_mut().zip(y.iter().zip(dy));
        match f {
            Activation::Relu => all.for_each(|(dx, (&y, &dy))| *dx = slope(Activation::Relu, y, dy)),
            f => all.for_each(|(dx, (&y, &dy))| *dx = slope(f, y, dy)),
        }
    }
}

multiversion! {
    fn gradient_in_place<E: Element>(f: Activation, y: &[E], dy: &mut [E]) {
        let all = dy.iter_mut().zip(y);
        match f {
            Activation::Relu => all.for_each(|(dy, &y)| *dy = slope(Activation::Relu, y, *dy)),
            f => all.for_each(|(dy, &y)| *dy = slope(f, y, *dy)),
        }
    }
}
