//! Max and average pooling: forward by rows of windows, backward by rows of the input, each of which gathers from the
//! windows that it lies in. So the order of sums follows from shapes alone, and one picture is work for all threads.

use std::ops::Range;

use rayon::prelude::*;

use super::reduce::JOB;
use super::simd::multiversion;
use crate::ops::pool::{Geometry, Kernels, PoolKind};
use crate::{Cpu, Element, Error, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn max_pool(&self, g: &Geometry, x: &Self::Floats) -> Result<(Self::Floats, Self::Ints)> {
        let lengths = Lengths::of(g);
        g.check_places()?;
        let (mut maxima, mut positions) = (self.take(lengths.outputs)?, self.take_ints(lengths.outputs)?);
        let (y, place, x) = (maxima.make_mut()?, positions.make_mut()?, x.as_slice());
        let row = lengths.output_row.max(1);
        self.install(|| {
            y.par_chunks_mut(row).zip(place.par_chunks_mut(row)).enumerate().for_each(|(i, (y, place))| {
                max_row(g, &x[i / g.output[0] * lengths.picture..][..lengths.picture], 0, i % g.output[0], y, place);
            });
        });
        Ok((maxima, positions))
    }

    fn max_pool_dx(&self, g: &Geometry, positions: &Self::Ints, dy: &Self::Floats) -> Result<Self::Floats> {
        let lengths = Lengths::of(g);
        let mut result = self.take(g.n * lengths.picture)?;
        let (dx, positions, dy) = (result.make_mut()?, positions.as_slice(), dy.as_slice());
        let row = (g.input[1] * g.channels).max(1);
        self.install(|| {
            check_positions(g, positions)?;
            dx.par_chunks_mut(row).enumerate().for_each(|(i, dx)| {
                let n = i / g.input[0];
                let outputs = n * lengths.output_picture..(n + 1) * lengths.output_picture;
                gather_row(g, &positions[outputs.clone()], &dy[outputs], i % g.input[0], dx);
            });
            Ok(())
        })?;
        Ok(result)
    }

    fn average_pool(&self, g: &Geometry, x: &Self::Floats) -> Result<Self::Floats> {
        let lengths = Lengths::of(g);
        let mut result = self.take(lengths.outputs)?;
        let (y, x) = (result.make_mut()?, x.as_slice());
        self.install(|| {
            y.par_chunks_mut(lengths.output_row.max(1)).enumerate().for_each(|(i, y)| {
                average_row(g, &x[i / g.output[0] * lengths.picture..][..lengths.picture], i % g.output[0], y);
            });
        });
        Ok(result)
    }

    fn average_pool_dx(&self, g: &Geometry, dy: &Self::Floats) -> Result<Self::Floats> {
        let lengths = Lengths::of(g);
        let mut result = self.take(g.n * lengths.picture)?;
        let (dx, dy) = (result.make_mut()?, dy.as_slice());
        let (picture, outputs) = (lengths.picture.max(1), lengths.output_picture.max(1));
        self.install(|| {
            dx.par_chunks_mut(picture).zip(dy.par_chunks(outputs)).for_each(|(dx, dy)| {
                dx.fill(E::zero());
                for (oy, dy) in dy.chunks_exact(lengths.output_row).enumerate() {
                    spread_row(g, dy, oy, dx);
                }
            });
        });
        Ok(result)
    }
}

/// Values in each part of the input and output.
pub(super) struct Lengths {
    pub picture: usize,
    pub output_row: usize,
    pub output_picture: usize,
    pub outputs: usize,
}

impl Geometry {
    /// Fails for pictures whose places 32 bits do not number.
    pub(super) fn check_places(&self) -> Result<()> {
        if self.input[0] * self.input[1] > u32::MAX as usize {
            let what = format!("max-pooling numbers the places of a picture with 32 bits, got {:?}", self.input);
            return Err(Error::argument("pool", what));
        }
        Ok(())
    }
}

impl Lengths {
    pub fn of(g: &Geometry) -> Self {
        let output_row = g.output[1] * g.channels;
        let output_picture = g.output[0] * output_row;
        let picture = g.input[0] * g.input[1] * g.channels;
        Self { picture, output_row, output_picture, outputs: g.n * output_picture }
    }
}

/// The part of window `i` along `axis` that lies inside the picture.
#[inline(always)]
fn inside(g: &Geometry, axis: usize, i: usize) -> Range<usize> {
    let before = g.before(axis);
    let start = i * g.spec.stride[axis];
    start.saturating_sub(before)..(start + g.spec.kernel[axis] - before).min(g.input[axis])
}

/// What the sum along one axis of window `i` is divided by.
fn divisor(g: &Geometry, axis: usize, i: usize) -> usize {
    if g.spec.kind != PoolKind::AverageWithPadding {
        return inside(g, axis, i).len();
    }
    g.spec.kernel[axis].min(g.before(axis) + g.input[axis] + g.after(axis) - i * g.spec.stride[axis])
}

/// The reciprocal of the number of values that window (oy, ox) counts.
fn share<E: Element>(g: &Geometry, oy: usize, ox: usize) -> E {
    E::of(1.0 / (divisor(g, 0, oy) as f64 * divisor(g, 1, ox) as f64))
}

/// The places of window (oy, ox) in row order, flat in the picture.
fn places(g: &Geometry, oy: usize, ox: usize) -> impl Iterator<Item = usize> {
    let (width, columns) = (g.input[1], inside(g, 1, ox));
    inside(g, 0, oy).flat_map(move |y| columns.clone().map(move |x| y * width + x))
}

/// The rows of the input that windows of these rows of the output read.
pub(super) fn input_rows(g: &Geometry, outputs: Range<usize>) -> Range<usize> {
    match outputs.is_empty() {
        true => 0..0,
        false => inside(g, 0, outputs.start).start..inside(g, 0, outputs.end - 1).end,
    }
}

/// Fails for positions beyond a picture.
pub(super) fn check_positions(g: &Geometry, positions: &[u32]) -> Result<()> {
    let places = g.input[0] * g.input[1];
    let inside = |part: &[u32]| part.iter().fold(0, |most, &p| most.max(p)) < places as u32;
    if positions.par_chunks(JOB).all(inside) {
        return Ok(());
    }
    let what = format!("the positions are not those of a forward over pictures of {:?}", g.input);
    Err(Error::argument("pool backward", what))
}

/// Channels whose maxima are kept in registers.
const LANES: usize = 16;

multiversion! {
/// Row `oy` of a picture's maxima and their places. `x` holds the picture's rows from `first` on.
pub(super) fn max_row<E: Element>(g: &Geometry, x: &[E], first: usize, oy: usize, y: &mut [E], place: &mut [u32]) {
    let (c, skip) = (g.channels, first * g.input[1]);
    let whole = c / LANES * LANES;
    for (ox, (y, place)) in y.chunks_exact_mut(c).zip(place.chunks_exact_mut(c)).enumerate() {
        let (rows, columns) = (inside(g, 0, oy), inside(g, 1, ox));
        for from in (0..whole).step_by(LANES) {
            let (mut best, mut at) = ([E::neg_infinity(); LANES], [(rows.start * g.input[1] + columns.start) as u32; LANES]);
            for py in rows.clone() {
                for px in columns.clone() {
                    let place = py * g.input[1] + px;
                    keep_larger(&x[(place - skip) * c + from..][..LANES], place as u32, &mut best, &mut at);
                }
            }
            y[from..from + LANES].copy_from_slice(&best);
            place[from..from + LANES].copy_from_slice(&at);
        }
        if whole < c {
            y[whole..].fill(E::neg_infinity());
            place[whole..].fill((rows.start * g.input[1] + columns.start) as u32);
            for py in rows.clone() {
                for px in columns.clone() {
                    let at = py * g.input[1] + px;
                    keep_larger(&x[(at - skip) * c + whole..][..c - whole], at as u32, &mut y[whole..], &mut place[whole..]);
                }
            }
        }
    }
}
}

/// Where v is larger than the best so far, or the first NaN, it takes its place. Without branches, so that it vectorises.
#[inline(always)]
fn keep_larger<E: Element>(x: &[E], place: u32, best: &mut [E], at: &mut [u32]) {
    for ((best, at), &v) in best.iter_mut().zip(at).zip(x) {
        let wins = (v > *best) | (v.is_nan() & !best.is_nan());
        *best = if wins { v } else { *best };
        *at = if wins { place } else { *at };
    }
}

multiversion! {
/// Row `y` of a picture's gradient: each place adds up the gradients of the maxima that came from it, by rows of
/// windows.
pub(super) fn gather_row<E: Element>(g: &Geometry, positions: &[u32], dy: &[E], y: usize, dx: &mut [E]) {
    let c = g.channels;
    dx.fill(E::zero());
    let [stride, before] = [g.spec.stride[0], g.before(0)];
    // Windows oy with oy * stride <= y + before < oy * stride + kernel.
    let last = ((y + before) / stride + 1).min(g.output[0]);
    let first = (y + before + 1).saturating_sub(g.spec.kernel[0]).div_ceil(stride).min(last);
    for oy in first..last {
        for ox in 0..g.output[1] {
            let at = (oy * g.output[1] + ox) * c;
            let (positions, dy) = (&positions[at..at + c], &dy[at..at + c]);
            for px in inside(g, 1, ox) {
                let place = (y * g.input[1] + px) as u32;
                for ((dx, &position), &dy) in dx[px * c..][..c].iter_mut().zip(positions).zip(dy) {
                    *dx += if position == place { dy } else { E::zero() };
                }
            }
        }
    }
}
}

multiversion! {
fn average_row<E: Element>(g: &Geometry, x: &[E], oy: usize, y: &mut [E]) {
    let c = g.channels;
    for (ox, y) in y.chunks_exact_mut(c).enumerate() {
        y.fill(E::zero());
        for at in places(g, oy, ox) {
            for (y, &v) in y.iter_mut().zip(&x[at * c..][..c]) {
                *y += v;
            }
        }
        let share = share(g, oy, ox);
        y.iter_mut().for_each(|y| *y *= share);
    }
}

}

multiversion! {
fn spread_row<E: Element>(g: &Geometry, dy: &[E], oy: usize, dx: &mut [E]) {
    let c = g.channels;
    for (ox, dy) in dy.chunks_exact(c).enumerate() {
        let share = share(g, oy, ox);
        for at in places(g, oy, ox) {
            for (dx, &dy) in dx[at * c..][..c].iter_mut().zip(dy) {
                *dx += dy * share;
            }
        }
    }
}
}
