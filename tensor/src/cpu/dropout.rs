//! Dropout. The mask follows from the random stream.

use rayon::prelude::*;

use super::Buffer;
use super::bf16::{of_f32, to_f32};
use super::compiled::CpuKernel;
use super::philox_simd::{CALL, for_batches};
use super::reduce::JOB;
use super::simd::multiversion;
use crate::ops::dropout::DropoutForward;
use crate::random::to_uniform;
use crate::{Cpu, Element, Result};

const _: () = assert!(JOB.is_multiple_of(CALL), "a job starts at a call of Philox");

impl<E: Element> CpuKernel<DropoutForward> for Cpu<E> {
    fn run(&self, op: &DropoutForward, [x]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 1]> {
        let &DropoutForward { len, p, factor, stream } = op;
        if let Some(x) = x.bf16() {
            let mut result = self.alloc_bf16(len)?;
            if let Some(y) = result.bf16_mut()? {
                self.install(|| {
                    y.par_chunks_mut(JOB).zip(x.par_chunks(JOB)).enumerate().for_each(|(job, (y, x))| {
                        for_batches(stream, (job * (JOB / CALL)) as u32, y.len(), |start, words| {
                            let range = start..start + words.len();
                            apply_mask_bf16(words, p, factor as f32, &x[range.clone()], &mut y[range]);
                        });
                    });
                });
            }
            return Ok([result]);
        }
        let mut result = self.alloc(len)?;
        let y = result.make_mut()?;
        let x = x.as_slice();
        let factor = E::of(factor);
        self.install(|| {
            y.par_chunks_mut(JOB).zip(x.par_chunks(JOB)).enumerate().for_each(|(job, (y, x))| {
                for_batches(stream, (job * (JOB / CALL)) as u32, y.len(), |start, words| {
                    let range = start..start + words.len();
                    apply_mask(words, p, factor, &x[range.clone()], &mut y[range]);
                });
            });
        });
        Ok([result])
    }

    fn takes_bf16(&self, _: &DropoutForward) -> bool {
        true
    }
}

/// factor x where a word is at least p as a value in [0, 1), else 0.
#[inline(always)]
pub(super) fn kept<E: Element>(word: u32, p: f32, factor: E, x: E) -> E {
    if to_uniform(word) >= p { x * factor } else { E::zero() }
}

multiversion! {
    fn apply_mask<E: Element>(words: &[u32], p: f32, factor: E, x: &[E], y: &mut [E]) {
        for ((y, &x), &word) in y.iter_mut().zip(x).zip(words) {
            *y = kept(word, p, factor, x);
        }
    }
}

multiversion! {
    fn apply_mask_bf16(words: &[u32], p: f32, factor: f32, x: &[u16], y: &mut [u16]) {
        for ((y, &x), &word) in y.iter_mut().zip(x).zip(words) {
            *y = of_f32(kept(word, p, factor, to_f32(x)));
        }
    }
}
