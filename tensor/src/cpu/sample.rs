//! Random values. Each block of the generator gives four, and is computed once.

use rayon::prelude::*;

use super::buffer::Buffer;
use super::elementwise::CHUNK;
use crate::ops::sample::Kernels;
use crate::random::{Stream, to_normals, to_uniform};
use crate::{Cpu, Element, Result};

/// Values from one block.
const BLOCK: usize = 4;

impl<E: Element> Kernels for Cpu<E> {
    fn sample_normal(&self, len: usize, mean: f64, deviation: f64, stream: Stream) -> Result<Self::Floats> {
        self.sample(len, stream, |[a, b, c, d]| {
            let ([a, b], [c, d]) = (to_normals([a, b]), to_normals([c, d]));
            [a, b, c, d].map(|z| E::of(mean + deviation * z))
        })
    }

    fn sample_uniform(&self, len: usize, low: f64, high: f64, stream: Stream) -> Result<Self::Floats> {
        self.sample(len, stream, |words| words.map(|word| E::of(low + (high - low) * f64::from(to_uniform(word)))))
    }
}

impl<E: Element> Cpu<E> {
    /// Four values from each block of `stream`, the last block's as far as they are needed.
    fn sample(&self, len: usize, stream: Stream, f: impl Fn([u32; BLOCK]) -> [E; BLOCK] + Sync) -> Result<Buffer<E>> {
        let mut values = self.take(len)?;
        let out = values.make_mut()?;
        self.install(|| {
            out.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, out)| {
                for (i, four) in out.chunks_mut(BLOCK).enumerate() {
                    let block = chunk * (CHUNK / BLOCK) + i;
                    let drawn = f(stream.block(block as u32));
                    four.copy_from_slice(&drawn[..four.len()]);
                }
            });
        });
        Ok(values)
    }
}
