//! The GEMM kernel: C = A B, tile by tile.

use cubecl::cmma;
use cubecl::prelude::*;

use super::tile::{Engine, FRAGMENT, Inner, Staging, Tile};
use super::view::{BatchIndex, View};
use super::{fragments, stage, units};

/// The compile-time configuration of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GemmConfig {
    pub tile: Tile,
    pub a: Staging,
    pub b: Staging,
    /// The number of values in a vector of C.
    pub width: u32,
}

/// The sizes of the products and the layout of C, in values.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct GemmSizes {
    m: u32,
    n: u32,
    k: u32,
    tiles_m: u32,
    tiles_n: u32,
    /// 1 where neighbouring cubes share columns, 0 where they share rows.
    rows_first: u32,
    groups: u32,
    batches: u32,
    positions_per_row: u32,
    /// The parts of each sum, and the terms of a part.
    splits: u32,
    split_len: u32,
    row_stride: u32,
    position_stride: u32,
    group_stride: u32,
    split_stride: u32,
    bias_position_stride: u32,
    bias_group_stride: u32,
    /// Results below this become 0.
    relu_threshold: f32,
}

/// The coordinates of a cube's tile.
#[derive(CubeType, Clone, Copy)]
struct TileCoord {
    row: u32,
    column: u32,
    batch: u32,
    split: u32,
    /// The number of rows of C; 0 for cubes past the last tile.
    rows: u32,
}

#[cube]
fn tile_coord(sizes: &GemmSizes, #[comptime] tile: Tile) -> TileCoord {
    let in_batch = sizes.tiles_m * sizes.tiles_n;
    let index = CUBE_POS as u32;
    let in_product = index % in_batch;
    let rest = index / in_batch;
    let rows_first = sizes.rows_first == 1u32;
    let m = select(rows_first, in_product % sizes.tiles_m, in_product / sizes.tiles_n);
    let n = select(rows_first, in_product / sizes.tiles_m, in_product % sizes.tiles_n);
    let split = rest / sizes.batches;
    TileCoord {
        row: m * comptime!(tile.m),
        column: n * comptime!(tile.n),
        batch: rest % sizes.batches,
        split,
        rows: select(split < sizes.splits, sizes.m, 0u32),
    }
}

/// Each cube computes one tile of C for one product of the batch and one part of the sums. Stages of A and B are double
/// buffered in shared memory: while one stage is multiplied, the next is loaded through registers.
///
/// The kernel executes 2mnk operations and loads mk n / tile.n + nk m / tile.m values. All but the first read of each
/// value should hit the cache.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
pub(crate) fn product_kernel<FA: Float, NA: Size, FB: Float, NB: Size, FC: Float, NC: Size, S: Float>(
    a: &Array<Vector<FA, NA>>,
    b: &Array<Vector<FB, NB>>,
    bias: &ComptimeOption<Array<Vector<f32, NC>>>,
    c: &mut Array<Vector<FC, NC>>,
    a_view: &View,
    b_view: &View,
    sizes: &GemmSizes,
    #[comptime] config: GemmConfig,
    #[define(FA, FB, FC, S)] _types: [StorageType; 4],
) {
    let coord = tile_coord(sizes, config.tile);
    let position = coord.batch / sizes.groups;
    let batch = BatchIndex {
        position,
        y: position / sizes.positions_per_row,
        x: position % sizes.positions_per_row,
        group: coord.batch % sizes.groups,
    };
    let a_rows = stage::rows_of_unit(a_view, &batch, coord.row, coord.rows, UNIT_POS, config.a);
    let b_rows = stage::rows_of_unit(b_view, &batch, coord.column, sizes.n, UNIT_POS, config.b);
    let a_len = comptime!(config.a.stage_len());
    let b_len = comptime!(config.b.stage_len());
    let mut a_stages = SharedMemory::<Vector<S, NA>>::new_aligned(comptime!((2 * a_len) as usize), 128usize);
    let mut b_stages = SharedMemory::<Vector<S, NB>>::new_aligned(comptime!((2 * b_len) as usize), 128usize);

    let mut sums = zeros(config);
    let depth = comptime!(config.tile.k);
    let first = coord.split * sizes.split_len;
    let end = clamp_max(first + sizes.split_len, sizes.k);
    let stages = (select(end > first, end - first, 0u32) + comptime!(depth - 1)) / depth;

    // One more round than there are stages: the first only loads, and the last loads zeros that are never read.
    for i in 0..stages + 1u32 {
        let k = first + i * depth;
        let a_loaded = stage::load::<FA, NA>(a, a_view, &batch, &a_rows, k, end, UNIT_POS, config.a);
        let b_loaded = stage::load::<FB, NB>(b, b_view, &batch, &b_rows, k, end, UNIT_POS, config.b);
        let next = i % 2u32;
        if i > 0u32 {
            let a_start = (1u32 - next) * a_len;
            let b_start = (1u32 - next) * b_len;
            match &mut sums {
                Sums::Registers(values) => {
                    units::multiply::<S, NA, NB>(&a_stages, a_start, &b_stages, b_start, values, config);
                }
                Sums::Fragments(sums) => {
                    fragments::multiply::<S, NA, NB>(&a_stages, a_start, &b_stages, b_start, sums, config);
                }
                Sums::Shared(sums) => {
                    fragments::multiply_in_loops::<S, NA, NB>(&a_stages, a_start, &b_stages, b_start, sums, config);
                }
            }
        }
        stage::store::<FA, S, NA>(&a_loaded, &mut a_stages, next * a_len, UNIT_POS, config.a);
        stage::store::<FB, S, NB>(&b_loaded, &mut b_stages, next * b_len, UNIT_POS, config.b);
        sync_cube();
    }

    write_sums::<FC, NC>(&sums, bias, c, sizes, &batch, &coord, config);
}

/// The accumulators of a cube.
#[derive(CubeType)]
#[allow(dead_code, reason = "made by constructors of CubeCL's macro")]
enum Sums {
    /// A block of values for each unit.
    Registers(Array<f32>),
    /// Fragments of matrix units, row by row of the plane's part of the tile.
    Fragments(Sequence<cmma::Matrix<f32>>),
    /// The same fragments without matrix units: plane after plane in shared memory.
    Shared(SharedMemory<f32>),
}

#[cube]
fn zeros(#[comptime] config: GemmConfig) -> Sums {
    match comptime!(config.tile.inner) {
        Inner::Units { m, n } => {
            let mut values = Array::<f32>::new(comptime!((m * n) as usize));
            #[unroll]
            for i in 0..comptime!(m * n) {
                values[comptime!(i as usize)] = 0.0f32;
            }
            Sums::new_Registers(values)
        }
        Inner::Fragments { engine, .. } => match comptime!(engine) {
            Engine::MatrixUnits => Sums::new_Fragments(fragments::zeros(config)),
            Engine::Loops => Sums::new_Shared(fragments::zeros_in_loops(config)),
        },
    }
}

/// Writes the sums of a cube to C, with the bias and the ReLU.
#[cube]
fn write_sums<FC: Float, NC: Size>(
    sums: &Sums,
    bias: &ComptimeOption<Array<Vector<f32, NC>>>,
    c: &mut Array<Vector<FC, NC>>,
    sizes: &GemmSizes,
    batch: &BatchIndex,
    coord: &TileCoord,
    #[comptime] config: GemmConfig,
) {
    match sums {
        Sums::Registers(values) => write_units(values, bias, c, sizes, batch, coord, config),
        Sums::Fragments(sums) => {
            let mut fragment_rows = fragment_rows::<NC>(config);
            #[unroll]
            for i in 0..comptime!(config.tile.plane_fragments()[0]) {
                fragments::write_fragment_row::<NC>(sums, &mut fragment_rows, i, config);
                sync_cube();
                store_fragment_row::<FC, NC>(&fragment_rows, bias, c, sizes, batch, coord, i, config);
                sync_cube();
            }
        }
        Sums::Shared(sums) => {
            let mut fragment_rows = fragment_rows::<NC>(config);
            #[unroll]
            for i in 0..comptime!(config.tile.plane_fragments()[0]) {
                fragments::write_fragment_row_in_loops::<NC>(sums, &mut fragment_rows, i, config);
                sync_cube();
                store_fragment_row::<FC, NC>(&fragment_rows, bias, c, sizes, batch, coord, i, config);
                sync_cube();
            }
        }
    }
}

/// Shared memory for one row of fragments of each plane.
#[cube]
fn fragment_rows<N: Size>(#[comptime] config: GemmConfig) -> SharedMemory<Vector<f32, N>> {
    let planes = comptime!(config.tile.cube() / fragments::plane(&config));
    let len = comptime!((planes * FRAGMENT * config.tile.fragment_row_stride() / config.width) as usize);
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
    sizes: &GemmSizes,
    batch: &BatchIndex,
    coord: &TileCoord,
    #[comptime] config: GemmConfig,
) {
    if row < coord.rows && column < sizes.n {
        let base = batch.position * sizes.position_stride
            + batch.group * sizes.group_stride
            + coord.split * sizes.split_stride;
        let at = (base + row * sizes.row_stride + column) / comptime!(config.width);
        let bias_at = batch.position * sizes.bias_position_stride + batch.group * sizes.bias_group_stride + column;
        let value = add_bias(value, bias, bias_at / comptime!(config.width));
        c[at as usize] = Vector::cast_from(relu(value, sizes.relu_threshold));
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

/// Sets values below `threshold` to 0: a ReLU for a threshold of 0. Unlike max(x, 0), it keeps NaN.
#[cube]
pub(crate) fn relu<N: Size>(value: Vector<f32, N>, threshold: f32) -> Vector<f32, N> {
    select_many(value.less_than(Vector::cast_from(threshold)), Vector::new(0.0f32), value)
}

/// The threshold of [`relu`]: minus infinity where no ReLU follows.
pub(crate) fn relu_threshold(relu: bool) -> f32 {
    if relu { 0.0 } else { f32::NEG_INFINITY }
}

/// Stores the register sums of this unit.
#[cube]
fn write_units<FC: Float, NC: Size>(
    values: &Array<f32>,
    bias: &ComptimeOption<Array<Vector<f32, NC>>>,
    c: &mut Array<Vector<FC, NC>>,
    sizes: &GemmSizes,
    batch: &BatchIndex,
    coord: &TileCoord,
    #[comptime] config: GemmConfig,
) {
    let columns = comptime!(units::block(&config)[1]);
    let units_m = comptime!(units::grid(&config)[0]);
    let units_n = comptime!(units::grid(&config)[1]);
    let m = UNIT_POS / units_n;
    let n = UNIT_POS % units_n;
    #[unroll]
    for i in 0..comptime!(units::block(&config)[0]) {
        let row = units::row_of_unit(m, i, units_m, comptime!(units::contiguous_rows(&config.a)));
        #[unroll]
        for part in 0..comptime!(columns / config.width) {
            let j = comptime!(part * config.width);
            let column = units::row_of_unit(n, j, units_n, comptime!(units::contiguous_rows(&config.b)));
            let mut value = Vector::<f32, NC>::empty();
            #[unroll]
            for e in 0..comptime!(config.width) {
                value[comptime!(e as usize)] = values[comptime!((i * columns + j + e) as usize)];
            }
            finish::<FC, NC>(value, coord.row + row, coord.column + column, bias, c, sizes, batch, coord, config);
        }
    }
}

/// Stores row `i` of the fragments of each plane, from shared memory.
#[cube]
#[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
fn store_fragment_row<FC: Float, NC: Size>(
    fragment_rows: &SharedMemory<Vector<f32, NC>>,
    bias: &ComptimeOption<Array<Vector<f32, NC>>>,
    c: &mut Array<Vector<FC, NC>>,
    sizes: &GemmSizes,
    batch: &BatchIndex,
    coord: &TileCoord,
    #[comptime] i: u32,
    #[comptime] config: GemmConfig,
) {
    let (row, column) = fragments::corner(config);
    let vectors = comptime!(config.tile.plane_fragments()[1] * FRAGMENT / config.width);
    let stride = comptime!(config.tile.fragment_row_stride() / config.width);
    #[unroll]
    for pass in 0..comptime!(FRAGMENT * vectors / fragments::plane(&config)) {
        let vector = UNIT_POS_X + comptime!(pass * fragments::plane(&config));
        let line = vector / vectors;
        let in_line = vector % vectors;
        let value = fragment_rows[((UNIT_POS_Y * FRAGMENT + line) * stride + in_line) as usize];
        let row = coord.row + row + comptime!(i * FRAGMENT) + line;
        let column = coord.column + column + in_line * comptime!(config.width);
        finish::<FC, NC>(value, row, column, bias, c, sizes, batch, coord, config);
    }
}
