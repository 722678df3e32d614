//! Gradients of weights.

use std::ops::Range;

use rayon::prelude::*;

use super::forward::{AHEAD, tasks};
use super::transform::{POINTS, TILE, column, kernel_gradient, output_gradient};
use super::{Kernel, Layout, Parts, Tiles};
use crate::cpu::simd::{LANES, Vector, Work, dispatch};
use crate::cpu::tile::{ROWS, Strided, Target, product};
use crate::{Cpu, Result};

/// Output channels of a point that one task sums.
const OUTPUTS: usize = 8 * ROWS;

impl Tiles {
    /// dw `[out][R][R][in / groups]` from x and dy. Sums run over tiles in their order, block by block.
    pub fn weights_gradient(&self, cpu: &Cpu<f32>, x: &[f32], dy: &[f32], dw: &mut [f32]) -> Result<()> {
        let (sums, [points, gradients]) = (self.kernels(), self.workspace());
        let (mut sums, mut points, mut gradients) = (cpu.take(sums)?, cpu.take(points)?, cpu.take(gradients)?);
        let (sums, points, gradients) = (sums.make_mut()?, points.make_mut()?, gradients.make_mut()?);
        for start in (0..self.tiles()).step_by(self.block) {
            let block = start..(start + self.block).min(self.tiles());
            self.transform_inputs(x, block.clone(), points);
            self.transform_gradients(dy, block.clone(), gradients);
            self.add_products(block.len(), points, gradients, sums, start > 0);
        }
        let (sums, inner) = (&*sums, self.group()[0]);
        dw.par_chunks_mut(self.kernel.side().pow(2) * inner).enumerate().for_each(|(output, dw)| {
            dispatch(self.level, KernelGradient { tiles: self, output, sums, dw });
        });
        Ok(())
    }

    /// A block's tiles of dy as gradients at points.
    fn transform_gradients(&self, dy: &[f32], block: Range<usize>, gradients: &mut [f32]) {
        let (gradients, layout) = (&Parts::new(gradients), Layout::new(self.block, self.group()[1]));
        tasks(&block).for_each(|tiles| {
            let first = block.start;
            dispatch(self.level, TransformGradients { tiles: self, dy, first, range: tiles, layout, gradients });
        });
    }

    /// sums `[group][point][out][in]` = or += gradients transposed times points, over `tiles` tiles.
    fn add_products(&self, tiles: usize, points: &[f32], gradients: &[f32], sums: &mut [f32], accumulate: bool) {
        let [inner, outer] = self.group();
        let [right, left] = self.group().map(|channels| Layout::new(self.block, channels));
        let parts = outer.div_ceil(OUTPUTS);
        let sums = &Parts::new(sums);
        (0..self.groups * TILE * parts).into_par_iter().for_each(|task| {
            let (group, point, first) = (task / parts / TILE, task / parts % TILE, task % parts * OUTPUTS);
            let m = OUTPUTS.min(outer - first);
            let a = Strided { data: &gradients[left.at(group, point, 0) + first..], row: 1, column: left.row };
            let b = Strided { data: &points[right.at(group, point, 0)..], row: right.row, column: 1 };
            // SAFETY: these rows of the sums belong to this task.
            let sums = unsafe { sums.part((task / parts * outer + first) * inner, m * inner) };
            let c = Target { data: sums.as_mut_ptr(), len: sums.len(), row: inner };
            // SAFETY: as above.
            unsafe { product(self.level, [m, inner, tiles], a, b, c, accumulate) };
        });
    }
}

/// A dy At of the tiles of one task.
struct TransformGradients<'a> {
    tiles: &'a Tiles,
    dy: &'a [f32],
    /// The block's first tile.
    first: usize,
    range: Range<usize>,
    layout: Layout,
    gradients: &'a Parts<'a>,
}

impl Work for TransformGradients<'_> {
    type Out = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        match self.tiles.kernel {
            Kernel::Three => self.tiles_of::<V, 5>(),
            Kernel::Five => self.tiles_of::<V, 3>(),
        }
    }
}

impl TransformGradients<'_> {
    #[inline(always)]
    fn tiles_of<V: Vector, const M: usize>(&self) {
        let Self { tiles, dy, first, layout, gradients, .. } = self;
        let ([oh, ow, out], outer) = (tiles.output, tiles.group()[1]);
        let mut half = [[V::splat(0.0); POINTS]; M];
        for tile in self.range.clone() {
            let [picture, top, left] = tiles.place(tile);
            let [rows, columns] = [M.min(oh - top), M.min(ow - left)];
            for channel in (0..out).step_by(LANES) {
                let at = layout.at(channel / outer, 0, tile - first) + channel % outer;
                for point in 0..TILE {
                    V::prefetch(gradients.near(at + point * layout.point + AHEAD));
                }
                for (i, half) in half.iter_mut().enumerate() {
                    let start = ((picture * oh + top + i) * ow + left) * out + channel;
                    let mut row = [V::splat(0.0); M];
                    for (j, value) in row.iter_mut().enumerate() {
                        if i < rows && j < columns {
                            *value = V::of(&dy[start + j * out..]);
                        }
                    }
                    *half = output_gradient(row);
                }
                // SAFETY: this tile's points belong to this task.
                let points = unsafe { gradients.tile(at, *layout) };
                for q in 0..POINTS {
                    points.put(q, output_gradient(column(&half, q)));
                }
            }
        }
    }
}

/// dw of one output channel, counted over all groups: Gt sums G.
struct KernelGradient<'a> {
    tiles: &'a Tiles,
    output: usize,
    sums: &'a [f32],
    dw: &'a mut [f32],
}

impl Work for KernelGradient<'_> {
    type Out = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        match self.tiles.kernel {
            Kernel::Three => self.of_side::<V, 3>(),
            Kernel::Five => self.of_side::<V, 5>(),
        }
    }
}

impl KernelGradient<'_> {
    #[inline(always)]
    fn of_side<V: Vector, const R: usize>(self) {
        let Self { tiles, output, sums, dw } = self;
        let [inner, outer] = tiles.group();
        let sums = &sums[(output / outer * TILE * outer + output % outer) * inner..];
        let mut half = [[V::splat(0.0); R]; POINTS];
        for channel in (0..inner).step_by(LANES) {
            for (p, half) in half.iter_mut().enumerate() {
                let mut row = [V::splat(0.0); POINTS];
                for (q, value) in row.iter_mut().enumerate() {
                    *value = V::of(&sums[(p * POINTS + q) * outer * inner + channel..]);
                }
                *half = kernel_gradient(row);
            }
            for j in 0..R {
                let column = kernel_gradient::<V, R>(column(&half, j));
                for (i, value) in column.into_iter().enumerate() {
                    value.put(&mut dw[(i * R + j) * inner + channel..]);
                }
            }
        }
    }
}
