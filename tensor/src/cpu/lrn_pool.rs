//! Local response normalisation, then max-pooling. In single precision and across channels in one pass: a band of
//! normalised rows stays in the cache, and backward computes the base again, so that nothing of the normalised maps'
//! size is written.

use bytemuck::{cast_slice, cast_slice_mut};
use rayon::prelude::*;

use super::lrn_rows::Rows;
use super::pool::{Lengths, check_positions, gather_row, input_rows, max_row};
use crate::ops::lrn::Lrn;
use crate::ops::lrn_pool::{Forward, Kernels, in_turn, in_turn_dx, no_base};
use crate::ops::pool::Geometry;
use crate::{Cpu, Element, Result};

/// Values of a band of normalised rows, at most: 256 KiB.
const BAND_VALUES: usize = 1 << 16;

/// Whether the two are one pass in `E`.
pub(super) fn fuses<E: Element>(lrn: &Lrn, g: &Geometry) -> bool {
    std::any::TypeId::of::<E>() == std::any::TypeId::of::<f32>() && Rows::of(lrn, g.channels).is_some()
}

/// Rows of maxima that are worked on at a time.
fn band(g: &Geometry) -> usize {
    let fit = BAND_VALUES / (g.input[1] * g.channels).max(1);
    (fit.saturating_sub(g.spec.kernel[0]) / g.spec.stride[0] + 1).clamp(1, g.output[0].max(1))
}

impl<E: Element> Kernels for Cpu<E> {
    fn lrn_max_pool(&self, lrn: &Lrn, g: &Geometry, x: &Self::Floats) -> Result<Forward<Self::Floats, Self::Ints>> {
        let (true, Some(rows)) = (fuses::<E>(lrn, g), Rows::of(lrn, g.channels)) else {
            return in_turn(self, lrn, g, x);
        };
        g.check_places()?;
        let (lengths, band) = (Lengths::of(g), band(g));
        let (mut maxima, mut positions) = (self.take(lengths.outputs)?, self.take_ints(lengths.outputs)?);
        let (y, places, x) = (maxima.make_mut()?, positions.make_mut()?, cast_slice::<E, f32>(x.as_slice()));
        let (picture, row) = (lengths.output_picture.max(1), lengths.output_row.max(1));
        let y: &mut [f32] = cast_slice_mut(y);
        // Bands of each picture, so that a single picture is work for all threads.
        let pictures = y.par_chunks_mut(picture).zip(places.par_chunks_mut(picture)).enumerate();
        self.install(|| {
            pictures.for_each(|(n, (y, places))| {
                let x = &x[n * lengths.picture..][..lengths.picture];
                let bands = y.par_chunks_mut(band * row).zip(places.par_chunks_mut(band * row)).enumerate();
                bands.for_each(|(i, (y, places))| normalised_maxima(rows, g, x, i * band, y, places));
            });
        });
        Ok((maxima, positions, None))
    }

    fn lrn_max_pool_dx(
        &self,
        lrn: &Lrn,
        g: &Geometry,
        x: &Self::Floats,
        base: Option<&Self::Floats>,
        positions: &Self::Ints,
        dy: &Self::Floats,
    ) -> Result<Self::Floats> {
        let (None, true, Some(rows)) = (base, fuses::<E>(lrn, g), Rows::of(lrn, g.channels)) else {
            return in_turn_dx(self, lrn, g, [x, base.ok_or_else(no_base)?, dy], positions);
        };
        let lengths = Lengths::of(g);
        let mut result = self.take(g.n * lengths.picture)?;
        let (x, dy) = (cast_slice::<E, f32>(x.as_slice()), cast_slice::<E, f32>(dy.as_slice()));
        let (dx, positions) = (cast_slice_mut::<E, f32>(result.make_mut()?), positions.as_slice());
        let row = (g.input[1] * g.channels).max(1);
        self.install(|| {
            check_positions(g, positions)?;
            dx.par_chunks_mut(row).enumerate().for_each_init(
                || vec![0.0f32; row],
                |dnormal, (i, dx)| {
                    let (n, y) = (i / g.input[0], i % g.input[0]);
                    let outputs = n * lengths.output_picture..(n + 1) * lengths.output_picture;
                    gather_row(g, &positions[outputs.clone()], &dy[outputs], y, dnormal);
                    rows.backward(&x[i * row..][..row], None, dnormal, dx);
                },
            );
            Ok(())
        })?;
        Ok(result)
    }
}

/// Rows of maxima from `first` on, as many as `y` has, of picture `x`.
fn normalised_maxima(rows: Rows, g: &Geometry, x: &[f32], first: usize, y: &mut [f32], places: &mut [u32]) {
    let (width, row) = (g.input[1] * g.channels, g.output[1] * g.channels);
    let wanted = input_rows(g, first..first + y.len() / row);
    let mut normal = vec![0.0; wanted.len() * width];
    rows.forward(&x[wanted.start * width..wanted.end * width], &mut normal, None);
    for (i, (y, places)) in y.chunks_exact_mut(row).zip(places.chunks_exact_mut(row)).enumerate() {
        max_row(g, &normal, wanted.start, first + i, y, places);
    }
}
