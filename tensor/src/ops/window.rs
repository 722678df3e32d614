//! Sliding windows: what convolution and pooling share.

use crate::{Error, Result};

/// Zeros (for pooling: nothing) around a picture, which may differ by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns on the left.
    pub left: usize,
    /// Columns on the right.
    pub right: usize,
}

impl Padding {
    /// The same on each side.
    pub fn all(n: usize) -> Self {
        Self { top: n, bottom: n, left: n, right: n }
    }

    /// TensorFlow's `same`: the output is `ceil(input / stride)`, and of an odd number of zeros the extra one goes
    /// below or right.
    pub fn same(input: [usize; 2], kernel: [usize; 2], stride: [usize; 2]) -> Self {
        let total = |axis: usize| {
            let output = input[axis].div_ceil(stride[axis].max(1));
            (output.saturating_sub(1) * stride[axis] + kernel[axis]).saturating_sub(input[axis])
        };
        let (v, h) = (total(0), total(1));
        Self { top: v / 2, bottom: v - v / 2, left: h / 2, right: h - h / 2 }
    }
}

/// Where the last window may stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edge {
    /// Only windows that lie inside the padded picture (PyTorch's and Keras' default).
    #[default]
    Floor,
    /// A last window may overlap the edge, as the authors' code and Caffe have it; it must start inside the picture
    /// or its leading padding.
    Ceil,
}

/// The number of windows along one axis.
///
/// # Errors
/// [`Error::Argument`] for a kernel or stride of 0, or a kernel larger than the padded input.
pub fn output_length(
    op: &'static str,
    input: usize,
    pads: [usize; 2],
    kernel: usize,
    stride: usize,
    edge: Edge,
) -> Result<usize> {
    if kernel == 0 || stride == 0 {
        return Err(Error::argument(op, format!("kernel and stride must be at least 1, got {kernel} and {stride}")));
    }
    let padded = input + pads[0] + pads[1];
    if input == 0 || padded < kernel {
        return Err(Error::argument(
            op,
            format!("a kernel of {kernel} does not fit an input of {input} padded to {padded}"),
        ));
    }
    let room = padded - kernel;
    Ok(match edge {
        Edge::Floor => room / stride + 1,
        Edge::Ceil => {
            let n = room.div_ceil(stride) + 1;
            if (n - 1) * stride >= input + pads[0] { n - 1 } else { n }
        }
    })
}
