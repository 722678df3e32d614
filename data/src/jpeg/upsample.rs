//! Upsampling of subsampled components. At half resolution, values are interpolated: three quarters of the nearest
//! value and one quarter of the next, horizontally, vertically or both (libjpeg's "fancy upsampling", `jdsample`). All
//! other ratios, and rows of one or two values, are repeated.

use std::ops::Range;

use simd::Level;

/// Upsampling along one axis of a component.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    /// Number of values of the component.
    len: usize,
    /// Pixels of the image per value.
    factor: usize,
    /// Whether values are interpolated, for a factor of two.
    is_interpolated: bool,
}

impl Default for Axis {
    fn default() -> Self {
        Self { len: 0, factor: 1, is_interpolated: false }
    }
}

/// Minimum row length for horizontal interpolation.
const MIN_INTERPOLATED: usize = 3;

impl Axis {
    /// The horizontal and vertical axis of a component, for an image of this size with `across` and `down` pixels per
    /// value.
    pub fn pair(width: usize, height: usize, across: usize, down: usize) -> (Self, Self) {
        let columns = width.div_ceil(across);
        let rows = height.div_ceil(down);
        let is_interpolated = match (across, down) {
            (2, 1 | 2) => columns >= MIN_INTERPOLATED,
            (1, 2) => true,
            _ => false,
        };
        let axis = |len, factor| Self { len, factor, is_interpolated: is_interpolated && factor == 2 };
        (axis(columns, across), axis(rows, down))
    }

    /// Number of values of the component.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Range of values that a range of pixels depends on.
    pub fn needed(&self, pixels: &Range<usize>) -> Range<usize> {
        let own = pixels.start / self.factor..pixels.end.div_ceil(self.factor);
        if pixels.is_empty() {
            return 0..0;
        }
        if self.is_interpolated { own.start.saturating_sub(1)..(own.end + 1).min(self.len) } else { own }
    }

    /// The nearest row to row `y` of the image, and the next nearest if rows are interpolated; beyond an edge, the edge
    /// row again.
    pub fn rows(&self, y: usize) -> (usize, Option<usize>) {
        let near = y / self.factor;
        let far = if y.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(self.len - 1) };
        (near, self.is_interpolated.then_some(far))
    }
}

/// Input for one upsampled row.
#[derive(Debug)]
pub(super) struct UpsampleInput<'a> {
    /// The nearest row of the component, and the next nearest if rows are interpolated.
    pub near: &'a [u8],
    pub far: Option<&'a [u8]>,
    /// Row of the image.
    pub y: usize,
    /// Column of the component at which its rows start.
    pub first: usize,
    /// Horizontal axis of the component.
    pub axis: &'a Axis,
    /// Columns of the image.
    pub columns: &'a Range<usize>,
}

/// Upsamples rows of one component to the resolution of the image.
#[derive(Debug, Default)]
pub(super) struct Upsampler {
    values: Vec<u8>,
    /// Range of `values` that was requested.
    requested: Range<usize>,
    /// Values per position, times four if two rows are interpolated, with one more at each end.
    sums: Vec<u16>,
}

impl Upsampler {
    /// The last row made.
    pub fn values(&self) -> &[u8] {
        &self.values[self.requested.clone()]
    }

    /// Upsamples a row.
    pub fn fill(&mut self, from: &UpsampleInput<'_>) {
        Level::get().without_avx512().vectorize(
            #[inline(always)]
            || self.fill_scalar(from),
        );
    }

    #[inline(always)]
    fn fill_scalar(&mut self, from: &UpsampleInput<'_>) {
        let &UpsampleInput { near, far, y, first, axis, columns } = from;
        if axis.factor > 1 && !axis.is_interpolated {
            self.values.clear();
            self.values.extend(columns.clone().map(|x| near[x / axis.factor - first]));
            self.requested = 0..columns.len();
            return;
        }
        if axis.factor == 1 {
            let part = columns.start - first..columns.end - first;
            self.values.resize(columns.len(), 0);
            self.requested = 0..columns.len();
            match far {
                None => self.values.copy_from_slice(&near[part]),
                // Rounded down and up alternately.
                Some(far) => interpolate_rows(&near[part.clone()], &far[part], 1 + (y % 2) as u16, &mut self.values),
            }
            return;
        }
        // The values of the row's own pixels, and those they depend on.
        let own = columns.start / 2..columns.end.div_ceil(2);
        let needed = axis.needed(columns);
        let part = needed.start - first..needed.end - first;
        self.sums.resize(own.len() + 2, 0);
        let at = usize::from(own.start == 0);
        let inner = &mut self.sums[at..at + needed.len()];
        match far {
            None => inner.iter_mut().zip(&near[part]).for_each(|(sum, &near)| *sum = u16::from(near)),
            Some(far) => {
                for ((sum, &near), &far) in inner.iter_mut().zip(&near[part.clone()]).zip(&far[part]) {
                    *sum = 3 * u16::from(near) + u16::from(far);
                }
            }
        }
        if own.start == 0 {
            self.sums[0] = self.sums[1];
        }
        if own.end == axis.len {
            self.sums[own.len() + 1] = self.sums[own.len()];
        }
        self.values.resize(2 * own.len(), 0);
        match far {
            None => interpolate_columns::<1, 2, 2>(&self.sums, &mut self.values),
            Some(_) => interpolate_columns::<8, 7, 4>(&self.sums, &mut self.values),
        }
        let start = columns.start - 2 * own.start;
        self.requested = start..start + columns.len();
    }
}

#[inline(always)]
fn interpolate_rows(near: &[u8], far: &[u8], round: u16, out: &mut [u8]) {
    for ((out, &near), &far) in out.iter_mut().zip(near).zip(far) {
        *out = ((3 * u16::from(near) + u16::from(far) + round) >> 2) as u8;
    }
}

/// Two values for each of `sums` except the first and last, interpolated with the previous and the next.
#[inline(always)]
fn interpolate_columns<const LEFT: u16, const RIGHT: u16, const SHIFT: u16>(sums: &[u16], out: &mut [u8]) {
    let previous = sums;
    let own = &sums[1..];
    let next = &sums[2..];
    for (((out, &previous), &own), &next) in out.chunks_exact_mut(2).zip(previous).zip(own).zip(next) {
        out[0] = ((3 * own + previous + LEFT) >> SHIFT) as u8;
        out[1] = ((3 * own + next + RIGHT) >> SHIFT) as u8;
    }
}
