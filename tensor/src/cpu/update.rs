//! Optimizer steps, in one pass over weights, gradients and state.

use rayon::prelude::*;

use super::buffer::Buffer;
use super::compiled::CpuKernel;
use super::elementwise::CHUNK;
use super::simd::multiversion;
use crate::ops::update::{AdamSteps, AdamUpdate, SgdSteps, SgdUpdate};
use crate::{Cpu, Element, Result};

impl<E: Element> CpuKernel<SgdSteps> for Cpu<E> {
    fn run(&self, _: &SgdSteps, mut updates: Vec<SgdUpdate<'_, Buffer<E>>>) -> Result<[Buffer<E>; 0]> {
        // Parameters in parallel, so that no thread waits for the end of a small one.
        self.install(|| updates.par_iter_mut().try_for_each(sgd_step))?;
        Ok([])
    }
}

impl<E: Element> CpuKernel<AdamSteps> for Cpu<E> {
    fn run(&self, _: &AdamSteps, mut updates: Vec<AdamUpdate<'_, Buffer<E>>>) -> Result<[Buffer<E>; 0]> {
        self.install(|| updates.par_iter_mut().try_for_each(adam_step))?;
        Ok([])
    }
}

fn sgd_step<E: Element>(u: &mut SgdUpdate<'_, Buffer<E>>) -> Result<()> {
    let s = u.step;
    let factors = [s.momentum, s.rate, s.decay * s.rate].map(E::of);
    let pairs = u.w.make_mut()?.par_chunks_mut(CHUNK).zip(u.v.make_mut()?.par_chunks_mut(CHUNK));
    pairs.zip(u.g.as_slice().par_chunks(CHUNK)).for_each(|((w, v), g)| sgd(factors, s.nesterov, w, v, g));
    Ok(())
}

multiversion! {
    fn sgd<E: Element>(factors: [E; 3], nesterov: bool, w: &mut [E], v: &mut [E], g: &[E]) {
        let [momentum, rate, decay] = factors;
        for ((w, v), &g) in w.iter_mut().zip(v).zip(g) {
            let step = decay * *w + rate * g;
            *v = momentum * *v - step;
            *w += if nesterov { momentum * *v - step } else { *v };
        }
    }
}

fn adam_step<E: Element>(u: &mut AdamUpdate<'_, Buffer<E>>) -> Result<()> {
    let f = u.step.factors();
    let factors = [f.beta1, f.rest1, f.beta2, f.rest2, f.decay, f.keep, f.rate, f.scale, f.epsilon].map(E::of);
    let state = u.m.make_mut()?.par_chunks_mut(CHUNK).zip(u.v.make_mut()?.par_chunks_mut(CHUNK));
    let weights = u.w.make_mut()?.par_chunks_mut(CHUNK).zip(u.g.as_slice().par_chunks(CHUNK));
    weights.zip(state).for_each(|((w, g), (m, v))| adam(factors, w, m, v, g));
    Ok(())
}

multiversion! {
    fn adam<E: Element>(factors: [E; 9], w: &mut [E], m: &mut [E], v: &mut [E], g: &[E]) {
        let [beta1, rest1, beta2, rest2, decay, keep, rate, scale, epsilon] = factors;
        for (((w, m), v), &g) in w.iter_mut().zip(m).zip(v).zip(g) {
            let g = g + decay * *w;
            *m = beta1 * *m + rest1 * g;
            *v = beta2 * *v + rest2 * (g * g);
            *w = keep * *w - rate * *m / (v.sqrt() * scale + epsilon);
        }
    }
}
