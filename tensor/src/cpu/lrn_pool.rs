//! LRN and max-pooling. In single precision and across channels they are one pass: a band of normalised rows stays in
//! the cache, and backward recomputes the base, so that nothing of the size of the normalised maps is written.

use std::ops::Range;

use bytemuck::{cast_slice, cast_slice_mut};
use rayon::prelude::*;

use super::Buffer;
use super::compiled::CpuKernel;
use super::lrn_rows::{GradientInputs, RowLrn};
use super::pool::{Lengths, check_positions, image_rows_per_job, input_rows};
use super::pool_rows::{max_row_dx_vectors, max_row_vectors};
use super::simd::{Level, Simd, Stored, WithSimd, dispatch, exceeds_cache};
use crate::ops::lrn::Lrn;
use crate::ops::lrn_pool::{LrnMaxPoolBackward, LrnMaxPoolForward, LrnMaxPoolReluBiasBackward, not_fused};
use crate::ops::pool::Geometry;
use crate::{Cpu, Device, Element, Result};

/// Values of a band of normalised rows, at most: 96 KiB.
const MAX_BAND_VALUES: usize = 24 << 10;

/// Values of the gradient of the normalised maps that are computed at a time: 4 KiB, which fit the L1 cache.
const GRADIENT_VALUES: usize = 1 << 10;

/// The LRN of rows, if the two operations are one pass in `E`.
fn fused_lrn<E: Element>(lrn: &Lrn, g: &Geometry) -> Option<RowLrn> {
    let is_single = std::any::TypeId::of::<E>() == std::any::TypeId::of::<f32>();
    RowLrn::new(lrn, g.channels).filter(|_| is_single)
}

/// Rows of maxima per band.
fn band_rows(g: &Geometry) -> usize {
    let fit = MAX_BAND_VALUES / (g.input[1] * g.channels).max(1);
    (fit.saturating_sub(g.spec.kernel[0]) / g.spec.stride[0] + 1).clamp(1, g.output[0].max(1))
}

impl<E: Element> CpuKernel<LrnMaxPoolForward> for Cpu<E> {
    fn run(&self, op: &LrnMaxPoolForward, [x]: [&Buffer<E>; 1]) -> Result<([Buffer<E>; 1], [Buffer<u32>; 1])> {
        let g = &op.geometry;
        let lrn = fused_lrn::<E>(&op.lrn, g).ok_or_else(not_fused)?;
        g.check_places()?;
        let outputs = Lengths::of(g).outputs;
        let mut positions = self.alloc_ints(outputs)?;
        let places = positions.make_mut()?;
        let maxima = match x.bf16() {
            Some(x) => {
                let mut maxima = self.alloc_bf16(outputs)?;
                if let Some(y) = maxima.bf16_mut()? {
                    self.lrn_maxima(lrn, g, x, y, places);
                }
                maxima
            }
            None => {
                let mut maxima = self.alloc(outputs)?;
                let y: &mut [f32] = cast_slice_mut(maxima.make_mut()?);
                self.lrn_maxima(lrn, g, cast_slice::<E, f32>(x.as_slice()), y, places);
                maxima
            }
        };
        Ok(([maxima], [positions]))
    }

    fn is_fused(&self, op: &LrnMaxPoolForward) -> bool {
        fused_lrn::<E>(&op.lrn, &op.geometry).is_some()
    }

    fn takes_bf16(&self, _: &LrnMaxPoolForward) -> bool {
        true
    }
}

impl<E: Element> CpuKernel<LrnMaxPoolBackward> for Cpu<E> {
    fn run(
        &self,
        op: &LrnMaxPoolBackward,
        (operands, [positions]): ([&Buffer<E>; 2], [&Buffer<u32>; 1]),
    ) -> Result<[Buffer<E>; 1]> {
        let lrn = fused_lrn::<E>(&op.lrn, &op.geometry).ok_or_else(not_fused)?;
        let (dx, _) = self.lrn_pool_dx(lrn, &op.geometry, operands, positions, false)?;
        Ok([dx])
    }

    fn takes_bf16(&self, _: &LrnMaxPoolBackward) -> bool {
        true
    }
}

impl<E: Element> CpuKernel<LrnMaxPoolReluBiasBackward> for Cpu<E> {
    fn run(
        &self,
        op: &LrnMaxPoolReluBiasBackward,
        (operands, [positions]): ([&Buffer<E>; 2], [&Buffer<u32>; 1]),
    ) -> Result<[Buffer<E>; 2]> {
        let g = &op.geometry;
        let lrn = fused_lrn::<E>(&op.lrn, g).ok_or_else(not_fused)?;
        let (dx, parts) = self.lrn_pool_dx(lrn, g, operands, positions, true)?;
        let mut sums = self.full(g.channels, E::zero())?;
        let total = cast_slice_mut::<E, f32>(sums.make_mut()?);
        for part in parts {
            total.iter_mut().zip(part).for_each(|(total, v)| *total += v);
        }
        Ok([dx, sums])
    }

    fn is_fused(&self, op: &LrnMaxPoolReluBiasBackward) -> bool {
        fused_lrn::<E>(&op.lrn, &op.geometry).is_some()
    }

    fn takes_bf16(&self, _: &LrnMaxPoolReluBiasBackward) -> bool {
        true
    }
}

impl<E: Element> Cpu<E> {
    /// The maxima and their positions.
    fn lrn_maxima<T: Stored>(&self, lrn: RowLrn, g: &Geometry, x: &[T], y: &mut [T], places: &mut [u32]) {
        let lengths = Lengths::of(g);
        let image = lengths.output_image.max(1);
        let row = lengths.output_row.max(1);
        let part = image_rows_per_job(g.n, g.output[0]);
        let images = y.par_chunks_mut(image).zip(places.par_chunks_mut(image)).enumerate();
        self.install(|| {
            images.for_each(|(n, (y, places))| {
                let x = &x[n * lengths.image..][..lengths.image];
                let parts = y.par_chunks_mut(part * row).zip(places.par_chunks_mut(part * row)).enumerate();
                parts.for_each(|(i, (y, places))| {
                    dispatch(Level::get(), Maxima { lrn, g, x, first: i * part, y, places });
                });
            });
        });
    }

    /// The gradient in one pass. With `relu`, also through the ReLU before, with the sums over positions of each job.
    fn lrn_pool_dx(
        &self,
        lrn: RowLrn,
        g: &Geometry,
        [x, dy]: [&Buffer<E>; 2],
        positions: &Buffer<u32>,
        relu: bool,
    ) -> Result<(Buffer<E>, Vec<Vec<f32>>)> {
        let len = g.n * Lengths::of(g).image;
        let positions = positions.as_slice();
        if let Some(x) = x.bf16() {
            let dy = self.to_bf16(dy)?;
            let mut dx = self.alloc_bf16(len)?;
            let sums = match (dy.bf16(), dx.bf16_mut()?) {
                (Some(dy), Some(dx)) => self.lrn_pool_rows(lrn, g, [x, dy], positions, relu, dx)?,
                _ => Vec::new(),
            };
            return Ok((dx, sums));
        }
        let mut dx = self.alloc(len)?;
        let operands = [x, dy].map(|operand| cast_slice::<E, f32>(operand.as_slice()));
        let sums = self.lrn_pool_rows(lrn, g, operands, positions, relu, cast_slice_mut(dx.make_mut()?))?;
        Ok((dx, sums))
    }

    fn lrn_pool_rows<T: Stored>(
        &self,
        lrn: RowLrn,
        g: &Geometry,
        [x, dy]: [&[T]; 2],
        positions: &[u32],
        relu: bool,
        dx: &mut [T],
    ) -> Result<Vec<Vec<f32>>> {
        let width = g.input[1] * g.channels;
        let part = |outputs: Range<usize>, first: usize, dx: &mut [T]| {
            let n = outputs.start / Lengths::of(g).output_image;
            let positions = &positions[outputs.clone()];
            let dy = &dy[outputs];
            let x = &x[(n * g.input[0] + first) * width..][..dx.len()];
            dispatch(Level::get(), Gradient { lrn, g, x, positions, dy, first, relu, dx })
        };
        self.par_rows(g, dx, |outputs| check_positions(g, &positions[outputs]), part)
    }
}

/// The rows of maxima from `first` on that `y` has room for, of image `x`.
struct Maxima<'a, T> {
    lrn: RowLrn,
    g: &'a Geometry,
    x: &'a [T],
    first: usize,
    y: &'a mut [T],
    places: &'a mut [u32],
}

impl<T: Stored> WithSimd for Maxima<'_, T> {
    type Output = ();

    /// A band at a time.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { lrn, g, first, .. } = self;
        let width = g.input[1] * g.channels;
        let row = g.output[1] * g.channels;
        let band = band_rows(g);
        let outputs = self.y.len() / row;
        let mut normalised: Vec<f32> = Vec::new();
        let mut held = 0..0;
        let bands = self.y.chunks_mut(band * row).zip(self.places.chunks_mut(band * row));
        for (i, (y, places)) in bands.enumerate() {
            let start = first + i * band;
            let wanted = input_rows(g, start..(start + band).min(first + outputs));
            // Rows in common with the band before move to the front.
            let shared = wanted.start.max(held.start).min(held.end)..held.end;
            normalised.resize(normalised.len().max(wanted.len() * width), 0.0);
            normalised.copy_within((shared.start - held.start) * width..(shared.end - held.start) * width, 0);
            let fresh = wanted.start + shared.len()..wanted.end;
            let to = normalised[shared.len() * width..wanted.len() * width].chunks_exact_mut(g.channels);
            for (x, to) in self.x[fresh.start * width..fresh.end * width].chunks_exact(g.channels).zip(to) {
                lrn.normalise(simd, x, to, None);
            }
            for (i, (y, places)) in y.chunks_exact_mut(row).zip(places.chunks_exact_mut(row)).enumerate() {
                max_row_vectors(simd, g, &normalised[..wanted.len() * width], wanted.start, start + i, y, places);
            }
            held = wanted;
        }
    }
}

/// The rows of dx from `first` on that `x` and `dx` hold; positions and dy are the image's.
struct Gradient<'a, T> {
    lrn: RowLrn,
    g: &'a Geometry,
    x: &'a [T],
    positions: &'a [u32],
    dy: &'a [T],
    first: usize,
    /// Whether x is the output of a ReLU, and dx the gradient of its input.
    relu: bool,
    dx: &'a mut [T],
}

impl<T: Stored> WithSimd for Gradient<'_, T> {
    /// The sums of dx over positions, if `relu`: by rows, so that no small term is added to a large sum.
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self { lrn, g, .. } = self;
        let c = g.channels;
        let width = g.input[1] * c;
        let nontemporal = exceeds_cache(g.x_shape().iter().product());
        let mut gradient = vec![0.0f32; (GRADIENT_VALUES / c).max(1) * c];
        let [mut sums, mut row_sums] = [(); 2].map(|()| vec![0.0; if self.relu { c } else { 0 }]);
        for (y, (x, dx)) in (self.first..).zip(self.x.chunks_exact(width).zip(self.dx.chunks_exact_mut(width))) {
            let block = gradient.len();
            for (i, (x, dx)) in x.chunks(block).zip(dx.chunks_mut(block)).enumerate() {
                let gradient = &mut gradient[..x.len()];
                max_row_dx_vectors(simd, g, self.positions, self.dy, [y, i * block / c], false, gradient);
                let places = x.chunks_exact(c).zip(gradient.chunks_exact(c)).zip(dx.chunks_exact_mut(c));
                for ((x, dy), dx) in places {
                    let row = GradientInputs { x, base: None, dy };
                    let relu_sums = self.relu.then_some(&mut row_sums[..]);
                    lrn.gradient(simd, row, nontemporal, relu_sums, dx);
                }
            }
            for (sum, row_sums) in sums.iter_mut().zip(&mut row_sums) {
                *sum += std::mem::take(row_sums);
            }
        }
        simd.fence();
        sums
    }
}
