//! Products of matrices, with the bias and the ReLU of a fully connected layer.

use cubecl::prelude::*;

use super::matrix::tile::Extent;
use super::matrix::view::{Along, Kind, Lengths};
use super::matrix::{Bias, Factor, Job, Output};
use super::simulated_pools::partial_sums;
use super::{Buffer, Dtype, Gpu};
use crate::ops::linear::{Matmul, Product};
use crate::{Kernel, Result, Workspace};

/// A matrix stored `[rows, depth]`, or `[depth, rows]` if `by_depth`.
fn matrix(buffer: &Buffer, rows: usize, depth: usize, by_depth: bool) -> Factor<'_> {
    let (along, row_stride, depth_stride) = if by_depth { (Along::Rows, 1, rows) } else { (Along::Depth, depth, 1) };
    Factor { buffer, kind: Kind::Matrix, along, lengths: Lengths { row_stride, depth_stride, ..Lengths::default() } }
}

/// The product's lengths.
pub(crate) fn extent(p: &Product) -> Extent {
    Extent { m: p.m, n: p.n, k: p.k, batches: 1 }
}

/// `c = a b` as one product.
pub(crate) fn job<'a>(
    dtype: Dtype,
    p: &Product,
    a: &'a Buffer,
    b: &'a Buffer,
    bias: Option<&'a Buffer>,
    relu: bool,
) -> Job<'a> {
    let dtype = if p.weights { Dtype::F32 } else { dtype };
    Job {
        op: "matmul",
        extent: extent(p),
        groups: 1,
        across: 1,
        a: matrix(a, p.m, p.k, p.transpose_a),
        b: matrix(b, p.n, p.k, !p.transpose_b),
        output: Output { dtype, len: p.m * p.n, row_stride: p.n, by_position: 0, by_group: 0 },
        bias: bias.map(|buffer| Bias { buffer, by_position: 0, by_group: 0 }),
        relu,
    }
}

impl<R: Runtime> Kernel<Matmul> for Gpu<R> {
    fn run(&self, op: &Matmul, ([a, b], bias): ([&Buffer; 2], Option<&Buffer>)) -> Result<[Buffer; 1]> {
        let &Matmul { product: ref p, relu } = op;
        Ok([self.product(&job(self.activation_dtype(), p, a, b, bias, relu))?])
    }

    fn workspace(&self, op: &Matmul) -> Workspace {
        Workspace::of(vec![partial_sums(&extent(&op.product))])
    }
}
