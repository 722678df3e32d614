//! Optimizer steps: one pass over the weights and what belongs to them.

use rayon::prelude::*;

use super::buffer::Buffer;
use super::elementwise::CHUNK;
use crate::ops::update::{AdamStep, AdamUpdate, Kernels, SgdUpdate};
use crate::{Cpu, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn sgd_steps(&self, updates: &mut [SgdUpdate<'_, Buffer<E>>]) -> Result<()> {
        // Side by side, so that no thread waits for the end of a small parameter.
        self.install(|| updates.par_iter_mut().try_for_each(sgd_step))
    }

    fn adam_steps(&self, updates: &mut [AdamUpdate<'_, Buffer<E>>]) -> Result<()> {
        self.install(|| updates.par_iter_mut().try_for_each(adam_step))
    }
}

fn sgd_step<E: Element>(u: &mut SgdUpdate<'_, Buffer<E>>) -> Result<()> {
    let (s, nesterov) = (u.step, u.step.nesterov);
    let (momentum, rate, shrink) = (E::of(s.momentum), E::of(s.rate), E::of(s.decay * s.rate));
    let step = |w: &mut [E], v: &mut [E], g: &[E]| {
        for ((w, v), &g) in w.iter_mut().zip(v).zip(g) {
            let fall = shrink * *w + rate * g;
            *v = momentum * *v - fall;
            *w += if nesterov { momentum * *v - fall } else { *v };
        }
    };
    let pairs = u.w.make_mut()?.par_chunks_mut(CHUNK).zip(u.v.make_mut()?.par_chunks_mut(CHUNK));
    pairs.zip(u.g.as_slice().par_chunks(CHUNK)).for_each(|((w, v), g)| step(w, v, g));
    Ok(())
}

fn adam_step<E: Element>(u: &mut AdamUpdate<'_, Buffer<E>>) -> Result<()> {
    let step = adam(&u.step);
    let state = u.m.make_mut()?.par_chunks_mut(CHUNK).zip(u.v.make_mut()?.par_chunks_mut(CHUNK));
    let weights = u.w.make_mut()?.par_chunks_mut(CHUNK).zip(u.g.as_slice().par_chunks(CHUNK));
    weights.zip(state).for_each(|((w, g), (m, v))| {
        for (((w, m), v), &g) in w.iter_mut().zip(m).zip(v).zip(g) {
            step(w, m, v, g);
        }
    });
    Ok(())
}

/// Adam's step on one weight.
fn adam<E: Element>(s: &AdamStep) -> impl Fn(&mut E, &mut E, &mut E, E) + Sync {
    let f = s.factors();
    let [beta1, rest1, beta2, rest2] = [f.beta1, f.rest1, f.beta2, f.rest2].map(E::of);
    let [decay, rate, scale, epsilon] = [f.decay, f.rate, f.scale, f.epsilon].map(E::of);
    move |w, m, v, g| {
        let g = g + decay * *w;
        *m = beta1 * *m + rest1 * g;
        *v = beta2 * *v + rest2 * (g * g);
        *w -= rate * *m / (v.sqrt() * scale + epsilon);
    }
}
