//! Local response normalisation across channels; [`lrn_map`](super::lrn_map) has the one within a map.
//!
//! One unit a vector of channels. Its neighbours are of the same row: the forward reads them again, which the first
//! cache serves; the backward makes each term once and hands it round in shared memory. Memory is walked once: forward
//! one read and two writes a value, backward three reads and one write, at some 30 and 40 instructions.

use cubecl::prelude::*;

use super::launch::UNITS;
use super::precision::dispatch;
use super::{Buffer, Dtype, Gpu};
use crate::ops::lrn::{Lrn, LrnBackward, LrnForward, Region};
use crate::{Kernel, Result, Workspace};

/// The formula's constants; `alpha` multiplies the sum.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Constants {
    pub k: f32,
    pub alpha: f32,
    pub beta: f32,
}

pub(super) fn constants<R: Runtime>(spec: &Lrn) -> ConstantsLaunch<R> {
    ConstantsLaunch::new(spec.k as f32, spec.alpha_of_sum() as f32, spec.beta as f32)
}

/// What a kernel across channels is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Row {
    /// Vectors of channels at a place.
    pub vectors: usize,
    /// Channels before and after that a window takes in.
    pub reach: [usize; 2],
    /// Whether beta is 0.75, the paper's: two roots give the power.
    pub roots: bool,
}

impl Row {
    /// For `c` channels in vectors of `width`; None if the windows are too long to be summed in registers, or lie
    /// within a map.
    pub(super) fn of(spec: &Lrn, c: usize, width: usize) -> Option<Self> {
        const LONGEST: usize = 16;
        let fits = spec.region == Region::AcrossChannels && spec.size <= LONGEST;
        let reach = [spec.size / 2, (spec.size - 1) / 2].map(|reach| reach.min(c));
        fits.then_some(Self { vectors: c / width, reach, roots: spec.beta == 0.75 })
    }

    /// The windows that hold a channel instead of those that it holds.
    pub(super) fn mirrored(mut self) -> Self {
        self.reach.reverse();
        self
    }

    /// Units of a cube of whole rows; None if not one fits.
    pub(super) fn units(&self) -> Option<usize> {
        let rows = UNITS as usize / self.vectors.max(1);
        (rows > 0).then_some(rows * self.vectors)
    }

    /// Whole vectors before a vector that its windows reach into.
    fn before(&self, width: usize) -> usize {
        self.reach[0].div_ceil(width)
    }

    /// The same with those after and the vector itself.
    fn around(&self, width: usize) -> usize {
        self.before(width) + 1 + self.reach[1].div_ceil(width)
    }
}

/// base^-beta and base^-1.
#[cube]
pub(super) fn powers<N: Size>(
    base: Vector<f32, N>,
    beta: f32,
    #[comptime] roots: bool,
) -> (Vector<f32, N>, Vector<f32, N>) {
    if comptime!(roots) {
        // Two instructions for the inverse roots; a square root and a division, rounded exactly, are some 10 each.
        let root = Vector::inverse_sqrt(base);
        let inverse = root * root;
        (inverse * Vector::inverse_sqrt(root), inverse)
    } else {
        (Vector::powf(base, Vector::new(-beta)), Vector::new(1.0f32) / base)
    }
}

/// The base of the channels of the vector at `at`.
#[cube]
pub(super) fn base_across<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    at: usize,
    constants: &Constants,
    #[comptime] row: Row,
) -> Vector<f32, N> {
    let width = N::value();
    let before = comptime!(row.before(width));
    let mut squares = Array::<f32>::new(comptime!(row.around(width) * width));
    let vector = at % row.vectors;
    #[unroll]
    for j in 0..comptime!(row.around(width)) {
        let mut square = Vector::<f32, N>::new(0.0f32);
        if vector + j >= before && vector + j < comptime!(row.vectors + before) {
            let near = Vector::<f32, N>::cast_from(x[at + j - before]);
            square = near * near;
        }
        #[unroll]
        for lane in 0..width {
            squares[j * width + lane] = square[lane];
        }
    }
    Vector::new(constants.k) + Vector::new(constants.alpha) * window_sums::<N>(&squares, row)
}

/// The sum over the window of each of a vector's channels. `terms` are those of the vectors around it.
#[cube]
fn window_sums<N: Size>(terms: &Array<f32>, #[comptime] row: Row) -> Vector<f32, N> {
    let width = N::value();
    let start = comptime!(row.before(width) * width - row.reach[0]);
    let mut sums = Vector::<f32, N>::empty();
    #[unroll]
    for lane in 0..width {
        let mut sum = terms[start + lane];
        #[unroll]
        for j in 1..comptime!(row.reach[0] + row.reach[1] + 1) {
            sum += terms[start + lane + j];
        }
        sums[lane] = sum;
    }
    sums
}

/// The sums over windows of terms that the cube's units made, each those of its own vector. All units of the cube must
/// come here, and a cube holds whole rows.
#[cube]
pub(super) fn sum_shared<N: Size>(
    term: Vector<f32, N>,
    #[comptime] row: Row,
    #[comptime] units: usize,
) -> Vector<f32, N> {
    let width = N::value();
    let before = comptime!(row.before(width));
    let unit = UNIT_POS as usize;
    let mut shared = SharedMemory::<Vector<f32, N>>::new(units);
    shared[unit] = term;
    sync_cube();
    let mut terms = Array::<f32>::new(comptime!(row.around(width) * width));
    let vector = unit % row.vectors;
    #[unroll]
    for j in 0..comptime!(row.around(width)) {
        let mut near = Vector::<f32, N>::new(0.0f32);
        if vector + j >= before && vector + j < comptime!(row.vectors + before) {
            near = shared[unit + j - before];
        }
        #[unroll]
        for lane in 0..width {
            terms[j * width + lane] = near[lane];
        }
    }
    window_sums::<N>(&terms, row)
}

/// dy_i base_i^-beta - 2 alpha beta x_i sum, with `scaled` for the first term.
#[cube]
pub(super) fn gradient<N: Size>(
    scaled: Vector<f32, N>,
    x: Vector<f32, N>,
    sum: Vector<f32, N>,
    constants: &Constants,
) -> Vector<f32, N> {
    scaled - Vector::new(2.0f32 * constants.alpha * constants.beta) * x * sum
}

#[cube(launch_unchecked)]
fn across_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    y: &mut Array<Vector<F, N>>,
    base: &mut Array<Vector<F, N>>,
    constants: &Constants,
    #[comptime] row: Row,
) {
    if ABSOLUTE_POS < y.len() {
        let value = Vector::<f32, N>::cast_from(x[ABSOLUTE_POS]);
        let around = base_across(x, ABSOLUTE_POS, constants, row);
        let (power, _) = powers(around, constants.beta, row.roots);
        y[ABSOLUTE_POS] = Vector::cast_from(value * power);
        base[ABSOLUTE_POS] = Vector::cast_from(around);
    }
}

#[cube(launch_unchecked)]
fn across_dx_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    base: &Array<Vector<F, N>>,
    dy: &Array<Vector<F, N>>,
    dx: &mut Array<Vector<F, N>>,
    constants: &Constants,
    #[comptime] row: Row,
    #[comptime] units: usize,
) {
    let mut value = Vector::<f32, N>::new(0.0f32);
    let mut scaled = Vector::<f32, N>::new(0.0f32);
    let mut term = Vector::<f32, N>::new(0.0f32);
    if ABSOLUTE_POS < dx.len() {
        value = Vector::cast_from(x[ABSOLUTE_POS]);
        let around = Vector::<f32, N>::cast_from(base[ABSOLUTE_POS]);
        let (power, inverse) = powers(around, constants.beta, row.roots);
        scaled = Vector::<f32, N>::cast_from(dy[ABSOLUTE_POS]) * power;
        term = scaled * value * inverse;
    }
    let sum = sum_shared(term, row, units);
    if ABSOLUTE_POS < dx.len() {
        dx[ABSOLUTE_POS] = Vector::cast_from(gradient(scaled, value, sum, constants));
    }
}

impl<R: Runtime> Kernel<LrnForward> for Gpu<R> {
    fn run(&self, op: &LrnForward, [x]: [&Buffer; 1]) -> Result<[Buffer; 2]> {
        let &LrnForward { ref spec, shape } = op;
        let len = self.lrn_len(shape)?;
        let (y, base) = (self.empty(x.dtype(), len), self.empty(x.dtype(), len));
        let width = self.vector_width(x.dtype(), &[shape[3]]);
        match Row::of(spec, shape[3], width) {
            _ if len == 0 => {}
            Some(row) => {
                let (count, dim) = self.cover(len / width);
                let constants = constants(spec);
                // SAFETY: all buffers have `len` values; units past the end do nothing, and neighbours are of the row.
                dispatch!(x.dtype(), F => unsafe {
                    across_kernel::launch_unchecked::<F, R>(
                        self.client(), count, dim, width, x.arg(), y.arg(), base.arg(), constants, row,
                    );
                });
            }
            None => self.lrn_map(spec, shape, x, &y, &base),
        }
        Ok([y, base])
    }
}

impl<R: Runtime> Kernel<LrnBackward> for Gpu<R> {
    fn run(&self, op: &LrnBackward, [x, base, dy]: [&Buffer; 3]) -> Result<[Buffer; 1]> {
        let &LrnBackward { ref spec, shape } = op;
        let len = self.lrn_len(shape)?;
        let dtype = dy.dtype();
        let (x, base) = (self.cast(x, dtype), self.cast(base, dtype));
        let dx = self.empty(dtype, len);
        let width = self.vector_width(dtype, &[shape[3]]);
        match self.rows_of_gradient(spec, shape[3], dtype) {
            _ if len == 0 => {}
            Some((row, units)) => {
                let dim = CubeDim::new_1d(units as u32);
                let count = cubecl::calculate_cube_count_elemwise(self.client(), len / width, dim);
                let constants = constants(spec);
                // SAFETY: as in the forward; rows do not cross cubes, so shared memory is read within its length.
                dispatch!(dtype, F => unsafe {
                    across_dx_kernel::launch_unchecked::<F, R>(
                        self.client(), count, dim, width, x.arg(), base.arg(), dy.arg(), dx.arg(), constants, row, units,
                    );
                });
            }
            None => self.lrn_map_dx(spec, shape, [&x, &base, dy], &dx),
        }
        Ok([dx])
    }

    /// The terms of the sums, where they do not stay in shared memory.
    fn workspace(&self, op: &LrnBackward) -> Workspace {
        let rows = self.rows_of_gradient(&op.spec, op.shape[3], self.activation_dtype());
        Workspace::of(vec![if rows.is_some() { 0 } else { op.shape.iter().product() }])
    }
}

impl<R: Runtime> Gpu<R> {
    /// How the gradient is computed row by row, and the units of a cube; none where terms are laid out in memory first.
    fn rows_of_gradient(&self, spec: &Lrn, channels: usize, dtype: Dtype) -> Option<(Row, usize)> {
        let row = Row::of(spec, channels, self.vector_width(dtype, &[channels]))?.mirrored();
        Some((row, row.units()?))
    }

    /// The number of values, if kernels can count them.
    fn lrn_len(&self, shape: [usize; 4]) -> Result<usize> {
        let len = shape.iter().product();
        self.addressable("lrn", len)?;
        Ok(len)
    }
}
