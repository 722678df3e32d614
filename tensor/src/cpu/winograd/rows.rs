//! Convolutions of 3x3 kernels over a single image, where all the time is that of reading kernels.
//!
//! Tiles of 7 values along a row, 5 outputs each, are multiplied with kernels that are transformed along their rows
//! only: 21 values for 9 instead of 49, for 21 multiplications a tile instead of 45. The same transforms as in two
//! dimensions, and smaller errors.

use rayon::prelude::*;

use super::forward::Operands;
use super::transform::{POINTS, input, kernel, output};
use super::{DisjointSlices, Kernel, Layout, Tiles};
use crate::cpu::Buffer;
use crate::cpu::simd::{LANES, Simd, Vector, WithSimd, dispatch};
use crate::cpu::tile::{COLUMNS, Strided, Target, product};
use crate::ops::conv2d::Geometry;
use crate::{Cpu, Result};

/// Rows of a kernel.
const SIDE: usize = 3;
/// Outputs of a tile.
const OUTPUTS: usize = POINTS + 1 - SIDE;
/// Values of a transformed kernel: `[point][row]`.
const VALUES: usize = POINTS * SIDE;
/// So many tiles of 7 x 7 use each transformed kernel often enough to pay for reading more of it.
const MANY_TILES: usize = 16;

/// A convolution as rows of tiles.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct RowTiles {
    tiles: Tiles,
}

impl RowTiles {
    /// The tiles, if this is how the convolution is computed.
    pub fn forward(g: &Geometry) -> Option<Self> {
        let tiles = Tiles::forward(g)?;
        let few = tiles.n == 1 && tiles.tiles() < MANY_TILES;
        (few && tiles.kernel == Kernel::Three && tiles.fold.is_none()).then_some(Self { tiles })
    }

    /// The same with vectors of another kind.
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

    /// Where the inputs' points lie: `[point][row][tile][channel]` of all rows that kernels see.
    fn points(&self) -> Layout {
        Layout::of_points(POINTS, (self.tiles.output[0] + SIDE - 1) * self.columns(), self.tiles.input[2])
    }

    /// Values of the transformed kernels.
    pub fn kernels(&self) -> usize {
        VALUES * self.tiles.group()[0] * self.tiles.output[2]
    }

    /// Output channels of a group that are worked on together, and all such pieces.
    fn pieces(&self) -> [usize; 2] {
        let a_group = self.tiles.group()[1].div_ceil(COLUMNS);
        [a_group, self.tiles.groups * a_group]
    }

    /// Group, first output channel in it and number of output channels of a piece.
    fn piece(&self, piece: usize) -> [usize; 3] {
        let ([a_group, _], [_, outer]) = (self.pieces(), self.tiles.group());
        let first = piece % a_group * COLUMNS;
        [piece / a_group, first, COLUMNS.min(outer - first)]
    }

    /// Buffers that [`run`](Self::run) takes on `threads` threads beside the transformed kernels.
    pub fn workspace(&self, threads: usize) -> Vec<usize> {
        let own = POINTS * self.products() * COLUMNS;
        std::iter::once(self.points().len).chain(vec![own; threads.min(self.pieces()[1])]).collect()
    }

    /// y from x, written in full.
    pub fn run(&self, cpu: &Cpu<f32>, operands: &Operands<'_>, y: &mut [f32]) -> Result<()> {
        assert!(operands.x.len() >= self.tiles.images(), "the image");
        let kernels = self.transformed_kernels(cpu, operands)?;
        let mut points = cpu.alloc(self.points().len)?;
        let all = DisjointSlices::new(points.make_mut()?);
        let rows = self.tiles.output[0] + SIDE - 1;
        (0..rows).into_par_iter().for_each(|row| {
            dispatch(self.tiles.level, TransformRow { rows: self, x: operands.x, row, points: &all });
        });
        let (points, y) = (points.as_slice(), &DisjointSlices::new(y));
        let pass = Pass { rows: self, operands, kernels: kernels.as_slice(), points, y };
        let own = POINTS * self.products() * COLUMNS;
        (0..self.pieces()[1]).into_par_iter().with_max_len(1).try_for_each(|piece| {
            let mut products = cpu.alloc(own)?;
            pass.run(piece, products.make_mut()?);
            Ok(())
        })
    }

    /// The transformed kernels, kept beside weights that do not change.
    fn transformed_kernels(&self, cpu: &Cpu<f32>, operands: &Operands<'_>) -> Result<Buffer<f32>> {
        let make = || {
            let mut kernels = cpu.alloc(self.kernels())?;
            let all = &DisjointSlices::new(kernels.make_mut()?);
            (0..self.pieces()[1]).into_par_iter().for_each(|piece| {
                dispatch(
                    self.tiles.level,
                    TransformKernels { rows: self, w: operands.w.as_slice(), piece, kernels: all },
                );
            });
            Ok(kernels)
        };
        // No stride is 0: a kind of its own.
        let kept = operands.w.weight_cache().get_on_reuse([SIDE, 0, self.tiles.groups, self.tiles.group()[0]], make)?;
        kept.map_or_else(make, Ok)
    }

    /// Where the kernels of a piece begin: `[point][row][in][output]`.
    fn kernels_of(&self, piece: usize) -> usize {
        let ([group, first, _], [inner, outer]) = (self.piece(piece), self.tiles.group());
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
        let (rows, [group, first, width]) = (self.rows, self.rows.piece(piece));
        let (layout, [inner, outer]) = (rows.points(), rows.tiles.group());
        let (m, mut kernels) = (rows.products(), &self.kernels[rows.kernels_of(piece)..]);
        for (point, products) in products.chunks_exact_mut(m * COLUMNS).enumerate() {
            for row in 0..SIDE {
                // The rows that this row of the kernels sees: all of them moved down by as many.
                let a = &self.points[layout.at(point, row * rows.columns()) + group * inner..];
                let a = Strided { data: a, row: layout.row, column: 1 };
                let b = Strided { data: kernels, row: width, column: 1 };
                let c = Target { data: products.as_mut_ptr(), len: products.len(), row: COLUMNS };
                // SAFETY: the products are this thread's own.
                unsafe { product(rows.tiles.level, [m, width, inner], a, b, c, row > 0) };
                kernels = &kernels[inner * width..];
            }
        }
        let channels = [group * outer + first, width];
        let Self { operands, y, .. } = *self;
        dispatch(rows.tiles.level, TransformProducts { rows, operands, channels, products, y });
    }
}

/// Bt x of the tiles of a row that kernels see, zeros outside the image.
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
        let ([h, w, c], [pad_y, pad_x], layout) = (rows.tiles.input, rows.tiles.pads, rows.points());
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
                    value.store(unsafe { points.part(layout.at(point, at) + channel, LANES) });
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
        let ([group, first, width], [inner, outer]) = (rows.piece(piece), rows.tiles.group());
        let start = rows.kernels_of(piece);
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
                    value.store(unsafe { kernels.part(at, LANES) });
                }
            }
        }
    }
}

/// At p of a piece's products; bias and ReLU on the way.
struct TransformProducts<'a> {
    rows: &'a RowTiles,
    operands: &'a Operands<'a>,
    /// The first one and their number, counted over all groups.
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
            let (row, left) = (tile / rows.columns(), tile % rows.columns() * OUTPUTS);
            for (j, value) in output::<_, OUTPUTS>(points).into_iter().enumerate().take(ow - left) {
                let value = value.add(bias);
                let value = if operands.relu { value.relu() } else { value };
                // SAFETY: these channels of y are nobody else's work.
                value.store(unsafe { y.part((row * ow + left + j) * out + first + at, LANES) });
            }
        }
    }
}
