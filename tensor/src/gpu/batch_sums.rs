//! Sums over rows for batch normalisation, in two launches: each cube sums a part of the rows, then one cube for some
//! channels adds up the parts, in an order that follows from the shape.
//!
//! Statistics read x once: a unit sums its values less the first of them, so that a large mean costs no digits, and means
//! and squared deviations are merged by the formula of Chan, Golub and LeVeque. The backward's sums read x and dy once.

use cubecl::prelude::*;

use super::launch::UNITS;
use super::precision::dispatch;
use super::{Buffer, Dtype, Gpu};

/// How sums over rows are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Parts {
    /// Vectors of channels a row.
    vectors: usize,
    /// Units of a cube side by side: a vector of channels each.
    side: usize,
    /// Units of a cube for one vector: each sums its share of the part's rows.
    high: usize,
    /// Whether a mean and squared deviations are merged, or two sums added.
    statistics: bool,
}

impl Parts {
    fn of(vectors: usize, statistics: bool) -> Self {
        let side = vectors.min(UNITS as usize);
        Self { vectors, side, high: UNITS as usize / side, statistics }
    }

    fn units(&self) -> usize {
        self.side * self.high
    }

    /// Cubes for all channels.
    fn chunks(&self) -> usize {
        self.vectors.div_ceil(self.side)
    }

    /// Rows of a part: parts are to fill a large device, and be few enough to be merged by one cube.
    fn rows(&self, rows: usize) -> usize {
        const CUBES: usize = 1024;
        let parts = (CUBES / self.chunks()).max(1);
        rows.div_ceil(parts).max(4 * self.high)
    }
}

/// Over some rows: a mean and squared deviations from it, or two sums.
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
        let apart = right.a - left.a;
        // Of two empty ones nothing.
        let share = right.rows / max(rows, 1.0f32);
        let between = apart * apart * Vector::new(left.rows * share);
        Partial::<N> { rows, a: left.a + apart * Vector::new(share), b: left.b + right.b + between }
    } else {
        Partial::<N> { rows, a: left.a + right.a, b: left.b + right.b }
    }
}

/// Merges what the units of a cube have for the same channels; its first row of units gets all. All units of the cube
/// must come here.
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
    let mut half = comptime!(parts.high.next_power_of_two() / 2).runtime();
    while half > 0 {
        let other = unit + half * parts.side;
        if unit < half * parts.side && other < comptime!(parts.units()) {
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

/// Which channels and rows a unit sums.
#[derive(CubeType, Clone, Copy)]
struct Share {
    part: usize,
    vector: usize,
    first_row: usize,
    end_row: usize,
}

#[cube]
fn share(rows: usize, rows_a_part: usize, #[comptime] parts: Parts) -> Share {
    let unit = UNIT_POS as usize;
    let part = CUBE_POS / comptime!(parts.chunks());
    let vector = CUBE_POS % comptime!(parts.chunks()) * parts.side + unit % parts.side;
    let first_row = part * rows_a_part + unit / parts.side;
    let end_row = min((part + 1) * rows_a_part, rows);
    Share { part, vector, first_row, end_row: select(vector < parts.vectors, end_row, first_row) }
}

/// A part's means and squared deviations into row `part` of `means` and `squares`.
#[cube(launch)]
fn statistics_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    means: &mut Array<Vector<f32, N>>,
    squares: &mut Array<Vector<f32, N>>,
    rows: usize,
    rows_a_part: usize,
    #[comptime] parts: Parts,
) {
    let share = share(rows, rows_a_part, parts);
    let zero = Vector::<f32, N>::new(0.0f32);
    let mut partial = Partial::<N> { rows: 0.0f32, a: zero, b: zero };
    if share.first_row < share.end_row {
        let origin = Vector::<f32, N>::cast_from(x[share.first_row * parts.vectors + share.vector]);
        let mut sum = zero;
        let mut square = zero;
        for row in range_stepped(share.first_row, share.end_row, parts.high) {
            let left = Vector::<f32, N>::cast_from(x[row * parts.vectors + share.vector]) - origin;
            sum += left;
            square += left * left;
        }
        let count = f32::cast_from((share.end_row - share.first_row).div_ceil(parts.high));
        let mean = sum / Vector::new(count);
        partial.rows = count;
        partial.a = origin + mean;
        partial.b = square - sum * mean;
    }
    let all = merge_cube::<N>(partial, parts);
    if UNIT_POS < parts.side as u32 && share.vector < parts.vectors {
        means[share.part * parts.vectors + share.vector] = all.a;
        squares[share.part * parts.vectors + share.vector] = all.b;
    }
}

/// A part's sums of dy and of dy (x - mean).
#[cube(launch)]
fn sums_kernel<F: Float, N: Size>(
    x: &Array<Vector<F, N>>,
    dy: &Array<Vector<F, N>>,
    mean: &Array<Vector<f32, N>>,
    dbetas: &mut Array<Vector<f32, N>>,
    products: &mut Array<Vector<f32, N>>,
    rows: usize,
    rows_a_part: usize,
    #[comptime] parts: Parts,
) {
    let share = share(rows, rows_a_part, parts);
    let zero = Vector::<f32, N>::new(0.0f32);
    let mut partial = Partial::<N> { rows: 0.0f32, a: zero, b: zero };
    if share.first_row < share.end_row {
        let mean = mean[share.vector];
        for row in range_stepped(share.first_row, share.end_row, parts.high) {
            let at = row * parts.vectors + share.vector;
            let gradient = Vector::<f32, N>::cast_from(dy[at]);
            partial.a += gradient;
            partial.b += gradient * (Vector::cast_from(x[at]) - mean);
        }
    }
    let all = merge_cube::<N>(partial, parts);
    if UNIT_POS < parts.side as u32 && share.vector < parts.vectors {
        dbetas[share.part * parts.vectors + share.vector] = all.a;
        products[share.part * parts.vectors + share.vector] = all.b;
    }
}

/// Merges the parts' rows of `a` and `b`: into the mean and the variance, or the sums, the second over the deviation.
#[cube(launch)]
fn merge_kernel<N: Size>(
    a: &Array<Vector<f32, N>>,
    b: &Array<Vector<f32, N>>,
    variance: &Array<Vector<f32, N>>,
    merged_a: &mut Array<Vector<f32, N>>,
    merged_b: &mut Array<Vector<f32, N>>,
    rows: usize,
    rows_a_part: usize,
    epsilon: f32,
    #[comptime] parts: Parts,
) {
    let count = rows.div_ceil(rows_a_part);
    let share = share(count, count, parts);
    let zero = Vector::<f32, N>::new(0.0f32);
    let mut partial = Partial::<N> { rows: 0.0f32, a: zero, b: zero };
    if share.first_row < share.end_row {
        for part in range_stepped(share.first_row, share.end_row, parts.high) {
            let at = part * parts.vectors + share.vector;
            let here = f32::cast_from(min((part + 1) * rows_a_part, rows) - part * rows_a_part);
            let next = Partial::<N> { rows: here, a: a[at], b: b[at] };
            let both = merge::<N>(&partial, &next, parts.statistics);
            partial.rows = both.rows;
            partial.a = both.a;
            partial.b = both.b;
        }
    }
    let all = merge_cube::<N>(partial, parts);
    if share.part == 0 && UNIT_POS < parts.side as u32 && share.vector < parts.vectors {
        merged_a[share.vector] = all.a;
        if comptime!(parts.statistics) {
            merged_b[share.vector] = all.b / Vector::new(f32::cast_from(rows));
        } else {
            merged_b[share.vector] = all.b * inverse_deviation::<N>(variance[share.vector], epsilon);
        }
    }
}

#[cube]
pub(super) fn inverse_deviation<N: Size>(variance: Vector<f32, N>, epsilon: f32) -> Vector<f32, N> {
    Vector::inverse_sqrt(variance + Vector::new(epsilon))
}

/// What the first launch of a sum over rows writes: `[count, c]` each.
struct Partials {
    a: Buffer,
    b: Buffer,
    count: usize,
    /// Rows of a part.
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
        // No variance is needed; an argument must be there.
        self.merged(rows, c, &partials, &parts, width, &partials.a, 0.0)
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
        self.merged(rows, c, &partials, &parts, width, variance, epsilon)
    }

    fn partials(&self, rows: usize, c: usize, parts: &Parts) -> Partials {
        let rows_a_part = parts.rows(rows);
        let count = rows.div_ceil(rows_a_part);
        let buffer = || self.empty(Dtype::F32, count * c);
        Partials { a: buffer(), b: buffer(), count, rows: rows_a_part }
    }

    /// A cube for each part and chunk of channels.
    fn cubes(&self, count: usize, parts: &Parts) -> (CubeCount, CubeDim) {
        let dim = CubeDim::new_1d(parts.units() as u32);
        (cubecl::calculate_cube_count_elemwise(self.client(), count * parts.chunks() * parts.units(), dim), dim)
    }

    #[allow(clippy::too_many_arguments)]
    fn merged(
        &self,
        rows: usize,
        c: usize,
        partials: &Partials,
        parts: &Parts,
        width: usize,
        variance: &Buffer,
        epsilon: f64,
    ) -> (Buffer, Buffer) {
        let (merged_a, merged_b) = (self.empty(Dtype::F32, c), self.empty(Dtype::F32, c));
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
