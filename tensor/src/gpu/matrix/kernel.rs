//! The kernel: C = A B, tile by tile.

use cubecl::cmma;
use cubecl::prelude::*;

use super::tile::{Engine, FRAGMENT, Inner, Staging, Tile};
use super::view::{Batch, View};
use super::{fragments, stage, units};

/// What is settled when the kernel is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Plan {
    pub tile: Tile,
    pub a: Staging,
    pub b: Staging,
    /// Values in a vector of the result.
    pub width: u32,
}

/// Lengths of the products and of their results.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct Shape {
    m: u32,
    n: u32,
    k: u32,
    tiles_m: u32,
    tiles_n: u32,
    /// Whether neighbouring cubes share columns, not rows.
    rows_first: u32,
    groups: u32,
    batches: u32,
    /// Positions in a line of positions.
    across: u32,
    splits: u32,
    split_len: u32,
    /// Of the result.
    row_stride: u32,
    by_position: u32,
    by_group: u32,
    by_split: u32,
    bias_by_position: u32,
    bias_by_group: u32,
    /// Results below this become 0.
    floor: f32,
}

/// Where a cube's tile lies.
#[derive(CubeType, Clone, Copy)]
struct Spot {
    row: u32,
    column: u32,
    batch: u32,
    split: u32,
    /// Rows that exist: none for cubes past the last.
    rows: u32,
}

#[cube]
fn spot(shape: &Shape, #[comptime] tile: Tile) -> Spot {
    let in_batch = shape.tiles_m * shape.tiles_n;
    let index = CUBE_POS as u32;
    let inside = index % in_batch;
    let rest = index / in_batch;
    let rows_first = shape.rows_first == 1u32;
    let m = select(rows_first, inside % shape.tiles_m, inside / shape.tiles_n);
    let n = select(rows_first, inside / shape.tiles_m, inside % shape.tiles_n);
    let split = rest / shape.batches;
    Spot {
        row: m * comptime!(tile.m),
        column: n * comptime!(tile.n),
        batch: rest % shape.batches,
        split,
        rows: select(split < shape.splits, shape.m, 0u32),
    }
}

/// Each cube computes a tile of the result of one product of the batch, for one part of the sums. Stages of A and B lie
/// in shared memory, two of each: while one is worked on, the next is on its way through registers.
///
/// For m x n x k values the kernel does 2mnk operations, and loads mk n / tile.n + nk m / tile.m values, of which all but
/// the first reading of each should come from the cache.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
pub(crate) fn product_kernel<FA: Float, NA: Size, FB: Float, NB: Size, FC: Float, NC: Size, S: Float>(
    a: &Array<Vector<FA, NA>>,
    b: &Array<Vector<FB, NB>>,
    bias: &ComptimeOption<Array<Vector<f32, NC>>>,
    c: &mut Array<Vector<FC, NC>>,
    a_view: &View,
    b_view: &View,
    shape: &Shape,
    #[comptime] plan: Plan,
    #[define(FA, FB, FC, S)] _types: [StorageType; 4],
) {
    let spot = spot(shape, plan.tile);
    let position = spot.batch / shape.groups;
    let batch =
        Batch { position, y: position / shape.across, x: position % shape.across, group: spot.batch % shape.groups };
    let a_rows = stage::rows_of_unit(a_view, &batch, spot.row, spot.rows, UNIT_POS, plan.a);
    let b_rows = stage::rows_of_unit(b_view, &batch, spot.column, shape.n, UNIT_POS, plan.b);
    let a_len = comptime!(plan.a.stage_len());
    let b_len = comptime!(plan.b.stage_len());
    let mut a_stages = SharedMemory::<Vector<S, NA>>::new_aligned(comptime!((2 * a_len) as usize), 128usize);
    let mut b_stages = SharedMemory::<Vector<S, NB>>::new_aligned(comptime!((2 * b_len) as usize), 128usize);

    let mut sums = zeros(plan);
    let depth = comptime!(plan.tile.k);
    let first = spot.split * shape.split_len;
    let end = clamp_max(first + shape.split_len, shape.k);
    let stages = (select(end > first, end - first, 0u32) + comptime!(depth - 1)) / depth;

    // One more round than stages: the first only loads, and the last loads zeros that nobody reads.
    for i in 0..stages + 1u32 {
        let k = first + i * depth;
        let a_loaded = stage::load::<FA, NA>(a, a_view, &batch, &a_rows, k, end, UNIT_POS, plan.a);
        let b_loaded = stage::load::<FB, NB>(b, b_view, &batch, &b_rows, k, end, UNIT_POS, plan.b);
        let next = i % 2u32;
        if i > 0u32 {
            let (a_start, b_start) = ((1u32 - next) * a_len, (1u32 - next) * b_len);
            match &mut sums {
                Sums::Registers(values) => {
                    units::multiply::<S, NA, NB>(&a_stages, a_start, &b_stages, b_start, values, plan);
                }
                Sums::Fragments(sums) => {
                    fragments::multiply::<S, NA, NB>(&a_stages, a_start, &b_stages, b_start, sums, plan);
                }
                Sums::Shared(sums) => {
                    fragments::multiply_in_loops::<S, NA, NB>(&a_stages, a_start, &b_stages, b_start, sums, plan);
                }
            }
        }
        stage::store::<FA, S, NA>(&a_loaded, &mut a_stages, next * a_len, UNIT_POS, plan.a);
        stage::store::<FB, S, NB>(&b_loaded, &mut b_stages, next * b_len, UNIT_POS, plan.b);
        sync_cube();
    }

    match &sums {
        Sums::Registers(values) => write_units(values, bias, c, shape, &batch, &spot, plan),
        Sums::Fragments(sums) => {
            let mut strips = strips::<NC>(plan);
            #[unroll]
            for i in 0..comptime!(plan.tile.plane_fragments()[0]) {
                fragments::write_strip::<NC>(sums, &mut strips, i, plan);
                sync_cube();
                write_strip_out::<FC, NC>(&strips, bias, c, shape, &batch, &spot, i, plan);
                sync_cube();
            }
        }
        Sums::Shared(sums) => {
            let mut strips = strips::<NC>(plan);
            #[unroll]
            for i in 0..comptime!(plan.tile.plane_fragments()[0]) {
                fragments::write_strip_in_loops::<NC>(sums, &mut strips, i, plan);
                sync_cube();
                write_strip_out::<FC, NC>(&strips, bias, c, shape, &batch, &spot, i, plan);
                sync_cube();
            }
        }
    }
}

/// The sums of a cube.
#[derive(CubeType)]
#[allow(dead_code, reason = "made by constructors of CubeCL's macro")]
enum Sums {
    /// A block a unit.
    Registers(Array<f32>),
    /// Matrix units', row by row of the plane's part.
    Fragments(Sequence<cmma::Matrix<f32>>),
    /// What stands in for matrix units': the planes' fragments, one after the other.
    Shared(SharedMemory<f32>),
}

#[cube]
fn zeros(#[comptime] plan: Plan) -> Sums {
    match comptime!(plan.tile.inner) {
        Inner::Units { m, n } => {
            let mut values = Array::<f32>::new(comptime!((m * n) as usize));
            #[unroll]
            for i in 0..comptime!(m * n) {
                values[comptime!(i as usize)] = 0.0f32;
            }
            Sums::new_Registers(values)
        }
        Inner::Fragments { engine, .. } => match comptime!(engine) {
            Engine::MatrixUnits => Sums::new_Fragments(fragments::zeros(plan)),
            Engine::Loops => Sums::new_Shared(fragments::zeros_in_loops(plan)),
        },
    }
}

/// Shared memory for a line of fragments of each plane.
#[cube]
fn strips<N: Size>(#[comptime] plan: Plan) -> SharedMemory<Vector<f32, N>> {
    let planes = comptime!(plan.tile.cube() / fragments::plane(&plan));
    let len = comptime!((planes * FRAGMENT * plan.tile.strip() / plan.width) as usize);
    SharedMemory::new_aligned(len, 128usize)
}

/// Adds the bias, applies the ReLU, converts and stores a vector of the result.
#[cube]
#[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
fn finish<FC: Float, NC: Size>(
    value: Vector<f32, NC>,
    row: u32,
    column: u32,
    bias: &ComptimeOption<Array<Vector<f32, NC>>>,
    c: &mut Array<Vector<FC, NC>>,
    shape: &Shape,
    batch: &Batch,
    spot: &Spot,
    #[comptime] plan: Plan,
) {
    if row < spot.rows && column < shape.n {
        let base = batch.position * shape.by_position + batch.group * shape.by_group + spot.split * shape.by_split;
        let at = (base + row * shape.row_stride + column) / comptime!(plan.width);
        let bias_at = batch.position * shape.bias_by_position + batch.group * shape.bias_by_group + column;
        let value = add_bias(value, bias, bias_at / comptime!(plan.width));
        c[at as usize] = Vector::cast_from(relu(value, shape.floor));
    }
}

#[cube]
pub(crate) fn add_bias<N: Size>(
    value: Vector<f32, N>,
    bias: &ComptimeOption<Array<Vector<f32, N>>>,
    at: u32,
) -> Vector<f32, N> {
    #[comptime]
    match bias {
        ComptimeOption::Some(bias) => value + bias[at as usize],
        ComptimeOption::None => value,
    }
}

/// A ReLU if `floor` is 0, nothing if it is infinitely far down. Not max(x, 0), which would lose NaN.
#[cube]
pub(crate) fn relu<N: Size>(value: Vector<f32, N>, floor: f32) -> Vector<f32, N> {
    select_many(value.less_than(Vector::cast_from(floor)), Vector::new(0.0f32), value)
}

/// The floor of [`relu`].
pub(crate) fn floor(relu: bool) -> f32 {
    if relu { 0.0 } else { f32::NEG_INFINITY }
}

/// Stores the sums that this unit holds.
#[cube]
fn write_units<FC: Float, NC: Size>(
    values: &Array<f32>,
    bias: &ComptimeOption<Array<Vector<f32, NC>>>,
    c: &mut Array<Vector<FC, NC>>,
    shape: &Shape,
    batch: &Batch,
    spot: &Spot,
    #[comptime] plan: Plan,
) {
    let columns = comptime!(units::block(&plan)[1]);
    let m = UNIT_POS / comptime!(units::grid(&plan)[1]);
    let n = UNIT_POS % comptime!(units::grid(&plan)[1]);
    #[unroll]
    for i in 0..comptime!(units::block(&plan)[0]) {
        let row = units::row_of_unit(m, i, comptime!(units::grid(&plan)[0]), comptime!(units::run(&plan.a)));
        #[unroll]
        for part in 0..comptime!(columns / plan.width) {
            let j = comptime!(part * plan.width);
            let column = units::row_of_unit(n, j, comptime!(units::grid(&plan)[1]), comptime!(units::run(&plan.b)));
            let mut value = Vector::<f32, NC>::empty();
            #[unroll]
            for e in 0..comptime!(plan.width) {
                value[comptime!(e as usize)] = values[comptime!((i * columns + j + e) as usize)];
            }
            finish::<FC, NC>(value, spot.row + row, spot.column + column, bias, c, shape, batch, spot, plan);
        }
    }
}

/// Stores row `i` of the fragments, from the planes' strips.
#[cube]
#[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
fn write_strip_out<FC: Float, NC: Size>(
    strips: &SharedMemory<Vector<f32, NC>>,
    bias: &ComptimeOption<Array<Vector<f32, NC>>>,
    c: &mut Array<Vector<FC, NC>>,
    shape: &Shape,
    batch: &Batch,
    spot: &Spot,
    #[comptime] i: u32,
    #[comptime] plan: Plan,
) {
    let (row, column) = fragments::corner(plan);
    let vectors = comptime!(plan.tile.plane_fragments()[1] * FRAGMENT / plan.width);
    let strip = comptime!(plan.tile.strip() / plan.width);
    #[unroll]
    for pass in 0..comptime!(FRAGMENT * vectors / fragments::plane(&plan)) {
        let vector = UNIT_POS_X + comptime!(pass * fragments::plane(&plan));
        let line = vector / vectors;
        let across = vector % vectors;
        let value = strips[((UNIT_POS_Y * FRAGMENT + line) * strip + across) as usize];
        let row = spot.row + row + comptime!(i * FRAGMENT) + line;
        let column = spot.column + column + across * comptime!(plan.width);
        finish::<FC, NC>(value, row, column, bias, c, shape, batch, spot, plan);
    }
}
