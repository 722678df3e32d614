//! Dropout: the mask follows from the stream, four values from each call of the generator.

use rayon::prelude::*;

use super::reduce::JOB;
use crate::ops::dropout::Kernels;
use crate::random::{Stream, to_uniform};
use crate::{Cpu, Element, Result};

/// Words of one call of the generator.
const WORDS: usize = 4;
const _: () = assert!(JOB.is_multiple_of(WORDS), "a job starts at a call of the generator");

impl<E: Element> Kernels for Cpu<E> {
    fn dropout(&self, len: usize, x: &Self::Floats, p: f32, factor: f64, stream: Stream) -> Result<Self::Floats> {
        let mut result = self.take(len)?;
        let (y, x, factor) = (result.make_mut()?, x.as_slice(), E::of(factor));
        self.install(|| {
            y.par_chunks_mut(JOB).zip(x.par_chunks(JOB)).enumerate().for_each(|(job, (y, x))| {
                let first = job * (JOB / WORDS);
                for (i, (y, x)) in y.chunks_mut(WORDS).zip(x.chunks(WORDS)).enumerate() {
                    let words = stream.block((first + i) as u32);
                    for ((y, &x), word) in y.iter_mut().zip(x).zip(words) {
                        *y = if to_uniform(word) >= p { x * factor } else { E::zero() };
                    }
                }
            });
        });
        Ok(result)
    }
}
