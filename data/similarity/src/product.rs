//! The matrix product of the search.

use gemm_common::Parallelism;
use ndarray::ArrayView2;

/// Computes c = a bᵀ for a of m x k, b of n x k and c of m x n, row by row, with all threads of the current pool.
///
/// # Panics
/// If c has another length than m n, or a and b have other numbers of columns than each other.
pub fn multiply_transposed(a: ArrayView2<f32>, b: ArrayView2<f32>, c: &mut [f32]) {
    let [m, k] = [a.nrows(), a.ncols()];
    let n = b.nrows();
    assert!(c.len() == m * n && b.ncols() == k, "the lengths of a product differ");
    if k == 0 {
        c.fill(0.0);
        return;
    }
    // Not the crate `gemm`, half of whose build is for complex numbers.
    let gemm = gemm_f32::gemm::f32::get_gemm_fn();
    let [a_row, a_column] = [a.strides()[0], a.strides()[1]];
    let [b_row, b_column] = [b.strides()[0], b.strides()[1]];
    // SAFETY: the views and the length of c say that all values lie within their slices, and c is borrowed alone. The
    // factors of c and of a b are 1; c is not read; nothing is conjugated.
    unsafe {
        gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            n as isize,
            false,
            a.as_ptr(),
            a_column,
            a_row,
            b.as_ptr(),
            b_row,
            b_column,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::Rayon(rayon::current_num_threads()),
        );
    }
}
