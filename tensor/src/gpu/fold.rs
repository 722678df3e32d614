//! Convolutions of few channels with a stride, as the first of AlexNet, made into ones of many channels without:
//! `stride` x `stride` pixels become the channels of one. Vectors and whole tiles of a product then lie side by side in
//! memory, which 3 channels do not offer. The 11x11 kernel with stride 4 on 3 channels becomes 3x3 on 48: 19 % more
//! operations, a part of them on zeros, for loads in 16 bytes instead of 2.

use cubecl::prelude::*;

use super::precision::dispatch;
use super::{Buffer, Dtype, Gpu};
use crate::Result;
use crate::ops::Padding;
use crate::ops::conv2d::Geometry;

/// From `[n, height, width, channels]` to `[n, rows, columns, stride * stride * channels]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Fold {
    size: [usize; 2],
    channels: usize,
    /// Zeros above and on the left.
    origin: [usize; 2],
    stride: usize,
    folded: [usize; 2],
}

impl Fold {
    /// Channels of a folded pixel.
    fn depth(&self) -> usize {
        self.stride * self.stride * self.channels
    }

    fn len(&self, n: usize) -> usize {
        n * self.folded[0] * self.folded[1] * self.depth()
    }
}

/// Values past the image and before it are zeros.
#[cube(launch)]
fn fold_kernel<I: Float, O: Float, N: Size>(x: &Array<I>, y: &mut Array<Vector<O, N>>, #[comptime] f: Fold) {
    if ABSOLUTE_POS < y.len() {
        let vectors = comptime!(f.depth()) / N::value();
        let first = ABSOLUTE_POS % vectors * N::value();
        let pixel = ABSOLUTE_POS / vectors;
        let column = pixel % comptime!(f.folded[1]);
        let line = pixel / comptime!(f.folded[1]);
        let row = line % comptime!(f.folded[0]);
        let image = line / comptime!(f.folded[0]);
        let mut values = Vector::<O, N>::new(O::cast_from(0.0f32));
        #[unroll]
        for lane in 0..N::value() {
            let depth = first + lane;
            let across = depth % comptime!(f.stride * f.channels);
            let py = row * comptime!(f.stride) + depth / comptime!(f.stride * f.channels);
            let px = column * comptime!(f.stride) + across / comptime!(f.channels);
            let inside = py >= comptime!(f.origin[0])
                && py < comptime!(f.origin[0] + f.size[0])
                && px >= comptime!(f.origin[1])
                && px < comptime!(f.origin[1] + f.size[1]);
            if inside {
                let at = (image * comptime!(f.size[0]) + py - comptime!(f.origin[0])) * comptime!(f.size[1]) + px
                    - comptime!(f.origin[1]);
                values[lane] = O::cast_from(x[at * comptime!(f.channels) + across % comptime!(f.channels)]);
            }
        }
        y[ABSOLUTE_POS] = values;
    }
}

/// The way back, of what was not zeros put in.
#[cube(launch)]
fn unfold_kernel(y: &Array<f32>, x: &mut Array<f32>, #[comptime] f: Fold) {
    if ABSOLUTE_POS < x.len() {
        let channel = ABSOLUTE_POS % comptime!(f.channels);
        let pixel = ABSOLUTE_POS / comptime!(f.channels);
        let px = pixel % comptime!(f.size[1]) + comptime!(f.origin[1]);
        let line = pixel / comptime!(f.size[1]);
        let py = line % comptime!(f.size[0]) + comptime!(f.origin[0]);
        let image = line / comptime!(f.size[0]);
        let row = image * comptime!(f.folded[0]) + py / comptime!(f.stride);
        let at = row * comptime!(f.folded[1]) + px / comptime!(f.stride);
        let depth = (py % comptime!(f.stride) * comptime!(f.stride) + px % comptime!(f.stride)) * comptime!(f.channels);
        x[ABSOLUTE_POS] = y[at * comptime!(f.depth()) + depth + channel];
    }
}

/// A convolution without stride that has the same outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Folded {
    pub geometry: Geometry,
    input: Fold,
    kernels: Fold,
}

impl Folded {
    /// None where it would not pay: channels that make vectors as they are, no stride, kernels that would be mostly
    /// zeros.
    pub(crate) fn of(g: &Geometry) -> Option<Self> {
        const FEW: usize = 4;
        let [stride, other] = g.stride;
        let few = g.groups == 1 && g.input[2] < FEW && stride == other && stride > 1;
        let kernel = g.kernel.map(|k| k.div_ceil(stride));
        let zeros = kernel[0] * kernel[1] * stride * stride > 2 * g.kernel[0] * g.kernel[1];
        if !few || zeros {
            return None;
        }
        let size = [g.input[0], g.input[1]];
        let folded = [g.output[0] + kernel[0] - 1, g.output[1] + kernel[1] - 1];
        let origin = [g.padding.top, g.padding.left];
        let input = Fold { size, channels: g.input[2], origin, stride, folded };
        let kernels = Fold { size: g.kernel, origin: [0, 0], folded: kernel, ..input };
        let geometry = Geometry {
            input: [folded[0], folded[1], input.depth()],
            kernel,
            stride: [1, 1],
            padding: Padding::default(),
            ..*g
        };
        Some(Self { geometry, input, kernels })
    }

    /// Values of the folded input and weights.
    fn lens(&self) -> [usize; 2] {
        [self.input.len(self.geometry.n), self.kernels.len(self.geometry.output[2])]
    }
}

impl<R: Runtime> Gpu<R> {
    /// Lengths, as of `f32`, of the folded input and weights of a convolution that is computed so.
    pub(crate) fn fold_workspace(&self, g: &Geometry) -> Vec<usize> {
        let Some(f) = Folded::of(g) else { return Vec::new() };
        let [input, weights] = f.lens();
        let bytes = [input * self.activation_dtype().bytes(), weights * Dtype::F32.bytes()];
        bytes.map(|bytes| bytes.div_ceil(Dtype::F32.bytes())).to_vec()
    }

    /// The input of the folded convolution.
    pub(crate) fn fold_input(&self, f: &Folded, x: &Buffer) -> Result<Buffer> {
        self.addressable("conv2d", f.lens()[0])?;
        Ok(self.fold(&f.input, f.lens()[0], x))
    }

    /// The weights of the folded convolution.
    pub(crate) fn fold_weights(&self, f: &Folded, w: &Buffer) -> Buffer {
        self.fold(&f.kernels, f.lens()[1], w)
    }

    /// In the format that products round to in any case.
    fn fold(&self, f: &Fold, len: usize, x: &Buffer) -> Buffer {
        let dtype = self.activation_dtype();
        let y = self.empty(dtype, len);
        let width = self.vector_width(dtype, &[f.depth()]);
        if len > 0 {
            let (count, dim) = self.cover(len / width);
            dispatch!(x.dtype(), I => dispatch!(dtype, O => {
                fold_kernel::launch::<I, O, R>(self.client(), count, dim, width, x.arg(), y.arg(), *f);
            }));
        }
        y
    }

    /// The gradient of the weights from that of the folded ones.
    pub(crate) fn unfold_weights(&self, f: &Folded, dw: &Buffer) -> Buffer {
        let out = f.geometry.output[2];
        let len = out * f.kernels.size[0] * f.kernels.size[1] * f.kernels.channels;
        let unfolded = self.empty(Dtype::F32, len);
        if len > 0 {
            let (count, dim) = self.cover(len);
            unfold_kernel::launch::<R>(self.client(), count, dim, dw.arg(), unfolded.arg(), f.kernels);
        }
        unfolded
    }
}
