//! From stored images to a network's input: a view a job, a row at a time.

use std::borrow::Cow;

use rayon::prelude::*;

use super::Buffer;
use crate::ops::prepare::{Cut, Layout, PrepareImages};
use crate::{Cpu, Element, Kernel, Result};

impl<E: Element> Kernel<PrepareImages<'_>> for Cpu<E> {
    fn run(
        &self,
        op: &PrepareImages<'_>,
        (_, [images], mean): ([&Buffer<E>; 0], [&Buffer<u32>; 1], Option<&Buffer<E>>),
    ) -> Result<[Buffer<E>; 1]> {
        let &PrepareImages { layout, cuts } = op;
        let mut result = self.alloc(cuts.len() * layout.view())?;
        let (bytes, mean) = (bytes_of(images.as_slice()), mean.map(|mean| mean.as_slice()));
        let out = result.make_mut()?;
        self.install(|| {
            out.par_chunks_exact_mut(layout.view()).zip(cuts).for_each(|(out, cut)| {
                let image = &bytes[cut.image * layout.image()..][..layout.image()];
                cut.write(layout, image, mean, out);
            });
        });
        Ok([result])
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
    /// Fills `out` `[crop, crop, 3]` from `image` `[size, size, 3]`, with the mean image `[size, size, 3]` if there
    /// is one. [`Cut::image`] is not looked at. The bits are the same on all processors.
    ///
    /// # Panics
    /// If the crop does not lie within the image.
    pub fn write<E: Element>(&self, layout: Layout, image: &[u8], mean: Option<&[E]>, out: &mut [E]) {
        #[cfg(target_arch = "x86_64")]
        if let (Some(way), Some(out)) = (fast::Way::best(), fast::as_f32_mut(out)) {
            let done = match mean {
                None => way.write(self, layout, image, None, out),
                Some(mean) => fast::as_f32(mean).is_some_and(|mean| way.write(self, layout, image, Some(mean), out)),
            };
            if done {
                return;
            }
        }
        self.write_plainly(layout, image, mean, out);
    }

    fn write_plainly<E: Element>(&self, layout: Layout, image: &[u8], mean: Option<&[E]>, out: &mut [E]) {
        let width = 3 * layout.crop;
        for (row, out) in out.chunks_exact_mut(width.max(1)).enumerate() {
            self.write_pixels(layout, row, 0, image, mean, out);
        }
    }

    /// The pixels of a row of the crop from `first` on.
    #[inline]
    fn write_pixels<E: Element>(
        &self,
        layout: Layout,
        row: usize,
        first: usize,
        image: &[u8],
        mean: Option<&[E]>,
        out: &mut [E],
    ) {
        let start = self.start + 3 * row * layout.size;
        let [factor, offset] = [self.factor, self.offset].map(|of| of.map(|v| E::of(f64::from(v))));
        let damping = E::of(f64::from(self.damping));
        let width = 3 * layout.crop;
        let (image, mean) = (&image[start..start + width], mean.map(|mean| &mean[start..start + width]));
        for (x, out) in out.chunks_exact_mut(3).enumerate().skip(first) {
            let from = 3 * if self.mirror { layout.crop - 1 - x } else { x };
            for c in 0..3 {
                let scaled = number::<E>(image[from + c]) * factor[c];
                let value = match mean {
                    Some(mean) => scaled + (offset[c] - mean[from + c] * damping),
                    None => scaled + offset[c],
                };
                out[if layout.bgr { 2 - c } else { c }] = value;
            }
        }
    }
}

/// Every element type holds all bytes.
fn number<E: Element>(byte: u8) -> E {
    E::from_u8(byte).unwrap_or_else(E::zero)
}

#[cfg(target_arch = "x86_64")]
#[path = "prepare_fast.rs"]
mod fast;
