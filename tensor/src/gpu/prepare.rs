//! From stored images to a network's input in one pass. A unit writes one vector of a row, and picks each value's
//! byte out of its word: neighbouring units read neighbouring words, each word from memory once. A value costs 1 byte
//! read and 2 or 4 written, and about 30 instructions: bound by memory on a data-centre GPU.

use cubecl::prelude::*;

use super::precision::dispatch;
use super::{Buffer, Dtype, Gpu, IntBuffer};
use crate::ops::prepare::{Cut, Layout, PrepareImages};
use crate::{Error, Kernel, Result};

/// Words of a cut in the table: place of its first byte among all images, and in its image; whether it is mirrored;
/// damping; factors and offsets of R, G, B.
const WORDS: usize = 10;

#[cube(launch)]
fn prepare_kernel<F: Float, N: Size>(
    images: &Array<u32>,
    cuts: &Array<u32>,
    mean: &Array<f32>,
    y: &mut Array<Vector<F, N>>,
    #[comptime] layout: Layout,
    #[comptime] with_mean: bool,
) {
    let row_vectors = comptime!(3 * layout.crop) / N::value();
    let view_vectors = row_vectors * comptime!(layout.crop);
    let (size, crop) = (comptime!(layout.size), comptime!(layout.crop));
    if ABSOLUTE_POS < y.len() {
        let cut = ABSOLUTE_POS / view_vectors * comptime!(WORDS);
        let in_view = ABSOLUTE_POS % view_vectors;
        let row = in_view / row_vectors;
        let position = in_view % row_vectors * N::value();

        let first = cuts[cut] as usize + row * comptime!(3 * size);
        let first_mean = cuts[cut + 1] as usize + row * comptime!(3 * size);
        let mirror = cuts[cut + 2] != 0;
        let damping = f32::from_bits(cuts[cut + 3]);
        let red = (f32::from_bits(cuts[cut + 4]), f32::from_bits(cuts[cut + 7]));
        let green = (f32::from_bits(cuts[cut + 5]), f32::from_bits(cuts[cut + 8]));
        let blue = (f32::from_bits(cuts[cut + 6]), f32::from_bits(cuts[cut + 9]));

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

impl<R: Runtime> Kernel<PrepareImages<'_>> for Gpu<R> {
    fn run(
        &self,
        op: &PrepareImages<'_>,
        (_, [images], mean): ([&Buffer; 0], [&IntBuffer; 1], Option<&Buffer>),
    ) -> Result<[Buffer; 1]> {
        let &PrepareImages { layout, cuts } = op;
        let len = cuts.len() * layout.view();
        if len > u32::MAX as usize || images.len() > u32::MAX as usize / 4 {
            let what = format!(
                "{} views of {} x {} from {} bytes are more than 32 bits count; use a smaller batch",
                cuts.len(),
                layout.crop,
                layout.crop,
                4 * images.len()
            );
            return Err(Error::Argument { op: "prepare", what });
        }
        let y = self.empty(self.activation_dtype(), len);
        if len > 0 {
            let table = self.table(layout, cuts)?;
            let mean = mean.map(|mean| self.to_f32(mean));
            let none = self.empty(Dtype::F32, 1);
            let width = self.vector_width(y.dtype(), &[3 * layout.crop]);
            let (count, dim) = self.unit_grid(len / width);
            dispatch!(y.dtype(), F => {
                prepare_kernel::launch::<F, R>(
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
    /// The cuts as the kernel reads them.
    fn table(&self, layout: Layout, cuts: &[Cut]) -> Result<IntBuffer> {
        let words = |cut: &Cut| -> [u32; WORDS] {
            let first = cut.image * layout.image() + cut.start;
            let ([r, g, b], [i, j, k]) = (cut.factor.map(f32::to_bits), cut.offset.map(f32::to_bits));
            let mirror = u32::from(cut.mirror);
            [first as u32, cut.start as u32, mirror, cut.damping.to_bits(), r, g, b, i, j, k]
        };
        crate::Device::upload_ints(self, &cuts.iter().flat_map(words).collect::<Vec<_>>())
    }
}
