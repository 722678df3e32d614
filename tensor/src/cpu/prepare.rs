//! From stored pictures to a network's input: a view a job, a row at a time.

use std::borrow::Cow;

use rayon::prelude::*;

use crate::ops::prepare::{Cut, Kernels, Layout};
use crate::{Cpu, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn prepare(
        &self,
        layout: Layout,
        cuts: &[Cut],
        pictures: &Self::Ints,
        mean: Option<&Self::Floats>,
    ) -> Result<Self::Floats> {
        let mut result = self.take(cuts.len() * layout.view())?;
        let (bytes, mean) = (bytes_of(pictures.as_slice()), mean.map(|mean| mean.as_slice()));
        let out = result.make_mut()?;
        self.install(|| {
            out.par_chunks_exact_mut(layout.view()).zip(cuts).for_each(|(out, cut)| {
                let picture = &bytes[cut.picture * layout.picture()..][..layout.picture()];
                cut.write(layout, picture, mean, out);
            });
        });
        Ok(result)
    }
}

/// The bytes of words, the lowest first.
fn bytes_of(words: &[u32]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(bytemuck::cast_slice(words))
    } else {
        Cow::Owned(words.iter().flat_map(|word| word.to_le_bytes()).collect())
    }
}

impl Cut {
    /// Fills `out` `[crop, crop, 3]` from `picture` `[size, size, 3]`, with the mean image `[size, size, 3]` if there
    /// is one. [`Cut::picture`] is not looked at.
    ///
    /// # Panics
    /// If the crop does not lie within the picture.
    pub fn write<E: Element>(&self, layout: Layout, picture: &[u8], mean: Option<&[E]>, out: &mut [E]) {
        let width = 3 * layout.crop;
        // By value of a row, so that the inner loop knows nothing of colours.
        let colours = |of: [f32; 3]| (0..width).map(|i| E::of(f64::from(of[i % 3]))).collect::<Vec<E>>();
        let (factor, offset, damping) = (colours(self.factor), colours(self.offset), E::of(f64::from(self.damping)));
        let mut values = vec![E::zero(); width];
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            let start = self.start + 3 * row * layout.size;
            let target = if self.mirror || layout.bgr { &mut values[..] } else { &mut *out };
            let terms = picture[start..start + width].iter().zip(&factor).zip(&offset);
            match mean {
                Some(mean) => {
                    let mean = &mean[start..start + width];
                    for ((value, ((&pixel, &factor), &offset)), &mean) in target.iter_mut().zip(terms).zip(mean) {
                        *value = number::<E>(pixel) * factor + (offset - mean * damping);
                    }
                }
                None => {
                    for (value, ((&pixel, &factor), &offset)) in target.iter_mut().zip(terms) {
                        *value = number::<E>(pixel) * factor + offset;
                    }
                }
            }
            match (self.mirror, layout.bgr) {
                (false, false) => {}
                (false, true) => exchange(values.chunks_exact(3), out, [2, 1, 0]),
                (true, false) => exchange(values.chunks_exact(3).rev(), out, [0, 1, 2]),
                (true, true) => exchange(values.chunks_exact(3).rev(), out, [2, 1, 0]),
            }
        }
    }
}

/// Every element type holds all bytes.
fn number<E: Element>(byte: u8) -> E {
    E::from_u8(byte).unwrap_or_else(E::zero)
}

fn exchange<'a, E: Element>(from: impl Iterator<Item = &'a [E]>, to: &mut [E], order: [usize; 3]) {
    for (to, from) in to.chunks_exact_mut(3).zip(from) {
        to[0] = from[order[0]];
        to[1] = from[order[1]];
        to[2] = from[order[2]];
    }
}
