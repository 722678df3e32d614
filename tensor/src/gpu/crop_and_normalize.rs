//! Crops of stored images, normalized in one pass. A unit writes one vector of a row, and picks each value's byte out
//! of its word: neighbouring units read neighbouring words, each word from memory once. A value costs 1 byte read and 2
//! or 4 written, and about 30 instructions, so memory bounds it on a data-centre GPU.

use cubecl::prelude::*;

use super::precision::dispatch;
use super::{Buffer, Dtype, Gpu, IntBuffer};
use crate::ops::crop_and_normalize::{Coefficients, CropAndNormalizeImages};
use crate::{Error, Kernel, Result};

/// Words of a crop in the table: position of its first byte among all images, and in its image; whether it is mirrored;
/// damping; factors and offsets of R, G, B.
const WORDS: usize = 10;

/// Side lengths of images and crops, and the order of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Layout {
    size: usize,
    crop: usize,
    bgr: bool,
}

#[cube(launch)]
fn crop_and_normalize_kernel<F: Float, N: Size>(
    images: &Array<u32>,
    crops: &Array<u32>,
    mean: &Array<f32>,
    y: &mut Array<Vector<F, N>>,
    #[comptime] layout: Layout,
    #[comptime] with_mean: bool,
) {
    let row_vectors = comptime!(3 * layout.crop) / N::value();
    let crop_vectors = row_vectors * comptime!(layout.crop);
    let size = comptime!(layout.size);
    let crop = comptime!(layout.crop);
    if ABSOLUTE_POS < y.len() {
        let at = ABSOLUTE_POS / crop_vectors * comptime!(WORDS);
        let in_crop = ABSOLUTE_POS % crop_vectors;
        let row = in_crop / row_vectors;
        let position = in_crop % row_vectors * N::value();

        let first = crops[at] as usize + row * comptime!(3 * size);
        let first_mean = crops[at + 1] as usize + row * comptime!(3 * size);
        let mirror = crops[at + 2] != 0;
        let damping = f32::from_bits(crops[at + 3]);
        let red = (f32::from_bits(crops[at + 4]), f32::from_bits(crops[at + 7]));
        let green = (f32::from_bits(crops[at + 5]), f32::from_bits(crops[at + 8]));
        let blue = (f32::from_bits(crops[at + 6]), f32::from_bits(crops[at + 9]));

        let mut result = Vector::<F, N>::empty();
        #[unroll]
        for lane in 0..N::value() {
            let pixel = (position + lane) / 3;
            let channel = position + lane - 3 * pixel;
            let colour = if comptime!(layout.bgr) { 2 - channel } else { channel };
            let column = select(mirror, crop - 1 - pixel, pixel);
            let offset = 3 * column + colour;
            let place = first + offset;
            let byte = (images[place / 4] >> (8 * (place % 4) as u32)) & 0xff;

            let factor = select(colour == 0, red.0, select(colour == 1, green.0, blue.0));
            let addend = select(colour == 0, red.1, select(colour == 1, green.1, blue.1));
            let addend = if comptime!(with_mean) { addend - mean[first_mean + offset] * damping } else { addend };
            result[lane] = F::cast_from(f32::cast_from(byte) * factor + addend);
        }
        y[ABSOLUTE_POS] = result;
    }
}

impl<R: Runtime> Kernel<CropAndNormalizeImages<'_>> for Gpu<R> {
    fn run(
        &self,
        op: &CropAndNormalizeImages<'_>,
        (_, images, mean): ([&Buffer; 0], Option<&IntBuffer>, Option<&Buffer>),
    ) -> Result<[Buffer; 1]> {
        let on_host = || Error::argument("crop and normalize", "a GPU takes images in a buffer, not in host memory");
        let images = images.ok_or_else(on_host)?;
        let layout = Layout { size: op.size, crop: op.settings.crop, bgr: op.settings.bgr };
        let len = op.output_len();
        if len > u32::MAX as usize || images.len() > u32::MAX as usize / 4 {
            let what = format!(
                "{} crops of {} x {} from {} bytes are more than 32 bits count; use a smaller batch",
                op.crops.len(),
                layout.crop,
                layout.crop,
                4 * images.len()
            );
            return Err(Error::argument("crop and normalize", what));
        }
        let y = self.empty(self.activation_dtype(), len);
        if len > 0 {
            let table = self.table(op)?;
            let mean = mean.map(|mean| self.to_f32(mean));
            let none = self.empty(Dtype::F32, 1);
            let width = self.vector_width(y.dtype(), &[3 * layout.crop]);
            let (count, dim) = self.unit_grid(len / width);
            dispatch!(y.dtype(), F => {
                crop_and_normalize_kernel::launch::<F, R>(
                    self.client(),
                    count,
                    dim,
                    width,
                    images.arg(),
                    table.arg(),
                    mean.as_ref().unwrap_or(&none).arg(),
                    y.arg(),
                    layout,
                    mean.is_some(),
                );
            });
            self.make_uploads_wait(&y, images);
        }
        Ok([y])
    }
}

impl<R: Runtime> Gpu<R> {
    /// The crops as the kernel reads them.
    fn table(&self, op: &CropAndNormalizeImages<'_>) -> Result<IntBuffer> {
        let image_bytes = 3 * op.size * op.size;
        let mut table = Vec::with_capacity(op.crops.len() * WORDS);
        for crop in op.crops {
            let start = crop.start(op.size);
            let Coefficients { factor, offset, damping } = op.settings.coefficients(crop);
            table.push((crop.image as usize * image_bytes + start) as u32);
            table.push(start as u32);
            table.push(u32::from(crop.mirror));
            table.push(damping.to_bits());
            table.extend(factor.map(f32::to_bits));
            table.extend(offset.map(f32::to_bits));
        }
        crate::Device::upload_ints(self, &table)
    }
}
