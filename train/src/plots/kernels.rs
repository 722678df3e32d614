//! The kernels of the first layer (paper, Fig. 3).

use image::{Rgb, RgbImage};
use ndarray::{Array3, ArrayD, ArrayView3, Axis, Ix4};
use tensor::{Error, Result};

use super::paint::{self, area};

/// Colour between the kernels, darker than most of them.
const SEPARATOR: Rgb<u8> = Rgb([24, 24, 24]);
/// Colour of NaN and infinite weights.
const INVALID: Rgb<u8> = Rgb([255, 0, 255]);
/// Maximum width and height of the plot; a smaller scale keeps it.
const MAX_SIDE: usize = 8192;

/// Plots the kernels of `weights` [out, kh, kw, channels], each weight as a square of `scale` x `scale` pixels.
///
/// Each kernel is scaled from its smallest weight (black) to its largest (white), as in the paper. Three channels are
/// red, green and blue; otherwise the mean of the channels is grey. 96 kernels make six rows of 16, other numbers a full
/// grid of similar shape if there is one. Infinite weights and NaN are magenta.
///
/// # Errors
/// [`Error::Shape`] if `weights` does not have four axes, is empty, or is too large.
pub fn kernels(weights: &ArrayD<f32>, scale: u32) -> Result<RgbImage> {
    kernels_with(weights, scale, ColourRange::Each)
}

/// The range of weights from black to white.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColourRange {
    /// From the smallest to the largest of each kernel, as in the paper.
    #[default]
    Each,
    /// The same for all: the largest absolute weight to both sides of 0, which is grey.
    Shared,
}

/// Plots kernels like [`kernels`], with a choice of the range of colours.
pub(super) fn kernels_with(weights: &ArrayD<f32>, scale: u32, range: ColourRange) -> Result<RgbImage> {
    let wrong = |expected: &str| Error::Shape {
        op: "image of kernels",
        expected: expected.to_owned(),
        got: weights.shape().to_vec(),
    };
    let weights = weights
        .view()
        .into_dimensionality::<Ix4>()
        .map_err(|_| wrong("weights of a convolution [out, height, width, channels]"))?;
    let (out, height, width, channels) = weights.dim();
    if out * height * width * channels == 0 {
        return Err(wrong("at least one kernel, row, column and channel"));
    }
    let columns = columns(out);
    let rows = out.div_ceil(columns);
    let grid = Grid::new([rows, columns], [height, width], scale as usize)
        .ok_or_else(|| wrong("kernels that fit into an image of 8192 x 8192 pixels"))?;
    let shared = match range {
        ColourRange::Each => None,
        ColourRange::Shared => {
            let largest = weights.axis_iter(Axis(0)).map(|kernel| largest(&shown(kernel))).fold(0.0, f32::max);
            Some([-largest, largest])
        }
    };
    let mut image = RgbImage::from_pixel(grid.side(1), grid.side(0), SEPARATOR);
    for (number, kernel) in weights.axis_iter(Axis(0)).enumerate() {
        grid.draw(&mut image, [number / columns, number % columns], kernel, shared);
    }
    Ok(image)
}

/// Number of columns: a divisor of `out` for a grid about 2.7 times as wide as high, like the paper's 16 x 6.
pub(super) fn columns(out: usize) -> usize {
    let ideal = (out as f64 * 16.0 / 6.0).sqrt();
    let off = |columns: usize| (columns as f64 / ideal).ln().abs();
    let divisor = (1..=out).filter(|columns| out.is_multiple_of(*columns)).min_by(|a, b| off(*a).total_cmp(&off(*b)));
    match divisor {
        Some(columns) if off(columns) < 0.8 => columns,
        _ => (ideal.round() as usize).clamp(1, out),
    }
}

/// Layout of the kernels in the plot.
struct Grid {
    /// Rows and columns of kernels.
    cells: [usize; 2],
    /// Height and width of a kernel in weights.
    kernel: [usize; 2],
    scale: usize,
    gap: usize,
}

impl Grid {
    /// `None` if the plot is too large even with a scale of 1.
    fn new(cells: [usize; 2], kernel: [usize; 2], scale: usize) -> Option<Self> {
        (1..=scale.clamp(1, MAX_SIDE)).rev().map(|scale| Self { cells, kernel, scale, gap: scale.div_ceil(3) }).find(
            |grid| {
                (0..2).all(|axis| {
                    let cell = grid.kernel[axis].checked_mul(grid.scale).and_then(|side| side.checked_add(grid.gap));
                    cell.and_then(|cell| cell.checked_mul(cells[axis])).is_some_and(|side| side + grid.gap <= MAX_SIDE)
                })
            },
        )
    }

    /// Height (axis 0) or width (axis 1) of the plot.
    fn side(&self, axis: usize) -> u32 {
        (self.cells[axis] * self.step(axis) + self.gap) as u32
    }

    /// Distance between two kernels.
    fn step(&self, axis: usize) -> usize {
        self.kernel[axis] * self.scale + self.gap
    }

    fn draw(&self, image: &mut RgbImage, cell: [usize; 2], kernel: ArrayView3<f32>, shared: Option<[f32; 2]>) {
        let colour = colours(kernel, shared);
        let start = [0, 1].map(|axis| self.gap + cell[axis] * self.step(axis));
        for (row, column) in (0..self.kernel[0]).flat_map(|row| (0..self.kernel[1]).map(move |column| (row, column))) {
            let x = start[1] + column * self.scale;
            let y = start[0] + row * self.scale;
            let square = area(x as i64, y as i64, self.scale as i64, self.scale as i64);
            paint::fill(image, square, colour(row, column));
        }
    }
}

/// The values of a kernel that are drawn: three channels, or the mean of another number.
fn shown(kernel: ArrayView3<f32>) -> Array3<f32> {
    match kernel.dim().2 {
        3 => kernel.to_owned(),
        channels => kernel.sum_axis(Axis(2)).insert_axis(Axis(2)) / channels as f32,
    }
}

/// The largest absolute value that is finite.
fn largest(values: &Array3<f32>) -> f32 {
    values.iter().filter(|value| value.is_finite()).fold(0.0, |largest, value| largest.max(value.abs()))
}

/// The colour of each position of a kernel [kh, kw, channels], over its own range or a shared one.
fn colours(kernel: ArrayView3<f32>, shared: Option<[f32; 2]>) -> impl Fn(usize, usize) -> Rgb<u8> {
    let shown = shown(kernel);
    let finite = || shown.iter().copied().filter(|value| value.is_finite());
    let own = || [finite().fold(f32::INFINITY, f32::min), finite().fold(f32::NEG_INFINITY, f32::max)];
    let [low, high] = shared.unwrap_or_else(own);
    // Halved, because the difference of two finite values may overflow.
    let range = high / 2.0 - low / 2.0;
    move |row, column| {
        let values: Vec<f32> = (0..shown.dim().2).map(|channel| shown[[row, column, channel]]).collect();
        if !values.iter().all(|value| value.is_finite()) {
            return INVALID;
        }
        let level = |value: f32| {
            if range > 0.0 { ((value / 2.0 - low / 2.0) / range * 255.0).round() as u8 } else { 128 }
        };
        match values[..] {
            [red, green, blue] => Rgb([level(red), level(green), level(blue)]),
            _ => Rgb([level(values[0]); 3]),
        }
    }
}
