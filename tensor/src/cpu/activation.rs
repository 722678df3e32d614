//! ReLU, tanh and the logistic function.

use rayon::prelude::*;

use super::reduce::JOB;
use crate::ops::activation::{Activation, Kernels};
use crate::{Cpu, Device, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn activation(&self, f: Activation, len: usize, x: &Self::Floats) -> Result<Self::Floats> {
        let (zero, one) = (E::zero(), E::one());
        match f {
            // Not `max`, which would turn NaN into 0.
            Activation::Relu => map(self, len, x, |x| if x <= zero { zero } else { x }),
            Activation::Tanh => map(self, len, x, E::tanh),
            Activation::Logistic => map(self, len, x, |x| one / (one + (-x).exp())),
        }
    }

    fn activation_dx(&self, f: Activation, len: usize, y: &Self::Floats, dy: &Self::Floats) -> Result<Self::Floats> {
        let (zero, one) = (E::zero(), E::one());
        match f {
            Activation::Relu => map2(self, len, y, dy, |y, dy| if y > zero { dy } else { zero }),
            Activation::Tanh => map2(self, len, y, dy, |y, dy| dy * (one - y * y)),
            Activation::Logistic => map2(self, len, y, dy, |y, dy| dy * (y * (one - y))),
        }
    }
}

type Floats<E> = <Cpu<E> as Device>::Floats;

fn map<E: Element>(cpu: &Cpu<E>, len: usize, x: &Floats<E>, f: impl Fn(E) -> E + Sync) -> Result<Floats<E>> {
    let mut result = cpu.take(len)?;
    let (y, x) = (result.make_mut()?, x.as_slice());
    cpu.install(|| {
        y.par_chunks_mut(JOB).zip(x.par_chunks(JOB)).for_each(|(y, x)| {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = f(x);
            }
        });
    });
    Ok(result)
}

fn map2<E: Element>(
    cpu: &Cpu<E>,
    len: usize,
    a: &Floats<E>,
    b: &Floats<E>,
    f: impl Fn(E, E) -> E + Sync,
) -> Result<Floats<E>> {
    let mut result = cpu.take(len)?;
    let (y, a, b) = (result.make_mut()?, a.as_slice(), b.as_slice());
    cpu.install(|| {
        y.par_chunks_mut(JOB).zip(a.par_chunks(JOB)).zip(b.par_chunks(JOB)).for_each(|((y, a), b)| {
            for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                *y = f(a, b);
            }
        });
    });
    Ok(result)
}
