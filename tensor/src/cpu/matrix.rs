//! Matrices within slices, and the matrix product of convolutions and fully connected layers.

pub use gemm_common::Parallelism;
use rayon::prelude::*;

use crate::Element;

/// A matrix within a slice: value (i, j) is `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, E> {
    data: &'a [E],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, E> Matrix<'a, E> {
    /// A matrix whose rows start `stride` values apart.
    pub fn new(data: &'a [E], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(fits(data.len(), rows, columns, stride), "a {rows}x{columns} matrix in {} values", data.len());
        Self { data, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// The transpose, as another view of the same values.
    pub fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// A matrix for writing, whose rows start `stride` values apart.
pub(super) struct MatrixMut<'a, E> {
    data: &'a mut [E],
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<'a, E> MatrixMut<'a, E> {
    /// A matrix whose rows start `stride` values apart.
    pub fn new(data: &'a mut [E], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(fits(data.len(), rows, columns, stride), "a {rows}x{columns} matrix in {} values", data.len());
        assert!(stride >= columns || rows <= 1, "rows of {columns} values that lie {stride} apart overlap");
        Self { data, rows, columns, stride }
    }
}

fn fits(len: usize, rows: usize, columns: usize, stride: usize) -> bool {
    rows == 0 || columns == 0 || (rows - 1) * stride + (columns - 1) < len
}

/// Computes c = a b, or c += a b if `accumulate`. The order of each sum depends on the lengths alone, not on `threads`.
pub(super) fn product<E: Element>(
    c: MatrixMut<'_, E>,
    accumulate: bool,
    a: Matrix<'_, E>,
    b: Matrix<'_, E>,
    threads: Parallelism,
) {
    let k = a.columns;
    assert!(
        a.rows == c.rows && b.columns == c.columns && b.rows == k,
        "a product of {}x{k} and {}x{} for {}x{}",
        a.rows,
        b.rows,
        b.columns,
        c.rows,
        c.columns
    );
    // The microkernels write columns. If the rows of c are contiguous, they compute the transpose, b^T a^T.
    let is_transposed = c.stride > 1;
    let [left, right] = if is_transposed { [b.t(), a.t()] } else { [a, b] };
    let [row_stride, column_stride] = if is_transposed { [1, c.stride] } else { [c.stride, 1] };
    let strides = |matrix: &Matrix<'_, E>| [matrix.row_stride as isize, matrix.column_stride as isize];
    let c = RawMatrix { start: c.data.as_mut_ptr(), strides: [row_stride as isize, column_stride as isize] };
    let a = RawMatrix { start: left.data.as_ptr(), strides: strides(&left) };
    let b = RawMatrix { start: right.data.as_ptr(), strides: strides(&right) };
    // SAFETY: each matrix lies within its slice (checked by `Matrix::new` and `MatrixMut::new`; a transpose has the
    // same values), the lengths agree (checked above), rows of c do not overlap, and c is borrowed mutably, so it
    // shares no memory with a and b.
    unsafe { E::gemm([left.rows, right.columns, k], c, accumulate, a, b, threads) };
}

/// A matrix in memory.
pub struct RawMatrix<P> {
    /// The address of the first value.
    start: P,
    /// Values from a row to the next, and from a column to the next.
    strides: [isize; 2],
}

/// The matrix product of a number type, by a library.
pub trait Gemm: Sized {
    /// c = a b, or c += a b if `accumulate`, for a of m x k and b of k x n: `[m, n, k]`.
    ///
    /// # Safety
    /// All values of the matrices are valid, those of c are different and lie outside a and b.
    unsafe fn gemm(
        lengths: [usize; 3],
        c: RawMatrix<*mut Self>,
        accumulate: bool,
        a: RawMatrix<*const Self>,
        b: RawMatrix<*const Self>,
        threads: Parallelism,
    );
}

impl Gemm for f32 {
    unsafe fn gemm(
        [m, n, k]: [usize; 3],
        c: RawMatrix<*mut f32>,
        accumulate: bool,
        a: RawMatrix<*const f32>,
        b: RawMatrix<*const f32>,
        threads: Parallelism,
    ) {
        let [c_row, c_column] = c.strides;
        let [a_row, a_column] = a.strides;
        let [b_row, b_column] = b.strides;
        // The crate `gemm`, which calls this function, also compiles complex numbers.
        let gemm = gemm_f32::gemm::f32::get_gemm_fn();
        // SAFETY: that of this function. The factors of c and of a b are 1; nothing is conjugated.
        unsafe {
            gemm(
                m, n, k, c.start, c_column, c_row, accumulate, a.start, a_column, a_row, b.start, b_column, b_row, 1.0,
                1.0, false, false, false, threads,
            );
        }
    }
}

/// On one thread, for checks of gradients. The library is there anyway, for `ndarray`.
impl Gemm for f64 {
    unsafe fn gemm(
        [m, n, k]: [usize; 3],
        c: RawMatrix<*mut f64>,
        accumulate: bool,
        a: RawMatrix<*const f64>,
        b: RawMatrix<*const f64>,
        _: Parallelism,
    ) {
        let [c_row, c_column] = c.strides;
        let [a_row, a_column] = a.strides;
        let [b_row, b_column] = b.strides;
        let beta = if accumulate { 1.0 } else { 0.0 };
        // SAFETY: that of this function.
        unsafe {
            matrixmultiply::dgemm(
                m, k, n, 1.0, a.start, a_row, a_column, b.start, b_row, b_column, beta, c.start, c_row, c_column,
            );
        }
    }
}

/// Rows that [`transpose`] writes together: a cache line of `f32`.
pub(super) const TRANSPOSE_ROWS: usize = 16;

/// Computes y[j, i] = x[i, j] for x of `rows` x `columns`, and runs `finish(index of the first value, rows)` on each block
/// of whole rows of y.
pub(super) fn transpose<E: Element>(
    x: &[E],
    rows: usize,
    columns: usize,
    y: &mut [E],
    finish: impl Fn(usize, &mut [E]) + Sync,
) {
    if rows == 0 || columns == 0 {
        return;
    }
    y.par_chunks_mut(TRANSPOSE_ROWS * rows).enumerate().for_each(|(block, out)| {
        let first = block * TRANSPOSE_ROWS;
        let width = out.len() / rows;
        for (i, row) in x.chunks_exact(columns).enumerate() {
            for (j, &value) in row[first..first + width].iter().enumerate() {
                out[j * rows + i] = value;
            }
        }
        finish(first * rows, out);
    });
}

/// Adds `bias` to each row of `y`, if there is one, and then applies a ReLU if `relu`.
pub(super) fn add_bias_and_relu<E: Element>(y: &mut [E], bias: Option<&[E]>, relu: bool) {
    if let Some(bias) = bias.filter(|bias| !bias.is_empty()) {
        for row in y.chunks_exact_mut(bias.len()) {
            let pairs = row.iter_mut().zip(bias);
            if relu {
                pairs.for_each(|(v, &b)| *v = cut_negative(*v + b));
            } else {
                pairs.for_each(|(v, &b)| *v += b);
            }
        }
    } else if relu {
        y.iter_mut().for_each(|v| *v = cut_negative(*v));
    }
}

/// A ReLU that keeps NaN, so that it is noticed, and -0. (The activation kernel turns -0 into 0; they compare equal.)
#[inline]
fn cut_negative<E: Element>(v: E) -> E {
    if v < E::zero() { E::zero() } else { v }
}
