//! Rows of average pooling.

use bytemuck::{cast_slice, cast_slice_mut};

use super::{Window, inside, prefetch_next, vector_channels, window};
use crate::Element;
use crate::cpu::simd::{LANES, Level, Simd, Vector, WithSimd, dispatch, multiversion};
use crate::ops::pool::{Geometry, PoolKind};

/// The number of values along one axis of window `i` in the average.
fn divisor(g: &Geometry, axis: usize, i: usize) -> usize {
    if g.spec.kind != PoolKind::AverageWithPadding {
        return inside(g, axis, i).len();
    }
    g.spec.kernel[axis].min(g.before(axis) + g.input[axis] + g.after(axis) - i * g.spec.stride[axis])
}

/// The reciprocal of the number of values in the average of window (oy, ox).
fn share<E: Element>(g: &Geometry, oy: usize, ox: usize) -> E {
    E::of(1.0 / (divisor(g, 0, oy) as f64 * divisor(g, 1, ox) as f64))
}

impl Window<'_, f32> {
    /// The sums times `share` of the channels that vectors cover. `K` as in `maxima`.
    #[inline(always)]
    fn means<S: Simd, const K: usize>(&self, simd: S, share: S::F32, y: &mut [f32]) {
        let c = y.len();
        let [rows, columns] = if K == 0 { self.sides } else { [K; 2] };
        for i in (0..c / LANES * LANES).step_by(LANES) {
            let mut sum = simd.splat(0.0);
            for row in 0..rows {
                for column in 0..columns {
                    sum = sum.add(simd.load(&self.x[(row * self.width + column) * c + i..]));
                }
            }
            sum.mul(share).store(&mut y[i..]);
        }
    }
}

/// Row `oy` of an image's means.
pub(in crate::cpu) fn average_row<E: Element>(g: &Geometry, x: &[E], oy: usize, y: &mut [E]) {
    let c = g.channels;
    let whole = vector_channels::<E>(c);
    if whole > 0 {
        dispatch(Level::get(), AverageRow { g, x: cast_slice(x), oy, y: cast_slice_mut(y) });
    }
    if whole < c {
        for (ox, y) in y.chunks_exact_mut(c).enumerate() {
            for (i, y) in y.iter_mut().enumerate().skip(whole) {
                let sum = window(g, oy, ox).flatten().fold(E::zero(), |sum, place| sum + x[place * c + i]);
                *y = sum * share(g, oy, ox);
            }
        }
    }
}

struct AverageRow<'a> {
    g: &'a Geometry,
    x: &'a [f32],
    oy: usize,
    y: &'a mut [f32],
}

impl WithSimd for AverageRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { g, x, oy, y } = self;
        let rows = inside(g, 0, oy);
        for (ox, y) in y.chunks_exact_mut(g.channels).enumerate() {
            prefetch_next(g, x, rows.end, 0, inside(g, 1, ox).start);
            let window = Window::new(g, x, 0, [rows.clone(), inside(g, 1, ox)]);
            let share = simd.splat(share(g, oy, ox));
            match window.sides {
                [3, 3] => window.means::<S, 3>(simd, share, y),
                [2, 2] => window.means::<S, 2>(simd, share, y),
                _ => window.means::<S, 0>(simd, share, y),
            }
        }
    }
}

multiversion! {
    /// Adds the shares of row `oy` of the gradient of the means to an image's.
    pub(in crate::cpu) fn average_row_dx<E: Element>(g: &Geometry, dy: &[E], oy: usize, dx: &mut [E]) {
        let c = g.channels;
        for (ox, dy) in dy.chunks_exact(c).enumerate() {
            let share = share(g, oy, ox);
            let columns = inside(g, 1, ox);
            for y in inside(g, 0, oy) {
                let row = &mut dx[(y * g.input[1] + columns.start) * c..(y * g.input[1] + columns.end) * c];
                for dx in row.chunks_exact_mut(c) {
                    for (dx, &dy) in dx.iter_mut().zip(dy) {
                        *dx += dy * share;
                    }
                }
            }
        }
    }
}
