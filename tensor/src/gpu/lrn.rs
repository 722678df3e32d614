//! Local response normalisation across channels. [`lrn_windows`](super::lrn_windows) does the other cases.
//!
//! Each unit computes one vector of channels. The forward reads the vector's neighbours again, from the first-level cache;
//! the backward computes each term once and shares it in shared memory. Memory sees one pass: one read and two writes per
//! value in the forward, three reads and one write in the backward, with about 30 and 40 instructions.

use cubecl::prelude::*;

use super::launch::UNITS;
use super::precision::dispatch;
use super::{Buffer, Dtype, Gpu};
use crate::ops::lrn::{Lrn, LrnBackward, LrnForward, Region};
use crate::{Kernel, Result, Workspace};

/// The constants of the formula; `alpha` multiplies the sum.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Constants {
    pub k: f32,
    pub alpha: f32,
    pub beta: f32,
}

pub(super) fn constants<R: Runtime>(spec: &Lrn) -> ConstantsLaunch<R> {
    ConstantsLaunch::new(spec.k as f32, spec.alpha_of_sum() as f32, spec.beta as f32)
}

/// The compile-time configuration of the kernels across channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct AcrossConfig {
    /// Vectors of channels in a pixel.
    pub vectors: usize,
    /// Channels of a window before and after its own.
    pub reach: [usize; 2],
    /// Whether beta is 0.75, as in the paper, so that the power is computed by two roots.
    pub roots: bool,
}

impl AcrossConfig {
    /// For `c` channels in vectors of `width`. `None` for windows within a channel, and for those too long to be summed
    /// in registers.
    pub(super) fn of(spec: &Lrn, c: usize, width: usize) -> Option<Self> {
        const MAX_SIZE: usize = 16;
        let fits = spec.region == Region::AcrossChannels && spec.size <= MAX_SIZE;
        let reach = [spec.size / 2, (spec.size - 1) / 2].map(|reach| reach.min(c));
        fits.then_some(Self { vectors: c / width, reach, roots: spec.beta == 0.75 })
    }

    /// The configuration of the backward, which sums over the windows that contain a channel.
    pub(super) fn mirrored(mut self) -> Self {
        self.reach.reverse();
        self
    }

    /// The number of units in a cube of whole pixels; `None` if a pixel has more vectors than a cube has units.
    pub(super) fn units(&self) -> Option<usize> {
        let pixels = UNITS as usize / self.vectors.max(1);
        (pixels > 0).then_some(pixels * self.vectors)
    }

    /// The number of vectors before a vector that its windows reach into.
    fn vectors_before(&self, width: usize) -> usize {
        self.reach[0].div_ceil(width)
    }

    /// The number of vectors that the windows of a vector reach into, itself included.
    fn window_vectors(&self, width: usize) -> usize {
        self.vectors_before(width) + 1 + self.reach[1].div_ceil(width)
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
        // Two instructions for the inverse roots. A square root and a division, exactly rounded, take about 10 each.
        let root = Vector::inverse_sqrt(base);
        let inverse = root * root;
        (inverse * Vector::inverse_sqrt(root), inverse)
    } else {
        (Vector::powf(base, Vector::new(-beta)), Vector::new(1.0f32) / base)
    }
}

/// The base, k + alpha * sum, of each channel of the vector at `at`.
#[cube]
pub(super) fn base_across<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    at: usize,
    constants: &Constants,
    #[comptime] config: AcrossConfig,
) -> Vector<f32, N> {
    let width = N::value();
    let before = comptime!(config.vectors_before(width));
    let mut squares = Array::<f32>::new(comptime!(config.window_vectors(width) * width));
    let vector = at % config.vectors;
    #[unroll]
    for j in 0..comptime!(config.window_vectors(width)) {
        let mut square = Vector::<f32, N>::new(0.0f32);
        if vector + j >= before && vector + j < comptime!(config.vectors + before) {
            let neighbour = Vector::<f32, N>::cast_from(x[at + j - before]);
            square = neighbour * neighbour;
        }
        #[unroll]
        for lane in 0..width {
            squares[j * width + lane] = square[lane];
        }
    }
    Vector::new(constants.k) + Vector::new(constants.alpha) * window_sums::<N>(&squares, config)
}

/// The sum over the window of each channel of a vector. `terms` holds the terms of the vectors that the windows reach
/// into.
#[cube]
fn window_sums<N: Size>(terms: &Array<f32>, #[comptime] config: AcrossConfig) -> Vector<f32, N> {
    let width = N::value();
    let start = comptime!(config.vectors_before(width) * width - config.reach[0]);
    let mut sums = Vector::<f32, N>::empty();
    #[unroll]
    for lane in 0..width {
        let mut sum = terms[start + lane];
        #[unroll]
        for j in 1..comptime!(config.reach[0] + config.reach[1] + 1) {
            sum += terms[start + lane + j];
        }
        sums[lane] = sum;
    }
    sums
}

/// The sums over windows of the terms that the units of the cube computed, each for its own vector. All units of the cube
/// must call this, and a cube consists of whole pixels.
#[cube]
pub(super) fn sum_shared<N: Size>(
    term: Vector<f32, N>,
    #[comptime] config: AcrossConfig,
    #[comptime] units: usize,
) -> Vector<f32, N> {
    let width = N::value();
    let before = comptime!(config.vectors_before(width));
    let unit = UNIT_POS as usize;
    let mut shared = SharedMemory::<Vector<f32, N>>::new(units);
    shared[unit] = term;
    sync_cube();
    let mut terms = Array::<f32>::new(comptime!(config.window_vectors(width) * width));
    let vector = unit % config.vectors;
    #[unroll]
    for j in 0..comptime!(config.window_vectors(width)) {
        let mut neighbour = Vector::<f32, N>::new(0.0f32);
        if vector + j >= before && vector + j < comptime!(config.vectors + before) {
            neighbour = shared[unit + j - before];
        }
        #[unroll]
        for lane in 0..width {
            terms[j * width + lane] = neighbour[lane];
        }
    }
    window_sums::<N>(&terms, config)
}

/// dx_i = dy_i base_i^-beta - 2 alpha beta x_i sum; `scaled` is the first term.
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
    #[comptime] config: AcrossConfig,
) {
    if ABSOLUTE_POS < y.len() {
        let value = Vector::<f32, N>::cast_from(x[ABSOLUTE_POS]);
        let base_value = base_across(x, ABSOLUTE_POS, constants, config);
        let (power, _) = powers(base_value, constants.beta, config.roots);
        y[ABSOLUTE_POS] = Vector::cast_from(value * power);
        base[ABSOLUTE_POS] = Vector::cast_from(base_value);
    }
}

#[cube(launch_unchecked)]
fn across_dx_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    base: &Array<Vector<F, N>>,
    dy: &Array<Vector<F, N>>,
    dx: &mut Array<Vector<F, N>>,
    constants: &Constants,
    #[comptime] config: AcrossConfig,
    #[comptime] units: usize,
) {
    let mut value = Vector::<f32, N>::new(0.0f32);
    let mut scaled = Vector::<f32, N>::new(0.0f32);
    let mut term = Vector::<f32, N>::new(0.0f32);
    if ABSOLUTE_POS < dx.len() {
        value = Vector::cast_from(x[ABSOLUTE_POS]);
        let base_value = Vector::<f32, N>::cast_from(base[ABSOLUTE_POS]);
        let (power, inverse) = powers(base_value, constants.beta, config.roots);
        scaled = Vector::<f32, N>::cast_from(dy[ABSOLUTE_POS]) * power;
        term = scaled * value * inverse;
    }
    let sum = sum_shared(term, config, units);
    if ABSOLUTE_POS < dx.len() {
        dx[ABSOLUTE_POS] = Vector::cast_from(gradient(scaled, value, sum, constants));
    }
}

impl<R: Runtime> Kernel<LrnForward> for Gpu<R> {
    fn run(&self, op: &LrnForward, [x]: [&Buffer; 1]) -> Result<[Buffer; 2]> {
        let &LrnForward { ref spec, shape } = op;
        let len = self.lrn_len(shape)?;
        let y = self.empty(x.dtype(), len);
        let base = self.empty(x.dtype(), len);
        let width = self.vector_width(x.dtype(), &[shape[3]]);
        match AcrossConfig::of(spec, shape[3], width) {
            _ if len == 0 => {}
            Some(config) => {
                let (count, dim) = self.unit_grid(len / width);
                let constants = constants(spec);
                // SAFETY: all buffers have `len` values; units past the end do nothing, and neighbours are of the same
                // pixel.
                dispatch!(x.dtype(), F => unsafe {
                    across_kernel::launch_unchecked::<F, R>(
                        self.client(), count, dim, width, x.arg(), y.arg(), base.arg(), constants, config,
                    );
                });
            }
            None => self.lrn_windows(spec, shape, x, &y, &base),
        }
        Ok([y, base])
    }
}

impl<R: Runtime> Kernel<LrnBackward> for Gpu<R> {
    fn run(&self, op: &LrnBackward, [x, base, dy]: [&Buffer; 3]) -> Result<[Buffer; 1]> {
        let &LrnBackward { ref spec, shape } = op;
        let len = self.lrn_len(shape)?;
        let dtype = dy.dtype();
        let x = self.cast(x, dtype);
        let base = self.cast(base, dtype);
        let dx = self.empty(dtype, len);
        let width = self.vector_width(dtype, &[shape[3]]);
        match self.backward_config(spec, shape[3], dtype) {
            _ if len == 0 => {}
            Some((config, units)) => {
                let dim = CubeDim::new_1d(units as u32);
                let count = cubecl::calculate_cube_count_elemwise(self.client(), len / width, dim);
                let constants = constants(spec);
                // SAFETY: as in the forward; pixels do not cross cubes, so shared memory is read within its length.
                dispatch!(dtype, F => unsafe {
                    across_dx_kernel::launch_unchecked::<F, R>(
                        self.client(), count, dim, width, x.arg(), base.arg(), dy.arg(), dx.arg(), constants, config, units,
                    );
                });
            }
            None => self.lrn_windows_dx(spec, shape, [&x, &base, dy], &dx),
        }
        Ok([dx])
    }

    /// The terms of the sums, where they are not in shared memory.
    fn workspace(&self, op: &LrnBackward) -> Workspace {
        let config = self.backward_config(&op.spec, op.shape[3], self.activation_dtype());
        let terms = if config.is_some() { 0 } else { op.shape.iter().product() };
        Workspace::of(vec![terms])
    }
}

impl<R: Runtime> Gpu<R> {
    /// The configuration of the backward and the units of its cubes. `None` where the terms are written to memory first.
    fn backward_config(&self, spec: &Lrn, channels: usize, dtype: Dtype) -> Option<(AcrossConfig, usize)> {
        let config = AcrossConfig::of(spec, channels, self.vector_width(dtype, &[channels]))?.mirrored();
        Some((config, config.units()?))
    }

    /// The number of values, if kernels can count them.
    fn lrn_len(&self, shape: [usize; 4]) -> Result<usize> {
        let len = shape.iter().product();
        self.addressable("lrn", len)?;
        Ok(len)
    }
}
