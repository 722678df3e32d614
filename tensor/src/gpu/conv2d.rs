//! Convolution as products over windows that are read where they lie (implicit GEMM), one product a group.

use cubecl::prelude::*;

use super::fold::Folded;
use super::matrix::tile::Extent;
use super::matrix::view::{Along, Kind, Lengths};
use super::matrix::{Bias, Factor, Job, Output};
use super::simulated_pools::partial_sums;
use super::{Buffer, Dtype, Gpu};
use crate::ops::conv2d::{Conv2dForward, Conv2dInputGrad, Conv2dWeightGrad, Geometry};
use crate::{Kernel, Result, Workspace};

/// Output channels of a group.
pub(crate) fn group_outputs(g: &Geometry) -> usize {
    g.output[2] / g.groups
}

/// Lengths of the products: for y, for dx, for dw.
pub(crate) fn extents(g: &Geometry) -> [Extent; 3] {
    let ([h, w, c], [oh, ow, _], [kh, kw]) = (g.input, g.output, g.kernel);
    let (og, batches) = (group_outputs(g), g.groups);
    [
        Extent { m: g.n * oh * ow, n: og, k: g.patch(), batches },
        Extent { m: g.n * h * w, n: c / g.groups, k: kh * kw * og, batches },
        Extent { m: og, n: g.patch(), k: g.n * oh * ow, batches },
    ]
}

/// Windows of the input, at the output's `pixels`: `[n * pixels, patch]`.
pub(crate) fn windows(g: &Geometry, pixels: [usize; 2]) -> Lengths {
    let [h, w, c] = g.input;
    Lengths {
        by_group: c / g.groups,
        pixels,
        channels: c / g.groups,
        kernel_width: g.kernel[1],
        image: h * w * c,
        line: w * c,
        column: c,
        step: g.stride,
        origin: [-(g.padding.top as isize), -(g.padding.left as isize)],
        source: [h, w],
        ..Lengths::default()
    }
}

/// The places of the output's gradient that each of the input's `pixels` went into:
/// `[n * pixels, kernel height, kernel width, outputs of a group]`.
pub(crate) fn windows_of_gradient(g: &Geometry, pixels: [usize; 2]) -> Lengths {
    let [oh, ow, out] = g.output;
    Lengths {
        by_group: group_outputs(g),
        pixels,
        channels: group_outputs(g),
        kernel_width: g.kernel[1],
        image: oh * ow * out,
        line: ow * out,
        column: out,
        origin: [g.padding.top as isize, g.padding.left as isize],
        backwards: true,
        source: [oh, ow],
        stride: g.stride,
        ..Lengths::default()
    }
}

/// How [`windows_of_gradient`] are read.
pub(crate) fn gradient_kind(g: &Geometry) -> Kind {
    Kind::Window { strided: g.stride != [1, 1] }
}

/// y from x and w.
pub(crate) fn forward<'a>(
    dtype: Dtype,
    g: &Geometry,
    x: &'a Buffer,
    w: &'a Buffer,
    b: Option<&'a Buffer>,
    relu: bool,
) -> Job<'a> {
    let [oh, ow, out] = g.output;
    let (og, patch) = (group_outputs(g), g.patch());
    let weights = Lengths { by_group: og * patch, row_stride: patch, depth_stride: 1, ..Lengths::default() };
    Job {
        op: "conv2d",
        extent: extents(g)[0],
        groups: g.groups,
        across: 1,
        a: Factor {
            buffer: x,
            kind: Kind::Window { strided: false },
            along: Along::Depth,
            lengths: windows(g, [oh, ow]),
        },
        b: Factor { buffer: w, kind: Kind::Matrix, along: Along::Depth, lengths: weights },
        output: Output { dtype, len: g.n * oh * ow * out, row_stride: out, by_position: 0, by_group: og },
        bias: b.map(|buffer| Bias { buffer, by_position: 0, by_group: og }),
        relu,
    }
}

/// dx from w and dy.
pub(crate) fn of_input<'a>(dtype: Dtype, g: &Geometry, w: &'a Buffer, dy: &'a Buffer) -> Job<'a> {
    let ([h, width, c], kw) = (g.input, g.kernel[1]);
    let (og, cg, patch) = (group_outputs(g), c / g.groups, g.patch());
    let weights = Lengths {
        by_group: og * patch,
        depth_stride: patch,
        tap_stride: cg,
        channels: og,
        kernel_width: kw,
        ..Lengths::default()
    };
    Job {
        op: "conv2d backward",
        extent: extents(g)[1],
        groups: g.groups,
        across: 1,
        a: Factor {
            buffer: dy,
            kind: gradient_kind(g),
            along: Along::Depth,
            lengths: windows_of_gradient(g, [h, width]),
        },
        b: Factor { buffer: w, kind: Kind::Taps, along: Along::Rows, lengths: weights },
        output: Output { dtype, len: g.n * h * width * c, row_stride: c, by_position: 0, by_group: cg },
        bias: None,
        relu: false,
    }
}

/// dw from x and dy.
pub(crate) fn of_weights<'a>(g: &Geometry, x: &'a Buffer, dy: &'a Buffer) -> Job<'a> {
    let [oh, ow, out] = g.output;
    let (og, patch) = (group_outputs(g), g.patch());
    let gradient = Lengths { by_group: og, row_stride: 1, depth_stride: out, ..Lengths::default() };
    Job {
        op: "conv2d backward",
        extent: extents(g)[2],
        groups: g.groups,
        across: 1,
        a: Factor { buffer: dy, kind: Kind::Matrix, along: Along::Rows, lengths: gradient },
        b: Factor {
            buffer: x,
            kind: Kind::Window { strided: false },
            along: Along::Rows,
            lengths: windows(g, [oh, ow]),
        },
        output: Output { dtype: Dtype::F32, len: out * patch, row_stride: patch, by_position: 0, by_group: og * patch },
        bias: None,
        relu: false,
    }
}

/// Places in [`extents`].
const FORWARD: usize = 0;
const INPUT_GRAD: usize = 1;
const WEIGHT_GRAD: usize = 2;

impl<R: Runtime> Gpu<R> {
    /// The buffers of a product of a convolution that may be folded.
    fn folding_workspace(&self, g: &Geometry, product: usize) -> Vec<usize> {
        let folded = Folded::of(g).map_or(*g, |f| f.geometry);
        let mut lens = self.fold_workspace(g);
        lens.push(partial_sums(&extents(&folded)[product]));
        lens
    }
}

impl<R: Runtime> Kernel<Conv2dForward> for Gpu<R> {
    fn run(&self, op: &Conv2dForward, ([x, w], b): ([&Buffer; 2], Option<&Buffer>)) -> Result<[Buffer; 1]> {
        let &Conv2dForward { geometry: ref g, relu } = op;
        let dtype = self.activation_dtype();
        let y = match Folded::of(g) {
            Some(f) => {
                let (x, w) = (self.fold_input(&f, x)?, self.fold_weights(&f, w));
                self.product(&forward(dtype, &f.geometry, &x, &w, b, relu))?
            }
            None => self.product(&forward(dtype, g, x, w, b, relu))?,
        };
        Ok([y])
    }

    fn workspace(&self, op: &Conv2dForward) -> Workspace {
        Workspace::of(self.folding_workspace(&op.geometry, FORWARD))
    }
}

impl<R: Runtime> Kernel<Conv2dInputGrad> for Gpu<R> {
    fn run(&self, op: &Conv2dInputGrad, [w, dy]: [&Buffer; 2]) -> Result<[Buffer; 1]> {
        let g = &op.geometry;
        Ok([self.product(&of_input(self.activation_dtype(), g, w, dy))?])
    }

    fn workspace(&self, op: &Conv2dInputGrad) -> Workspace {
        Workspace::of(vec![partial_sums(&extents(&op.geometry)[INPUT_GRAD])])
    }
}

impl<R: Runtime> Kernel<Conv2dWeightGrad> for Gpu<R> {
    fn run(&self, op: &Conv2dWeightGrad, [x, dy]: [&Buffer; 2]) -> Result<[Buffer; 1]> {
        let g = &op.geometry;
        let dw = match Folded::of(g) {
            Some(f) => {
                let x = self.fold_input(&f, x)?;
                let dw = self.product(&of_weights(&f.geometry, &x, dy))?;
                self.unfold_weights(&f, &dw)
            }
            None => self.product(&of_weights(g, x, dy))?,
        };
        Ok([dw])
    }

    fn workspace(&self, op: &Conv2dWeightGrad) -> Workspace {
        Workspace::of(self.folding_workspace(&op.geometry, WEIGHT_GRAD))
    }
}
