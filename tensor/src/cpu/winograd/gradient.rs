//! Gradients of weights.

use std::ops::Range;

use rayon::prelude::*;

use super::inputs::TransformInputs;
use super::transform::{POINTS, TILE, column, kernel_gradient, output_gradient};
use super::{DisjointSlices, Kernel, Layout, Tiles};
use crate::cpu::simd::{LANES, Simd, Vector, WithSimd, dispatch, prefetch};
use crate::cpu::tile::{ROWS, Strided, Target, product};
use crate::{Cpu, Result};

/// Tiles that one task transforms, at most.
const TASK: usize = 6;
/// Tasks that there are at least, if there are as many tiles: work for that many threads.
const MIN_TASKS: usize = 16;
/// Output channels of a point that one task sums.
const OUTPUTS: usize = 8 * ROWS;
/// Values of all sums that threads make apart, at most: 64 MiB. What one thread alone reads and writes need not come
/// from another, which may be far away, and none waits; but sums of more than a few MiB a thread push out all else.
const APART_VALUES: usize = 1 << 24;
/// Parts of the tiles that are summed apart, at most.
const MOST_PARTS: usize = 16;
/// Fewer sums than these, of all parts and groups, do not occupy the threads.
const LEAST_SUMS: usize = 8;

impl Tiles {
    /// Parts of the tiles whose sums are made apart, by one thread each; 1 if all threads make the only sums together.
    fn sums(&self) -> usize {
        let parts = (APART_VALUES / self.sum_values().max(1)).min(MOST_PARTS).min(self.tiles().div_ceil(self.block));
        if parts * self.groups < LEAST_SUMS { 1 } else { parts.max(1) }
    }

    /// Values of the sums of one part: `[group][point][out][in]`.
    fn sum_values(&self) -> usize {
        let [inner, outer] = self.group();
        self.groups * TILE * outer * inner
    }

    /// Values of the points and of the gradients of a block.
    fn gradient_block(&self) -> [usize; 2] {
        self.group().map(|channels| Layout::new(self.block, channels).len)
    }

    /// Buffers that [`weights_gradient`](Self::weights_gradient) takes on `threads` threads.
    pub fn gradient_workspace(&self, threads: usize) -> Vec<usize> {
        let parts = self.sums();
        let blocks = if parts == 1 { 1 } else { threads.min(parts * self.groups) };
        std::iter::once(parts * self.sum_values()).chain(self.gradient_block().repeat(blocks)).collect()
    }

    /// dw `[out][R][R][in / groups]` from x and dy. Sums run over the tiles of a part in their order, block by block,
    /// then over parts.
    pub fn weights_gradient(&self, cpu: &Cpu<f32>, x: &[f32], dy: &[f32], dw: &mut [f32]) -> Result<()> {
        assert!(x.len() >= self.images(), "all images");
        assert!(dy.len() >= self.n * self.output.iter().product::<usize>(), "all gradients");
        let (parts, [inner, outer]) = (self.sums(), self.group());
        let mut sums = cpu.alloc(parts * self.sum_values())?;
        let of_group = sums.make_mut()?.par_chunks_exact_mut(TILE * outer * inner).enumerate();
        of_group.with_min_len(if parts == 1 { self.groups } else { 1 }).try_for_each(|(i, sums)| {
            let sum = Sum { tiles: self, x, dy, group: i % self.groups, together: parts == 1 };
            let [points, gradients] = self.gradient_block();
            let (mut points, mut gradients) = (cpu.alloc(points)?, cpu.alloc(gradients)?);
            sum.run(self.part(i / self.groups), sums, points.make_mut()?, gradients.make_mut()?);
            Ok(())
        })?;
        let sums = sums.as_slice();
        dw.par_chunks_mut(self.patch()).enumerate().for_each(|(output, dw)| {
            dispatch(self.level, KernelGradient { tiles: self, output, sums, dw });
        });
        Ok(())
    }

    /// The tiles of a part: whole blocks.
    fn part(&self, part: usize) -> Range<usize> {
        let blocks = self.tiles().div_ceil(self.block);
        let start = |part| part * blocks / self.sums() * self.block;
        start(part)..start(part + 1).min(self.tiles())
    }
}

/// The sums of a group over some tiles.
struct Sum<'a> {
    tiles: &'a Tiles,
    x: &'a [f32],
    dy: &'a [f32],
    group: usize,
    /// Whether all threads make them.
    together: bool,
}

impl Sum<'_> {
    fn run(&self, part: Range<usize>, sums: &mut [f32], points: &mut [f32], gradients: &mut [f32]) {
        for start in part.clone().step_by(self.tiles.block) {
            let block = start..(start + self.tiles.block).min(part.end);
            self.transform_inputs(block.clone(), points);
            self.transform_gradients(block.clone(), gradients);
            self.add_products(block.len(), points, gradients, sums, start > part.start);
        }
    }

    /// Tasks for all threads, or for this one.
    fn tasks(&self, len: usize) -> impl IndexedParallelIterator<Item = usize> {
        (0..len).into_par_iter().with_min_len(if self.together { 1 } else { len })
    }

    /// The tiles of a block, some for each task.
    fn ranges(&self, block: Range<usize>) -> impl IndexedParallelIterator<Item = Range<usize>> {
        let each = (block.len() / MIN_TASKS).clamp(1, TASK);
        self.tasks(block.len().div_ceil(each)).map(move |task| {
            let first = block.start + task * each;
            first..(first + each).min(block.end)
        })
    }

    /// A block's tiles as points, in the [`Layout`] of the whole block.
    fn transform_inputs(&self, block: Range<usize>, points: &mut [f32]) {
        let (&Self { tiles, x, group, .. }, inner, first) = (self, self.tiles.group()[0], block.start);
        let (points, layout) = (&DisjointSlices::new(points), Layout::new(tiles.block, inner));
        self.ranges(block).for_each(|range| {
            let channels = group * inner..(group + 1) * inner;
            dispatch(tiles.level, TransformInputs { tiles, x, first, range, channels, layout, points });
        });
    }

    /// A block's tiles of dy as gradients at points.
    fn transform_gradients(&self, block: Range<usize>, gradients: &mut [f32]) {
        let (&Self { tiles, dy, group, .. }, outer, first) = (self, self.tiles.group()[1], block.start);
        let (gradients, layout) = (&DisjointSlices::new(gradients), Layout::new(tiles.block, outer));
        self.ranges(block).for_each(|range| {
            let channels = group * outer..(group + 1) * outer;
            dispatch(tiles.level, TransformGradients { tiles, dy, first, range, channels, layout, gradients });
        });
    }

    /// sums `[point][out][in]` = or += gradients transposed times points, over `tiles` tiles.
    fn add_products(&self, tiles: usize, points: &[f32], gradients: &[f32], sums: &mut [f32], accumulate: bool) {
        let [inner, outer] = self.tiles.group();
        let [right, left] = self.tiles.group().map(|channels| Layout::new(self.tiles.block, channels));
        let pieces = outer.div_ceil(OUTPUTS);
        let sums = &DisjointSlices::new(sums);
        self.tasks(TILE * pieces).for_each(|task| {
            let (point, first) = (task / pieces, task % pieces * OUTPUTS);
            let m = OUTPUTS.min(outer - first);
            let a = Strided { data: &gradients[left.at(point, 0) + first..], row: 1, column: left.row };
            let b = Strided { data: &points[right.at(point, 0)..], row: right.row, column: 1 };
            // SAFETY: these rows of the sums belong to this task.
            let sums = unsafe { sums.part((point * outer + first) * inner, m * inner) };
            let c = Target { data: sums.as_mut_ptr(), len: sums.len(), row: inner };
            // SAFETY: as above.
            unsafe { product(self.tiles.level, [m, inner, tiles], a, b, c, accumulate) };
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
    /// Those of a group.
    channels: Range<usize>,
    layout: Layout,
    gradients: &'a DisjointSlices<'a>,
}

impl WithSimd for TransformGradients<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.tiles.kernel {
            Kernel::Three => self.tiles_of::<S, 5>(simd),
            Kernel::Five => self.tiles_of::<S, 3>(simd),
        }
    }
}

impl TransformGradients<'_> {
    #[inline(always)]
    fn tiles_of<S: Simd, const M: usize>(&self, simd: S) {
        let Self { tiles, dy, first, channels, layout, gradients, .. } = self;
        let [oh, ow, out] = tiles.output;
        let mut half = [[simd.splat(0.0); POINTS]; M];
        for tile in self.range.clone() {
            let [image, top, left] = tiles.place(tile);
            let [rows, columns] = [M.min(oh - top), M.min(ow - left)];
            for channel in channels.clone().step_by(LANES) {
                let at = layout.at(0, tile - first) + channel - channels.start;
                for (i, half) in half.iter_mut().enumerate() {
                    let start = ((image * oh + top + i) * ow + left) * out + channel;
                    for j in M..2 * M {
                        prefetch(dy.as_ptr().wrapping_add(start + j * out));
                    }
                    let mut row = [simd.splat(0.0); M];
                    for (j, value) in row.iter_mut().enumerate() {
                        if i < rows && j < columns {
                            *value = simd.load(&dy[start + j * out..]);
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
    /// Of each part: `[group][point][out][in]`.
    sums: &'a [f32],
    dw: &'a mut [f32],
}

impl WithSimd for KernelGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.tiles.kernel {
            Kernel::Three => self.of_side::<S, 3>(simd),
            Kernel::Five => self.of_side::<S, 5>(simd),
        }
    }
}

impl KernelGradient<'_> {
    #[inline(always)]
    fn of_side<S: Simd, const R: usize>(self, simd: S) {
        let Self { tiles, output, sums, dw } = self;
        let [inner, outer] = tiles.group();
        let first = (output / outer * TILE * outer + output % outer) * inner;
        let mut half = [[simd.splat(0.0); R]; POINTS];
        for channel in (0..inner).step_by(LANES) {
            for (p, half) in half.iter_mut().enumerate() {
                let mut row = [simd.splat(0.0); POINTS];
                for sums in sums.chunks_exact(tiles.sum_values()) {
                    for (q, value) in row.iter_mut().enumerate() {
                        *value = value.add(simd.load(&sums[first + (p * POINTS + q) * outer * inner + channel..]));
                    }
                }
                *half = kernel_gradient(row);
            }
            for j in 0..R {
                let column = kernel_gradient::<_, R>(column(&half, j));
                for (i, value) in column.into_iter().enumerate() {
                    let Some(fold) = &tiles.fold else {
                        value.store(&mut dw[(i * R + j) * inner + channel..]);
                        continue;
                    };
                    let mut lanes = [0.0; LANES];
                    value.store(&mut lanes);
                    for (lane, value) in lanes.into_iter().enumerate() {
                        if let Some(at) = fold.place([i, j], channel + lane) {
                            dw[at] = value;
                        }
                    }
                }
            }
        }
    }
}
