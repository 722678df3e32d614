//! Operands as functions from a row and a depth to an address.
//!
//! A row and a depth each give a [`Place`], and two places together give an address or nothing (padding, past the end).
//! Divisions are in the places: those of rows are made once, those of depths once a tile, and what is left for each
//! vector loaded is a few additions and comparisons. Coordinates are `u32` and wrap: a row above the image is a huge
//! one, so one comparison finds both ends.

use cubecl::prelude::*;

/// How a row and a depth become an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Two strides.
    Matrix,
    /// Pixels of an output against the values of their windows in an image. `strided` if only every so many pixels of
    /// the source exist, as for the gradient of a convolution with strides.
    Window { strided: bool },
    /// A convolution's kernels where the depth is (position in the kernel, output channel).
    Taps,
    /// The same where each position of the output has kernels of its own.
    LocalTaps,
}

/// The axis along which neighbours lie side by side in memory: vectors are along it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Along {
    Depth,
    Rows,
}

/// What the compiler of a kernel knows of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Operand {
    pub kind: Kind,
    /// Of a [`Kind::Window`], pixels are the axis across this one.
    pub along: Along,
    /// Values in a vector.
    pub width: u32,
}

/// A number to divide by, at the price of a multiplication: for dividends below 2^31.
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

/// The lengths of an operand, in values; which ones count depends on its [`Kind`].
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct View {
    by_position: u32,
    by_group: u32,
    row_stride: u32,
    depth_stride: u32,
    tap_stride: u32,
    /// Pixels in a line, lines in an image.
    width: Divisor,
    height: Divisor,
    /// Channels of a tap, taps in a line of the kernel.
    channels: Divisor,
    kernel: Divisor,
    image: u32,
    line: u32,
    column: u32,
    /// From a pixel to the first line and column of its window.
    step_y: u32,
    step_x: u32,
    origin_y: u32,
    origin_x: u32,
    /// 1, or -1 where windows are walked backwards.
    direction: u32,
    /// Source lines and columns that exist, before `stride` divides them.
    bound_y: u32,
    bound_x: u32,
    stride_y: Divisor,
    stride_x: Divisor,
}

/// What is the same for all values of one product of a batch.
#[derive(CubeType, Clone, Copy)]
pub(crate) struct Batch {
    pub position: u32,
    pub y: u32,
    pub x: u32,
    pub group: u32,
}

/// One axis' share of an address.
#[derive(CubeType, Clone, Copy)]
pub(crate) struct Place {
    address: u32,
    y: u32,
    x: u32,
    valid: bool,
}

/// The place of `row`; there are `rows`.
#[cube]
pub(crate) fn row_place(view: &View, batch: &Batch, row: u32, rows: u32, #[comptime] operand: Operand) -> Place {
    let base = batch.position * view.by_position + batch.group * view.by_group;
    let valid = row < rows;
    match comptime!(operand.kind) {
        Kind::Matrix => Place { address: base + row * view.row_stride, y: 0u32, x: 0u32, valid },
        Kind::Window { strided } => match comptime!(operand.along) {
            Along::Depth => pixel(view, batch, row, base, valid, strided),
            Along::Rows => tap(view, row, base, valid, strided),
        },
        Kind::Taps => Place { address: base + row, y: 0u32, x: 0u32, valid },
        Kind::LocalTaps => Place { address: base + row, y: 0u32, x: 0u32, valid },
    }
}

/// The place of depth `k`; the sum ends before `end`.
#[cube]
pub(crate) fn depth_place(view: &View, batch: &Batch, k: u32, end: u32, #[comptime] operand: Operand) -> Place {
    let valid = k < end;
    match comptime!(operand.kind) {
        Kind::Matrix => Place { address: k * view.depth_stride, y: 0u32, x: 0u32, valid },
        Kind::Window { strided } => match comptime!(operand.along) {
            Along::Depth => tap(view, k, 0u32, valid, strided),
            Along::Rows => pixel(view, batch, k, 0u32, valid, strided),
        },
        Kind::Taps => {
            let (tap, channel) = view.channels.split(k);
            Place { address: tap * view.tap_stride + channel * view.depth_stride, y: 0u32, x: 0u32, valid }
        }
        Kind::LocalTaps => {
            let (tap, channel) = view.channels.split(k);
            let (ky, kx) = view.kernel.split(tap);
            let y = batch.y + view.origin_y + ky * view.direction;
            let x = batch.x + view.origin_x + kx * view.direction;
            Place { address: tap * view.tap_stride + channel * view.depth_stride, y, x, valid }
        }
    }
}

/// The pixel `i` of all images.
#[cube]
fn pixel(view: &View, batch: &Batch, i: u32, base: u32, valid: bool, #[comptime] strided: bool) -> Place {
    let (rest, x) = view.width.split(i);
    let (image, y) = view.height.split(rest);
    let y = (y + batch.y) * view.step_y + view.origin_y;
    let x = (x + batch.x) * view.step_x + view.origin_x;
    let start = base + image * view.image;
    let address = if comptime!(strided) { start } else { start + y * view.line + x * view.column };
    Place { address, y, x, valid }
}

/// The value `i` of a window.
#[cube]
fn tap(view: &View, i: u32, base: u32, valid: bool, #[comptime] strided: bool) -> Place {
    let (tap, channel) = view.channels.split(i);
    let (y, x) = view.kernel.split(tap);
    let y = y * view.direction;
    let x = x * view.direction;
    let start = base + channel;
    let address = if comptime!(strided) { start } else { start + y * view.line + x * view.column };
    Place { address, y, x, valid }
}

/// The address of a row and a depth together, and whether there is anything.
#[cube]
pub(crate) fn address(view: &View, row: &Place, depth: &Place, #[comptime] kind: Kind) -> (u32, bool) {
    let start = row.address + depth.address;
    let valid = row.valid && depth.valid;
    match comptime!(kind) {
        Kind::Matrix => (start, valid),
        Kind::Taps => (start, valid),
        Kind::Window { strided } => match comptime!(strided) {
            false => (start, valid && row.y + depth.y < view.bound_y && row.x + depth.x < view.bound_x),
            true => strided_address(view, row, depth, start, valid),
        },
        Kind::LocalTaps => strided_address(view, row, depth, start, valid),
    }
}

#[cube]
fn strided_address(view: &View, row: &Place, depth: &Place, start: u32, valid: bool) -> (u32, bool) {
    let y = row.y + depth.y;
    let x = row.x + depth.x;
    let (line, off_y) = view.stride_y.split(y);
    let (column, off_x) = view.stride_x.split(x);
    // A coordinate past 2^31, i.e. below 0, is divided wrongly but is not below the bound.
    let inside = y < view.bound_y && x < view.bound_x && off_y == 0u32 && off_x == 0u32;
    (start + line * view.line + column * view.column, valid && inside)
}

/// A [`View`] on the host's side, in values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lengths {
    pub by_position: usize,
    pub by_group: usize,
    pub row_stride: usize,
    pub depth_stride: usize,
    pub tap_stride: usize,
    /// Lines and pixels in a line.
    pub pixels: [usize; 2],
    pub channels: usize,
    pub kernel_width: usize,
    pub image: usize,
    pub line: usize,
    pub column: usize,
    pub step: [usize; 2],
    pub origin: [isize; 2],
    pub backwards: bool,
    pub source: [usize; 2],
    pub stride: [usize; 2],
}

impl Default for Lengths {
    fn default() -> Self {
        Self {
            by_position: 0,
            by_group: 0,
            row_stride: 0,
            depth_stride: 0,
            tap_stride: 0,
            pixels: [1, 1],
            channels: 1,
            kernel_width: 1,
            image: 0,
            line: 0,
            column: 0,
            step: [1, 1],
            origin: [0, 0],
            backwards: false,
            source: [0, 0],
            stride: [1, 1],
        }
    }
}

impl Lengths {
    /// As a kernel's argument. Numbers wrap to 32 bits as the kernel's do.
    pub fn arg<R: Runtime>(&self) -> ViewLaunch<R> {
        let bound = |axis: usize| (self.source[axis] * self.stride[axis]) as u32;
        ViewLaunch::new(
            self.by_position as u32,
            self.by_group as u32,
            self.row_stride as u32,
            self.depth_stride as u32,
            self.tap_stride as u32,
            divisor(self.pixels[1]),
            divisor(self.pixels[0]),
            divisor(self.channels),
            divisor(self.kernel_width),
            self.image as u32,
            self.line as u32,
            self.column as u32,
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
    let (by, multiplier, shift) = magic(by.max(1) as u32);
    DivisorLaunch::new(by, multiplier, shift)
}

/// Multiplier and shift such that `n / by = (mul_hi(n, multiplier) + n) >> shift` for n below 2^31 (Granlund and
/// Montgomery 1994, section 4).
fn magic(by: u32) -> (u32, u32, u32) {
    let shift = by.next_power_of_two().trailing_zeros();
    let multiplier = ((1u64 << 32) * ((1u64 << shift) - u64::from(by))) / u64::from(by) + 1;
    (by, multiplier as u32, shift)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::magic;

    proptest! {
        #[test]
        fn division_by_multiplication_is_exact(by in 1u32..1 << 31, n in 0u32..1 << 31, small in 1u32..2000) {
            for by in [by, small] {
                for n in [n, n / by * by, (n / by * by).saturating_sub(1), (1 << 31) - 1] {
                    let (by, multiplier, shift) = magic(by);
                    let high = ((u64::from(n) * u64::from(multiplier)) >> 32) as u32;
                    prop_assert_eq!((high + n) >> shift, n / by);
                }
            }
        }
    }
}
