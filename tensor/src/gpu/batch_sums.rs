//! Sums over rows for batch normalisation, in two launches: first each cube sums a part of the rows, then one cube for
//! each chunk of channels merges the parts, in an order that follows from the shape.
//!
//! The statistics read x once. A unit subtracts its first value from the others before it sums them, so that a large mean
//! costs no digits; means and squared deviations are merged by the formula of Chan, Golub and LeVeque. The sums of the
//! backward read x and dy once.

use cubecl::prelude::*;

use super::launch::UNITS;
use super::precision::dispatch;
use super::{Buffer, Dtype, Gpu};

/// How sums over rows are split among cubes and units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Parts {
    /// Vectors of channels in a row.
    vectors: usize,
    /// Adjacent units of a cube, each of which sums one vector of channels.
    unit_columns: usize,
    /// Units of a cube that share one vector of channels: the rows of the part are split among them.
    unit_rows: usize,
    /// Whether a mean and squared deviations are merged, or two sums added.
    statistics: bool,
}

impl Parts {
    fn of(vectors: usize, statistics: bool) -> Self {
        let unit_columns = vectors.min(UNITS as usize);
        Self { vectors, unit_columns, unit_rows: UNITS as usize / unit_columns, statistics }
    }

    fn units(&self) -> usize {
        self.unit_columns * self.unit_rows
    }

    /// The number of cubes for all channels.
    fn chunks(&self) -> usize {
        self.vectors.div_ceil(self.unit_columns)
    }

    /// The number of rows in a part. Parts should fill a large device, and be few enough for one cube to merge.
    fn rows(&self, rows: usize) -> usize {
        const CUBES: usize = 1024;
        let parts = (CUBES / self.chunks()).max(1);
        rows.div_ceil(parts).max(4 * self.unit_rows)
    }
}

/// The partial result over some rows: a mean and squared deviations from it, or two sums.
#[derive(CubeType, Clone, Copy)]
struct Partial<N: Size> {
    rows: f32,
    a: Vector<f32, N>,
    b: Vector<f32, N>,
}

#[cube]
fn merge<N: Size>(left: &Partial<N>, right: &Partial<N>, #[comptime] statistics: bool) -> Partial<N> {
    let rows = left.rows + right.rows;
    if comptime!(statistics) {
        let difference = right.a - left.a;
        // 0, not NaN, for two empty partial results.
        let share = right.rows / max(rows, 1.0f32);
        let between = difference * difference * Vector::new(left.rows * share);
        Partial::<N> { rows, a: left.a + difference * Vector::new(share), b: left.b + right.b + between }
    } else {
        Partial::<N> { rows, a: left.a + right.a, b: left.b + right.b }
    }
}

/// Merges the partial results of a cube's units for the same channels. The first row of units gets the result. All units
/// of the cube must call this.
#[cube]
fn merge_cube<N: Size>(own: Partial<N>, #[comptime] parts: Parts) -> Partial<N> {
    let unit = UNIT_POS as usize;
    let mut rows = SharedMemory::<f32>::new(comptime!(parts.units()));
    let mut a = SharedMemory::<Vector<f32, N>>::new(comptime!(parts.units()));
    let mut b = SharedMemory::<Vector<f32, N>>::new(comptime!(parts.units()));
    rows[unit] = own.rows;
    a[unit] = own.a;
    b[unit] = own.b;
    sync_cube();
    let mut half = comptime!(parts.unit_rows.next_power_of_two() / 2).runtime();
    while half > 0 {
        let other = unit + half * parts.unit_columns;
        if unit < half * parts.unit_columns && other < comptime!(parts.units()) {
            let left = Partial::<N> { rows: rows[unit], a: a[unit], b: b[unit] };
            let right = Partial::<N> { rows: rows[other], a: a[other], b: b[other] };
            let both = merge::<N>(&left, &right, parts.statistics);
            rows[unit] = both.rows;
            a[unit] = both.a;
            b[unit] = both.b;
        }
        sync_cube();
        half /= 2usize;
    }
    Partial::<N> { rows: rows[unit], a: a[unit], b: b[unit] }
}

/// The channels and rows that a unit sums.
#[derive(CubeType, Clone, Copy)]
struct UnitRange {
    part: usize,
    vector: usize,
    first_row: usize,
    end_row: usize,
}

#[cube]
fn unit_range(rows: usize, part_rows: usize, #[comptime] parts: Parts) -> UnitRange {
    let unit = UNIT_POS as usize;
    let part = CUBE_POS / comptime!(parts.chunks());
    let vector = CUBE_POS % comptime!(parts.chunks()) * parts.unit_columns + unit % parts.unit_columns;
    let first_row = part * part_rows + unit / parts.unit_columns;
    let end_row = min((part + 1) * part_rows, rows);
    UnitRange { part, vector, first_row, end_row: select(vector < parts.vectors, end_row, first_row) }
}

/// Writes the means and squared deviations of each part to its row of `means` and `squares`.
#[cube(launch)]
fn statistics_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    means: &mut Array<Vector<f32, N>>,
    squares: &mut Array<Vector<f32, N>>,
    rows: usize,
    part_rows: usize,
    #[comptime] parts: Parts,
) {
    let range = unit_range(rows, part_rows, parts);
    let zero = Vector::<f32, N>::new(0.0f32);
    let mut partial = Partial::<N> { rows: 0.0f32, a: zero, b: zero };
    if range.first_row < range.end_row {
        let origin = Vector::<f32, N>::cast_from(x[range.first_row * parts.vectors + range.vector]);
        let mut sum = zero;
        let mut square = zero;
        for row in range_stepped(range.first_row, range.end_row, parts.unit_rows) {
            let deviation = Vector::<f32, N>::cast_from(x[row * parts.vectors + range.vector]) - origin;
            sum += deviation;
            square += deviation * deviation;
        }
        let count = f32::cast_from((range.end_row - range.first_row).div_ceil(parts.unit_rows));
        let mean = sum / Vector::new(count);
        partial.rows = count;
        partial.a = origin + mean;
        partial.b = square - sum * mean;
    }
    let merged = merge_cube::<N>(partial, parts);
    if UNIT_POS < parts.unit_columns as u32 && range.vector < parts.vectors {
        means[range.part * parts.vectors + range.vector] = merged.a;
        squares[range.part * parts.vectors + range.vector] = merged.b;
    }
}

/// Writes the sums of dy and of dy (x - mean) of each part to its row of `dbetas` and `products`.
#[cube(launch)]
fn sums_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    dy: &Array<Vector<F, N>>,
    mean: &Array<Vector<f32, N>>,
    dbetas: &mut Array<Vector<f32, N>>,
    products: &mut Array<Vector<f32, N>>,
    rows: usize,
    part_rows: usize,
    #[comptime] parts: Parts,
) {
    let range = unit_range(rows, part_rows, parts);
    let zero = Vector::<f32, N>::new(0.0f32);
    let mut partial = Partial::<N> { rows: 0.0f32, a: zero, b: zero };
    if range.first_row < range.end_row {
        let mean = mean[range.vector];
        for row in range_stepped(range.first_row, range.end_row, parts.unit_rows) {
            let at = row * parts.vectors + range.vector;
            let gradient = Vector::<f32, N>::cast_from(dy[at]);
            partial.a += gradient;
            partial.b += gradient * (Vector::cast_from(x[at]) - mean);
        }
    }
    let merged = merge_cube::<N>(partial, parts);
    if UNIT_POS < parts.unit_columns as u32 && range.vector < parts.vectors {
        dbetas[range.part * parts.vectors + range.vector] = merged.a;
        products[range.part * parts.vectors + range.vector] = merged.b;
    }
}

/// Merges the parts' rows of `a` and `b` into the mean and the variance, or into dbeta and dgamma.
#[cube(launch)]
fn merge_kernel<N: Size>(
    a: &Array<Vector<f32, N>>,
    b: &Array<Vector<f32, N>>,
    variance: &Array<Vector<f32, N>>,
    merged_a: &mut Array<Vector<f32, N>>,
    merged_b: &mut Array<Vector<f32, N>>,
    rows: usize,
    part_rows: usize,
    epsilon: f32,
    #[comptime] parts: Parts,
) {
    let count = rows.div_ceil(part_rows);
    let range = unit_range(count, count, parts);
    let zero = Vector::<f32, N>::new(0.0f32);
    let mut partial = Partial::<N> { rows: 0.0f32, a: zero, b: zero };
    if range.first_row < range.end_row {
        for part in range_stepped(range.first_row, range.end_row, parts.unit_rows) {
            let at = part * parts.vectors + range.vector;
            let rows_here = f32::cast_from(min((part + 1) * part_rows, rows) - part * part_rows);
            let next = Partial::<N> { rows: rows_here, a: a[at], b: b[at] };
            let both = merge::<N>(&partial, &next, parts.statistics);
            partial.rows = both.rows;
            partial.a = both.a;
            partial.b = both.b;
        }
    }
    let merged = merge_cube::<N>(partial, parts);
    if range.part == 0 && UNIT_POS < parts.unit_columns as u32 && range.vector < parts.vectors {
        merged_a[range.vector] = merged.a;
        if comptime!(parts.statistics) {
            merged_b[range.vector] = merged.b / Vector::new(f32::cast_from(rows));
        } else {
            merged_b[range.vector] = merged.b * inverse_deviation::<N>(variance[range.vector], epsilon);
        }
    }
}

#[cube]
pub(super) fn inverse_deviation<N: Size>(variance: Vector<f32, N>, epsilon: f32) -> Vector<f32, N> {
    Vector::inverse_sqrt(variance + Vector::new(epsilon))
}

/// The results of the first launch: `[count, c]` each.
struct Partials {
    a: Buffer,
    b: Buffer,
    /// The number of parts.
    count: usize,
    /// The number of rows in a part.
    rows: usize,
}

impl<R: Runtime> Gpu<R> {
    /// Mean and variance of each channel.
    pub(super) fn means_and_variances(&self, rows: usize, c: usize, x: &Buffer) -> (Buffer, Buffer) {
        let width = self.vector_width(x.dtype(), &[c]);
        let parts = Parts::of(c / width, true);
        let partials = self.partials(rows, c, &parts);
        let (count, dim) = self.cubes(partials.count, &parts);
        dispatch!(x.dtype(), F => {
            let [a, b] = [&partials.a, &partials.b].map(Buffer::arg::<R>);
            statistics_kernel::launch::<F, R>(
                self.client(), count, dim, width, x.arg(), a, b, rows, partials.rows, parts,
            );
        });
        // The kernel does not read the variance here, but the argument must be a buffer.
        self.merge(rows, c, &partials, &parts, width, &partials.a, 0.0)
    }

    /// The gradients of beta and of gamma.
    pub(super) fn gradient_sums(
        &self,
        rows: usize,
        c: usize,
        x: &Buffer,
        dy: &Buffer,
        (mean, variance): (&Buffer, &Buffer),
        epsilon: f64,
    ) -> (Buffer, Buffer) {
        let width = self.vector_width(dy.dtype(), &[c]);
        let parts = Parts::of(c / width, false);
        let partials = self.partials(rows, c, &parts);
        let (count, dim) = self.cubes(partials.count, &parts);
        dispatch!(dy.dtype(), F => {
            let [mean, a, b] = [mean, &partials.a, &partials.b].map(Buffer::arg::<R>);
            sums_kernel::launch::<F, R>(
                self.client(), count, dim, width, x.arg(), dy.arg(), mean, a, b, rows, partials.rows, parts,
            );
        });
        self.merge(rows, c, &partials, &parts, width, variance, epsilon)
    }

    fn partials(&self, rows: usize, c: usize, parts: &Parts) -> Partials {
        let part_rows = parts.rows(rows);
        let count = rows.div_ceil(part_rows);
        let a = self.empty(Dtype::F32, count * c);
        let b = self.empty(Dtype::F32, count * c);
        Partials { a, b, count, rows: part_rows }
    }

    /// One cube for each part and chunk of channels.
    fn cubes(&self, count: usize, parts: &Parts) -> (CubeCount, CubeDim) {
        let dim = CubeDim::new_1d(parts.units() as u32);
        let units = count * parts.chunks() * parts.units();
        (cubecl::calculate_cube_count_elemwise(self.client(), units, dim), dim)
    }

    /// The second launch.
    #[allow(clippy::too_many_arguments)]
    fn merge(
        &self,
        rows: usize,
        c: usize,
        partials: &Partials,
        parts: &Parts,
        width: usize,
        variance: &Buffer,
        epsilon: f64,
    ) -> (Buffer, Buffer) {
        let merged_a = self.empty(Dtype::F32, c);
        let merged_b = self.empty(Dtype::F32, c);
        let (count, dim) = self.cubes(1, parts);
        let [a, b, variance, to_a, to_b] =
            [&partials.a, &partials.b, variance, &merged_a, &merged_b].map(Buffer::arg::<R>);
        merge_kernel::launch::<R>(
            self.client(),
            count,
            dim,
            width,
            a,
            b,
            variance,
            to_a,
            to_b,
            rows,
            partials.rows,
            epsilon as f32,
            *parts,
        );
        (merged_a, merged_b)
    }
}
