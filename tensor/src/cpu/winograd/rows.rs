//! Winograd convolution in one dimension: 3x3 kernels over a single image, where reading the kernels takes all the
//! time.
//!
//! A tile is 7 values of a row and gives 5 outputs. Kernels are transformed along their rows only, to 21 values instead
//! of 49, and a tile takes 21 multiplications instead of 45. The transforms are those of two dimensions; errors are
//! smaller.

use rayon::prelude::*;

use super::forward::Operands;
use super::points::{DisjointSlices, Layout};
use super::transform::{POINTS, input, kernel, output};
use super::{Kernel, Tiles};
use crate::cpu::Buffer;
use crate::cpu::microkernel::{COLUMNS, Strided, Target, product};
use crate::cpu::simd::{LANES, Simd, Vector, WithSimd, dispatch};
use crate::ops::conv2d::Geometry;
use crate::{Cpu, Result};

/// Rows of a kernel.
const SIDE: usize = 3;
/// Outputs of a tile.
const OUTPUTS: usize = POINTS + 1 - SIDE;
/// Values of a transformed kernel: `[point][row]`.
const VALUES: usize = POINTS * SIDE;
/// From this number of 7 x 7 tiles on, two dimensions are faster: each transformed kernel is used often enough.
const MIN_SQUARE_TILES: usize = 16;

/// A convolution in tiles along rows.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct RowTiles {
    tiles: Tiles,
}

impl RowTiles {
    /// The tiles, if they are the fastest algorithm.
    pub fn forward(g: &Geometry) -> Option<Self> {
        let tiles = Tiles::forward(g)?;
        let few = tiles.n == 1 && tiles.tiles() < MIN_SQUARE_TILES;
        (few && tiles.kernel == Kernel::Three && tiles.space_to_depth.is_none()).then_some(Self { tiles })
    }

    /// The same at another level.
    #[cfg(test)]
    pub fn at(self, level: super::Level) -> Self {
        Self { tiles: Tiles { level, ..self.tiles } }
    }

    /// Multiplications and additions of the products; those of the transforms are not counted.
    pub fn flops(&self) -> f64 {
        2.0 * (VALUES * self.products()) as f64 * (self.tiles.group()[0] * self.tiles.output[2]) as f64
    }

    /// Tiles of a row of outputs.
    fn columns(&self) -> usize {
        self.tiles.output[1].div_ceil(OUTPUTS)
    }

    /// Tiles of outputs.
    fn products(&self) -> usize {
        self.tiles.output[0] * self.columns()
    }

    /// The layout `[point][row][tile][channel]` of the inputs' points, of all rows that kernels see.
    fn layout(&self) -> Layout {
        Layout::with_points(POINTS, (self.tiles.output[0] + SIDE - 1) * self.columns(), self.tiles.input[2])
    }

    /// Values of the transformed kernels.
    pub fn kernels(&self) -> usize {
        VALUES * self.tiles.group()[0] * self.tiles.output[2]
    }

    /// The number of pieces of a group, a register tile's columns of output channels each, and of all groups.
    fn pieces(&self) -> [usize; 2] {
        let per_group = self.tiles.group()[1].div_ceil(COLUMNS);
        [per_group, self.tiles.groups * per_group]
    }

    /// Group, first output channel in it and number of output channels of a piece.
    fn piece(&self, piece: usize) -> [usize; 3] {
        let [per_group, _] = self.pieces();
        let [_, outer] = self.tiles.group();
        let first = piece % per_group * COLUMNS;
        [piece / per_group, first, COLUMNS.min(outer - first)]
    }

    /// Lengths of the buffers that [`run`](Self::run) takes on `threads` threads beside the transformed kernels.
    pub fn workspace(&self, threads: usize) -> Vec<usize> {
        let own = POINTS * self.products() * COLUMNS;
        std::iter::once(self.layout().len).chain(vec![own; threads.min(self.pieces()[1])]).collect()
    }

    /// y from x, written in full.
    pub fn run(&self, cpu: &Cpu<f32>, operands: &Operands<'_>, y: &mut [f32]) -> Result<()> {
        assert!(operands.x.len() >= self.tiles.images_len(), "the image");
        let kernels = self.transformed_kernels(cpu, operands)?;
        let mut points = cpu.alloc(self.layout().len)?;
        let all = DisjointSlices::new(points.make_mut()?);
        let rows = self.tiles.output[0] + SIDE - 1;
        (0..rows).into_par_iter().for_each(|row| {
            dispatch(self.tiles.level, TransformRow { rows: self, x: operands.x, row, points: &all });
        });
        let y = &DisjointSlices::new(y);
        let pass = Pass { rows: self, operands, kernels: kernels.as_slice(), points: points.as_slice(), y };
        let own = POINTS * self.products() * COLUMNS;
        (0..self.pieces()[1]).into_par_iter().with_max_len(1).try_for_each(|piece| {
            let mut products = cpu.alloc(own)?;
            pass.run(piece, products.make_mut()?);
            Ok(())
        })
    }

    /// The transformed kernels, cached until the weights change.
    fn transformed_kernels(&self, cpu: &Cpu<f32>, operands: &Operands<'_>) -> Result<Buffer<f32>> {
        let make = || {
            let mut kernels = cpu.alloc(self.kernels())?;
            let all = &DisjointSlices::new(kernels.make_mut()?);
            (0..self.pieces()[1]).into_par_iter().for_each(|piece| {
                let kernel = TransformKernels { rows: self, w: operands.w.as_slice(), piece, kernels: all };
                dispatch(self.tiles.level, kernel);
            });
            Ok(kernels)
        };
        // No stride is 0, so the key differs from those of `Tiles`.
        let kept = operands.w.weight_cache().get_on_reuse([SIDE, 0, self.tiles.groups, self.tiles.group()[0]], make)?;
        kept.map_or_else(make, Ok)
    }

    /// The index of a piece's transformed kernels `[point][row][in][output]`.
    fn kernels_index(&self, piece: usize) -> usize {
        let [group, first, _] = self.piece(piece);
        let [inner, outer] = self.tiles.group();
        VALUES * inner * (group * outer + first)
    }
}

/// One run.
struct Pass<'a> {
    rows: &'a RowTiles,
    operands: &'a Operands<'a>,
    kernels: &'a [f32],
    points: &'a [f32],
    y: &'a DisjointSlices<'a>,
}

impl Pass<'_> {
    fn run(&self, piece: usize, products: &mut [f32]) {
        let rows = self.rows;
        let [group, first, width] = rows.piece(piece);
        let [inner, outer] = rows.tiles.group();
        let layout = rows.layout();
        let m = rows.products();
        let mut kernels = &self.kernels[rows.kernels_index(piece)..];
        for (point, products) in products.chunks_exact_mut(m * COLUMNS).enumerate() {
            for row in 0..SIDE {
                // The input rows that this row of the kernels is multiplied with: all of them, shifted by `row`.
                let a = &self.points[layout.at(point, row * rows.columns()) + group * inner..];
                let a = Strided { data: a, row: layout.row, column: 1 };
                let b = Strided { data: kernels, row: width, column: 1 };
                let c = Target { data: products.as_mut_ptr(), len: products.len(), row: COLUMNS };
                // SAFETY: only this thread uses the products.
                unsafe { product(rows.tiles.level, [m, width, inner], a, b, c, row > 0) };
                kernels = &kernels[inner * width..];
            }
        }
        let channels = [group * outer + first, width];
        let Self { operands, y, .. } = *self;
        dispatch(rows.tiles.level, TransformProducts { rows, operands, channels, products, y });
    }
}

/// Bt x of the tiles of an input row, zeros outside the image.
struct TransformRow<'a> {
    rows: &'a RowTiles,
    x: &'a [f32],
    row: usize,
    points: &'a DisjointSlices<'a>,
}

impl WithSimd for TransformRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, x, row, points } = self;
        let [h, w, c] = rows.tiles.input;
        let [pad_y, pad_x] = rows.tiles.pads;
        let layout = rows.layout();
        let y = row.checked_sub(pad_y).filter(|&y| y < h);
        for tile in 0..rows.columns() {
            for channel in (0..c).step_by(LANES) {
                let mut values = [simd.splat(0.0); POINTS];
                for (j, value) in values.iter_mut().enumerate() {
                    let column = (tile * OUTPUTS + j).checked_sub(pad_x).filter(|&column| column < w);
                    if let (Some(y), Some(column)) = (y, column) {
                        *value = simd.load(&x[(y * w + column) * c + channel..]);
                    }
                }
                let at = row * rows.columns() + tile;
                for (point, value) in input(values).into_iter().enumerate() {
                    // SAFETY: this row's points belong to this task.
                    value.store(unsafe { points.slice(layout.at(point, at) + channel, LANES) });
                }
            }
        }
    }
}

/// G w of a piece's kernels.
struct TransformKernels<'a> {
    rows: &'a RowTiles,
    w: &'a [f32],
    piece: usize,
    kernels: &'a DisjointSlices<'a>,
}

impl WithSimd for TransformKernels<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, w, piece, kernels } = self;
        let [group, first, width] = rows.piece(piece);
        let [inner, outer] = rows.tiles.group();
        let start = rows.kernels_index(piece);
        for (output, channel) in (0..width).step_by(LANES).flat_map(|o| (0..inner).map(move |c| (o, c))) {
            for row in 0..SIDE {
                let mut values = [simd.splat(0.0); SIDE];
                for (column, value) in values.iter_mut().enumerate() {
                    let mut lanes = [0.0; LANES];
                    for (lane, value) in lanes.iter_mut().enumerate() {
                        let kernel = (group * outer + first + output + lane) * SIDE + row;
                        *value = w[(kernel * SIDE + column) * inner + channel];
                    }
                    *value = simd.load(&lanes);
                }
                for (point, value) in kernel(values).into_iter().enumerate() {
                    let at = start + ((point * SIDE + row) * inner + channel) * width + output;
                    // SAFETY: these kernels belong to this task.
                    value.store(unsafe { kernels.slice(at, LANES) });
                }
            }
        }
    }
}

/// At p of a piece's products, then bias and ReLU.
struct TransformProducts<'a> {
    rows: &'a RowTiles,
    operands: &'a Operands<'a>,
    /// The first output channel over all groups, and the number of channels.
    channels: [usize; 2],
    products: &'a [f32],
    y: &'a DisjointSlices<'a>,
}

impl WithSimd for TransformProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, operands, channels: [first, width], products, y } = self;
        let [_, ow, out] = rows.tiles.output;
        for (tile, at) in (0..rows.products()).flat_map(|tile| (0..width).step_by(LANES).map(move |at| (tile, at))) {
            let mut points = [simd.splat(0.0); POINTS];
            for (point, value) in points.iter_mut().enumerate() {
                *value = simd.load(&products[(point * rows.products() + tile) * COLUMNS + at..]);
            }
            let bias = operands.bias.map_or(simd.splat(0.0), |bias| simd.load(&bias[first + at..]));
            let row = tile / rows.columns();
            let left = tile % rows.columns() * OUTPUTS;
            for (j, value) in output::<_, OUTPUTS>(points).into_iter().enumerate().take(ow - left) {
                let value = value.add(bias);
                let value = if operands.relu { value.relu() } else { value };
                // SAFETY: these channels of y belong to this task.
                value.store(unsafe { y.slice((row * ow + left + j) * out + first + at, LANES) });
            }
        }
    }
}
