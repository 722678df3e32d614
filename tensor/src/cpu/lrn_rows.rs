//! Response normalisation across channels with beta = 0.75 in single precision: rows of whole vectors, powers by roots.
//!
//! The terms that a window sums stand between margins of zeros, as in [`lrn`](super::lrn).

use super::simd::{LANES, Vector, Work, dispatch, level};
use crate::ops::lrn::{Lrn, Region};

/// Constants of rows of `c` channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    c: usize,
    /// Neighbours before and after.
    reach: [usize; 2],
    k: f32,
    alpha: f32,
    /// 2 alpha beta.
    factor: f32,
}

impl Rows {
    /// None for other normalisations, and rows that are not whole vectors.
    pub fn of(spec: &Lrn, c: usize) -> Option<Self> {
        if spec.region != Region::AcrossChannels || spec.beta != 0.75 || c == 0 || !c.is_multiple_of(LANES) {
            return None;
        }
        let alpha = spec.alpha_of_sum();
        let reach = [(spec.size / 2).min(c), ((spec.size - 1) / 2).min(c)];
        Some(Self { c, reach, k: spec.k as f32, alpha: alpha as f32, factor: (2.0 * alpha * spec.beta) as f32 })
    }

    /// y from x, whole rows, and the base k + alpha * sum if asked for.
    pub fn forward(self, x: &[f32], y: &mut [f32], base: Option<&mut [f32]>) {
        dispatch(level(), Forward { rows: self, x, y, base });
    }

    /// dx from x, dy and the base, which is computed again if there is none.
    pub fn backward(self, x: &[f32], base: Option<&[f32]>, dy: &[f32], dx: &mut [f32]) {
        dispatch(level(), Backward { rows: self, x, base, dy, dx });
    }

    /// Terms of a row between margins of zeros.
    fn margined(&self) -> Vec<f32> {
        vec![0.0; self.reach[0] + self.c + self.reach[1]]
    }

    fn neighbours(&self) -> usize {
        self.reach[0] + self.reach[1] + 1
    }
}

/// The sum of a window from `first` of the margined terms on.
#[inline(always)]
fn window<V: Vector>(terms: &[f32], first: usize, neighbours: usize) -> V {
    let mut sum = V::of(&terms[first..]);
    for j in 1..neighbours {
        sum = sum.add(V::of(&terms[first + j..]));
    }
    sum
}

/// base^-1/2 and base^-3/4.
#[inline(always)]
fn powers<V: Vector>(base: V) -> [V; 2] {
    let root = base.inverse_root();
    [root, root.multiply(root).multiply(root.inverse_root())]
}

struct Forward<'a> {
    rows: Rows,
    x: &'a [f32],
    y: &'a mut [f32],
    base: Option<&'a mut [f32]>,
}

impl Work for Forward<'_> {
    type Out = ();

    #[inline(always)]
    fn run<V: Vector>(mut self) {
        let Rows { c, reach, k, alpha, .. } = self.rows;
        let mut squares = self.rows.margined();
        for (row, (x, y)) in self.x.chunks_exact(c).zip(self.y.chunks_exact_mut(c)).enumerate() {
            fill_squares::<V>(x, &mut squares[reach[0]..]);
            for i in (0..c).step_by(LANES) {
                let sum: V = window(&squares, i, self.rows.neighbours());
                let base = sum.multiply_add(V::splat(alpha), V::splat(k));
                if let Some(all) = &mut self.base {
                    base.put(&mut all[row * c + i..]);
                }
                V::of(&x[i..]).multiply(powers(base)[1]).put(&mut y[i..]);
            }
        }
    }
}

#[inline(always)]
fn fill_squares<V: Vector>(x: &[f32], squares: &mut [f32]) {
    for i in (0..x.len()).step_by(LANES) {
        let x = V::of(&x[i..]);
        x.multiply(x).put(&mut squares[i..]);
    }
}

struct Backward<'a> {
    rows: Rows,
    x: &'a [f32],
    base: Option<&'a [f32]>,
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl Work for Backward<'_> {
    type Out = ();

    /// With t_j = dy_j x_j base_j^(-beta - 1): dx_i = dy_i base_i^-beta - 2 alpha beta x_i times the sum of t_j over the
    /// mirrored window, which holds each j whose own window holds i.
    #[inline(always)]
    fn run<V: Vector>(self) {
        let Rows { c, reach, k, alpha, factor } = self.rows;
        let (mut squares, mut terms) = (self.rows.margined(), self.rows.margined());
        let rows = self.x.chunks_exact(c).zip(self.dy.chunks_exact(c)).zip(self.dx.chunks_exact_mut(c));
        for (row, ((x, dy), dx)) in rows.enumerate() {
            if self.base.is_none() {
                fill_squares::<V>(x, &mut squares[reach[0]..]);
            }
            for i in (0..c).step_by(LANES) {
                let base = match self.base {
                    Some(base) => V::of(&base[row * c + i..]),
                    None => {
                        let sum: V = window(&squares, i, self.rows.neighbours());
                        sum.multiply_add(V::splat(alpha), V::splat(k))
                    }
                };
                let [root, power] = powers(base);
                let scaled = V::of(&dy[i..]).multiply(power);
                scaled.put(&mut dx[i..]);
                let term = scaled.multiply(V::of(&x[i..])).multiply(root.multiply(root));
                // The mirrored window reaches as far after as the window before.
                term.put(&mut terms[reach[1] + i..]);
            }
            for i in (0..c).step_by(LANES) {
                let sum: V = window(&terms, i, self.rows.neighbours());
                let shift = V::of(&x[i..]).multiply(V::splat(-factor));
                shift.multiply_add(sum, V::of(&dx[i..])).put(&mut dx[i..]);
            }
        }
    }
}
