//! Matrices within slices, and the products that convolution and the linear layers are made of.

use gemm::Parallelism;
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
    /// Rows that lie `stride` values apart.
    pub fn new(data: &'a [E], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(fits(data.len(), rows, columns, stride, 1), "a {rows}x{columns} matrix in {} values", data.len());
        Self { data, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// The transpose, nothing moved.
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

/// A matrix to be written; its rows lie `stride` values apart.
pub(super) struct MatrixMut<'a, E> {
    data: &'a mut [E],
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<'a, E> MatrixMut<'a, E> {
    /// Rows that lie `stride` values apart.
    pub fn new(data: &'a mut [E], rows: usize, columns: usize, stride: usize) -> Self {
        assert!(fits(data.len(), rows, columns, stride, 1), "a {rows}x{columns} matrix in {} values", data.len());
        assert!(stride >= columns || rows <= 1, "rows of {columns} values that lie {stride} apart overlap");
        Self { data, rows, columns, stride }
    }
}

fn fits(len: usize, rows: usize, columns: usize, row_stride: usize, column_stride: usize) -> bool {
    rows == 0 || columns == 0 || (rows - 1) * row_stride + (columns - 1) * column_stride < len
}

/// c = a b, or c += a b. The order of each sum follows from the lengths alone, whatever `threads` says.
pub(super) fn product<E: Element>(
    c: MatrixMut<'_, E>,
    accumulate: bool,
    a: Matrix<'_, E>,
    b: Matrix<'_, E>,
    threads: Parallelism,
) {
    let (m, n, k) = (c.rows, c.columns, a.columns);
    assert!(a.rows == m && b.columns == n && b.rows == k, "a product of {m}x{k} and {}x{}", b.rows, b.columns);
    // SAFETY: each matrix lies inside its slice (checked by `Matrix::new` and `MatrixMut::new`; transposing keeps the
    // set of places), the lengths agree (checked above), rows of c do not overlap, and c is borrowed mutably, so it
    // shares no memory with a and b.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.data.as_mut_ptr(),
            1,
            c.stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            E::one(),
            E::one(),
            false,
            false,
            false,
            threads,
        );
    }
}

/// Rows written together by [`transpose`]: a cache line of `f32`.
pub(super) const TRANSPOSE_ROWS: usize = 16;

/// y[j, i] = x[i, j] for x of `rows` x `columns`, and `finish` on each block of whole rows of y.
pub(super) fn transpose<E: Element>(
    x: &[E],
    rows: usize,
    columns: usize,
    y: &mut [E],
    finish: impl Fn(&mut [E]) + Sync,
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
        finish(out);
    });
}

/// Adds a bias to each row of `y` and cuts it off below zero if asked. NaN stays NaN, so that it is noticed.
pub(super) fn finish_rows<E: Element>(y: &mut [E], bias: Option<&[E]>, relu: bool) {
    let cut = |v: E| if v < E::zero() { E::zero() } else { v };
    match (bias, relu) {
        (Some(bias), relu) if !bias.is_empty() => {
            for row in y.chunks_exact_mut(bias.len()) {
                let pairs = row.iter_mut().zip(bias);
                if relu { pairs.for_each(|(v, &b)| *v = cut(*v + b)) } else { pairs.for_each(|(v, &b)| *v += b) }
            }
        }
        (_, true) => y.iter_mut().for_each(|v| *v = cut(*v)),
        _ => {}
    }
}
