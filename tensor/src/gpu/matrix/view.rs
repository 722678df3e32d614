//! Views: operands as functions from a row and a depth to an address.
//!
//! A row and a depth each give an [`AxisOffset`]; the two together give an address, or none for padding and past the end.
//! All divisions are in the offsets. Those of rows are computed once and those of depths once a tile, which leaves a few
//! additions and comparisons for each vector loaded. Coordinates are `u32` and wrap: a row above the image is a huge
//! number, so that one comparison checks both ends.

use cubecl::prelude::*;

/// How a view maps a row and a depth to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ViewKind {
    /// A matrix with two strides.
    Matrix,
    /// Output pixels along one axis, the values of their windows in an image along the other. `strided` where the image is
    /// dilated, so that only every n-th line and column exists, as for the input gradient of a convolution with strides.
    Window { strided: bool },
    /// The kernels of a convolution. The depth is (tap, output channel), where a tap is a position in the kernel.
    KernelTaps,
    /// The same for a locally connected layer, which has kernels for each position of the output.
    LocalKernelTaps,
}

/// An axis of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Axis {
    /// The summed axis, k.
    Depth,
    /// The other axis: rows of A, columns of B.
    Rows,
}

/// The compile-time part of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OperandSpec {
    pub kind: ViewKind,
    /// The axis along which values are contiguous in memory, and vectors run. Pixels of a [`ViewKind::Window`] are along
    /// the other.
    pub contiguous: Axis,
    /// The number of values in a vector.
    pub width: u32,
}

/// A divisor with its precomputed multiplier, for dividends below 2^31: a division costs a multiplication.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct Divisor {
    by: u32,
    multiplier: u32,
    shift: u32,
}

#[cube]
impl Divisor {
    /// Quotient and remainder.
    fn split(&self, n: u32) -> (u32, u32) {
        let quotient = (n.mul_hi(self.multiplier) + n) >> self.shift;
        (quotient, n - quotient * self.by)
    }
}

/// The sizes and strides of a view, in values. Which of them are used depends on its [`ViewKind`].
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct View {
    position_stride: u32,
    group_stride: u32,
    row_stride: u32,
    depth_stride: u32,
    tap_stride: u32,
    /// Columns and lines of an image of output pixels.
    width: Divisor,
    height: Divisor,
    /// Channels of a tap.
    channels: Divisor,
    /// Taps in a line of the kernel.
    kernel: Divisor,
    image_stride: u32,
    line_stride: u32,
    pixel_stride: u32,
    /// The first line and column of the window of pixel (y, x): `y * step_y + origin_y`, `x * step_x + origin_x`.
    step_y: u32,
    step_x: u32,
    origin_y: u32,
    origin_x: u32,
    /// 1, or -1 (wrapped) where windows are walked backwards.
    direction: u32,
    /// Lines and columns of the source, times its strides.
    bound_y: u32,
    bound_x: u32,
    stride_y: Divisor,
    stride_x: Divisor,
}

/// The coordinates of one product in the batch.
#[derive(CubeType, Clone, Copy)]
pub(crate) struct BatchIndex {
    pub position: u32,
    pub y: u32,
    pub x: u32,
    pub group: u32,
}

/// The part of an address that one axis contributes, and its coordinates in the source image.
#[derive(CubeType, Clone, Copy)]
pub(crate) struct AxisOffset {
    address: u32,
    y: u32,
    x: u32,
    valid: bool,
}

/// The offset of `row`, which is valid below `rows`.
#[cube]
pub(crate) fn row_offset(
    view: &View,
    batch: &BatchIndex,
    row: u32,
    rows: u32,
    #[comptime] operand: OperandSpec,
) -> AxisOffset {
    let base = batch.position * view.position_stride + batch.group * view.group_stride;
    let valid = row < rows;
    match comptime!(operand.kind) {
        ViewKind::Matrix => AxisOffset { address: base + row * view.row_stride, y: 0u32, x: 0u32, valid },
        ViewKind::Window { strided } => match comptime!(operand.contiguous) {
            Axis::Depth => pixel(view, batch, row, base, valid, strided),
            Axis::Rows => tap(view, row, base, valid, strided),
        },
        ViewKind::KernelTaps => AxisOffset { address: base + row, y: 0u32, x: 0u32, valid },
        ViewKind::LocalKernelTaps => AxisOffset { address: base + row, y: 0u32, x: 0u32, valid },
    }
}

/// The offset of depth `k`, which is valid below `end`.
#[cube]
pub(crate) fn depth_offset(
    view: &View,
    batch: &BatchIndex,
    k: u32,
    end: u32,
    #[comptime] operand: OperandSpec,
) -> AxisOffset {
    let valid = k < end;
    match comptime!(operand.kind) {
        ViewKind::Matrix => AxisOffset { address: k * view.depth_stride, y: 0u32, x: 0u32, valid },
        ViewKind::Window { strided } => match comptime!(operand.contiguous) {
            Axis::Depth => tap(view, k, 0u32, valid, strided),
            Axis::Rows => pixel(view, batch, k, 0u32, valid, strided),
        },
        ViewKind::KernelTaps => {
            let (tap, channel) = view.channels.split(k);
            AxisOffset { address: tap * view.tap_stride + channel * view.depth_stride, y: 0u32, x: 0u32, valid }
        }
        ViewKind::LocalKernelTaps => {
            let (tap, channel) = view.channels.split(k);
            let (ky, kx) = view.kernel.split(tap);
            let y = batch.y + view.origin_y + ky * view.direction;
            let x = batch.x + view.origin_x + kx * view.direction;
            AxisOffset { address: tap * view.tap_stride + channel * view.depth_stride, y, x, valid }
        }
    }
}

/// The offset of output pixel `i`, counted over all images.
#[cube]
fn pixel(view: &View, batch: &BatchIndex, i: u32, base: u32, valid: bool, #[comptime] strided: bool) -> AxisOffset {
    let (rest, x) = view.width.split(i);
    let (image, y) = view.height.split(rest);
    let y = (y + batch.y) * view.step_y + view.origin_y;
    let x = (x + batch.x) * view.step_x + view.origin_x;
    let start = base + image * view.image_stride;
    let address = if comptime!(strided) { start } else { start + y * view.line_stride + x * view.pixel_stride };
    AxisOffset { address, y, x, valid }
}

/// The offset of value `i` of a window.
#[cube]
fn tap(view: &View, i: u32, base: u32, valid: bool, #[comptime] strided: bool) -> AxisOffset {
    let (tap, channel) = view.channels.split(i);
    let (y, x) = view.kernel.split(tap);
    let y = y * view.direction;
    let x = x * view.direction;
    let start = base + channel;
    let address = if comptime!(strided) { start } else { start + y * view.line_stride + x * view.pixel_stride };
    AxisOffset { address, y, x, valid }
}

/// The address of a row and a depth, and whether a value exists there.
#[cube]
pub(crate) fn address(view: &View, row: &AxisOffset, depth: &AxisOffset, #[comptime] kind: ViewKind) -> (u32, bool) {
    let start = row.address + depth.address;
    let valid = row.valid && depth.valid;
    match comptime!(kind) {
        ViewKind::Matrix => (start, valid),
        ViewKind::KernelTaps => (start, valid),
        ViewKind::Window { strided } => {
            if comptime!(strided) {
                strided_address(view, row, depth, start, valid)
            } else {
                (start, valid && row.y + depth.y < view.bound_y && row.x + depth.x < view.bound_x)
            }
        }
        ViewKind::LocalKernelTaps => strided_address(view, row, depth, start, valid),
    }
}

#[cube]
fn strided_address(view: &View, row: &AxisOffset, depth: &AxisOffset, start: u32, valid: bool) -> (u32, bool) {
    let y = row.y + depth.y;
    let x = row.x + depth.x;
    let (line, off_y) = view.stride_y.split(y);
    let (column, off_x) = view.stride_x.split(x);
    // The quotient of a coordinate below 0, i.e. past 2^31, is wrong; but such a coordinate is not below the bound.
    let inside = y < view.bound_y && x < view.bound_x && off_y == 0u32 && off_x == 0u32;
    (start + line * view.line_stride + column * view.pixel_stride, valid && inside)
}

/// A [`View`] on the host, in values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ViewSizes {
    pub position_stride: usize,
    pub group_stride: usize,
    pub row_stride: usize,
    pub depth_stride: usize,
    pub tap_stride: usize,
    /// Lines and columns of output pixels.
    pub pixels: [usize; 2],
    pub channels: usize,
    pub kernel_width: usize,
    pub image_stride: usize,
    pub line_stride: usize,
    pub pixel_stride: usize,
    /// From one window to the next: lines, columns.
    pub step: [usize; 2],
    /// The first line and column of the first window.
    pub origin: [isize; 2],
    /// Whether windows are walked backwards.
    pub backwards: bool,
    /// Lines and columns of the source image.
    pub source: [usize; 2],
    /// The dilation of the source image: lines, columns.
    pub stride: [usize; 2],
}

impl Default for ViewSizes {
    fn default() -> Self {
        Self {
            position_stride: 0,
            group_stride: 0,
            row_stride: 0,
            depth_stride: 0,
            tap_stride: 0,
            pixels: [1, 1],
            channels: 1,
            kernel_width: 1,
            image_stride: 0,
            line_stride: 0,
            pixel_stride: 0,
            step: [1, 1],
            origin: [0, 0],
            backwards: false,
            source: [0, 0],
            stride: [1, 1],
        }
    }
}

impl ViewSizes {
    /// The kernel argument. Numbers wrap to 32 bits, as they do in the kernel.
    pub fn arg<R: Runtime>(&self) -> ViewLaunch<R> {
        let bound = |axis: usize| (self.source[axis] * self.stride[axis]) as u32;
        ViewLaunch::new(
            self.position_stride as u32,
            self.group_stride as u32,
            self.row_stride as u32,
            self.depth_stride as u32,
            self.tap_stride as u32,
            divisor(self.pixels[1]),
            divisor(self.pixels[0]),
            divisor(self.channels),
            divisor(self.kernel_width),
            self.image_stride as u32,
            self.line_stride as u32,
            self.pixel_stride as u32,
            self.step[0] as u32,
            self.step[1] as u32,
            self.origin[0] as u32,
            self.origin[1] as u32,
            if self.backwards { u32::MAX } else { 1 },
            bound(0),
            bound(1),
            divisor(self.stride[0]),
            divisor(self.stride[1]),
        )
    }
}

fn divisor<R: Runtime>(by: usize) -> DivisorLaunch<R> {
    let by = by.max(1) as u32;
    let (multiplier, shift) = multiplier_and_shift(by);
    DivisorLaunch::new(by, multiplier, shift)
}

/// Multiplier and shift such that `n / by = (mul_hi(n, multiplier) + n) >> shift` for n below 2^31 (Granlund and
/// Montgomery 1994, section 4).
fn multiplier_and_shift(by: u32) -> (u32, u32) {
    let shift = by.next_power_of_two().trailing_zeros();
    let multiplier = ((1u64 << 32) * ((1u64 << shift) - u64::from(by))) / u64::from(by) + 1;
    (multiplier as u32, shift)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::multiplier_and_shift;

    proptest! {
        #[test]
        fn division_by_multiplication_is_exact(by in 1u32..1 << 31, n in 0u32..1 << 31, small in 1u32..2000) {
            for by in [by, small] {
                let (multiplier, shift) = multiplier_and_shift(by);
                for n in [n, n / by * by, (n / by * by).saturating_sub(1), (1 << 31) - 1] {
                    let high = ((u64::from(n) * u64::from(multiplier)) >> 32) as u32;
                    prop_assert_eq!((high + n) >> shift, n / by);
                }
            }
        }
    }
}
