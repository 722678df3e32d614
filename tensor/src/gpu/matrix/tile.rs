//! How a product is cut into pieces, and which way is taken.

use std::fmt;

use cubecl::ir::HardwareProperties;

use super::view::{Along, Operand};

/// The part of the result that one cube computes, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tile {
    /// Rows.
    pub m: u32,
    /// Columns.
    pub n: u32,
    /// Terms of the sums that are staged at a time.
    pub k: u32,
    pub inner: Inner,
}

/// The innermost computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Inner {
    /// Each unit sums `m` x `n` values in registers.
    Units { m: u32, n: u32 },
    /// `m` x `n` planes of `plane` units work on fragments of 16 x 16 values and depth `k` in matrix units, or, to check
    /// all else without such units, in loops.
    Fragments { m: u32, n: u32, k: u32, plane: u32, engine: Engine },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Engine {
    MatrixUnits,
    /// For tests on devices without matrix units.
    Loops,
}

/// Rows and columns of a fragment.
pub(crate) const FRAGMENT: u32 = 16;
/// Splits of a sum begin at multiples of this, which each tile's depth divides, so that tiles do not change the order of
/// summation.
const SPLIT_STEP: usize = 64;
/// Fewer terms than this are not split off.
const SPLIT_MIN: usize = 256;
/// Cubes that fill a large device, and the tile they are counted in. Not the device's numbers: the order of sums must
/// not depend on it.
const SPLIT_CUBES: usize = 256;
const SPLIT_TILE: usize = 128;
/// Values of the partial sums, at most: 256 MiB.
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

    /// Values of the widest vectors that a factor is loaded in.
    pub fn widest(&self) -> u32 {
        match self.inner {
            Inner::Units { m, n } => m.min(n),
            Inner::Fragments { .. } => super::WIDEST,
        }
    }

    /// Units of a cube.
    pub fn cube(&self) -> u32 {
        match self.inner {
            Inner::Units { m, n } => (self.m / m) * (self.n / n),
            Inner::Fragments { m, n, plane, .. } => m * n * plane,
        }
    }

    /// Rows and columns of fragments of one plane.
    pub fn plane_fragments(&self) -> [u32; 2] {
        match self.inner {
            Inner::Units { .. } => [0, 0],
            Inner::Fragments { m, n, .. } => [self.m / m / FRAGMENT, self.n / n / FRAGMENT],
        }
    }

    /// Values that a line of fragments takes on its way out, with what keeps memory banks apart.
    pub fn strip(&self) -> u32 {
        match self.inner {
            Inner::Units { .. } => 0,
            Inner::Fragments { n, .. } => self.n / n + 4,
        }
    }

    /// Bytes of shared memory with `stage` bytes for a staged value.
    fn shared_bytes(&self, stage: u32) -> usize {
        let lines = |rows: u32| {
            // The larger of the two layouts.
            let (a, b) = (rows * (self.k + pad(stage)), self.k * (rows + pad(stage)));
            2 * a.max(b) * stage
        };
        let strips = match self.inner {
            Inner::Units { .. } => 0,
            Inner::Fragments { m, n, engine, .. } => {
                let sums = if engine == Engine::Loops { self.m * self.n } else { 0 };
                (m * n * FRAGMENT * self.strip() + sums) * 4
            }
        };
        (lines(self.m) + lines(self.n) + strips) as usize
    }

    pub(crate) fn fits(&self, device: &HardwareProperties, stage: u32) -> bool {
        let planes = match self.inner {
            Inner::Units { .. } => true,
            Inner::Fragments { plane, .. } => device.plane_size_min == plane && device.plane_size_max == plane,
        };
        planes && self.cube() <= device.max_units_per_cube && self.shared_bytes(stage) <= device.max_shared_memory_size
    }

    /// The share of a device's peak that this tile may reach, by how often a staged value is used.
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

/// Values that keep lines of shared memory apart: 16 bytes, so that vectors stay aligned.
pub(crate) const fn pad(stage: u32) -> u32 {
    16 / stage
}

/// Tiles of register sums.
pub(crate) const UNITS: [Tile; 5] = [
    Tile::units(128, 128, 8, [8, 8]),
    Tile::units(128, 64, 8, [8, 4]),
    Tile::units(64, 128, 8, [4, 8]),
    Tile::units(64, 64, 16, [4, 4]),
    Tile::units(32, 32, 16, [4, 4]),
];

/// Tiles for matrix units whose fragments have depth `depth`.
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

/// The tiles that a device can run, for products with `stage` bytes for a staged value and fragments of depth
/// `fragments`, if it has them.
pub(crate) fn tiles(device: &HardwareProperties, stage: u32, fragments: Option<u32>) -> Vec<Tile> {
    let all = match fragments {
        Some(depth) => fragment_tiles(depth, device.plane_size_max),
        None => UNITS.to_vec(),
    };
    all.into_iter().filter(|t| t.fits(device, stage)).collect()
}

/// Lengths of a batch of products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Extent {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub batches: usize,
}

impl Extent {
    /// How many parts the sums are computed in, and how many terms each has. Follows from the shapes alone.
    pub fn splits(&self) -> (usize, usize) {
        let cubes = self.m.div_ceil(SPLIT_TILE) * self.n.div_ceil(SPLIT_TILE) * self.batches;
        let values = (self.m * self.n * self.batches).max(1);
        let wanted = (SPLIT_CUBES / cubes.max(1)).min(self.k / SPLIT_MIN).min(SPLIT_VALUES / values).max(1);
        let len = self.k.div_ceil(wanted).next_multiple_of(SPLIT_STEP).max(SPLIT_STEP);
        (self.k.div_ceil(len).max(1), len)
    }

    /// Tiles of the result.
    pub fn tiles(&self, tile: &Tile) -> [usize; 2] {
        [self.m.div_ceil(tile.m as usize), self.n.div_ceil(tile.n as usize)]
    }
}

/// Puts first what should be fastest, by how full it leaves the device and how much it loads.
pub(crate) fn rank(extent: &Extent, device: &HardwareProperties, tiles: &mut [Tile]) {
    let processors = device.num_streaming_multiprocessors.unwrap_or(16) as usize;
    let time = |tile: &Tile| {
        let [m, n] = extent.tiles(tile);
        let cubes = m * n * extent.batches * extent.splits().0;
        let rounds = cubes.div_ceil(processors) as f64;
        rounds * f64::from(tile.m * tile.n) / tile.efficiency()
    };
    tiles.sort_by(|a, b| time(a).total_cmp(&time(b)));
}

/// How an operand's part of a tile is staged by a cube.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Staging {
    pub operand: Operand,
    pub rows: u32,
    pub depth: u32,
    /// Units that load.
    pub units: u32,
    /// Values from one line of shared memory to the next: lines are along the operand's vectors.
    pub line: u32,
}

impl Staging {
    pub fn new(operand: Operand, rows: u32, depth: u32, units: u32, stage: u32) -> Self {
        let length = if operand.along == Along::Depth { depth } else { rows };
        // Lines stay whole vectors.
        Self { operand, rows, depth, units, line: length + pad(stage).max(operand.width) }
    }

    fn lengths(&self) -> [u32; 2] {
        match self.operand.along {
            Along::Depth => [self.rows, self.depth],
            Along::Rows => [self.depth, self.rows],
        }
    }

    /// Lines of a stage.
    pub fn lines(&self) -> u32 {
        self.lengths()[0]
    }

    /// Vectors that are loaded for a line.
    pub fn line_vectors(&self) -> u32 {
        self.lengths()[1] / self.operand.width
    }

    /// Vectors of shared memory from one line to the next.
    pub fn line_stride(&self) -> u32 {
        self.line / self.operand.width
    }

    /// Vectors of one stage.
    pub fn stage_len(&self) -> u32 {
        self.lines() * self.line_stride()
    }

    /// Vectors that each unit loads for a stage.
    pub fn passes(&self) -> u32 {
        (self.lines() * self.line_vectors()).div_ceil(self.units)
    }

    /// Whether each unit stays in its column of vectors.
    pub fn is_columnar(&self) -> bool {
        self.units.is_multiple_of(self.line_vectors())
    }

    /// Whether the last pass has work for all units.
    pub fn is_even(&self) -> bool {
        (self.lines() * self.line_vectors()).is_multiple_of(self.units)
    }
}
