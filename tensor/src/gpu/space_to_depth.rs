//! Space-to-depth, for convolutions of few channels with a stride, such as AlexNet's first.
//!
//! `stride` x `stride` pixels become the channels of one pixel, and the stride becomes 1. With many channels, vectors and
//! tiles are contiguous in memory. The 11x11 kernel with stride 4 on 3 channels becomes 3x3 on 48: 19 % more operations,
//! some of them on zeros, for loads of 16 bytes instead of 2.

use cubecl::prelude::*;

use super::precision::dispatch;
use super::{Buffer, Dtype, Gpu};
use crate::Result;
use crate::ops::Padding;
use crate::ops::conv2d::Geometry;

/// From `[n, size, channels]` to `[n, output, stride * stride * channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SpaceToDepth {
    /// Rows and columns.
    size: [usize; 2],
    channels: usize,
    /// Rows of zeros above, columns of zeros on the left.
    origin: [usize; 2],
    stride: usize,
    /// Rows and columns of the result.
    output: [usize; 2],
}

impl SpaceToDepth {
    /// Channels of the result.
    fn depth(&self) -> usize {
        self.stride * self.stride * self.channels
    }

    /// Values of the result for `n` images.
    fn len(&self, n: usize) -> usize {
        n * self.output[0] * self.output[1] * self.depth()
    }
}

/// Values outside the image are zeros.
#[cube(launch)]
fn space_to_depth_kernel<I: Float, O: Float, N: Size>(
    x: &Array<I>,
    y: &mut Array<Vector<O, N>>,
    #[comptime] f: SpaceToDepth,
) {
    if ABSOLUTE_POS < y.len() {
        let vectors = comptime!(f.depth()) / N::value();
        let first = ABSOLUTE_POS % vectors * N::value();
        let pixel = ABSOLUTE_POS / vectors;
        let column = pixel % comptime!(f.output[1]);
        let line = pixel / comptime!(f.output[1]);
        let row = line % comptime!(f.output[0]);
        let image = line / comptime!(f.output[0]);
        let mut values = Vector::<O, N>::new(O::cast_from(0.0f32));
        #[unroll]
        for lane in 0..N::value() {
            let depth = first + lane;
            let in_line = depth % comptime!(f.stride * f.channels);
            let py = row * comptime!(f.stride) + depth / comptime!(f.stride * f.channels);
            let px = column * comptime!(f.stride) + in_line / comptime!(f.channels);
            let inside = py >= comptime!(f.origin[0])
                && py < comptime!(f.origin[0] + f.size[0])
                && px >= comptime!(f.origin[1])
                && px < comptime!(f.origin[1] + f.size[1]);
            if inside {
                let at = (image * comptime!(f.size[0]) + py - comptime!(f.origin[0])) * comptime!(f.size[1]) + px
                    - comptime!(f.origin[1]);
                values[lane] = O::cast_from(x[at * comptime!(f.channels) + in_line % comptime!(f.channels)]);
            }
        }
        y[ABSOLUTE_POS] = values;
    }
}

/// The inverse, without the zeros that were added.
#[cube(launch)]
fn depth_to_space_kernel(y: &Array<f32>, x: &mut Array<f32>, #[comptime] f: SpaceToDepth) {
    if ABSOLUTE_POS < x.len() {
        let channel = ABSOLUTE_POS % comptime!(f.channels);
        let pixel = ABSOLUTE_POS / comptime!(f.channels);
        let px = pixel % comptime!(f.size[1]) + comptime!(f.origin[1]);
        let line = pixel / comptime!(f.size[1]);
        let py = line % comptime!(f.size[0]) + comptime!(f.origin[0]);
        let image = line / comptime!(f.size[0]);
        let row = image * comptime!(f.output[0]) + py / comptime!(f.stride);
        let at = row * comptime!(f.output[1]) + px / comptime!(f.stride);
        let depth = (py % comptime!(f.stride) * comptime!(f.stride) + px % comptime!(f.stride)) * comptime!(f.channels);
        x[ABSOLUTE_POS] = y[at * comptime!(f.depth()) + depth + channel];
    }
}

/// A convolution without stride that has the same outputs, after space-to-depth of its input and kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpaceToDepthConv {
    /// The convolution without stride.
    pub geometry: Geometry,
    input: SpaceToDepth,
    kernels: SpaceToDepth,
}

impl SpaceToDepthConv {
    /// `None` where it would not pay: for channels that fill vectors already, for a stride of 1, and for kernels that
    /// would be mostly zeros.
    pub(crate) fn of(g: &Geometry) -> Option<Self> {
        const VECTOR_CHANNELS: usize = 4;
        let [stride, stride_x] = g.stride;
        let is_strided = stride == stride_x && stride > 1;
        if g.groups != 1 || g.input[2] >= VECTOR_CHANNELS || !is_strided {
            return None;
        }
        let kernel = g.kernel.map(|k| k.div_ceil(stride));
        if kernel[0] * kernel[1] * stride * stride > 2 * g.kernel[0] * g.kernel[1] {
            return None;
        }
        let size = [g.input[0], g.input[1]];
        let output = [g.output[0] + kernel[0] - 1, g.output[1] + kernel[1] - 1];
        let origin = [g.padding.top, g.padding.left];
        let input = SpaceToDepth { size, channels: g.input[2], origin, stride, output };
        let kernels = SpaceToDepth { size: g.kernel, origin: [0, 0], output: kernel, ..input };
        let geometry = Geometry {
            input: [output[0], output[1], input.depth()],
            kernel,
            stride: [1, 1],
            padding: Padding::default(),
            ..*g
        };
        Some(Self { geometry, input, kernels })
    }

    /// Values of the input after space-to-depth.
    fn input_len(&self) -> usize {
        self.input.len(self.geometry.n)
    }

    /// Values of the weights after space-to-depth.
    fn weights_len(&self) -> usize {
        self.kernels.len(self.geometry.output[2])
    }
}

impl<R: Runtime> Gpu<R> {
    /// Lengths, in values of `f32`, of the input and weights after space-to-depth, where a convolution is computed so.
    pub(crate) fn space_to_depth_workspace(&self, g: &Geometry) -> Vec<usize> {
        let Some(conv) = SpaceToDepthConv::of(g) else { return Vec::new() };
        let input_bytes = conv.input_len() * self.activation_dtype().bytes();
        vec![input_bytes.div_ceil(Dtype::F32.bytes()), conv.weights_len()]
    }

    /// The input after space-to-depth.
    pub(crate) fn space_to_depth_input(&self, conv: &SpaceToDepthConv, x: &Buffer) -> Result<Buffer> {
        self.addressable("conv2d", conv.input_len())?;
        Ok(self.space_to_depth(&conv.input, conv.input_len(), x))
    }

    /// The weights after space-to-depth.
    pub(crate) fn space_to_depth_weights(&self, conv: &SpaceToDepthConv, w: &Buffer) -> Buffer {
        self.space_to_depth(&conv.kernels, conv.weights_len(), w)
    }

    /// Writes the format of activations, which products round to in any case.
    fn space_to_depth(&self, f: &SpaceToDepth, len: usize, x: &Buffer) -> Buffer {
        let dtype = self.activation_dtype();
        let y = self.empty(dtype, len);
        let width = self.vector_width(dtype, &[f.depth()]);
        if len > 0 {
            let (count, dim) = self.unit_grid(len / width);
            dispatch!(x.dtype(), I => dispatch!(dtype, O => {
                space_to_depth_kernel::launch::<I, O, R>(self.client(), count, dim, width, x.arg(), y.arg(), *f);
            }));
        }
        y
    }

    /// The gradient of the weights, from their gradient after space-to-depth.
    pub(crate) fn depth_to_space_weights(&self, conv: &SpaceToDepthConv, dw: &Buffer) -> Buffer {
        let out = conv.geometry.output[2];
        let kernels = conv.kernels;
        let len = out * kernels.size[0] * kernels.size[1] * kernels.channels;
        let result = self.empty(Dtype::F32, len);
        if len > 0 {
            let (count, dim) = self.unit_grid(len);
            depth_to_space_kernel::launch::<R>(self.client(), count, dim, dw.arg(), result.arg(), kernels);
        }
        result
    }
}
