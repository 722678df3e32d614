//! Local response normalisation, then max-pooling. In single precision and across channels in one pass: a band of
//! normalised rows stays in the cache, and backward computes the base again, so that nothing of the normalised maps'
//! size is written.

use std::ops::Range;

use bytemuck::{cast_slice, cast_slice_mut};
use rayon::prelude::*;

use super::Buffer;
use super::lrn_rows::{GradientInputs, Rows};
use super::pool::{Lengths, check_positions, input_rows, rows_of_part};
use super::pool_rows::{max_row_dx_of, max_row_of};
use super::simd::{Level, Simd, WithSimd, dispatch, exceeds_cache};
use crate::ops::lrn::Lrn;
use crate::ops::lrn_pool::{LrnMaxPoolBackward, LrnMaxPoolForward, LrnMaxPoolReluBiasBackward, not_fused};
use crate::ops::pool::Geometry;
use crate::{Cpu, Device, Element, Kernel, Result};

/// Values of a band of normalised rows, at most: 96 KiB.
const BAND_VALUES: usize = 24 << 10;

/// Values of the normalised maps' gradient that are gathered at a time: 4 KiB, which stay in the nearest cache.
const GATHERED: usize = 1 << 10;

/// The normalisation of rows, where the two are one pass in `E`.
fn fused_rows<E: Element>(lrn: &Lrn, g: &Geometry) -> Option<Rows> {
    let is_single = std::any::TypeId::of::<E>() == std::any::TypeId::of::<f32>();
    Rows::of(lrn, g.channels).filter(|_| is_single)
}

/// Rows of maxima that are worked on at a time.
fn band(g: &Geometry) -> usize {
    let fit = BAND_VALUES / (g.input[1] * g.channels).max(1);
    (fit.saturating_sub(g.spec.kernel[0]) / g.spec.stride[0] + 1).clamp(1, g.output[0].max(1))
}

impl<E: Element> Kernel<LrnMaxPoolForward> for Cpu<E> {
    fn run(&self, op: &LrnMaxPoolForward, [x]: [&Buffer<E>; 1]) -> Result<([Buffer<E>; 1], [Buffer<u32>; 1])> {
        let g = &op.geometry;
        let rows = fused_rows::<E>(&op.lrn, g).ok_or_else(not_fused)?;
        g.check_places()?;
        let lengths = Lengths::of(g);
        let (mut maxima, mut positions) = (self.alloc(lengths.outputs)?, self.alloc_ints(lengths.outputs)?);
        let (y, places, x) = (maxima.make_mut()?, positions.make_mut()?, cast_slice::<E, f32>(x.as_slice()));
        let (image, row) = (lengths.output_image.max(1), lengths.output_row.max(1));
        let y: &mut [f32] = cast_slice_mut(y);
        let part = rows_of_part(g.n, g.output[0]);
        let images = y.par_chunks_mut(image).zip(places.par_chunks_mut(image)).enumerate();
        self.install(|| {
            images.for_each(|(n, (y, places))| {
                let x = &x[n * lengths.image..][..lengths.image];
                let parts = y.par_chunks_mut(part * row).zip(places.par_chunks_mut(part * row)).enumerate();
                parts.for_each(|(i, (y, places))| {
                    dispatch(Level::get(), Maxima { rows, g, x, first: i * part, y, places });
                });
            });
        });
        Ok(([maxima], [positions]))
    }

    fn is_fused(&self, op: &LrnMaxPoolForward) -> bool {
        fused_rows::<E>(&op.lrn, &op.geometry).is_some()
    }
}

impl<E: Element> Kernel<LrnMaxPoolBackward> for Cpu<E> {
    fn run(
        &self,
        op: &LrnMaxPoolBackward,
        (operands, [positions]): ([&Buffer<E>; 2], [&Buffer<u32>; 1]),
    ) -> Result<[Buffer<E>; 1]> {
        let rows = fused_rows::<E>(&op.lrn, &op.geometry).ok_or_else(not_fused)?;
        let (dx, _) = self.gradient(rows, &op.geometry, operands, positions, false)?;
        Ok([dx])
    }
}

impl<E: Element> Kernel<LrnMaxPoolReluBiasBackward> for Cpu<E> {
    fn run(
        &self,
        op: &LrnMaxPoolReluBiasBackward,
        (operands, [positions]): ([&Buffer<E>; 2], [&Buffer<u32>; 1]),
    ) -> Result<[Buffer<E>; 2]> {
        let g = &op.geometry;
        let rows = fused_rows::<E>(&op.lrn, g).ok_or_else(not_fused)?;
        let (dx, parts) = self.gradient(rows, g, operands, positions, true)?;
        let mut sums = self.full(g.channels, E::zero())?;
        let total = cast_slice_mut::<E, f32>(sums.make_mut()?);
        for part in parts {
            total.iter_mut().zip(part).for_each(|(total, v)| *total += v);
        }
        Ok([dx, sums])
    }

    fn is_fused(&self, op: &LrnMaxPoolReluBiasBackward) -> bool {
        fused_rows::<E>(&op.lrn, &op.geometry).is_some()
    }
}

impl<E: Element> Cpu<E> {
    /// The gradient in one pass, through a ReLU if `relu`, and then with the sums over the places of each part.
    fn gradient(
        &self,
        rows: Rows,
        g: &Geometry,
        [x, dy]: [&Buffer<E>; 2],
        positions: &Buffer<u32>,
        relu: bool,
    ) -> Result<(Buffer<E>, Vec<Vec<f32>>)> {
        let width = g.input[1] * g.channels;
        let (x, dy) = (cast_slice::<E, f32>(x.as_slice()), cast_slice::<E, f32>(dy.as_slice()));
        let positions = positions.as_slice();
        let part = |outputs: Range<usize>, first: usize, dx: &mut [E]| {
            let n = outputs.start / Lengths::of(g).output_image;
            let (positions, dy) = (&positions[outputs.clone()], &dy[outputs]);
            let x = &x[(n * g.input[0] + first) * width..][..dx.len()];
            dispatch(Level::get(), Gradient { rows, g, x, positions, dy, first, relu, dx: cast_slice_mut(dx) })
        };
        self.par_rows(g, |outputs| check_positions(g, &positions[outputs]), part)
    }
}

/// Rows of maxima from `first` on, as many as `y` has, of image `x`.
struct Maxima<'a> {
    rows: Rows,
    g: &'a Geometry,
    x: &'a [f32],
    first: usize,
    y: &'a mut [f32],
    places: &'a mut [u32],
}

impl WithSimd for Maxima<'_> {
    type Output = ();

    /// A band at a time.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, g, first, .. } = self;
        let (width, row, band) = (g.input[1] * g.channels, g.output[1] * g.channels, band(g));
        let outputs = self.y.len() / row;
        let (mut normal, mut held) = (Vec::new(), 0..0);
        let bands = self.y.chunks_mut(band * row).zip(self.places.chunks_mut(band * row));
        for (i, (y, places)) in bands.enumerate() {
            let start = first + i * band;
            let wanted = input_rows(g, start..(start + band).min(first + outputs));
            // Rows that this band shares with the one before move to the front.
            let shared = wanted.start.max(held.start).min(held.end)..held.end;
            normal.resize(normal.len().max(wanted.len() * width), 0.0);
            normal.copy_within((shared.start - held.start) * width..(shared.end - held.start) * width, 0);
            let fresh = wanted.start + shared.len()..wanted.end;
            let to = normal[shared.len() * width..wanted.len() * width].chunks_exact_mut(g.channels);
            for (x, to) in self.x[fresh.start * width..fresh.end * width].chunks_exact(g.channels).zip(to) {
                rows.normalise(simd, x, to, None);
            }
            for (i, (y, places)) in y.chunks_exact_mut(row).zip(places.chunks_exact_mut(row)).enumerate() {
                max_row_of(simd, g, &normal[..wanted.len() * width], wanted.start, start + i, y, places);
            }
            held = wanted;
        }
    }
}

/// Rows of the gradient from `first` on, as many as `x` and `dx` have; positions and dy are the image's.
struct Gradient<'a> {
    rows: Rows,
    g: &'a Geometry,
    x: &'a [f32],
    positions: &'a [u32],
    dy: &'a [f32],
    first: usize,
    /// Whether x is what a ReLU gave, and the gradient is that before it.
    relu: bool,
    dx: &'a mut [f32],
}

impl WithSimd for Gradient<'_> {
    /// The sums of dx over the places, if `relu`: a row's at a time, so that no sum is of many small terms to a large one.
    type Output = Vec<f32>;

    /// Some places of a row at a time.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self { rows, g, .. } = self;
        let (c, width) = (g.channels, g.input[1] * g.channels);
        let nontemporal = exceeds_cache(g.x_shape().iter().product());
        let mut dnormal = vec![0.0; (GATHERED / c).max(1) * c];
        let [mut sums, mut row_sums] = [(); 2].map(|()| vec![0.0; if self.relu { c } else { 0 }]);
        for (y, (x, dx)) in (self.first..).zip(self.x.chunks_exact(width).zip(self.dx.chunks_exact_mut(width))) {
            let block = dnormal.len();
            for (i, (x, dx)) in x.chunks(block).zip(dx.chunks_mut(block)).enumerate() {
                let dnormal = &mut dnormal[..x.len()];
                max_row_dx_of(simd, g, self.positions, self.dy, [y, i * block / c], false, dnormal);
                let places = x.chunks_exact(c).zip(dnormal.chunks_exact(c)).zip(dx.chunks_exact_mut(c));
                for ((x, dy), dx) in places {
                    let row = GradientInputs { x, base: None, dy };
                    let relu_sums = self.relu.then_some(&mut row_sums[..]);
                    rows.gradient(simd, row, nontemporal, relu_sums, dx);
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
