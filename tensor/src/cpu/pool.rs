//! Max and average pooling. Forward runs in parallel over rows of windows. Backward of maxima runs over rows of the
//! input, each of which gathers from its windows, and of means over images, so the order of sums depends on shapes
//! only.

use std::ops::Range;

use rayon::prelude::*;

use super::Buffer;
use super::compiled::CpuKernel;
use super::pool_rows::{MaxRow, MaxRowDx, average_row, average_row_dx, inside, max_row, max_row_dx};
use super::simd::{LANES, Level, dispatch, multiversion};
use crate::ops::pool::{AveragePoolBackward, AveragePoolForward, Geometry, MaxPoolBackward, MaxPoolForward};
use crate::{Cpu, Element, Error, Result};

impl<E: Element> CpuKernel<MaxPoolForward> for Cpu<E> {
    fn run(&self, op: &MaxPoolForward, [x]: [&Buffer<E>; 1]) -> Result<([Buffer<E>; 1], [Buffer<u32>; 1])> {
        let g = &op.geometry;
        let lengths = Lengths::of(g);
        g.check_places()?;
        let mut positions = self.alloc_ints(lengths.outputs)?;
        let place = positions.make_mut()?;
        let row = lengths.output_row.max(1);
        if let (Some(x), true) = (x.bf16(), self.takes_bf16(op)) {
            let mut maxima = self.alloc_bf16(lengths.outputs)?;
            if let Some(y) = maxima.bf16_mut()? {
                self.install(|| {
                    y.par_chunks_mut(row).zip(place.par_chunks_mut(row)).enumerate().for_each(|(i, (y, places))| {
                        let x = &x[i / g.output[0] * lengths.image..][..lengths.image];
                        dispatch(Level::get(), MaxRow { g, x, oy: i % g.output[0], y, places });
                    });
                });
            }
            return Ok(([maxima], [positions]));
        }
        let mut maxima = self.alloc(lengths.outputs)?;
        let y = maxima.make_mut()?;
        let x = x.as_slice();
        self.install(|| {
            y.par_chunks_mut(row).zip(place.par_chunks_mut(row)).enumerate().for_each(|(i, (y, place))| {
                max_row(g, &x[i / g.output[0] * lengths.image..][..lengths.image], i % g.output[0], y, place);
            });
        });
        Ok(([maxima], [positions]))
    }

    fn takes_bf16(&self, op: &MaxPoolForward) -> bool {
        op.geometry.channels.is_multiple_of(LANES)
    }
}

impl<E: Element> CpuKernel<MaxPoolBackward> for Cpu<E> {
    fn run(
        &self,
        op: &MaxPoolBackward,
        ([dy], [positions]): ([&Buffer<E>; 1], [&Buffer<u32>; 1]),
    ) -> Result<[Buffer<E>; 1]> {
        let g = &op.geometry;
        let positions = positions.as_slice();
        let len = g.n * Lengths::of(g).image;
        let row = g.input[1] * g.channels;
        let check = |outputs: Range<usize>| check_positions(g, &positions[outputs]);
        if let (Some(dy), true) = (dy.bf16(), self.takes_bf16(op)) {
            let mut result = self.alloc_bf16(len)?;
            if let Some(dx) = result.bf16_mut()? {
                self.par_rows(g, dx, check, |outputs, first, dx| {
                    let positions = &positions[outputs.clone()];
                    let dy = &dy[outputs];
                    for (i, dx) in dx.chunks_exact_mut(row).enumerate() {
                        dispatch(Level::get(), MaxRowDx { g, positions, dy, y: first + i, dx });
                    }
                })?;
            }
            return Ok([result]);
        }
        let dy = dy.as_slice();
        let mut result = self.alloc(len)?;
        self.par_rows(g, result.make_mut()?, check, |outputs, first, dx| {
            for (i, dx) in dx.chunks_exact_mut(row).enumerate() {
                max_row_dx(g, &positions[outputs.clone()], &dy[outputs.clone()], first + i, dx);
            }
        })?;
        Ok([result])
    }

    fn takes_bf16(&self, op: &MaxPoolBackward) -> bool {
        op.geometry.channels.is_multiple_of(LANES)
    }
}

impl<E: Element> CpuKernel<AveragePoolForward> for Cpu<E> {
    fn run(&self, op: &AveragePoolForward, [x]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 1]> {
        let g = &op.geometry;
        let lengths = Lengths::of(g);
        let mut result = self.alloc(lengths.outputs)?;
        let y = result.make_mut()?;
        let x = x.as_slice();
        self.install(|| {
            y.par_chunks_mut(lengths.output_row.max(1)).enumerate().for_each(|(i, y)| {
                average_row(g, &x[i / g.output[0] * lengths.image..][..lengths.image], i % g.output[0], y);
            });
        });
        Ok([result])
    }
}

impl<E: Element> CpuKernel<AveragePoolBackward> for Cpu<E> {
    fn run(&self, op: &AveragePoolBackward, [dy]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 1]> {
        let g = &op.geometry;
        let lengths = Lengths::of(g);
        let mut result = self.alloc(g.n * lengths.image)?;
        let dx = result.make_mut()?;
        let dy = dy.as_slice();
        let image = lengths.image.max(1);
        let outputs = lengths.output_image.max(1);
        self.install(|| {
            dx.par_chunks_mut(image).zip(dy.par_chunks(outputs)).for_each(|(dx, dy)| {
                dx.fill(E::zero());
                for (oy, dy) in dy.chunks_exact(lengths.output_row).enumerate() {
                    average_row_dx(g, dy, oy, dx);
                }
            });
        });
        Ok([result])
    }
}

impl<E: Element> Cpu<E> {
    /// Computes dx in parallel over images and rows. `check` is given the outputs of each image first; then
    /// `part(outputs of the image, first row, rows of dx)` fills some rows. Returns the results of `part` in order.
    pub(super) fn par_rows<V: Send, T: Send>(
        &self,
        g: &Geometry,
        dx: &mut [V],
        check: impl Fn(Range<usize>) -> Result<()> + Sync,
        part: impl Fn(Range<usize>, usize, &mut [V]) -> T + Sync,
    ) -> Result<Vec<T>> {
        let lengths = Lengths::of(g);
        let image_dx = |(n, dx): (usize, &mut [V])| {
            let outputs = n * lengths.output_image..(n + 1) * lengths.output_image;
            check(outputs.clone())?;
            let rows = image_rows_per_job(g.n, g.input[0]);
            let parts = dx.par_chunks_mut((rows * g.input[1] * g.channels).max(1)).enumerate();
            Ok(parts.map(|(i, dx)| part(outputs.clone(), i * rows, dx)).collect())
        };
        let images = dx.par_chunks_mut(lengths.image.max(1)).enumerate();
        let results: Vec<Vec<T>> = self.install(|| images.map(image_dx).collect::<Result<_>>())?;
        Ok(results.into_iter().flatten().collect())
    }
}

/// Rows of an image per job: all if there are enough images for the threads, else an eighth.
pub(super) fn image_rows_per_job(images: usize, rows: usize) -> usize {
    if images >= 16 { rows.max(1) } else { rows.div_ceil(8).max(1) }
}

/// Lengths of the parts of the input and output, in values.
pub(super) struct Lengths {
    pub image: usize,
    pub output_row: usize,
    pub output_image: usize,
    pub outputs: usize,
}

impl Geometry {
    /// Fails for images with more positions than 32 bits can number.
    pub(super) fn check_places(&self) -> Result<()> {
        if self.input[0] * self.input[1] > u32::MAX as usize {
            let what = format!("max-pooling numbers the places of an image with 32 bits, got {:?}", self.input);
            return Err(Error::argument("pool", what));
        }
        Ok(())
    }
}

impl Lengths {
    pub fn of(g: &Geometry) -> Self {
        let output_row = g.output[1] * g.channels;
        let output_image = g.output[0] * output_row;
        let image = g.input[0] * g.input[1] * g.channels;
        Self { image, output_row, output_image, outputs: g.n * output_image }
    }
}

/// The rows of the input that the windows of these output rows read.
pub(super) fn input_rows(g: &Geometry, outputs: Range<usize>) -> Range<usize> {
    if outputs.is_empty() {
        return 0..0;
    }
    inside(g, 0, outputs.start).start..inside(g, 0, outputs.end - 1).end
}

/// Fails for positions outside the image.
pub(super) fn check_positions(g: &Geometry, positions: &[u32]) -> Result<()> {
    let places = g.input[0] * g.input[1];
    if largest(positions) < places as u32 {
        return Ok(());
    }
    let what = format!("the positions are not those of a forward over images of {:?}", g.input);
    Err(Error::argument("pool backward", what))
}

multiversion! {
    fn largest(positions: &[u32]) -> u32 {
        positions.iter().fold(0, |max, &p| max.max(p))
    }
}
