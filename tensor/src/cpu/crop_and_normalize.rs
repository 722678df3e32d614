//! Crops of stored images, normalized: the crops in parallel, each row by row.

use rayon::prelude::*;

use super::Buffer;
use crate::ops::crop_and_normalize::{Coefficients, CropAndNormalizeImages};
use crate::ops::{CropAndNormalize, CropParams};
use crate::{Cpu, Element, Error, Kernel, Result};

impl<E: Element> Kernel<CropAndNormalizeImages<'_>> for Cpu<E> {
    fn run(
        &self,
        op: &CropAndNormalizeImages<'_>,
        (_, _, mean): ([&Buffer<E>; 0], Option<&Buffer<u32>>, Option<&Buffer<E>>),
    ) -> Result<[Buffer<E>; 1]> {
        let in_a_buffer =
            || Error::argument("crop and normalize", "the CPU takes images in host memory, not in a buffer");
        let images = op.host_images.ok_or_else(in_a_buffer)?;
        let mut result = self.alloc(op.output_len())?;
        let mean = mean.map(|mean| mean.as_slice());
        let out = result.make_mut()?;
        self.install(|| {
            out.par_chunks_exact_mut(op.settings.crop_len()).zip(op.crops).for_each(|(out, crop)| {
                op.settings.write_crop(op.size, images.image(crop.image as usize), crop, mean, out);
            });
        });
        Ok([result])
    }
}

impl CropAndNormalize {
    /// Writes a crop of `image` `[size, size, 3]` to `out` `[crop, crop, 3]`. `mean_image` `[size, size, 3]` is the
    /// [normalized mean image](Self::normalized_mean_image), if there is one; [`CropParams::image`] is ignored. The
    /// bits are the same on all processors.
    ///
    /// # Panics
    /// If the crop does not lie within the image.
    pub fn write_crop<E: Element>(
        &self,
        size: usize,
        image: &[u8],
        crop: &CropParams,
        mean_image: Option<&[E]>,
        out: &mut [E],
    ) {
        let rows = CropRows {
            start: crop.start(size),
            size,
            crop: self.crop,
            bgr: self.bgr,
            mirror: crop.mirror,
            coefficients: self.coefficients(crop),
        };
        #[cfg(target_arch = "x86_64")]
        if x86::write(&rows, image, mean_image, out) {
            return;
        }
        rows.write_scalar(image, mean_image, out);
    }
}

/// The rows of one crop.
#[derive(Clone, Copy, Debug)]
struct CropRows {
    /// Position of the first byte in the image.
    start: usize,
    /// Side length of the image.
    size: usize,
    /// Side length of the crop.
    crop: usize,
    bgr: bool,
    mirror: bool,
    coefficients: Coefficients,
}

impl CropRows {
    /// Position of a row's first byte in the image.
    fn row_start(&self, row: usize) -> usize {
        self.start + 3 * row * self.size
    }

    fn write_scalar<E: Element>(&self, image: &[u8], mean: Option<&[E]>, out: &mut [E]) {
        for (row, out) in out.chunks_exact_mut((3 * self.crop).max(1)).enumerate() {
            self.write_pixels(row, 0, image, mean, out);
        }
    }

    /// Writes the pixels of a row from number `first` on.
    #[inline]
    fn write_pixels<E: Element>(&self, row: usize, first: usize, image: &[u8], mean: Option<&[E]>, out: &mut [E]) {
        let range = self.row_start(row)..self.row_start(row) + 3 * self.crop;
        let image = &image[range.clone()];
        let mean = mean.map(|mean| &mean[range]);
        let factor = self.coefficients.factor.map(|v| E::of(f64::from(v)));
        let offset = self.coefficients.offset.map(|v| E::of(f64::from(v)));
        let damping = E::of(f64::from(self.coefficients.damping));
        for (x, out) in out.chunks_exact_mut(3).enumerate().skip(first) {
            let from = 3 * if self.mirror { self.crop - 1 - x } else { x };
            for c in 0..3 {
                // Every element type holds all bytes.
                let pixel = E::from_u8(image[from + c]).unwrap_or_else(E::zero);
                let scaled = pixel * factor[c];
                let value = match mean {
                    Some(mean) => scaled + (offset[c] - mean[from + c] * damping),
                    None => scaled + offset[c],
                };
                out[if self.bgr { 2 - c } else { c }] = value;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[path = "crop_and_normalize_x86.rs"]
mod x86;
