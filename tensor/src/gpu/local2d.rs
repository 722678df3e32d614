//! Locally connected layers: one product for each position and group.

use cubecl::prelude::*;

use super::conv2d::{gradient_kind, gradient_windows, group_outputs, windows};
use super::matrix::tile::Problem;
use super::matrix::view::{Axis, ViewKind, ViewSizes};
use super::matrix::{Bias, Gemm, Operand, Output};
use super::simulated_pools::split_sums_len;
use super::{Buffer, Dtype, Gpu};
use crate::ops::conv2d::Geometry;
use crate::ops::local2d::{Local2dForward, Local2dInputGrad, Local2dWeightGrad};
use crate::{Kernel, Result, Workspace};

/// The sizes of the products for y, dx and dw. There is one for each position of the output, for dx of the input.
pub(crate) fn problems(g: &Geometry) -> [Problem; 3] {
    let [h, w, c] = g.input;
    let [oh, ow, _] = g.output;
    let [kh, kw] = g.kernel;
    let og = group_outputs(g);
    let batches = oh * ow * g.groups;
    [
        Problem { m: g.n, n: og, k: g.patch(), batches },
        Problem { m: g.n, n: c / g.groups, k: kh * kw * og, batches: h * w * g.groups },
        Problem { m: og, n: g.patch(), k: g.n, batches },
    ]
}

/// The pixels that rows run over: positions are in the batch, so that each row is an image.
const IMAGES: [usize; 2] = [1, 1];

/// The products for y: windows of x times w.
pub(crate) fn forward<'a>(dtype: Dtype, g: &Geometry, x: &'a Buffer, w: &'a Buffer, b: Option<&'a Buffer>) -> Gemm<'a> {
    let [oh, ow, out] = g.output;
    let og = group_outputs(g);
    let patch = g.patch();
    let [problem, _, _] = problems(g);
    let weights = ViewSizes {
        position_stride: out * patch,
        group_stride: og * patch,
        row_stride: patch,
        depth_stride: 1,
        ..ViewSizes::default()
    };
    Gemm {
        op: "local2d",
        problem,
        groups: g.groups,
        positions_per_row: ow,
        a: Operand {
            buffer: x,
            kind: ViewKind::Window { strided: false },
            contiguous: Axis::Depth,
            sizes: windows(g, IMAGES),
        },
        b: Operand { buffer: w, kind: ViewKind::Matrix, contiguous: Axis::Depth, sizes: weights },
        output: Output {
            dtype,
            len: g.n * oh * ow * out,
            row_stride: oh * ow * out,
            position_stride: out,
            group_stride: og,
        },
        bias: b.map(|buffer| Bias { buffer, position_stride: out, group_stride: og }),
        relu: false,
    }
}

/// The products for dx: windows of dy times w.
pub(crate) fn input_grad<'a>(dtype: Dtype, g: &Geometry, w: &'a Buffer, dy: &'a Buffer) -> Gemm<'a> {
    let [h, width, c] = g.input;
    let [_, ow, out] = g.output;
    let og = group_outputs(g);
    let cg = c / g.groups;
    let patch = g.patch();
    let [_, problem, _] = problems(g);
    // A position of the input and a tap select a position of the output, and with it the kernels.
    let weights = ViewSizes {
        group_stride: og * patch,
        depth_stride: patch,
        tap_stride: cg,
        line_stride: ow * out * patch,
        pixel_stride: out * patch,
        ..gradient_windows(g, IMAGES)
    };
    Gemm {
        op: "local2d backward",
        problem,
        groups: g.groups,
        positions_per_row: width,
        a: Operand { buffer: dy, kind: gradient_kind(g), contiguous: Axis::Depth, sizes: gradient_windows(g, IMAGES) },
        b: Operand { buffer: w, kind: ViewKind::LocalKernelTaps, contiguous: Axis::Rows, sizes: weights },
        output: Output {
            dtype,
            len: g.n * h * width * c,
            row_stride: h * width * c,
            position_stride: c,
            group_stride: cg,
        },
        bias: None,
        relu: false,
    }
}

/// The products for dw: dy, transposed, times windows of x.
pub(crate) fn weight_grad<'a>(g: &Geometry, x: &'a Buffer, dy: &'a Buffer) -> Gemm<'a> {
    let [oh, ow, out] = g.output;
    let og = group_outputs(g);
    let patch = g.patch();
    let [_, _, problem] = problems(g);
    let gradient = ViewSizes {
        position_stride: out,
        group_stride: og,
        row_stride: 1,
        depth_stride: oh * ow * out,
        ..ViewSizes::default()
    };
    Gemm {
        op: "local2d backward",
        problem,
        groups: g.groups,
        positions_per_row: ow,
        a: Operand { buffer: dy, kind: ViewKind::Matrix, contiguous: Axis::Rows, sizes: gradient },
        b: Operand {
            buffer: x,
            kind: ViewKind::Window { strided: false },
            contiguous: Axis::Rows,
            sizes: windows(g, IMAGES),
        },
        output: Output {
            dtype: Dtype::F32,
            len: oh * ow * out * patch,
            row_stride: patch,
            position_stride: out * patch,
            group_stride: og * patch,
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
        let [problem, _, _] = problems(&op.geometry);
        Workspace::of(vec![split_sums_len(&problem)])
    }
}

impl<R: Runtime> Kernel<Local2dInputGrad> for Gpu<R> {
    fn run(&self, op: &Local2dInputGrad, [w, dy]: [&Buffer; 2]) -> Result<[Buffer; 1]> {
        let g = &op.geometry;
        Ok([self.product(&input_grad(self.activation_dtype(), g, w, dy))?])
    }

    fn workspace(&self, op: &Local2dInputGrad) -> Workspace {
        let [_, problem, _] = problems(&op.geometry);
        Workspace::of(vec![split_sums_len(&problem)])
    }
}

impl<R: Runtime> Kernel<Local2dWeightGrad> for Gpu<R> {
    fn run(&self, op: &Local2dWeightGrad, [x, dy]: [&Buffer; 2]) -> Result<[Buffer; 1]> {
        let g = &op.geometry;
        Ok([self.product(&weight_grad(g, x, dy))?])
    }

    fn workspace(&self, op: &Local2dWeightGrad) -> Workspace {
        let [_, _, problem] = problems(&op.geometry);
        Workspace::of(vec![split_sums_len(&problem)])
    }
}
