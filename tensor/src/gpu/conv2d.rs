//! Convolution as implicit GEMM: products over windows that are read in place, one product for each group.

use cubecl::prelude::*;

use super::matrix::tile::Problem;
use super::matrix::view::{Axis, ViewKind, ViewSizes};
use super::matrix::{Bias, Gemm, Operand, Output};
use super::simulated_pools::split_sums_len;
use super::space_to_depth::SpaceToDepthConv;
use super::{Buffer, Dtype, Gpu};
use crate::ops::conv2d::{Conv2dForward, Conv2dInputGrad, Conv2dWeightGrad, Geometry};
use crate::{Kernel, Result, Workspace};

/// The number of output channels in a group.
pub(crate) fn group_outputs(g: &Geometry) -> usize {
    g.output[2] / g.groups
}

/// The sizes of the products for y, dx and dw.
pub(crate) fn problems(g: &Geometry) -> [Problem; 3] {
    let [h, w, c] = g.input;
    let [oh, ow, _] = g.output;
    let [kh, kw] = g.kernel;
    let og = group_outputs(g);
    let batches = g.groups;
    [
        Problem { m: g.n * oh * ow, n: og, k: g.patch(), batches },
        Problem { m: g.n * h * w, n: c / g.groups, k: kh * kw * og, batches },
        Problem { m: og, n: g.patch(), k: g.n * oh * ow, batches },
    ]
}

/// Windows of the input at the output's `pixels`: `[n * pixels, patch]`.
pub(crate) fn windows(g: &Geometry, pixels: [usize; 2]) -> ViewSizes {
    let [h, w, c] = g.input;
    ViewSizes {
        group_stride: c / g.groups,
        pixels,
        channels: c / g.groups,
        kernel_width: g.kernel[1],
        image_stride: h * w * c,
        line_stride: w * c,
        pixel_stride: c,
        step: g.stride,
        origin: [-(g.padding.top as isize), -(g.padding.left as isize)],
        source: [h, w],
        ..ViewSizes::default()
    }
}

/// Windows of the output's gradient, one for each of the input's `pixels`: the outputs that the pixel contributed to.
/// `[n * pixels, kernel height, kernel width, outputs of a group]`.
pub(crate) fn gradient_windows(g: &Geometry, pixels: [usize; 2]) -> ViewSizes {
    let [oh, ow, out] = g.output;
    ViewSizes {
        group_stride: group_outputs(g),
        pixels,
        channels: group_outputs(g),
        kernel_width: g.kernel[1],
        image_stride: oh * ow * out,
        line_stride: ow * out,
        pixel_stride: out,
        origin: [g.padding.top as isize, g.padding.left as isize],
        backwards: true,
        source: [oh, ow],
        stride: g.stride,
        ..ViewSizes::default()
    }
}

/// The kind of the view of [`gradient_windows`].
pub(crate) fn gradient_kind(g: &Geometry) -> ViewKind {
    ViewKind::Window { strided: g.stride != [1, 1] }
}

/// The product for y: windows of x times w.
pub(crate) fn forward<'a>(
    dtype: Dtype,
    g: &Geometry,
    x: &'a Buffer,
    w: &'a Buffer,
    b: Option<&'a Buffer>,
    relu: bool,
) -> Gemm<'a> {
    let [oh, ow, out] = g.output;
    let og = group_outputs(g);
    let patch = g.patch();
    let [problem, _, _] = problems(g);
    let weights = ViewSizes { group_stride: og * patch, row_stride: patch, depth_stride: 1, ..ViewSizes::default() };
    Gemm {
        op: "conv2d",
        problem,
        groups: g.groups,
        positions_per_row: 1,
        a: Operand {
            buffer: x,
            kind: ViewKind::Window { strided: false },
            contiguous: Axis::Depth,
            sizes: windows(g, [oh, ow]),
        },
        b: Operand { buffer: w, kind: ViewKind::Matrix, contiguous: Axis::Depth, sizes: weights },
        output: Output { dtype, len: g.n * oh * ow * out, row_stride: out, position_stride: 0, group_stride: og },
        bias: b.map(|buffer| Bias { buffer, position_stride: 0, group_stride: og }),
        relu,
    }
}

/// The product for dx: windows of dy times w.
pub(crate) fn input_grad<'a>(dtype: Dtype, g: &Geometry, w: &'a Buffer, dy: &'a Buffer) -> Gemm<'a> {
    let [h, width, c] = g.input;
    let og = group_outputs(g);
    let cg = c / g.groups;
    let patch = g.patch();
    let [_, problem, _] = problems(g);
    let weights = ViewSizes {
        group_stride: og * patch,
        depth_stride: patch,
        tap_stride: cg,
        channels: og,
        kernel_width: g.kernel[1],
        ..ViewSizes::default()
    };
    Gemm {
        op: "conv2d backward",
        problem,
        groups: g.groups,
        positions_per_row: 1,
        a: Operand {
            buffer: dy,
            kind: gradient_kind(g),
            contiguous: Axis::Depth,
            sizes: gradient_windows(g, [h, width]),
        },
        b: Operand { buffer: w, kind: ViewKind::KernelTaps, contiguous: Axis::Rows, sizes: weights },
        output: Output { dtype, len: g.n * h * width * c, row_stride: c, position_stride: 0, group_stride: cg },
        bias: None,
        relu: false,
    }
}

/// The product for dw: dy, transposed, times windows of x.
pub(crate) fn weight_grad<'a>(g: &Geometry, x: &'a Buffer, dy: &'a Buffer) -> Gemm<'a> {
    let [oh, ow, out] = g.output;
    let og = group_outputs(g);
    let patch = g.patch();
    let [_, _, problem] = problems(g);
    let gradient = ViewSizes { group_stride: og, row_stride: 1, depth_stride: out, ..ViewSizes::default() };
    Gemm {
        op: "conv2d backward",
        problem,
        groups: g.groups,
        positions_per_row: 1,
        a: Operand { buffer: dy, kind: ViewKind::Matrix, contiguous: Axis::Rows, sizes: gradient },
        b: Operand {
            buffer: x,
            kind: ViewKind::Window { strided: false },
            contiguous: Axis::Rows,
            sizes: windows(g, [oh, ow]),
        },
        output: Output {
            dtype: Dtype::F32,
            len: out * patch,
            row_stride: patch,
            position_stride: 0,
            group_stride: og * patch,
        },
        bias: None,
        relu: false,
    }
}

impl<R: Runtime> Kernel<Conv2dForward> for Gpu<R> {
    fn run(&self, op: &Conv2dForward, ([x, w], b): ([&Buffer; 2], Option<&Buffer>)) -> Result<[Buffer; 1]> {
        let &Conv2dForward { geometry: ref g, relu } = op;
        let dtype = self.activation_dtype();
        let Some(conv) = SpaceToDepthConv::of(g) else {
            return Ok([self.product(&forward(dtype, g, x, w, b, relu))?]);
        };
        let x = self.space_to_depth_input(&conv, x)?;
        let w = self.space_to_depth_weights(&conv, w);
        Ok([self.product(&forward(dtype, &conv.geometry, &x, &w, b, relu))?])
    }

    fn workspace(&self, op: &Conv2dForward) -> Workspace {
        let g = &op.geometry;
        let [problem, _, _] = problems(&computed_geometry(g));
        let mut buffers = self.space_to_depth_workspace(g);
        buffers.push(split_sums_len(&problem));
        Workspace::of(buffers)
    }
}

impl<R: Runtime> Kernel<Conv2dInputGrad> for Gpu<R> {
    fn run(&self, op: &Conv2dInputGrad, [w, dy]: [&Buffer; 2]) -> Result<[Buffer; 1]> {
        let g = &op.geometry;
        Ok([self.product(&input_grad(self.activation_dtype(), g, w, dy))?])
    }

    fn workspace(&self, op: &Conv2dInputGrad) -> Workspace {
        let [_, problem, _] = problems(&op.geometry);
        Workspace::of(vec![split_sums_len(&problem)])
    }
}

impl<R: Runtime> Kernel<Conv2dWeightGrad> for Gpu<R> {
    fn run(&self, op: &Conv2dWeightGrad, [x, dy]: [&Buffer; 2]) -> Result<[Buffer; 1]> {
        let g = &op.geometry;
        let Some(conv) = SpaceToDepthConv::of(g) else {
            return Ok([self.product(&weight_grad(g, x, dy))?]);
        };
        let x = self.space_to_depth_input(&conv, x)?;
        let dw = self.product(&weight_grad(&conv.geometry, &x, dy))?;
        Ok([self.depth_to_space_weights(&conv, &dw)])
    }

    fn workspace(&self, op: &Conv2dWeightGrad) -> Workspace {
        let g = &op.geometry;
        let [_, _, problem] = problems(&computed_geometry(g));
        let mut buffers = self.space_to_depth_workspace(g);
        buffers.push(split_sums_len(&problem));
        Workspace::of(buffers)
    }
}

/// The convolution that is computed: after space-to-depth, where that is faster.
fn computed_geometry(g: &Geometry) -> Geometry {
    SpaceToDepthConv::of(g).map_or(*g, |conv| conv.geometry)
}
