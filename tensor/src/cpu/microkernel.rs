//! A GEMM microkernel for `f32` matrices that are packed already, used by Winograd convolutions. For products of any
//! layout see [`matrix`](super::matrix).
//!
//! A tile of [`ROWS`] x [`COLUMNS`] results stays in registers during the loop over k. With AVX-512, 24 of the 32
//! registers hold sums, and each step loads two vectors of b and 12 values of a for 24 fused multiply-adds: the
//! multipliers are the bottleneck as long as a and b are in the L1 and L2 caches. Three remaining vectors of columns
//! take 8 rows, also 24 registers: two vectors and then one would load more than they multiply. With 16 registers of
//! half a vector the tile is 6 x 16.

use std::hint::black_box;

use super::simd::{LANES, Level, Simd, Vector, WithSimd, dispatch, prefetch};

/// Rows of a register tile.
pub(super) const ROWS: usize = 12;
/// Rows per pointer: with one pointer for all rows, each address would depend on the last one's, which is slower than
/// the multipliers.
const POINTER_ROWS: usize = 3;
const POINTERS: usize = ROWS / POINTER_ROWS;
/// Steps of k between prefetch and use: the latency of the last cache.
const AHEAD: usize = 64;
/// Columns of a register tile.
pub(super) const COLUMNS: usize = 2 * LANES;

/// Columns and rows of the next register tile if `left` columns are left.
#[inline(always)]
pub(super) fn tile_shape(left: usize) -> (usize, usize) {
    if left == 3 * LANES { (left, 8) } else { (COLUMNS.min(left), ROWS) }
}

/// A factor with value (i, j) at `data[i * row + j * column]`.
#[derive(Clone, Copy)]
pub(super) struct Strided<'a> {
    /// Starts with the first value.
    pub data: &'a [f32],
    /// Stride of rows.
    pub row: usize,
    /// Stride of columns.
    pub column: usize,
}

/// A result with contiguous columns.
#[derive(Clone, Copy)]
pub(super) struct Target {
    /// Points to the first value.
    pub data: *mut f32,
    /// Values that may be written.
    pub len: usize,
    /// Stride of rows.
    pub row: usize,
}

/// c `[m, n]` = or += a `[m, k]` times b `[k, n]` of contiguous columns (`b.column` is 1). n is a multiple of a vector.
///
/// Inlined, so that the operands' fields stay in registers: loads of them would wait for the stores of the last
/// product.
///
/// # Safety
/// `c.data` must be valid for reading and writing `c.len` values, and nothing else may use the m rows of n of them.
#[inline(always)]
pub(super) unsafe fn product(
    level: Level,
    [m, n, k]: [usize; 3],
    a: Strided<'_>,
    b: Strided<'_>,
    c: Target,
    accumulate: bool,
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(n.is_multiple_of(LANES), "whole vectors of columns, not {n}");
    assert!(c.len >= (m - 1) * c.row + n && (c.row >= n || m == 1), "the result's rows lie in its slice, apart");
    assert!(k == 0 || a.data.len() > (m - 1) * a.row + (k - 1) * a.column, "the left factor lies in its slice");
    assert!(b.column == 1 && (k == 0 || b.data.len() >= (k - 1) * b.row + n), "so does the right one");
    dispatch(level, Product { size: [m, n, k], a, b, c, accumulate });
}

struct Product<'a> {
    size: [usize; 3],
    a: Strided<'a>,
    b: Strided<'a>,
    c: Target,
    accumulate: bool,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [m, n, _] = self.size;
        let mut column = 0;
        while column < n {
            let (columns, rows) = if S::HAS_32_REGISTERS { tile_shape(n - column) } else { (LANES, ROWS / 2) };
            for row in (0..m).step_by(rows) {
                let rows = rows.min(m - row);
                // SAFETY: rows, columns and k stay inside the slices, as `product` asserted.
                unsafe {
                    match columns / LANES {
                        1 => self.tile::<S, 1>(simd, row, column, rows),
                        2 => self.tile::<S, 2>(simd, row, column, rows),
                        _ => self.tile::<S, 3>(simd, row, column, rows),
                    }
                }
            }
            column += columns;
        }
    }
}

impl Product<'_> {
    /// # Safety
    /// The tile must lie in the matrices.
    #[inline(always)]
    unsafe fn tile<S: Simd, const N: usize>(&self, simd: S, row: usize, column: usize, rows: usize) {
        macro_rules! by_rows {
            ($($r:literal)*) => {
                match rows {
                    // SAFETY: the caller's promise.
                    $($r => unsafe { self.register_tile::<S, $r, N>(simd, row, column) },)*
                    _ => {}
                }
            };
        }
        match N {
            _ if !S::HAS_32_REGISTERS => by_rows!(1 2 3 4 5 6),
            3 => by_rows!(1 2 3 4 5 6 7 8),
            _ => by_rows!(1 2 3 4 5 6 7 8 9 10 11 12),
        }
    }

    /// R x N vectors of results.
    ///
    /// # Safety
    /// As [`tile`](Self::tile).
    #[inline(always)]
    unsafe fn register_tile<S: Simd, const R: usize, const N: usize>(&self, simd: S, row: usize, column: usize) {
        let Self { size: [_, _, k], a, b, c, accumulate } = self;
        let mut sums = [[simd.splat(0.0); N]; R];
        // SAFETY: the caller's promise covers each place read and written below.
        unsafe {
            // The old values are needed at the end only, all at once.
            for place in
                (0..if *accumulate { R * N } else { 0 }).map(|i| (row + i / N) * c.row + column + i % N * LANES)
            {
                prefetch(c.data.wrapping_add(place));
            }
            let first = a.data.as_ptr().add(row * a.row);
            let mut a_at = [first; POINTERS];
            for (i, a_at) in a_at.iter_mut().enumerate() {
                // Opaque, or the compiler merges the pointers.
                *a_at = black_box(first.wrapping_add(i * POINTER_ROWS * a.row));
            }
            let mut b_at = b.data.as_ptr().add(column);
            for _ in 0..*k {
                let mut b = [simd.splat(0.0); N];
                for (i, b) in b.iter_mut().enumerate() {
                    *b = simd.load_ptr(b_at.add(i * LANES));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let a = simd.splat(*a_at[r / POINTER_ROWS].add(r % POINTER_ROWS * a.row));
                    for (sum, b) in sums.iter_mut().zip(b) {
                        *sum = a.mul_add(b, *sum);
                    }
                }
                for i in 0..N {
                    prefetch(b_at.wrapping_add(AHEAD * self.b.row + i * LANES));
                }
                prefetch(a_at[0].wrapping_add(AHEAD * a.column));
                for a_at in &mut a_at {
                    *a_at = a_at.wrapping_add(a.column);
                }
                b_at = b_at.wrapping_add(self.b.row);
            }
            for (r, sums) in sums.iter().enumerate() {
                for (i, &sum) in sums.iter().enumerate() {
                    let c = c.data.add((row + r) * c.row + column + i * LANES);
                    let sum = if *accumulate { simd.load_ptr(c).add(sum) } else { sum };
                    sum.store_ptr(c);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, purpose};

    fn values(seed: u64, len: usize) -> Vec<f32> {
        let stream = Stream::new(seed, purpose::USER, 0);
        (0..len as u64).map(|i| 2.0 * stream.uniform(i) - 1.0).collect()
    }

    fn check(level: Level, [m, n, k]: [usize; 3], transposed: bool, accumulate: bool) {
        let b_row = n + 3;
        let a = values(1, m * k + 1);
        let b = values(2, (k * b_row).max(1));
        let [row, column] = if transposed { [1, m] } else { [k, 1] };
        let a = Strided { data: &a, row, column };
        let b = Strided { data: &b, row: b_row, column: 1 };
        let start = values(3, m * (n + 2));
        let mut c = start.clone();
        let target = Target { data: c.as_mut_ptr(), len: c.len(), row: n + 2 };
        // SAFETY: c is this function's own.
        unsafe { product(level, [m, n, k], a, b, target, accumulate) };
        for (place, (&got, &old)) in c.iter().zip(&start).enumerate() {
            let i = place / (n + 2);
            let j = place % (n + 2);
            let term = |l| f64::from(a.data[i * a.row + l * a.column]) * f64::from(b.data[l * b_row + j]);
            let old = f64::from(old);
            let sum = || (0..k).map(term).sum::<f64>() + if accumulate { old } else { 0.0 };
            let expected = if j < n { sum() } else { old };
            assert!((f64::from(got) - expected).abs() < 1e-5, "{level:?}: [{i}, {j}] of {m}x{n}x{k}: {got}");
        }
    }

    /// All tile sizes, both orders of the left factor, with and without `accumulate`, at each level.
    #[test]
    fn products_equal_plain_sums() {
        for level in Level::all() {
            for (m, n) in (1..=25).flat_map(|m| (1..=5).map(move |vectors| (m, 16 * vectors))) {
                let k = 3 * m % 41;
                for both in 0..4 {
                    check(level, [m, n, k], both % 2 == 0, both / 2 == 0);
                }
            }
        }
    }
}
