//! Max and average pooling: forward by rows of windows, backward by pictures, so that overlapping windows never
//! write the same gradient from two threads.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::ops::pool::{Geometry, Kernels, PoolKind};
use crate::{Cpu, Element, Error, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn max_pool(&self, g: &Geometry, x: &Self::Floats) -> Result<(Self::Floats, Self::Ints)> {
        let lengths = Lengths::of(g);
        if g.input[0] * g.input[1] > u32::MAX as usize {
            let what = format!("max-pooling numbers the places of a picture with 32 bits, got {:?}", g.input);
            return Err(Error::argument("pool", what));
        }
        let (mut maxima, mut positions) = (self.take(lengths.outputs)?, self.take_ints(lengths.outputs)?);
        let (y, place, x) = (maxima.make_mut()?, positions.make_mut()?, x.as_slice());
        let row = lengths.output_row.max(1);
        self.install(|| {
            y.par_chunks_mut(row).zip(place.par_chunks_mut(row)).enumerate().for_each(|(i, (y, place))| {
                max_row(g, &x[i / g.output[0] * lengths.picture..][..lengths.picture], i % g.output[0], y, place);
            });
        });
        Ok((maxima, positions))
    }

    fn max_pool_dx(&self, g: &Geometry, positions: &Self::Ints, dy: &Self::Floats) -> Result<Self::Floats> {
        let (lengths, c) = (Lengths::of(g), g.channels.max(1));
        let mut result = self.take(g.n * lengths.picture)?;
        let (dx, positions, dy) = (result.make_mut()?, positions.as_slice(), dy.as_slice());
        let outside = AtomicBool::new(false);
        let (picture, outputs) = (lengths.picture.max(1), lengths.output_picture.max(1));
        self.install(|| {
            let pictures = dx.par_chunks_mut(picture).zip(positions.par_chunks(outputs)).zip(dy.par_chunks(outputs));
            pictures.for_each(|((dx, positions), dy)| {
                dx.fill(E::zero());
                for (positions, dy) in positions.chunks_exact(c).zip(dy.chunks_exact(c)) {
                    for (channel, (&position, &dy)) in positions.iter().zip(dy).enumerate() {
                        match dx.get_mut(position as usize * c + channel) {
                            Some(dx) => *dx += dy,
                            None => outside.store(true, Ordering::Relaxed),
                        }
                    }
                }
            });
        });
        if outside.into_inner() {
            let what = format!("the positions are not those of a forward over pictures of {:?}", g.input);
            return Err(Error::argument("pool backward", what));
        }
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
struct Lengths {
    picture: usize,
    output_row: usize,
    output_picture: usize,
    outputs: usize,
}

impl Lengths {
    fn of(g: &Geometry) -> Self {
        let output_row = g.output[1] * g.channels;
        let output_picture = g.output[0] * output_row;
        let picture = g.input[0] * g.input[1] * g.channels;
        Self { picture, output_row, output_picture, outputs: g.n * output_picture }
    }
}

/// The part of window `i` along `axis` that lies inside the picture.
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

fn max_row<E: Element>(g: &Geometry, x: &[E], oy: usize, y: &mut [E], place: &mut [u32]) {
    let c = g.channels;
    for (ox, (y, place)) in y.chunks_exact_mut(c).zip(place.chunks_exact_mut(c)).enumerate() {
        let mut places = places(g, oy, ox);
        if let Some(first) = places.next() {
            y.copy_from_slice(&x[first * c..][..c]);
            place.fill(first as u32);
        }
        for at in places {
            for ((y, place), &v) in y.iter_mut().zip(place.iter_mut()).zip(&x[at * c..][..c]) {
                // Larger, or the first NaN. Without branches, so that it vectorises.
                let wins = (v > *y) | (v.is_nan() & !y.is_nan());
                *y = if wins { v } else { *y };
                *place = if wins { at as u32 } else { *place };
            }
        }
    }
}

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
