//! Random values.

use rayon::prelude::*;

use super::buffer::Buffer;
use super::compiled::CpuKernel;
use super::elementwise::CHUNK;
use super::philox_simd::{CALL, for_batches};
use super::simd::multiversion;
use crate::ops::sample::{SampleNormal, SampleUniform};
use crate::random::{Stream, to_normals, to_uniform};
use crate::{Cpu, Element, Result};

impl<E: Element> CpuKernel<SampleNormal> for Cpu<E> {
    fn run(&self, op: &SampleNormal, _: [&Buffer<E>; 0]) -> Result<[Buffer<E>; 1]> {
        let &SampleNormal { len, mean, deviation, stream } = op;
        // Values come in pairs: an odd number needs the second word of the last pair, too.
        let values = self.sample(len, stream, |words, out| {
            for (out, words) in out.chunks_mut(2).zip(words.chunks_exact(2)) {
                let pair = to_normals([words[0], words[1]]);
                out.iter_mut().zip(pair).for_each(|(out, z)| *out = E::of(mean + deviation * z));
            }
        })?;
        Ok([values])
    }
}

impl<E: Element> CpuKernel<SampleUniform> for Cpu<E> {
    fn run(&self, op: &SampleUniform, _: [&Buffer<E>; 0]) -> Result<[Buffer<E>; 1]> {
        let &SampleUniform { len, low, high, stream } = op;
        Ok([self.sample(len, stream, |words, out| uniform(low, high, words, out))?])
    }
}

multiversion! {
    fn uniform<E: Element>(low: f64, high: f64, words: &[u32], out: &mut [E]) {
        for (out, &word) in out.iter_mut().zip(words) {
            *out = E::of(low + (high - low) * f64::from(to_uniform(word)));
        }
    }
}

impl<E: Element> Cpu<E> {
    /// `len` values that `make` computes from as many words of `stream`, or one more.
    fn sample(&self, len: usize, stream: Stream, make: impl Fn(&[u32], &mut [E]) + Sync) -> Result<Buffer<E>> {
        let mut values = self.alloc(len)?;
        let out = values.make_mut()?;
        self.install(|| {
            out.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, out)| {
                let first = (chunk * (CHUNK / CALL)) as u32;
                for_batches(stream, first, out.len().next_multiple_of(2), |start, words| {
                    let end = (start + words.len()).min(out.len());
                    make(words, &mut out[start..end]);
                });
            });
        });
        Ok(values)
    }
}
