//! Crops of stored images, normalized: the crops in parallel, each by the kernel of [`crop`].

use rayon::prelude::*;

use super::Buffer;
use super::bf16::narrow_chunk;
use crate::ops::crop_and_normalize::CropAndNormalizeImages;
use crate::{Cpu, Dtype, Element, Error, Kernel, Result};

impl<E: Element> Kernel<CropAndNormalizeImages<'_>> for Cpu<E> {
    fn run(
        &self,
        op: &CropAndNormalizeImages<'_>,
        (_, _, mean): ([&Buffer<E>; 0], Option<&Buffer<u32>>, Option<&Buffer<E>>),
    ) -> Result<[Buffer<E>; 1]> {
        let in_a_buffer =
            || Error::argument("crop and normalize", "the CPU takes images in host memory, not in a buffer");
        let images = op.host_images.ok_or_else(in_a_buffer)?;
        let mean = mean.map(|mean| mean.as_slice());
        if self.activations() == Dtype::Bf16 {
            let mut result = self.alloc_bf16(op.output_len())?;
            if let Some(out) = result.bf16_mut()? {
                let crops = out.par_chunks_exact_mut(op.settings.crop_len()).zip(op.crops);
                let scratch = || vec![E::zero(); op.settings.crop_len()];
                self.install(|| {
                    crops.for_each_init(scratch, |values, (out, crop)| {
                        op.settings.write_crop(op.size, images.image(crop.image as usize), crop, mean, values);
                        narrow_chunk(bytemuck::cast_slice(values), out);
                    });
                });
            }
            return Ok([result]);
        }
        let mut result = self.alloc(op.output_len())?;
        let out = result.make_mut()?;
        self.install(|| {
            out.par_chunks_exact_mut(op.settings.crop_len()).zip(op.crops).for_each(|(out, crop)| {
                op.settings.write_crop(op.size, images.image(crop.image as usize), crop, mean, out);
            });
        });
        Ok([result])
    }
}
