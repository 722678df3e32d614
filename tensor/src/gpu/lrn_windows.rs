//! Local response normalisation within channels, and across channels where windows are too long for registers.
//!
//! Each unit walks over its vector's window: size^2 reads per value, from the caches. The backward first writes the terms
//! of its sums to memory.

use cubecl::prelude::*;

use super::lrn::{Constants, constants, gradient, powers};
use super::precision::dispatch;
use super::{Buffer, Dtype, Gpu};
use crate::ops::lrn::{Lrn, Region};

/// The compile-time configuration of the kernels: images of rows, columns and vectors of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct WindowConfig {
    rows: usize,
    columns: usize,
    vectors: usize,
    /// Rows, then columns, of a window before and after its own.
    reach: [[usize; 2]; 2],
    roots: bool,
}

impl WindowConfig {
    /// For channels in vectors of `width`. Across channels, each pixel is an image whose columns are the channels.
    fn of(spec: &Lrn, [_, h, w, c]: [usize; 4], width: usize) -> Self {
        let reach = |length: usize| [spec.size / 2, (spec.size - 1) / 2].map(|reach| reach.min(length));
        let roots = spec.beta == 0.75;
        match spec.region {
            Region::AcrossChannels => Self { rows: 1, columns: c, vectors: 1, reach: [[0, 0], reach(c)], roots },
            Region::WithinChannel => {
                Self { rows: h, columns: w, vectors: c / width, reach: [reach(h), reach(w)], roots }
            }
        }
    }

    fn mirrored(mut self) -> Self {
        self.reach.iter_mut().for_each(|reach| reach.reverse());
        self
    }
}

/// The sum of the values, or of their squares, over the window of the vector at `at`.
#[cube]
fn window_sum<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    at: usize,
    #[comptime] config: WindowConfig,
    #[comptime] squares: bool,
) -> Vector<f32, N> {
    let pixel = at / config.vectors;
    let column = pixel % config.columns;
    let row = pixel / config.columns % config.rows;
    let (first_row, end_row) = window(row, config.rows, comptime!(config.reach[0]));
    let (first_column, end_column) = window(column, config.columns, comptime!(config.reach[1]));
    // The vector of these channels in the first pixel of the image.
    let start = at - (row * config.columns + column) * config.vectors;
    let mut sum = Vector::<f32, N>::new(0.0f32);
    for window_row in first_row..end_row {
        for window_column in first_column..end_column {
            let window_pixel = window_row * config.columns + window_column;
            let neighbour = Vector::<f32, N>::cast_from(x[start + window_pixel * config.vectors]);
            if comptime!(squares) {
                sum += neighbour * neighbour;
            } else {
                sum += neighbour;
            }
        }
    }
    sum
}

/// The start and end of the window of position `i`, clipped to 0..length.
#[cube]
fn window(i: usize, #[comptime] length: usize, #[comptime] reach: [usize; 2]) -> (usize, usize) {
    let before = comptime!(reach[0]);
    (max(i, before) - before, min(i + comptime!(reach[1] + 1), length))
}

#[cube(launch)]
fn window_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    y: &mut Array<Vector<F, N>>,
    base: &mut Array<Vector<F, N>>,
    constants: &Constants,
    #[comptime] config: WindowConfig,
) {
    if ABSOLUTE_POS < y.len() {
        let value = Vector::<f32, N>::cast_from(x[ABSOLUTE_POS]);
        let sum = window_sum(x, ABSOLUTE_POS, config, true);
        let base_value = Vector::new(constants.k) + Vector::new(constants.alpha) * sum;
        let (power, _) = powers(base_value, constants.beta, config.roots);
        y[ABSOLUTE_POS] = Vector::cast_from(value * power);
        base[ABSOLUTE_POS] = Vector::cast_from(base_value);
    }
}

/// The terms of the backward's sums: dy x base^(-beta - 1).
#[cube(launch)]
fn terms_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    base: &Array<Vector<F, N>>,
    dy: &Array<Vector<F, N>>,
    terms: &mut Array<Vector<f32, N>>,
    beta: f32,
    #[comptime] roots: bool,
) {
    if ABSOLUTE_POS < terms.len() {
        let base_value = Vector::<f32, N>::cast_from(base[ABSOLUTE_POS]);
        let (power, inverse) = powers(base_value, beta, roots);
        let scaled = Vector::<f32, N>::cast_from(dy[ABSOLUTE_POS]) * power;
        terms[ABSOLUTE_POS] = scaled * Vector::cast_from(x[ABSOLUTE_POS]) * inverse;
    }
}

#[cube(launch)]
fn window_dx_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    base: &Array<Vector<F, N>>,
    dy: &Array<Vector<F, N>>,
    terms: &Array<Vector<f32, N>>,
    dx: &mut Array<Vector<F, N>>,
    constants: &Constants,
    #[comptime] config: WindowConfig,
) {
    if ABSOLUTE_POS < dx.len() {
        let base_value = Vector::<f32, N>::cast_from(base[ABSOLUTE_POS]);
        let (power, _) = powers(base_value, constants.beta, config.roots);
        let scaled = Vector::<f32, N>::cast_from(dy[ABSOLUTE_POS]) * power;
        let value = Vector::<f32, N>::cast_from(x[ABSOLUTE_POS]);
        let sum = window_sum(terms, ABSOLUTE_POS, config, false);
        dx[ABSOLUTE_POS] = Vector::cast_from(gradient(scaled, value, sum, constants));
    }
}

impl<R: Runtime> Gpu<R> {
    pub(super) fn lrn_windows(&self, spec: &Lrn, shape: [usize; 4], x: &Buffer, y: &Buffer, base: &Buffer) {
        let width = self.window_width(spec, shape, x.dtype());
        let config = WindowConfig::of(spec, shape, width);
        let (count, dim) = self.unit_grid(y.len() / width);
        let constants = constants(spec);
        dispatch!(x.dtype(), F => {
            window_kernel::launch::<F, R>(
                self.client(), count, dim, width, x.arg(), y.arg(), base.arg(), constants, config,
            );
        });
    }

    pub(super) fn lrn_windows_dx(&self, spec: &Lrn, shape: [usize; 4], [x, base, dy]: [&Buffer; 3], dx: &Buffer) {
        let width = self.window_width(spec, shape, dy.dtype());
        let config = WindowConfig::of(spec, shape, width).mirrored();
        let terms = self.empty(Dtype::F32, dx.len());
        let (count, dim) = self.unit_grid(dx.len() / width);
        dispatch!(dy.dtype(), F => {
            let [x, base, dy] = [x, base, dy].map(Buffer::arg::<R>);
            terms_kernel::launch::<F, R>(
                self.client(), count.clone(), dim, width, x, base, dy, terms.arg(), spec.beta as f32, config.roots,
            );
        });
        let constants = constants(spec);
        dispatch!(dy.dtype(), F => {
            let [x, base, dy] = [x, base, dy].map(Buffer::arg::<R>);
            window_dx_kernel::launch::<F, R>(
                self.client(), count, dim, width, x, base, dy, terms.arg(), dx.arg(), constants, config,
            );
        });
    }

    /// The width of vectors: 1 across channels, where neighbours would be in the same vector.
    fn window_width(&self, spec: &Lrn, shape: [usize; 4], dtype: Dtype) -> usize {
        if spec.region == Region::AcrossChannels { 1 } else { self.vector_width(dtype, &[shape[3]]) }
    }
}
