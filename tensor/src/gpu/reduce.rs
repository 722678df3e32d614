//! Sums and maxima, in two launches: the first reduces each part of the input to a partial result, the second reduces the
//! partial results in the order of the parts. The parts follow from the shape alone.

use cubecl::prelude::*;

use super::block_reduce::{Reduction, block_reduce, rank};
use super::launch::UNITS;
use super::precision::dispatch;
use super::{Buffer, Dtype, Gpu, IntBuffer};
use crate::ops::reduce::{AllFinite, MaxAndArgmax, Sum, SumRows};
use crate::{Kernel, Result};

/// The fewest vectors, or rows, of a unit before the input is split into another part.
const STEPS: usize = 8;
/// The most parts of a sum over all values. The second launch, of one cube, reads them all.
const PARTS: usize = 4096;
/// The number of cubes aimed at for a sum over rows: as many as the largest devices run at once.
const CUBES: usize = 1024;
/// Columns of a cube that sums rows, in vectors: enough to read whole cache lines.
const TILE: usize = 64;
/// The same for partial sums: there are few rows, so that the number of cubes matters more.
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
    let total = block_reduce::<f32>(total, Reduction::Sum, UNITS as usize);
    if UNIT_POS == 0 {
        sums[CUBE_POS] = total;
    }
}

/// Sums `[rows, columns]` to `[parts, columns]`, columns in vectors. A cube sums one part of the rows of `tile` columns.
/// Its units form lanes of `tile` adjacent units, whose reads are coalesced.
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
    let part = CUBE_POS / tiles;
    let unit = UNIT_POS as usize;
    let column = CUBE_POS % tiles * tile + unit % tile;
    let lane = unit / tile;
    let lanes = UNITS as usize / tile;
    let inside = part < parts && lane < lanes && column < columns;
    let step = lanes * parts;
    let mut row = select(inside, part * lanes + lane, rows);
    // Four sums at a time: four reads are in flight, and the sums are shorter.
    let zero = Vector::<f32, N>::new(0.0f32);
    let mut a = zero;
    let mut b = zero;
    let mut c = zero;
    let mut d = zero;
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

/// One cube for each row.
#[cube(launch)]
fn max_and_argmax_kernel<F: Float>(
    x: &Array<F>,
    values: &mut Array<F>,
    indices: &mut Array<u32>,
    c: usize,
    #[comptime] units: usize,
) {
    let row = CUBE_POS;
    let unit = UNIT_POS as usize;
    let columns = select(row < indices.len(), c, 0);
    let mut best = 0u32;
    let mut index = u32::MAX.runtime();
    let mut i = unit;
    while i < columns {
        let value = rank(f32::cast_from(x[row * c + i]));
        index = select(value > best, i as u32, index);
        best = max(value, best);
        i += units;
    }
    let largest = block_reduce::<u32>(best, Reduction::Max, units);
    // Of equal values the first: its index is the smallest, so the complement is the largest.
    let first = block_reduce::<u32>(select(best == largest, !index, 0), Reduction::Max, units);
    if unit == 0 && row < indices.len() {
        let index = !first;
        indices[row] = index;
        values[row] = x[row * c + index as usize];
    }
}

/// The exponent bits of an `f32`: all are ones in an infinity and in NaN.
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
    let exponent = block_reduce::<u32>(exponent, Reduction::Max, UNITS as usize);
    if UNIT_POS == 0 {
        largest[CUBE_POS] = exponent;
    }
}

/// One cube: writes 1 if no part has the exponent of infinity, else 0.
#[cube(launch)]
fn finite_kernel(exponents: &Array<u32>, finite: &mut Array<u32>) {
    let mut exponent = 0u32;
    let mut i = UNIT_POS as usize;
    while i < exponents.len() {
        exponent = max(exponent, exponents[i]);
        i += UNITS as usize;
    }
    let exponent = block_reduce::<u32>(exponent, Reduction::Max, UNITS as usize);
    if UNIT_POS == 0 {
        finite[0] = select(exponent < EXPONENT, 1u32, 0u32);
    }
}

impl<R: Runtime> Gpu<R> {
    /// The sum of each part of the values: `[parts]`.
    fn sum_parts(&self, x: &Buffer, parts: usize) -> Buffer {
        let count = CubeCount::new_1d(parts as u32);
        let dim = CubeDim::new_1d(UNITS);
        let width = self.vector_width(x.dtype(), &[x.len()]);
        let sums = self.empty(Dtype::F32, parts);
        dispatch!(x.dtype(), F => {
            sum_kernel::launch::<F, R>(self.client(), count, dim, width, x.arg(), sums.arg());
        });
        sums
    }

    /// The sum of each part of `rows` rows: `[parts, c]`.
    fn sum_rows_parts(&self, rows: usize, c: usize, x: &Buffer, parts: usize, tile: usize) -> Buffer {
        let width = self.vector_width(x.dtype(), &[c]);
        let sums = self.empty(Dtype::F32, parts * c);
        let columns = c / width;
        let (count, dim) = self.cube_grid(parts * columns.div_ceil(tile), UNITS);
        let client = self.client();
        dispatch!(x.dtype(), F => {
            sum_rows_kernel::launch::<F, R>(
                client, count, dim, width, x.arg(), sums.arg(), rows, columns, parts, tile,
            );
        });
        sums
    }
}

/// The number of parts of `len` values, which are read in vectors of `width`.
fn part_count(len: usize, width: usize) -> usize {
    len.div_ceil(width * UNITS as usize * STEPS).clamp(1, PARTS)
}

/// The number of units in a cube for a row of `c` values.
pub(crate) fn row_units(c: usize) -> u32 {
    c.next_power_of_two().clamp(32, UNITS as usize) as u32
}

impl<R: Runtime> Kernel<Sum> for Gpu<R> {
    fn run(&self, op: &Sum, [x]: [&Buffer; 1]) -> Result<[Buffer; 1]> {
        let len = op.len;
        self.addressable("sum", len)?;
        let parts = part_count(len, self.vector_width(x.dtype(), &[len]));
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
        // Tiles of equal width, at most `TILE`.
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
            let (count, dim) = self.cube_grid(rows, units);
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
        let parts = part_count(len, width);
        let exponents = self.empty_ints(parts);
        let finite = self.empty_ints(1);
        let client = self.client();
        let dim = CubeDim::new_1d(UNITS);
        dispatch!(x.dtype(), F => {
            let count = CubeCount::new_1d(parts as u32);
            exponents_kernel::launch::<F, R>(client, count, dim, width, x.arg(), exponents.arg());
        });
        finite_kernel::launch::<R>(client, CubeCount::new_single(), dim, exponents.arg(), finite.arg());
        Ok(([], [finite]))
    }
}
