//! Products of matrices, with the bias and the ReLU of a fully connected layer.

use cubecl::prelude::*;

use super::matrix::tile::Problem;
use super::matrix::view::{Axis, ViewKind, ViewSizes};
use super::matrix::{Bias, Gemm, Operand, Output};
use super::simulated_pools::split_sums_len;
use super::{Buffer, Dtype, Gpu};
use crate::ops::linear::{Matmul, Product};
use crate::{Kernel, Result, Workspace};

/// A matrix stored as `[rows, depth]`, or as `[depth, rows]` if `transposed`.
fn matrix(buffer: &Buffer, rows: usize, depth: usize, transposed: bool) -> Operand<'_> {
    let contiguous = if transposed { Axis::Rows } else { Axis::Depth };
    let [row_stride, depth_stride] = if transposed { [1, rows] } else { [depth, 1] };
    let sizes = ViewSizes { row_stride, depth_stride, ..ViewSizes::default() };
    Operand { buffer, kind: ViewKind::Matrix, contiguous, sizes }
}

/// The sizes of the product.
fn problem(p: &Product) -> Problem {
    Problem { m: p.m, n: p.n, k: p.k, batches: 1 }
}

/// `c = a b` as a GEMM.
pub(crate) fn gemm<'a>(
    dtype: Dtype,
    p: &Product,
    a: &'a Buffer,
    b: &'a Buffer,
    bias: Option<&'a Buffer>,
    relu: bool,
) -> Gemm<'a> {
    let dtype = if p.weights { Dtype::F32 } else { dtype };
    Gemm {
        op: "matmul",
        problem: problem(p),
        groups: 1,
        positions_per_row: 1,
        a: matrix(a, p.m, p.k, p.transpose_a),
        b: matrix(b, p.n, p.k, !p.transpose_b),
        output: Output { dtype, len: p.m * p.n, row_stride: p.n, position_stride: 0, group_stride: 0 },
        bias: bias.map(|buffer| Bias { buffer, position_stride: 0, group_stride: 0 }),
        relu,
    }
}

impl<R: Runtime> Kernel<Matmul> for Gpu<R> {
    fn run(&self, op: &Matmul, ([a, b], bias): ([&Buffer; 2], Option<&Buffer>)) -> Result<[Buffer; 1]> {
        Ok([self.product(&gemm(self.activation_dtype(), &op.product, a, b, bias, op.relu))?])
    }

    fn workspace(&self, op: &Matmul) -> Workspace {
        Workspace::of(vec![split_sums_len(&problem(&op.product))])
    }
}
