//! Optimizer steps: one pass over the weights and what belongs to them.

use rayon::prelude::*;

use super::elementwise::CHUNK;
use crate::ops::update::{AdamStep, Kernels, SgdStep};
use crate::{Cpu, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn sgd_step(
        &self,
        len: usize,
        s: &SgdStep,
        w: &mut Self::Floats,
        v: &mut Self::Floats,
        g: &Self::Floats,
    ) -> Result<()> {
        let (momentum, rate, shrink) = (E::of(s.momentum), E::of(s.rate), E::of(s.decay * s.rate));
        let nesterov = s.nesterov;
        let (w, v, g) = (&mut w.make_mut()?[..len], &mut v.make_mut()?[..len], &g.as_slice()[..len]);
        let step = |w: &mut [E], v: &mut [E], g: &[E]| {
            for ((w, v), &g) in w.iter_mut().zip(v).zip(g) {
                let fall = shrink * *w + rate * g;
                *v = momentum * *v - fall;
                *w += if nesterov { momentum * *v - fall } else { *v };
            }
        };
        self.install(|| {
            let pairs = w.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK));
            pairs.zip(g.par_chunks(CHUNK)).for_each(|((w, v), g)| step(w, v, g));
        });
        Ok(())
    }

    fn adam_step(
        &self,
        len: usize,
        s: &AdamStep,
        w: &mut Self::Floats,
        m: &mut Self::Floats,
        v: &mut Self::Floats,
        g: &Self::Floats,
    ) -> Result<()> {
        let step = adam(s);
        let (w, m) = (&mut w.make_mut()?[..len], &mut m.make_mut()?[..len]);
        let (v, g) = (&mut v.make_mut()?[..len], &g.as_slice()[..len]);
        self.install(|| {
            let state = m.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK));
            let weights = w.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK));
            weights.zip(state).for_each(|((w, g), (m, v))| {
                for (((w, m), v), &g) in w.iter_mut().zip(m).zip(v).zip(g) {
                    step(w, m, v, g);
                }
            });
        });
        Ok(())
    }
}

/// Adam's step on one weight; constants are worked out in double precision.
fn adam<E: Element>(s: &AdamStep) -> impl Fn(&mut E, &mut E, &mut E, E) + Sync {
    let [beta1, beta2, decay] = [s.beta1, s.beta2, s.decay].map(E::of);
    let [rest1, rest2] = [1.0 - s.beta1, 1.0 - s.beta2].map(E::of);
    let (correct1, correct2) = (1.0 - s.beta1.powf(s.step as f64), (1.0 - s.beta2.powf(s.step as f64)).sqrt());
    // rate mhat / (sqrt(vhat) + e) = rate / correct1 * m / (sqrt(v) / correct2 + e); with epsilon hat it is
    // rate * correct2 / correct1 * m / (sqrt(v) + e).
    let (rate, scale) =
        if s.epsilon_hat { (s.rate * correct2 / correct1, 1.0) } else { (s.rate / correct1, 1.0 / correct2) };
    let [rate, scale, epsilon] = [rate, scale, s.epsilon].map(E::of);
    move |w, m, v, g| {
        let g = g + decay * *w;
        *m = beta1 * *m + rest1 * g;
        *v = beta2 * *v + rest2 * (g * g);
        *w -= rate * *m / (v.sqrt() * scale + epsilon);
    }
}
