//! Locally connected layers: a product for each position and group.

use cubecl::prelude::*;

use super::conv2d::{gradient_kind, group_outputs, windows, windows_of_gradient};
use super::matrix::tile::Extent;
use super::matrix::view::{Along, Kind, Lengths};
use super::matrix::{Bias, Factor, Job, Output};
use super::simulated_pools::partial_sums;
use super::{Buffer, Dtype, Gpu};
use crate::ops::conv2d::Geometry;
use crate::ops::local2d::{Local2dForward, Local2dInputGrad, Local2dWeightGrad};
use crate::{Kernel, Result, Workspace};

/// Lengths of the products: for y, for dx, for dw. One for each place of the output, or of the input for dx.
pub(crate) fn extents(g: &Geometry) -> [Extent; 3] {
    let ([h, w, c], [oh, ow, _], [kh, kw]) = (g.input, g.output, g.kernel);
    let (og, batches) = (group_outputs(g), oh * ow * g.groups);
    [
        Extent { m: g.n, n: og, k: g.patch(), batches },
        Extent { m: g.n, n: c / g.groups, k: kh * kw * og, batches: h * w * g.groups },
        Extent { m: og, n: g.patch(), k: g.n, batches },
    ]
}

/// The batch has the positions; rows are images.
const IMAGES: [usize; 2] = [1, 1];

/// y from x and w.
pub(crate) fn forward<'a>(dtype: Dtype, g: &Geometry, x: &'a Buffer, w: &'a Buffer, b: Option<&'a Buffer>) -> Job<'a> {
    let [oh, ow, out] = g.output;
    let (og, patch) = (group_outputs(g), g.patch());
    let weights = Lengths {
        by_position: out * patch,
        by_group: og * patch,
        row_stride: patch,
        depth_stride: 1,
        ..Lengths::default()
    };
    Job {
        op: "local2d",
        extent: extents(g)[0],
        groups: g.groups,
        across: ow,
        a: Factor {
            buffer: x,
            kind: Kind::Window { strided: false },
            along: Along::Depth,
            lengths: windows(g, IMAGES),
        },
        b: Factor { buffer: w, kind: Kind::Matrix, along: Along::Depth, lengths: weights },
        output: Output { dtype, len: g.n * oh * ow * out, row_stride: oh * ow * out, by_position: out, by_group: og },
        bias: b.map(|buffer| Bias { buffer, by_position: out, by_group: og }),
        relu: false,
    }
}

/// dx from w and dy.
pub(crate) fn of_input<'a>(dtype: Dtype, g: &Geometry, w: &'a Buffer, dy: &'a Buffer) -> Job<'a> {
    let ([h, width, c], [_, ow, out]) = (g.input, g.output);
    let (og, cg, patch) = (group_outputs(g), c / g.groups, g.patch());
    // A position of the input and a place in the kernel give a position of the output, whose kernels count.
    let weights = Lengths {
        by_group: og * patch,
        depth_stride: patch,
        tap_stride: cg,
        line: ow * out * patch,
        column: out * patch,
        ..windows_of_gradient(g, IMAGES)
    };
    Job {
        op: "local2d backward",
        extent: extents(g)[1],
        groups: g.groups,
        across: width,
        a: Factor { buffer: dy, kind: gradient_kind(g), along: Along::Depth, lengths: windows_of_gradient(g, IMAGES) },
        b: Factor { buffer: w, kind: Kind::LocalTaps, along: Along::Rows, lengths: weights },
        output: Output { dtype, len: g.n * h * width * c, row_stride: h * width * c, by_position: c, by_group: cg },
        bias: None,
        relu: false,
    }
}

/// dw from x and dy.
pub(crate) fn of_weights<'a>(g: &Geometry, x: &'a Buffer, dy: &'a Buffer) -> Job<'a> {
    let [oh, ow, out] = g.output;
    let (og, patch) = (group_outputs(g), g.patch());
    let gradient =
        Lengths { by_position: out, by_group: og, row_stride: 1, depth_stride: oh * ow * out, ..Lengths::default() };
    Job {
        op: "local2d backward",
        extent: extents(g)[2],
        groups: g.groups,
        across: ow,
        a: Factor { buffer: dy, kind: Kind::Matrix, along: Along::Rows, lengths: gradient },
        b: Factor { buffer: x, kind: Kind::Window { strided: false }, along: Along::Rows, lengths: windows(g, IMAGES) },
        output: Output {
            dtype: Dtype::F32,
            len: oh * ow * out * patch,
            row_stride: patch,
            by_position: out * patch,
            by_group: og * patch,
        },
        bias: None,
        relu: false,
    }
}

impl<R: Runtime> Kernel<Local2dForward> for Gpu<R> {
    fn run(&self, op: &Local2dForward, ([x, w], b): ([&Buffer; 2], Option<&Buffer>)) -> Result<[Buffer; 1]> {
        let g = &op.geometry;
        Ok([self.product(&forward(self.activation_dtype(), g, x, w, b))?])
    }

    fn workspace(&self, op: &Local2dForward) -> Workspace {
        let [extent, _, _] = extents(&op.geometry);
        Workspace::of(vec![partial_sums(&extent)])
    }
}

impl<R: Runtime> Kernel<Local2dInputGrad> for Gpu<R> {
    fn run(&self, op: &Local2dInputGrad, [w, dy]: [&Buffer; 2]) -> Result<[Buffer; 1]> {
        let g = &op.geometry;
        Ok([self.product(&of_input(self.activation_dtype(), g, w, dy))?])
    }

    fn workspace(&self, op: &Local2dInputGrad) -> Workspace {
        let [_, extent, _] = extents(&op.geometry);
        Workspace::of(vec![partial_sums(&extent)])
    }
}

impl<R: Runtime> Kernel<Local2dWeightGrad> for Gpu<R> {
    fn run(&self, op: &Local2dWeightGrad, [x, dy]: [&Buffer; 2]) -> Result<[Buffer; 1]> {
        let g = &op.geometry;
        Ok([self.product(&of_weights(g, x, dy))?])
    }

    fn workspace(&self, op: &Local2dWeightGrad) -> Workspace {
        let [_, _, extent] = extents(&op.geometry);
        Workspace::of(vec![partial_sums(&extent)])
    }
}
