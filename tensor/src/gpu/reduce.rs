//! Sums and maxima. Each part of the input becomes one partial result, and the parts follow from the shape alone; a
//! second launch folds the partial results, in the order of the parts.

use cubecl::prelude::*;

use super::cube::{Fold, fold_cube, rank};
use super::launch::UNITS;
use super::precision::dispatch;
use super::{Buffer, Dtype, Gpu, IntBuffer};
use crate::ops::reduce::{AllFinite, MaxAndArgmax, Sum, SumRows};
use crate::{Kernel, Result};

/// At least as many vectors, or rows, for each unit before there is another part.
const STEPS: usize = 8;
/// Parts of a sum over all values, at most: all that the second launch, of one cube, has to read.
const PARTS: usize = 4096;
/// Cubes of a sum over rows, about: as many as the largest devices run at once.
const CUBES: usize = 1024;
/// Columns, in vectors, of one cube that reads rows: enough for whole lines of the device's cache.
const TILE: usize = 64;
/// The same where partial sums are read: few rows, so many cubes matter more.
const TILE_OF_PARTS: usize = 4;

#[cube(launch)]
fn sum_kernel<F: Float, N: Size>(x: &Array<Vector<F, N>>, sums: &mut Array<f32>) {
    let mut sum = Vector::<f32, N>::new(0.0f32);
    let mut i = ABSOLUTE_POS;
    while i < x.len() {
        sum += Vector::<f32, N>::cast_from(x[i]);
        i += CUBE_COUNT * UNITS as usize;
    }
    let mut total = 0.0f32;
    #[unroll]
    for lane in 0..N::value() {
        total += sum[lane];
    }
    let total = fold_cube::<f32>(total, Fold::Sum, UNITS as usize);
    if UNIT_POS == 0 {
        sums[CUBE_POS] = total;
    }
}

/// `[rows, columns]` to `[parts, columns]`, columns in vectors. A cube has one part of the rows of `tile` columns;
/// its units form lanes of `tile` units side by side, so that what they read at once lies side by side.
#[cube(launch)]
fn sum_rows_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    sums: &mut Array<Vector<f32, N>>,
    rows: usize,
    columns: usize,
    parts: usize,
    tile: usize,
) {
    let tiles = columns.div_ceil(tile);
    let (part, unit) = (CUBE_POS / tiles, UNIT_POS as usize);
    let column = CUBE_POS % tiles * tile + unit % tile;
    let (lane, lanes) = (unit / tile, UNITS as usize / tile);
    let inside = part < parts && lane < lanes && column < columns;
    let step = lanes * parts;
    let mut row = select(inside, part * lanes + lane, rows);
    // Four sums at a time: four reads under way, and shorter sums.
    let zero = Vector::<f32, N>::new(0.0f32);
    let (mut a, mut b, mut c, mut d) = (zero, zero, zero, zero);
    while row + 3 * step < rows {
        a += Vector::cast_from(x[row * columns + column]);
        b += Vector::cast_from(x[(row + step) * columns + column]);
        c += Vector::cast_from(x[(row + 2 * step) * columns + column]);
        d += Vector::cast_from(x[(row + 3 * step) * columns + column]);
        row += 4 * step;
    }
    while row < rows {
        a += Vector::cast_from(x[row * columns + column]);
        row += step;
    }
    let mut shared = SharedMemory::<Vector<f32, N>>::new(UNITS as usize);
    shared[unit] = (a + b) + (c + d);
    sync_cube();
    let mut half = (UNITS as usize / 2).runtime();
    while half > 0 {
        if lane < half && lane + half < lanes {
            let other = shared[unit + half * tile];
            shared[unit] += other;
        }
        sync_cube();
        half /= 2;
    }
    if inside && lane == 0 {
        sums[part * columns + column] = shared[unit];
    }
}

/// A cube a row.
#[cube(launch)]
fn max_and_argmax_kernel<F: Float>(
    x: &Array<F>,
    values: &mut Array<F>,
    places: &mut Array<u32>,
    c: usize,
    #[comptime] units: usize,
) {
    let (row, unit) = (CUBE_POS, UNIT_POS as usize);
    let columns = select(row < places.len(), c, 0);
    let mut best = 0u32;
    let mut place = u32::MAX.runtime();
    let mut i = unit;
    while i < columns {
        let value = rank(f32::cast_from(x[row * c + i]));
        place = select(value > best, i as u32, place);
        best = max(value, best);
        i += units;
    }
    let largest = fold_cube::<u32>(best, Fold::Max, units);
    // Of equals the first: the least place, found as the greatest of its complement.
    let first = fold_cube::<u32>(select(best == largest, !place, 0), Fold::Max, units);
    if unit == 0 && row < places.len() {
        let place = !first;
        places[row] = place;
        values[row] = x[row * c + place as usize];
    }
}

/// All ones in the exponent: infinite or NaN.
const EXPONENT: u32 = 0x7f80_0000;

/// The largest exponent of each part.
#[cube(launch)]
fn exponents_kernel<F: Float, N: Size>(x: &Array<Vector<F, N>>, largest: &mut Array<u32>) {
    let mut exponents = Vector::<u32, N>::new(0u32);
    let mut i = ABSOLUTE_POS;
    while i < x.len() {
        let bits = Vector::<u32, N>::reinterpret(Vector::<f32, N>::cast_from(x[i]));
        exponents = max(exponents, bits & Vector::new(EXPONENT));
        i += CUBE_COUNT * UNITS as usize;
    }
    let mut exponent = 0u32;
    #[unroll]
    for lane in 0..N::value() {
        exponent = max(exponent, exponents[lane]);
    }
    let exponent = fold_cube::<u32>(exponent, Fold::Max, UNITS as usize);
    if UNIT_POS == 0 {
        largest[CUBE_POS] = exponent;
    }
}

/// One cube: whether no part has the exponent of infinity.
#[cube(launch)]
fn finite_kernel(exponents: &Array<u32>, finite: &mut Array<u32>) {
    let mut exponent = 0u32;
    let mut i = UNIT_POS as usize;
    while i < exponents.len() {
        exponent = max(exponent, exponents[i]);
        i += UNITS as usize;
    }
    let exponent = fold_cube::<u32>(exponent, Fold::Max, UNITS as usize);
    if UNIT_POS == 0 {
        finite[0] = select(exponent < EXPONENT, 1u32, 0u32);
    }
}

impl<R: Runtime> Gpu<R> {
    /// `[parts]`: each the sum of its part of the values.
    fn sum_parts(&self, x: &Buffer, parts: usize) -> Buffer {
        let (count, dim) = (CubeCount::new_1d(parts as u32), CubeDim::new_1d(UNITS));
        let (width, sums) = (self.vector_width(x.dtype(), &[x.len()]), self.empty(Dtype::F32, parts));
        dispatch!(x.dtype(), F => {
            sum_kernel::launch::<F, R>(self.client(), count, dim, width, x.arg(), sums.arg());
        });
        sums
    }

    /// `[parts, c]`: each row the sum of its part of `rows` rows.
    fn sum_rows_parts(&self, rows: usize, c: usize, x: &Buffer, parts: usize, tile: usize) -> Buffer {
        let (width, sums) = (self.vector_width(x.dtype(), &[c]), self.empty(Dtype::F32, parts * c));
        let columns = c / width;
        let (count, dim) = self.spread(parts * columns.div_ceil(tile), UNITS);
        dispatch!(x.dtype(), F => {
            let (client, x, sums) = (self.client(), x.arg(), sums.arg());
            sum_rows_kernel::launch::<F, R>(client, count, dim, width, x, sums, rows, columns, parts, tile);
        });
        sums
    }
}

/// Parts of `len` values that are read in vectors of `width`.
fn parts(len: usize, width: usize) -> usize {
    len.div_ceil(width * UNITS as usize * STEPS).clamp(1, PARTS)
}

/// Units of a cube for a row of `c` values.
pub(crate) fn row_units(c: usize) -> u32 {
    c.next_power_of_two().clamp(32, UNITS as usize) as u32
}

impl<R: Runtime> Kernel<Sum> for Gpu<R> {
    fn run(&self, op: &Sum, [x]: [&Buffer; 1]) -> Result<[Buffer; 1]> {
        let len = op.len;
        self.addressable("sum", len)?;
        let parts = parts(len, self.vector_width(x.dtype(), &[len]));
        let sums = self.sum_parts(x, parts);
        Ok([if parts == 1 { sums } else { self.sum_parts(&sums, 1) }])
    }
}

impl<R: Runtime> Kernel<SumRows> for Gpu<R> {
    fn run(&self, op: &SumRows, [x]: [&Buffer; 1]) -> Result<[Buffer; 1]> {
        let &SumRows { rows, channels: c } = op;
        if c == 1 {
            return self.run(&Sum { len: rows }, [x]);
        }
        self.addressable("sum_rows", rows * c)?;
        if c == 0 {
            return Ok([self.empty(Dtype::F32, 0)]);
        }
        // Tiles of one width, as near to `TILE` as there are columns.
        let columns = c / self.vector_width(x.dtype(), &[c]);
        let tiles = columns.div_ceil(TILE);
        let tile = columns.div_ceil(tiles);
        let steps = rows.div_ceil(UNITS as usize / tile);
        let parts = steps.div_ceil(STEPS).clamp(1, CUBES.div_ceil(tiles));
        let sums = self.sum_rows_parts(rows, c, x, parts, tile);
        Ok([if parts == 1 { sums } else { self.sum_rows_parts(parts, c, &sums, 1, TILE_OF_PARTS) }])
    }
}

impl<R: Runtime> Kernel<MaxAndArgmax> for Gpu<R> {
    fn run(&self, op: &MaxAndArgmax, [x]: [&Buffer; 1]) -> Result<([Buffer; 1], [IntBuffer; 1])> {
        let &MaxAndArgmax { rows, channels: c } = op;
        self.addressable("max_and_argmax", rows * c)?;
        let values = self.empty(x.dtype(), rows);
        let indices = self.empty_ints(rows);
        if rows > 0 {
            let units = row_units(c);
            let (count, dim) = self.spread(rows, units);
            dispatch!(x.dtype(), F => {
                max_and_argmax_kernel::launch::<F, R>(
                    self.client(), count, dim, x.arg(), values.arg(), indices.arg(), c, units as usize,
                );
            });
        }
        Ok(([values], [indices]))
    }
}

impl<R: Runtime> Kernel<AllFinite> for Gpu<R> {
    fn run(&self, op: &AllFinite, [x]: [&Buffer; 1]) -> Result<([Buffer; 0], [IntBuffer; 1])> {
        let len = op.len;
        self.addressable("all_finite", len)?;
        let width = self.vector_width(x.dtype(), &[len]);
        let parts = parts(len, width);
        let (exponents, finite) = (self.empty_ints(parts), self.empty_ints(1));
        let (client, dim) = (self.client(), CubeDim::new_1d(UNITS));
        dispatch!(x.dtype(), F => {
            let count = CubeCount::new_1d(parts as u32);
            exponents_kernel::launch::<F, R>(client, count, dim, width, x.arg(), exponents.arg());
        });
        finite_kernel::launch::<R>(client, CubeCount::new_single(), dim, exponents.arg(), finite.arg());
        Ok(([], [finite]))
    }
}
