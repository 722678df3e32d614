//! Local response normalisation within a map, and across channels where windows are longer than registers hold: each
//! unit walks over its vector's window. The caches serve size^2 reads a value; the backward writes its terms first.

use cubecl::prelude::*;

use super::lrn::{Constants, constants, gradient, powers};
use super::precision::dispatch;
use super::{Buffer, Dtype, Gpu};
use crate::ops::lrn::{Lrn, Region};

/// What a kernel is compiled for: maps of rows and columns of vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Map {
    rows: usize,
    columns: usize,
    vectors: usize,
    /// Rows, then columns, before and after that a window takes in.
    reach: [[usize; 2]; 2],
    roots: bool,
}

impl Map {
    /// Channels in vectors of `width`. A place's channels count as a map of one row.
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

/// The sum over the window of the vector at `at`, of the values or of their squares.
#[cube]
fn window_sum<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    at: usize,
    #[comptime] map: Map,
    #[comptime] squares: bool,
) -> Vector<f32, N> {
    let place = at / map.vectors;
    let column = place % map.columns;
    let row = place / map.columns % map.rows;
    let (first_row, end_row) = window(row, map.rows, comptime!(map.reach[0]));
    let (first_column, end_column) = window(column, map.columns, comptime!(map.reach[1]));
    // The image's own first vector.
    let start = at - (row * map.columns + column) * map.vectors;
    let mut sum = Vector::<f32, N>::new(0.0f32);
    for y in first_row..end_row {
        for x_ in first_column..end_column {
            let near = Vector::<f32, N>::cast_from(x[start + (y * map.columns + x_) * map.vectors]);
            if comptime!(squares) {
                sum += near * near;
            } else {
                sum += near;
            }
        }
    }
    sum
}

/// The part of a window that lies in 0..length.
#[cube]
fn window(i: usize, #[comptime] length: usize, #[comptime] reach: [usize; 2]) -> (usize, usize) {
    let before = comptime!(reach[0]);
    (max(i, before) - before, min(i + comptime!(reach[1] + 1), length))
}

#[cube(launch)]
fn map_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    y: &mut Array<Vector<F, N>>,
    base: &mut Array<Vector<F, N>>,
    constants: &Constants,
    #[comptime] map: Map,
) {
    if ABSOLUTE_POS < y.len() {
        let value = Vector::<f32, N>::cast_from(x[ABSOLUTE_POS]);
        let sum = window_sum(x, ABSOLUTE_POS, map, true);
        let around = Vector::new(constants.k) + Vector::new(constants.alpha) * sum;
        let (power, _) = powers(around, constants.beta, map.roots);
        y[ABSOLUTE_POS] = Vector::cast_from(value * power);
        base[ABSOLUTE_POS] = Vector::cast_from(around);
    }
}

/// t = dy x base^(-beta - 1).
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
        let around = Vector::<f32, N>::cast_from(base[ABSOLUTE_POS]);
        let (power, inverse) = powers(around, beta, roots);
        let scaled = Vector::<f32, N>::cast_from(dy[ABSOLUTE_POS]) * power;
        terms[ABSOLUTE_POS] = scaled * Vector::cast_from(x[ABSOLUTE_POS]) * inverse;
    }
}

#[cube(launch)]
fn map_dx_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    base: &Array<Vector<F, N>>,
    dy: &Array<Vector<F, N>>,
    terms: &Array<Vector<f32, N>>,
    dx: &mut Array<Vector<F, N>>,
    constants: &Constants,
    #[comptime] map: Map,
) {
    if ABSOLUTE_POS < dx.len() {
        let around = Vector::<f32, N>::cast_from(base[ABSOLUTE_POS]);
        let (power, _) = powers(around, constants.beta, map.roots);
        let scaled = Vector::<f32, N>::cast_from(dy[ABSOLUTE_POS]) * power;
        let value = Vector::<f32, N>::cast_from(x[ABSOLUTE_POS]);
        let sum = window_sum(terms, ABSOLUTE_POS, map, false);
        dx[ABSOLUTE_POS] = Vector::cast_from(gradient(scaled, value, sum, constants));
    }
}

impl<R: Runtime> Gpu<R> {
    pub(super) fn lrn_map(&self, spec: &Lrn, shape: [usize; 4], x: &Buffer, y: &Buffer, base: &Buffer) {
        let width = self.map_width(spec, shape, x.dtype());
        let map = Map::of(spec, shape, width);
        let (count, dim) = self.cover(y.len() / width);
        let constants = constants(spec);
        dispatch!(x.dtype(), F => {
            map_kernel::launch::<F, R>(
                self.client(), count, dim, width, x.arg(), y.arg(), base.arg(), constants, map,
            );
        });
    }

    pub(super) fn lrn_map_dx(&self, spec: &Lrn, shape: [usize; 4], [x, base, dy]: [&Buffer; 3], dx: &Buffer) {
        let width = self.map_width(spec, shape, dy.dtype());
        let map = Map::of(spec, shape, width).mirrored();
        let terms = self.empty(Dtype::F32, dx.len());
        let (count, dim) = self.cover(dx.len() / width);
        dispatch!(dy.dtype(), F => {
            let [x, base, dy] = [x, base, dy].map(Buffer::arg::<R>);
            terms_kernel::launch::<F, R>(
                self.client(), count.clone(), dim, width, x, base, dy, terms.arg(), spec.beta as f32, map.roots,
            );
        });
        let constants = constants(spec);
        dispatch!(dy.dtype(), F => {
            let [x, base, dy] = [x, base, dy].map(Buffer::arg::<R>);
            map_dx_kernel::launch::<F, R>(
                self.client(), count, dim, width, x, base, dy, terms.arg(), dx.arg(), constants, map,
            );
        });
    }

    /// Neighbouring channels cannot be added as vectors.
    fn map_width(&self, spec: &Lrn, shape: [usize; 4], dtype: Dtype) -> usize {
        if spec.region == Region::AcrossChannels { 1 } else { self.vector_width(dtype, &[shape[3]]) }
    }
}
