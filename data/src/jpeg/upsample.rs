//! Components of less than the full resolution, made as large as the image. Those of half of it are interpolated: each
//! value is three quarters of the nearest one and one quarter of the next nearest, across, down or both (libjpeg's "fancy
//! upsampling", `jdsample`). All others, and those with rows of one or two values, are repeated.

use std::ops::Range;

/// One axis of a component.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    /// Values of the component.
    len: usize,
    /// Pixels of the image for each.
    factor: usize,
    /// Whether they are interpolated; they are two then.
    is_mixed: bool,
}

impl Default for Axis {
    fn default() -> Self {
        Self { len: 0, factor: 1, is_mixed: false }
    }
}

/// The fewest values of a row that are interpolated across.
const FEWEST: usize = 3;

impl Axis {
    /// Those of a component across and down, of an image of this width and height, by pixels for each value.
    pub fn pair(width: usize, height: usize, across: usize, down: usize) -> (Self, Self) {
        let columns = width.div_ceil(across);
        let rows = height.div_ceil(down);
        let is_mixed = match (across, down) {
            (2, 1 | 2) => columns >= FEWEST,
            (1, 2) => true,
            _ => false,
        };
        let axis = |len, factor| Self { len, factor, is_mixed: is_mixed && factor == 2 };
        (axis(columns, across), axis(rows, down))
    }

    /// Values of the component.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The values that some pixels are made of.
    pub fn needed(&self, pixels: &Range<usize>) -> Range<usize> {
        let own = pixels.start / self.factor..pixels.end.div_ceil(self.factor);
        if pixels.is_empty() {
            return 0..0;
        }
        if self.is_mixed { own.start.saturating_sub(1)..(own.end + 1).min(self.len) } else { own }
    }

    /// The nearest row to row `y` of the image, and the next nearest if there is to be one; beyond an edge the row at the
    /// edge again.
    pub fn rows(&self, y: usize) -> (usize, Option<usize>) {
        let near = y / self.factor;
        let far = if y.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(self.len - 1) };
        (near, self.is_mixed.then_some(far))
    }
}

/// What a row of the image is made from.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// One or two rows of the component.
    pub near: &'a [u8],
    pub far: Option<&'a [u8]>,
    /// Which row of the image it is.
    pub y: usize,
    /// The column of the component with which its rows begin.
    pub first: usize,
    /// How the component lies across.
    pub axis: &'a Axis,
    /// Those of the image.
    pub columns: &'a Range<usize>,
}

/// A row of one component as the image has it.
#[derive(Debug, Default)]
pub(super) struct Rows {
    values: Vec<u8>,
    /// Which of `values`.
    shown: Range<usize>,
    /// Values at each place, four times them if two rows are mixed, with one more at each end.
    sums: Vec<u16>,
}

impl Rows {
    /// The row that was made last.
    pub fn values(&self) -> &[u8] {
        &self.values[self.shown.clone()]
    }

    /// Makes a row of the image.
    pub fn fill(&mut self, from: &Source<'_>) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2.
            unsafe { self.fill_avx2(from) };
            return;
        }
        self.fill_plainly(from);
    }

    /// The same code, in vectors of 32 bytes.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn fill_avx2(&mut self, from: &Source<'_>) {
        self.fill_plainly(from);
    }

    #[inline(always)]
    fn fill_plainly(&mut self, from: &Source<'_>) {
        let &Source { near, far, y, first, axis, columns } = from;
        if axis.factor > 1 && !axis.is_mixed {
            self.values.clear();
            self.values.extend(columns.clone().map(|x| near[x / axis.factor - first]));
            self.shown = 0..columns.len();
            return;
        }
        if axis.factor == 1 {
            let part = columns.start - first..columns.end - first;
            self.values.resize(columns.len(), 0);
            self.shown = 0..columns.len();
            match far {
                None => self.values.copy_from_slice(&near[part]),
                // Rounded down and up in turns.
                Some(far) => mix(&near[part.clone()], &far[part], 1 + (y % 2) as u16, &mut self.values),
            }
            return;
        }
        // The values that have pixels in the row, and those from which they are made.
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
            None => spread::<1, 2, 2>(&self.sums, &mut self.values),
            Some(_) => spread::<8, 7, 4>(&self.sums, &mut self.values),
        }
        let start = columns.start - 2 * own.start;
        self.shown = start..start + columns.len();
    }
}

#[inline(always)]
fn mix(near: &[u8], far: &[u8], round: u16, out: &mut [u8]) {
    for ((out, &near), &far) in out.iter_mut().zip(near).zip(far) {
        *out = ((3 * u16::from(near) + u16::from(far) + round) >> 2) as u8;
    }
}

/// Two values for each of `sums` but the first and last: towards the one before and the one after.
#[inline(always)]
fn spread<const LEFT: u16, const RIGHT: u16, const SHIFT: u16>(sums: &[u16], out: &mut [u8]) {
    let before = sums;
    let own = &sums[1..];
    let after = &sums[2..];
    for (((out, &before), &own), &after) in out.chunks_exact_mut(2).zip(before).zip(own).zip(after) {
        out[0] = ((3 * own + before + LEFT) >> SHIFT) as u8;
        out[1] = ((3 * own + after + RIGHT) >> SHIFT) as u8;
    }
}
