//! Small products of `f32` matrices whose factors are at hand in the layout that the registers want: what fast
//! convolutions are made of. For products of any layout there is [`matrix`](super::matrix).
//!
//! A tile of [`ROWS`] x [`COLUMNS`] results stays in registers while k runs: with AVX-512, 24 of the 32 registers hold
//! sums, and each step loads two vectors of b and 12 single values of a for 24 fused multiply-adds, so that the
//! multipliers are the limit as long as a and b come from the first two caches. Three vectors of columns that are left go
//! by 8 rows, also in 24 registers: two and then one would load more than it multiplies. With 16 registers of half a vector
//! the tile is 6 x 16.

use std::hint::black_box;

use super::simd::{LANES, Level, Simd, Vector, WithSimd, dispatch, prefetch};

/// Rows of a register tile.
pub(super) const ROWS: usize = 12;
/// Rows that one pointer reaches: with one for all, each row's address would wait for the last one's, which is slower than
/// the multipliers.
const REACH: usize = 3;
const POINTERS: usize = ROWS / REACH;
/// Steps of k that factors are asked for ahead of use: as long as the last cache takes.
const AHEAD: usize = 64;
/// Columns of a register tile.
pub(super) const COLUMNS: usize = 2 * LANES;

/// Columns and rows of a register tile where so many columns are left.
#[inline(always)]
pub(super) fn shape(left: usize) -> (usize, usize) {
    if left == 3 * LANES { (left, 8) } else { (COLUMNS.min(left), ROWS) }
}

/// A factor: value (i, j) is `data[i * row + j * column]`.
#[derive(Clone, Copy)]
pub(super) struct Strided<'a> {
    /// From the first value on.
    pub data: &'a [f32],
    /// From one row to the next.
    pub row: usize,
    /// From one column to the next.
    pub column: usize,
}

/// A result; its columns are contiguous.
#[derive(Clone, Copy)]
pub(super) struct Target {
    /// From the first value on.
    pub data: *mut f32,
    /// Values from there on that may be written.
    pub len: usize,
    /// From one row to the next.
    pub row: usize,
}

/// c `[m, n]` = or += a `[m, k]` times b `[k, n]`, whose columns are contiguous (`b.column` is 1). n is whole vectors.
///
/// Inlined, so that the operands' descriptions stay in registers: read back from memory they would wait until what the
/// thread wrote last, some product, had left for the caches.
///
/// # Safety
/// `c.data` must be valid for reading and writing `c.len` values, and nobody else may use the m rows of n of them.
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
            let (columns, rows) = if S::HAS_32_REGISTERS { shape(n - column) } else { (LANES, ROWS / 2) };
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
            // What is added to is needed at the end only, all of it at once.
            for place in
                (0..if *accumulate { R * N } else { 0 }).map(|i| (row + i / N) * c.row + column + i % N * LANES)
            {
                prefetch(c.data.wrapping_add(place));
            }
            let first = a.data.as_ptr().add(row * a.row);
            let mut a_at = [first; POINTERS];
            for (i, a_at) in a_at.iter_mut().enumerate() {
                // Opaque, or the compiler makes one pointer of them.
                *a_at = black_box(first.wrapping_add(i * REACH * a.row));
            }
            let mut b_at = b.data.as_ptr().add(column);
            for _ in 0..*k {
                let mut b = [simd.splat(0.0); N];
                for (i, b) in b.iter_mut().enumerate() {
                    *b = simd.load_ptr(b_at.add(i * LANES));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let a = simd.splat(*a_at[r / REACH].add(r % REACH * a.row));
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
    use super::super::simd::Level;
    use super::*;
    use crate::random::{Stream, purpose};

    fn values(seed: u64, len: usize) -> Vec<f32> {
        let stream = Stream::new(seed, purpose::USER, 0);
        (0..len as u64).map(|i| 2.0 * stream.uniform(i) - 1.0).collect()
    }

    fn check(level: Level, [m, n, k]: [usize; 3], transposed: bool, accumulate: bool) {
        let b_row = n + 3;
        let (a, b) = (values(1, m * k + 1), values(2, (k * b_row).max(1)));
        let a = match transposed {
            true => Strided { data: &a, row: 1, column: m },
            false => Strided { data: &a, row: k, column: 1 },
        };
        let b = Strided { data: &b, row: b_row, column: 1 };
        let start = values(3, m * (n + 2));
        let mut c = start.clone();
        let target = Target { data: c.as_mut_ptr(), len: c.len(), row: n + 2 };
        // SAFETY: c is this function's own.
        unsafe { product(level, [m, n, k], a, b, target, accumulate) };
        for (place, (&got, &old)) in c.iter().zip(&start).enumerate() {
            let (i, j) = (place / (n + 2), place % (n + 2));
            let term = |l| f64::from(a.data[i * a.row + l * a.column]) * f64::from(b.data[l * b_row + j]);
            let expected = match j < n {
                true => (0..k).map(term).sum::<f64>() + if accumulate { f64::from(old) } else { 0.0 },
                false => f64::from(old),
            };
            assert!((f64::from(got) - expected).abs() < 1e-5, "{level:?}: [{i}, {j}] of {m}x{n}x{k}: {got}");
        }
    }

    /// All sizes of tiles, both orders of the left factor, set and added, at each level, against plain sums.
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
