//! Padding and output sizes of sliding windows, for convolution and pooling.

use crate::{Error, Result};

/// Padding around an image, for each side: zeros for convolution, positions that windows may cover for pooling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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

impl std::fmt::Display for Padding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { top, bottom, left, right } = self;
        write!(f, "{top} above, {bottom} below, {left} on the left, {right} on the right")
    }
}

impl Padding {
    /// The same padding on each side.
    pub fn all(n: usize) -> Self {
        Self { top: n, bottom: n, left: n, right: n }
    }

    /// TensorFlow's `same` padding: the output's size is `ceil(input / stride)`. If the padding of an axis is odd, the
    /// extra row or column is below or on the right.
    pub fn same(input: [usize; 2], kernel: [usize; 2], stride: [usize; 2]) -> Self {
        let total = |axis: usize| {
            let output = input[axis].div_ceil(stride[axis].max(1));
            let covered = output.saturating_sub(1).saturating_mul(stride[axis]).saturating_add(kernel[axis]);
            covered.saturating_sub(input[axis])
        };
        let rows = total(0);
        let columns = total(1);
        Self { top: rows / 2, bottom: rows - rows / 2, left: columns / 2, right: columns - columns / 2 }
    }
}

/// Rounding of a pooling's output size: Caffe's `round_mode`, PyTorch's `ceil_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RoundMode {
    /// All windows lie inside the padded image (the default of PyTorch and Keras).
    #[default]
    Floor,
    /// The last window may extend past the padded image if it starts inside the image or its leading padding (Caffe and
    /// the authors' code).
    Ceil,
}

/// The number of windows along one axis.
///
/// # Errors
/// [`Error::Argument`] for a kernel or stride of 0, a kernel larger than the padded input, or lengths that overflow.
pub fn output_length(
    op: &'static str,
    input: usize,
    pads: [usize; 2],
    kernel: usize,
    stride: usize,
    round_mode: RoundMode,
) -> Result<usize> {
    if kernel == 0 || stride == 0 {
        return Err(Error::argument(op, format!("kernel and stride must be at least 1, got {kernel} and {stride}")));
    }
    let [before, after] = pads;
    let padded = input.checked_add(before).and_then(|n| n.checked_add(after));
    let Some(padded) = padded.filter(|&n| n <= isize::MAX as usize) else {
        let what = format!("padding must leave a length that can be counted, got {before} and {after} around {input}");
        return Err(Error::argument(op, what));
    };
    if input == 0 || padded < kernel {
        let what = format!("a kernel of {kernel} does not fit an input of {input} padded to {padded}");
        return Err(Error::argument(op, what));
    }
    let last_start = padded - kernel;
    if round_mode == RoundMode::Floor {
        return Ok(last_start / stride + 1);
    }
    let windows = last_start.div_ceil(stride) + 1;
    let starts_past_image = (windows - 1).saturating_mul(stride) >= input + before;
    Ok(if starts_past_image { windows - 1 } else { windows })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn same_padding_of_known_layers() {
        // The seed's first layer: 224, kernel 11, stride 4.
        let p = Padding::same([224, 224], [11, 11], [4, 4]);
        assert_eq!(p, Padding { top: 3, bottom: 4, left: 3, right: 4 });
        assert_eq!(output_length("conv2d", 224, [3, 4], 11, 4, RoundMode::Floor).expect("fits"), 56);
        assert_eq!(Padding::same([27, 13], [5, 3], [1, 1]), Padding { top: 2, bottom: 2, left: 1, right: 1 });
        assert_eq!(Padding::same([8, 7], [1, 2], [2, 2]), Padding { top: 0, bottom: 0, left: 0, right: 1 });
        assert_eq!(Padding::same([5, 5], [1, 1], [7, 1]), Padding::all(0), "stride past the kernel: none needed");
    }

    #[test]
    fn lengths_of_known_layers() {
        let length =
            |input, pads, kernel, stride, round_mode| output_length("t", input, pads, kernel, stride, round_mode).ok();
        assert_eq!(length(224, [0, 3], 11, 4, RoundMode::Floor), Some(55), "the authors' zeros on one side");
        assert_eq!(length(227, [0, 0], 11, 4, RoundMode::Floor), Some(55));
        assert_eq!(length(224, [2, 2], 11, 4, RoundMode::Floor), Some(55), "torchvision");
        assert_eq!(length(55, [0, 0], 3, 2, RoundMode::Floor), Some(27));
        // cuda-convnet's 32x32 networks: 3/2 pooling gives 16, 8, 4.
        assert_eq!([32, 16, 8].map(|n| length(n, [0, 0], 3, 2, RoundMode::Ceil)), [Some(16), Some(8), Some(4)]);
        assert_eq!(length(4, [0, 0], 1, 3, RoundMode::Ceil), Some(2));
        assert_eq!(length(3, [0, 0], 1, 4, RoundMode::Ceil), Some(1), "a window past the edge would be empty");
    }

    #[test]
    fn impossible_windows_are_refused_by_name() {
        let message = |input, pads, kernel, stride| {
            output_length("pool", input, pads, kernel, stride, RoundMode::Floor).expect_err("impossible").to_string()
        };
        assert_eq!(message(5, [0, 0], 0, 1), "pool: kernel and stride must be at least 1, got 0 and 1");
        assert_eq!(message(5, [0, 0], 3, 0), "pool: kernel and stride must be at least 1, got 3 and 0");
        assert_eq!(message(5, [1, 0], 7, 1), "pool: a kernel of 7 does not fit an input of 5 padded to 6");
        assert!(message(0, [3, 3], 3, 1).contains("an input of 0"));
        assert!(message(5, [usize::MAX, 1], 3, 1).contains("can be counted"));
    }

    /// The size in Caffe's PoolingLayer: rounded up, without a last window that starts in the trailing padding.
    fn caffe(input: usize, pad: usize, kernel: usize, stride: usize) -> usize {
        let pooled = ((input + 2 * pad - kernel) as f64 / stride as f64).ceil() as usize + 1;
        if pad > 0 && (pooled - 1) * stride >= input + pad { pooled - 1 } else { pooled }
    }

    proptest! {
        #[test]
        fn ceil_is_caffes_rule(input in 1usize..60, kernel in 1usize..12, stride in 1usize..12, pad in 0usize..6) {
            let stride = stride.min(kernel);
            let pad = pad.min(kernel - 1);
            prop_assume!(input + 2 * pad >= kernel);
            let n = output_length("pool", input, [pad, pad], kernel, stride, RoundMode::Ceil).expect("fits");
            prop_assert_eq!(n, caffe(input, pad, kernel, stride));
            prop_assert!((n - 1) * stride < input + pad, "the last window starts inside");
            prop_assert!((n - 1) * stride + kernel > pad, "the first window reaches the image");
        }

        #[test]
        fn floor_counts_the_windows_inside(input in 1usize..40, before in 0usize..6, after in 0usize..6,
                                           kernel in 1usize..12, stride in 1usize..12) {
            prop_assume!(input + before + after >= kernel);
            let n = output_length("conv2d", input, [before, after], kernel, stride, RoundMode::Floor).expect("fits");
            let inside = (0..).step_by(stride).take_while(|start| start + kernel <= input + before + after);
            prop_assert_eq!(n, inside.count());
        }

        #[test]
        fn same_keeps_the_length_over_the_stride(input in 1usize..60, kernel in 1usize..12, stride in 1usize..12) {
            let p = Padding::same([input, 1], [kernel, 1], [stride, 1]);
            prop_assert!(p.bottom - p.top <= 1);
            prop_assume!(input + p.top + p.bottom >= kernel);
            let n = output_length("conv2d", input, [p.top, p.bottom], kernel, stride, RoundMode::Floor).expect("fits");
            prop_assert_eq!(n, input.div_ceil(stride));
        }
    }
}
