//! Tiles of a product: their shapes, which of them fit a device, and their estimated speed.

use std::fmt;

use cubecl::ir::HardwareProperties;

use super::view::{Axis, OperandSpec};

/// The part of the result that one cube computes, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tile {
    /// Rows.
    pub m: u32,
    /// Columns.
    pub n: u32,
    /// Terms of each sum in a stage.
    pub k: u32,
    pub inner: Inner,
}

/// The innermost loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Inner {
    /// Each unit sums `m` x `n` values in registers.
    Units { m: u32, n: u32 },
    /// `m` x `n` planes of `plane` units each sum fragments of 16 x 16 values, `k` terms at a time.
    Fragments { m: u32, n: u32, k: u32, plane: u32, engine: Engine },
}

/// The hardware that multiplies fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Engine {
    MatrixUnits,
    /// Plain loops, to test the rest of the kernel on devices without matrix units.
    Loops,
}

/// Rows and columns of a fragment.
pub(crate) const FRAGMENT: u32 = 16;
/// Splits of a sum begin at multiples of this. The depth of each tile divides it, so that tiles do not change the order
/// of summation.
const SPLIT_STEP: usize = 64;
/// The fewest terms of a split.
const SPLIT_MIN: usize = 256;
/// The number of cubes that fills a large device. Constant, since the order of sums must not depend on the device.
const SPLIT_CUBES: usize = 256;
/// Rows and columns of the tile that [`SPLIT_CUBES`] are counted in.
const SPLIT_TILE: usize = 128;
/// The most values of all parts: 256 MiB.
const SPLIT_VALUES: usize = 1 << 26;

impl Tile {
    const fn units(m: u32, n: u32, k: u32, unit: [u32; 2]) -> Self {
        Self { m, n, k, inner: Inner::Units { m: unit[0], n: unit[1] } }
    }

    pub(crate) const fn fragments(
        m: u32,
        n: u32,
        k: u32,
        planes: [u32; 2],
        depth: u32,
        plane: u32,
        engine: Engine,
    ) -> Self {
        Self { m, n, k, inner: Inner::Fragments { m: planes[0], n: planes[1], k: depth, plane, engine } }
    }

    /// The most values in a vector of an operand.
    pub fn max_width(&self) -> u32 {
        match self.inner {
            Inner::Units { m, n } => m.min(n),
            Inner::Fragments { .. } => super::MAX_WIDTH,
        }
    }

    /// The number of units in a cube.
    pub fn cube(&self) -> u32 {
        match self.inner {
            Inner::Units { m, n } => (self.m / m) * (self.n / n),
            Inner::Fragments { m, n, plane, .. } => m * n * plane,
        }
    }

    /// The number of fragments of one plane along rows and columns.
    pub fn plane_fragments(&self) -> [u32; 2] {
        match self.inner {
            Inner::Units { .. } => [0, 0],
            Inner::Fragments { m, n, .. } => [self.m / m / FRAGMENT, self.n / n / FRAGMENT],
        }
    }

    /// Distance in shared memory between lines of a row of fragments, padded against bank conflicts.
    pub fn fragment_row_stride(&self) -> u32 {
        match self.inner {
            Inner::Units { .. } => 0,
            Inner::Fragments { n, .. } => self.n / n + 4,
        }
    }

    /// Bytes of shared memory with `stage` bytes for a staged value.
    fn shared_bytes(&self, stage: u32) -> usize {
        let double_buffer = |rows: u32| {
            let depth_contiguous = rows * (self.k + pad(stage));
            let rows_contiguous = self.k * (rows + pad(stage));
            2 * depth_contiguous.max(rows_contiguous) * stage
        };
        let fragment_rows = match self.inner {
            Inner::Units { .. } => 0,
            Inner::Fragments { m, n, engine, .. } => {
                let sums = if engine == Engine::Loops { self.m * self.n } else { 0 };
                (m * n * FRAGMENT * self.fragment_row_stride() + sums) * 4
            }
        };
        (double_buffer(self.m) + double_buffer(self.n) + fragment_rows) as usize
    }

    /// Whether a device can run this tile with `stage` bytes for a staged value.
    pub(crate) fn fits(&self, device: &HardwareProperties, stage: u32) -> bool {
        let has_planes = match self.inner {
            Inner::Units { .. } => true,
            Inner::Fragments { plane, .. } => device.plane_size_min == plane && device.plane_size_max == plane,
        };
        let has_units = self.cube() <= device.max_units_per_cube;
        has_planes && has_units && self.shared_bytes(stage) <= device.max_shared_memory_size
    }

    /// The share of a device's peak that this tile may reach, estimated from how often a staged value is used.
    fn efficiency(&self) -> f64 {
        let reuse = f64::from(self.m * self.n) / f64::from(self.m + self.n);
        reuse / (reuse + 24.0)
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{} by ", self.m, self.n, self.k)?;
        match self.inner {
            Inner::Units { m, n } => write!(f, "{m}x{n} a unit"),
            Inner::Fragments { m, n, engine, .. } => write!(f, "{m}x{n} planes of {engine:?}"),
        }
    }
}

/// Padding of a line of shared memory against bank conflicts, in values: 16 bytes, so that vectors stay aligned.
pub(crate) const fn pad(stage: u32) -> u32 {
    16 / stage
}

/// Tiles whose sums are in registers.
pub(crate) const REGISTER_TILES: [Tile; 5] = [
    Tile::units(128, 128, 8, [8, 8]),
    Tile::units(128, 64, 8, [8, 4]),
    Tile::units(64, 128, 8, [4, 8]),
    Tile::units(64, 64, 16, [4, 4]),
    Tile::units(32, 32, 16, [4, 4]),
];

/// Tiles for matrix units, with fragments of depth `depth`.
fn fragment_tiles(depth: u32, plane: u32) -> Vec<Tile> {
    let k = 2 * depth;
    let tile = |m, n, planes| Tile::fragments(m, n, k, planes, depth, plane, Engine::MatrixUnits);
    let mut tiles = vec![
        tile(256, 128, [4, 2]),
        tile(128, 256, [2, 4]),
        tile(128, 128, [2, 4]),
        tile(128, 64, [4, 2]),
        tile(64, 128, [2, 4]),
        tile(64, 64, [2, 2]),
    ];
    tiles.push(Tile { k: 2 * k, ..tiles[2] });
    tiles
}

/// The tiles that a device can run with `stage` bytes for a staged value. With `fragments`, those for matrix units whose
/// fragments have this depth.
pub(crate) fn tiles(device: &HardwareProperties, stage: u32, fragments: Option<u32>) -> Vec<Tile> {
    let all = match fragments {
        Some(depth) => fragment_tiles(depth, device.plane_size_max),
        None => REGISTER_TILES.to_vec(),
    };
    all.into_iter().filter(|t| t.fits(device, stage)).collect()
}

/// The sizes of a batch of products: C is `m` x `n`, sums have `k` terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Problem {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub batches: usize,
}

impl Problem {
    /// The number of parts that each sum is split into (split-K), and the terms of a part. Follows from the shapes alone.
    pub fn splits(&self) -> (usize, usize) {
        let cubes = self.m.div_ceil(SPLIT_TILE) * self.n.div_ceil(SPLIT_TILE) * self.batches;
        let values = (self.m * self.n * self.batches).max(1);
        let to_fill_device = SPLIT_CUBES / cubes.max(1);
        let parts = to_fill_device.min(self.k / SPLIT_MIN).min(SPLIT_VALUES / values).max(1);
        let len = self.k.div_ceil(parts).next_multiple_of(SPLIT_STEP).max(SPLIT_STEP);
        (self.k.div_ceil(len).max(1), len)
    }

    /// The number of tiles along rows and columns of the result.
    pub fn tiles(&self, tile: &Tile) -> [usize; 2] {
        [self.m.div_ceil(tile.m as usize), self.n.div_ceil(tile.n as usize)]
    }

    /// The number of cubes: one for each tile of each product and each part of its sums.
    pub fn cubes(&self, tile: &Tile) -> usize {
        let [m, n] = self.tiles(tile);
        let (splits, _) = self.splits();
        m * n * self.batches * splits
    }
}

/// Sorts tiles by estimated time: the rounds that the device needs for all cubes, and the loads of each.
pub(crate) fn rank(problem: &Problem, device: &HardwareProperties, tiles: &mut [Tile]) {
    let processors = device.num_streaming_multiprocessors.unwrap_or(16) as usize;
    let time = |tile: &Tile| {
        let rounds = problem.cubes(tile).div_ceil(processors) as f64;
        rounds * f64::from(tile.m * tile.n) / tile.efficiency()
    };
    tiles.sort_by(|a, b| time(a).total_cmp(&time(b)));
}

/// How a cube stages an operand's part of a tile in shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Staging {
    pub operand: OperandSpec,
    pub rows: u32,
    pub depth: u32,
    /// The number of units that load.
    pub units: u32,
    /// Values from one line of shared memory to the next. Lines run along the operand's vectors.
    pub line: u32,
}

impl Staging {
    pub fn new(operand: OperandSpec, rows: u32, depth: u32, units: u32, stage: u32) -> Self {
        let length = if operand.contiguous == Axis::Depth { depth } else { rows };
        // Padding by at least one vector keeps lines whole vectors.
        Self { operand, rows, depth, units, line: length + pad(stage).max(operand.width) }
    }

    /// The number of lines in a stage.
    pub fn lines(&self) -> u32 {
        match self.operand.contiguous {
            Axis::Depth => self.rows,
            Axis::Rows => self.depth,
        }
    }

    /// The number of vectors loaded for a line.
    pub fn line_vectors(&self) -> u32 {
        let values = match self.operand.contiguous {
            Axis::Depth => self.depth,
            Axis::Rows => self.rows,
        };
        values / self.operand.width
    }

    /// Vectors from one line of shared memory to the next.
    pub fn line_stride(&self) -> u32 {
        self.line / self.operand.width
    }

    /// The number of vectors in one stage.
    pub fn stage_len(&self) -> u32 {
        self.lines() * self.line_stride()
    }

    /// The number of vectors that each unit loads for a stage.
    pub fn passes(&self) -> u32 {
        (self.lines() * self.line_vectors()).div_ceil(self.units)
    }

    /// Whether each unit loads the same column of vectors in all passes.
    pub fn is_columnar(&self) -> bool {
        self.units.is_multiple_of(self.line_vectors())
    }

    /// Whether all units load a vector in the last pass.
    pub fn is_even(&self) -> bool {
        (self.lines() * self.line_vectors()).is_multiple_of(self.units)
    }
}
