//! LRN as in the paper, windows of five channels and beta = 0.75, in single precision, for rows of whole vectors.
//! Powers are products of square roots, and windows are summed in registers.

use super::simd::{LANES, Level, Simd, Stored, Vector, WithSimd, dispatch, prefetch};
use crate::ops::lrn::{Lrn, Region};

/// Values between prefetch and use: 8 KiB.
const AHEAD: usize = 2048;

/// The constants, for rows of `c` channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowLrn {
    c: usize,
    k: f32,
    alpha: f32,
    /// 2 alpha beta.
    factor: f32,
}

impl RowLrn {
    /// `None` for other settings, and rows that are not whole vectors.
    pub fn new(spec: &Lrn, c: usize) -> Option<Self> {
        if spec.region != Region::AcrossChannels || spec.beta != 0.75 || spec.size != 5 {
            return None;
        }
        let alpha = spec.alpha_of_sum();
        let lrn = Self { c, k: spec.k as f32, alpha: alpha as f32, factor: (2.0 * alpha * spec.beta) as f32 };
        (c > 0 && c.is_multiple_of(LANES)).then_some(lrn)
    }

    /// y and the base k + alpha * sum from x, whole rows.
    pub fn forward<T: Stored>(self, x: &[T], y: &mut [T], base: &mut [T]) {
        dispatch(Level::get(), Forward { lrn: self, x, y, base });
    }

    /// dx from x, dy and the base.
    pub fn backward<T: Stored>(self, x: &[T], base: &[T], dy: &[T], dx: &mut [T]) {
        dispatch(Level::get(), Backward { lrn: self, x, base, dy, dx });
    }

    /// [`forward`](Self::forward) of one row, within a kernel.
    #[inline(always)]
    pub fn normalise<S: Simd, X: Stored, Y: Stored>(&self, simd: S, x: &[X], y: &mut [Y], mut base: Option<&mut [Y]>) {
        let mut bases = Bases::new(simd, self, x);
        for i in (0..self.c).step_by(LANES) {
            prefetch(x.as_ptr().wrapping_add(AHEAD + i));
            let value = bases.next(i);
            if let Some(base) = &mut base {
                Y::store(value, &mut base[i..]);
            }
            Y::store(X::load(simd, &x[i..]).mul(powers(value)[1]), &mut y[i..]);
        }
    }

    /// [`backward`](Self::backward) of one row, within a kernel. With `relu_sums`, x is the output of a ReLU, dx is the
    /// gradient of its input, and `relu_sums` += dx.
    ///
    /// With t_j = dy_j x_j base_j^(-beta - 1): dx_i = dy_i base_i^-beta - 2 alpha beta x_i times the sum of t_j over
    /// the mirrored window, which holds each j whose own window holds i.
    #[inline(always)]
    pub fn gradient<S: Simd, X: Stored, D: Stored>(
        &self,
        simd: S,
        row: GradientInputs<'_, X, D>,
        nontemporal: bool,
        mut relu_sums: Option<&mut [f32]>,
        dx: &mut [X],
    ) {
        let x = row.x;
        let mut parts = GradientParts { row, bases: Bases::new(simd, self, x) };
        let mut before = simd.splat(0.0);
        let mut own = parts.next(0);
        for i in (0..self.c).step_by(LANES) {
            let after = if i + LANES < self.c { parts.next(i + LANES) } else { [simd.splat(0.0); 2] };
            let [scaled, term] = own;
            let x = X::load(simd, &x[i..]);
            let factor = x.mul(simd.splat(-self.factor));
            let mut value = factor.mul_add(window(before, term, after[1]), scaled);
            if let Some(sums) = &mut relu_sums {
                value = value.mask_positive(x);
                simd.load(&sums[i..]).add(value).store(&mut sums[i..]);
            }
            X::store_nontemporal_if(nontemporal, value, &mut dx[i..]);
            before = term;
            own = after;
        }
    }
}

/// A row for [`RowLrn::gradient`].
#[derive(Clone, Copy)]
pub(super) struct GradientInputs<'a, X, D> {
    pub x: &'a [X],
    /// Computed from x if `None`.
    pub base: Option<&'a [X]>,
    pub dy: &'a [D],
}

/// Computes the bases of a row, vector by vector.
struct Bases<'a, S: Simd, X> {
    simd: S,
    lrn: &'a RowLrn,
    x: &'a [X],
    /// The squares of the vector before the next one, and of the next one.
    before: S::F32,
    own: S::F32,
}

impl<'a, S: Simd, X: Stored> Bases<'a, S, X> {
    #[inline(always)]
    fn new(simd: S, lrn: &'a RowLrn, x: &'a [X]) -> Self {
        let first = X::load(simd, x);
        Self { simd, lrn, x, before: simd.splat(0.0), own: first.mul(first) }
    }

    #[inline(always)]
    fn next(&mut self, i: usize) -> S::F32 {
        let simd = self.simd;
        let after = if i + LANES < self.lrn.c { X::load(simd, &self.x[i + LANES..]) } else { simd.splat(0.0) };
        let after = after.mul(after);
        let sum = window(self.before, self.own, after);
        self.before = self.own;
        self.own = after;
        sum.mul_add(simd.splat(self.lrn.alpha), simd.splat(self.lrn.k))
    }
}

/// Computes dy base^-beta and the terms t of a row, vector by vector.
struct GradientParts<'a, S: Simd, X, D> {
    row: GradientInputs<'a, X, D>,
    bases: Bases<'a, S, X>,
}

impl<S: Simd, X: Stored, D: Stored> GradientParts<'_, S, X, D> {
    #[inline(always)]
    fn next(&mut self, i: usize) -> [S::F32; 2] {
        let simd = self.bases.simd;
        let GradientInputs { x, base, dy } = self.row;
        prefetch(x.as_ptr().wrapping_add(AHEAD + i));
        let base = match base {
            Some(base) => X::load(simd, &base[i..]),
            None => self.bases.next(i),
        };
        let [root, power] = powers(base);
        let scaled = D::load(simd, &dy[i..]).mul(power);
        [scaled, scaled.mul(X::load(simd, &x[i..])).mul(root.mul(root))]
    }
}

/// The sums of each term of `own` with two terms before and two after.
#[inline(always)]
fn window<V: Vector>(before: V, own: V, after: V) -> V {
    let two_before = V::concat_shift::<{ LANES - 2 }>(before, own);
    let one_before = V::concat_shift::<{ LANES - 1 }>(before, own);
    let one_after = V::concat_shift::<1>(own, after);
    let two_after = V::concat_shift::<2>(own, after);
    two_before.add(one_before).add(own).add(one_after).add(two_after)
}

/// base^-1/2 and base^-3/4.
#[inline(always)]
fn powers<V: Vector>(base: V) -> [V; 2] {
    let root = base.rsqrt();
    [root, root.mul(root).mul(root.rsqrt())]
}

struct Forward<'a, T> {
    lrn: RowLrn,
    x: &'a [T],
    y: &'a mut [T],
    base: &'a mut [T],
}

impl<T: Stored> WithSimd for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let c = self.lrn.c;
        let outputs = self.y.chunks_exact_mut(c).zip(self.base.chunks_exact_mut(c));
        for (x, (y, base)) in self.x.chunks_exact(c).zip(outputs) {
            self.lrn.normalise(simd, x, y, Some(base));
        }
    }
}

struct Backward<'a, T> {
    lrn: RowLrn,
    x: &'a [T],
    base: &'a [T],
    dy: &'a [T],
    dx: &'a mut [T],
}

impl<T: Stored> WithSimd for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let c = self.lrn.c;
        let inputs = self.x.chunks_exact(c).zip(self.base.chunks_exact(c)).zip(self.dy.chunks_exact(c));
        for (((x, base), dy), dx) in inputs.zip(self.dx.chunks_exact_mut(c)) {
            self.lrn.gradient(simd, GradientInputs { x, base: Some(base), dy }, false, None, dx);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 100.0 - 5.0).collect()
    }

    #[test]
    fn vectors_of_every_level_agree_with_the_formula() {
        let spec = Lrn { alpha: 0.3, k: 1.5, ..Lrn::paper() };
        for c in [LANES, 3 * LANES] {
            let lrn = RowLrn::new(&spec, c).unwrap();
            let len = 3 * c;
            let x = values(len, 1);
            let dy = values(len, 2);
            let near = |i: usize| (i / c * c).max(i.saturating_sub(2))..(i / c * c + c).min(i + 3);
            let base = |i: usize| 1.5 + spec.alpha_of_sum() * near(i).map(|j| f64::from(x[j]).powi(2)).sum::<f64>();
            let term = |j: usize| f64::from(dy[j]) * f64::from(x[j]) * base(j).powf(-1.75);
            for level in Level::all() {
                let [mut y, mut bases, mut with_base, mut without_base] = [(); 4].map(|()| vec![0.0; len]);
                dispatch(level, Forward { lrn, x: &x, y: &mut y, base: &mut bases });
                dispatch(level, Backward { lrn, x: &x, base: &bases, dy: &dy, dx: &mut with_base });
                for (r, dx) in without_base.chunks_exact_mut(c).enumerate() {
                    dispatch(level, WithoutBase { lrn, x: &x[r * c..][..c], dy: &dy[r * c..][..c], dx });
                }
                assert_eq!(with_base, without_base, "{level:?}");
                for i in 0..len {
                    let power = base(i).powf(-0.75);
                    let dx = f64::from(dy[i]) * power
                        - 1.5 * spec.alpha_of_sum() * f64::from(x[i]) * near(i).map(term).sum::<f64>();
                    let expected = [base(i), f64::from(x[i]) * power, dx];
                    for (got, expected) in [bases[i], y[i], with_base[i]].into_iter().zip(expected) {
                        assert!((f64::from(got) - expected).abs() < 2e-5, "{level:?}, {i}: {got} for {expected}");
                    }
                }
            }
        }
    }

    /// The gradient of a row without its base.
    struct WithoutBase<'a> {
        lrn: RowLrn,
        x: &'a [f32],
        dy: &'a [f32],
        dx: &'a mut [f32],
    }

    impl WithSimd for WithoutBase<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let row = GradientInputs { x: self.x, base: None, dy: self.dy };
            self.lrn.gradient(simd, row, true, None, self.dx);
            simd.fence();
        }
    }
}
