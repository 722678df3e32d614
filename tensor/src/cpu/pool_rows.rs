//! Rows of pooled maps and of their gradients. In single precision a vector of channels of a window stays in registers.
//! The remaining channels, and double precision, take plain loops with the same results.

use std::any::TypeId;
use std::ops::Range;

use bytemuck::{cast_slice, cast_slice_mut};

use super::simd::{LANES, Level, Simd, Stored, Vector, WithSimd, dispatch, exceeds_cache, prefetch};
use crate::Element;
use crate::ops::pool::Geometry;

mod averages;

pub(in crate::cpu) use averages::{average_row, average_row_dx};

/// The part of window `i` along `axis` that lies inside the image.
#[inline(always)]
pub(super) fn inside(g: &Geometry, axis: usize, i: usize) -> Range<usize> {
    let before = g.before(axis);
    let start = i * g.spec.stride[axis];
    start.saturating_sub(before)..(start + g.spec.kernel[axis] - before).min(g.input[axis])
}

/// The positions of window (oy, ox) in the image, a range per row.
#[inline(always)]
fn window(g: &Geometry, oy: usize, ox: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    let width = g.input[1];
    let columns = inside(g, 1, ox);
    inside(g, 0, oy).map(move |y| y * width + columns.start..y * width + columns.end)
}

/// The windows along `axis` that contain position `at`: those i with i * stride <= at + before < i * stride + kernel.
#[inline(always)]
fn windows_along(g: &Geometry, axis: usize, at: usize) -> Range<usize> {
    let stride = g.spec.stride[axis];
    let at = at + g.before(axis);
    let end = (at / stride + 1).min(g.output[axis]);
    (at + 1).saturating_sub(g.spec.kernel[axis]).div_ceil(stride).min(end)..end
}

/// The windows that contain position (y, px), a range of output positions per row.
#[inline(always)]
fn windows_over(g: &Geometry, y: usize, px: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    let width = g.output[1];
    let columns = windows_along(g, 1, px);
    windows_along(g, 0, y).map(move |oy| oy * width + columns.start..oy * width + columns.end)
}

/// The number of channels that vectors cover.
fn vector_channels<E: Element>(c: usize) -> usize {
    if TypeId::of::<E>() == TypeId::of::<f32>() { c / LANES * LANES } else { 0 }
}

/// Row `oy` of an image's maxima and their positions.
pub(super) fn max_row<E: Element>(g: &Geometry, x: &[E], oy: usize, y: &mut [E], places: &mut [u32]) {
    let c = g.channels;
    let whole = vector_channels::<E>(c);
    if whole > 0 {
        dispatch(Level::get(), MaxRow::<f32> { g, x: cast_slice(x), oy, y: cast_slice_mut(y), places });
    }
    if whole < c {
        for (ox, (y, places)) in y.chunks_exact_mut(c).zip(places.chunks_exact_mut(c)).enumerate() {
            max_window(c, window(g, oy, ox), 0, &x[whole..], |v| v, &mut y[whole..], &mut places[whole..]);
        }
    }
}

/// The maxima of one window for `y.len()` of the `c` channels. `x` starts at position `skip` with the first of them, and
/// `number` is a value of it as a number.
#[inline(always)]
fn max_window<T: Copy, E: Element>(
    c: usize,
    mut window: impl Iterator<Item = Range<usize>> + Clone,
    skip: usize,
    x: &[T],
    number: impl Fn(T) -> E,
    y: &mut [E],
    places: &mut [u32],
) {
    y.fill(E::neg_infinity());
    places.fill(window.clone().next().map_or(0, |row| row.start as u32));
    for place in window.by_ref().flatten() {
        for ((best, at), &v) in y.iter_mut().zip(&mut *places).zip(&x[(place - skip) * c..]) {
            let v = number(v);
            let wins = (v > *best) | (v.is_nan() & !best.is_nan());
            *best = if wins { v } else { *best };
            *at = if wins { place as u32 } else { *at };
        }
    }
}

pub(super) struct MaxRow<'a, T> {
    pub g: &'a Geometry,
    pub x: &'a [T],
    pub oy: usize,
    pub y: &'a mut [T],
    pub places: &'a mut [u32],
}

impl<T: Stored> WithSimd for MaxRow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        max_row_vectors(simd, self.g, self.x, 0, self.oy, self.y, self.places);
    }
}

/// [`max_row`] for the channels that vectors cover. `x` holds the image's rows from `first` on.
#[inline(always)]
pub(super) fn max_row_vectors<S: Simd, X: Stored, Y: Stored>(
    simd: S,
    g: &Geometry,
    x: &[X],
    first: usize,
    oy: usize,
    y: &mut [Y],
    places: &mut [u32],
) {
    let c = g.channels;
    let rows = inside(g, 0, oy);
    let nontemporal = exceeds_cache(g.y_shape().iter().product());
    for (ox, (y, places)) in y.chunks_exact_mut(c).zip(places.chunks_exact_mut(c)).enumerate() {
        let columns = inside(g, 1, ox);
        prefetch_next(g, x, rows.end, first, columns.start);
        let window = Window::new(g, x, first, [rows.clone(), columns]);
        match window.sides {
            [3, 3] => window.maxima::<S, Y, 3>(simd, nontemporal, y, places),
            [2, 2] => window.maxima::<S, Y, 2>(simd, nontemporal, y, places),
            _ => window.maxima::<S, Y, 0>(simd, nontemporal, y, places),
        }
    }
    simd.fence();
}

/// Prefetches the positions that the next row of windows reads after row `end`, for one window. `x` holds the image's
/// rows from `first` on.
#[inline(always)]
fn prefetch_next<X>(g: &Geometry, x: &[X], end: usize, first: usize, column: usize) {
    let c = g.channels;
    let width = g.input[1];
    for row in end..(end + g.spec.stride[0]).min(first + x.len() / (width * c)) {
        let place = (row - first) * width + column;
        for i in (0..g.spec.stride[1] * c).step_by(LANES) {
            prefetch(x.as_ptr().wrapping_add(place * c + i));
        }
    }
}

struct Window<'a, X> {
    /// The image from the window's first value on.
    x: &'a [X],
    /// The window's first position.
    place: usize,
    sides: [usize; 2],
    /// The image's width.
    width: usize,
}

impl<'a, X: Stored> Window<'a, X> {
    /// `x` holds the image's rows from `first` on.
    #[inline(always)]
    fn new(g: &Geometry, x: &'a [X], first: usize, [rows, columns]: [Range<usize>; 2]) -> Self {
        let width = g.input[1];
        let place = rows.start * width + columns.start;
        let x = &x[(place - first * width) * g.channels..];
        Self { x, place, sides: [rows.len(), columns.len()], width }
    }

    /// The maxima of the channels that vectors cover. `K` is the length of both sides, or 0 for any.
    #[inline(always)]
    fn maxima<S: Simd, Y: Stored, const K: usize>(&self, simd: S, nontemporal: bool, y: &mut [Y], places: &mut [u32]) {
        let c = y.len();
        let [rows, columns] = if K == 0 { self.sides } else { [K; 2] };
        for i in (0..c / LANES * LANES).step_by(LANES) {
            let mut best = simd.splat(f32::NEG_INFINITY);
            let mut at = simd.splat_u32(self.place as u32);
            // Comparisons ignore NaN; a sum does not.
            let mut sum = simd.splat(0.0);
            for row in 0..rows {
                for column in 0..columns {
                    let step = row * self.width + column;
                    let v = X::load(simd, &self.x[step * c + i..]);
                    (best, at) = v.max_with_index(best, simd.splat_u32((self.place + step) as u32), at);
                    sum = sum.add(v);
                }
            }
            if sum.has_nan() {
                let y = &mut y[i..i + LANES];
                let places = &mut places[i..i + LANES];
                let rows = (0..rows).map(|row| self.place + row * self.width).map(|at| at..at + columns);
                let mut maxima = [0.0; LANES];
                max_window(c, rows, self.place, &self.x[i..], X::f32, &mut maxima, places);
                y.iter_mut().zip(maxima).for_each(|(y, v)| *y = Y::of(v));
            } else {
                Y::store_nontemporal_if(nontemporal, best, &mut y[i..]);
                simd.store_u32_nontemporal_if(nontemporal, at, &mut places[i..]);
            }
        }
    }
}

/// Row `y` of an image's gradient: each position sums the gradients of its maxima, in the order of the windows.
/// `positions` and `dy` are the image's.
pub(super) fn max_row_dx<E: Element>(g: &Geometry, positions: &[u32], dy: &[E], y: usize, dx: &mut [E]) {
    let c = g.channels;
    let whole = vector_channels::<E>(c);
    if whole > 0 {
        dispatch(Level::get(), MaxRowDx::<f32> { g, positions, dy: cast_slice(dy), y, dx: cast_slice_mut(dx) });
    }
    if whole < c {
        for (px, dx) in dx.chunks_exact_mut(c).enumerate() {
            let place = (y * g.input[1] + px) as u32;
            for (i, dx) in dx.iter_mut().enumerate().skip(whole) {
                let all = windows_over(g, y, px).flatten().map(|window| window * c + i);
                *dx = all.filter(|&at| positions[at] == place).fold(E::zero(), |sum, at| sum + dy[at]);
            }
        }
    }
}

pub(super) struct MaxRowDx<'a, T> {
    pub g: &'a Geometry,
    pub positions: &'a [u32],
    pub dy: &'a [T],
    pub y: usize,
    pub dx: &'a mut [T],
}

impl<T: Stored> WithSimd for MaxRowDx<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let nontemporal = exceeds_cache(self.g.x_shape().iter().product());
        max_row_dx_vectors(simd, self.g, self.positions, self.dy, [self.y, 0], nontemporal, self.dx);
        simd.fence();
    }
}

/// [`max_row_dx`] for the channels that vectors cover and the positions from column `px` on that `dx` holds.
#[inline(always)]
pub(super) fn max_row_dx_vectors<S: Simd, D: Stored, O: Stored>(
    simd: S,
    g: &Geometry,
    positions: &[u32],
    dy: &[D],
    [y, px]: [usize; 2],
    nontemporal: bool,
    dx: &mut [O],
) {
    let c = g.channels;
    let rows = windows_along(g, 0, y);
    for (px, dx) in (px..).zip(dx.chunks_exact_mut(c)) {
        let columns = windows_along(g, 1, px);
        // Prefetches the next row of windows once, spread over this one.
        if y.is_multiple_of(g.spec.stride[0]) && px.is_multiple_of(g.spec.stride[1]) {
            let next = (rows.end * g.output[1] + px / g.spec.stride[1]) * c;
            for i in (next..next + c).step_by(LANES) {
                prefetch(dy.as_ptr().wrapping_add(i));
                prefetch(positions.as_ptr().wrapping_add(i));
            }
        }
        let first = (rows.start * g.output[1] + columns.start) * c;
        let place = Place {
            dy: &dy[first.min(dy.len())..],
            positions: &positions[first.min(dy.len())..],
            place: (y * g.input[1] + px) as u32,
            windows: [rows.len(), columns.len()],
            width: g.output[1],
        };
        match place.windows {
            [1, 1] => place.sums::<S, O, 1, 1>(simd, nontemporal, dx),
            [1, 2] => place.sums::<S, O, 1, 2>(simd, nontemporal, dx),
            [2, 1] => place.sums::<S, O, 2, 1>(simd, nontemporal, dx),
            [2, 2] => place.sums::<S, O, 2, 2>(simd, nontemporal, dx),
            _ => place.sums::<S, O, 0, 0>(simd, nontemporal, dx),
        }
    }
}

/// A position of the input, and the windows that contain it.
struct Place<'a, D> {
    /// From the first window on.
    dy: &'a [D],
    positions: &'a [u32],
    place: u32,
    /// Rows and columns of windows.
    windows: [usize; 2],
    /// The output's width.
    width: usize,
}

impl<D: Stored> Place<'_, D> {
    /// The gradients of the channels that vectors cover. `R` and `C` are the rows and columns of windows, or 0 for any.
    #[inline(always)]
    fn sums<S: Simd, O: Stored, const R: usize, const C: usize>(&self, simd: S, nontemporal: bool, dx: &mut [O]) {
        let c = dx.len();
        let place = simd.splat_u32(self.place);
        let [rows, columns] = if R == 0 { self.windows } else { [R, C] };
        for i in (0..c / LANES * LANES).step_by(LANES) {
            let mut sum = simd.splat(0.0);
            for row in 0..rows {
                for column in 0..columns {
                    let at = (row * self.width + column) * c + i;
                    sum = sum.masked_add_eq(D::load(simd, &self.dy[at..]), simd.load_u32(&self.positions[at..]), place);
                }
            }
            O::store_nontemporal_if(nontemporal, sum, &mut dx[i..]);
        }
    }
}

#[cfg(test)]
mod tests;
