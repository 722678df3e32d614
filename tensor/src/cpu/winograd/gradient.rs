//! dw, the gradient of the weights.

use std::ops::Range;

use rayon::prelude::*;

use super::inputs::TransformInputs;
use super::points::{DisjointSlices, Layout};
use super::transform::{POINTS, TILE_POINTS, column, kernel_gradient, output_gradient};
use super::{Kernel, Tiles};
use crate::cpu::microkernel::{ROWS, Strided, Target, product};
use crate::cpu::simd::{LANES, Simd, Vector, WithSimd, dispatch, prefetch};
use crate::{Cpu, Result};

/// Tiles that one task transforms, at most.
const MAX_TASK_TILES: usize = 6;
/// Tasks of a block, at least, if it has as many tiles: work for 16 threads.
const MIN_TASKS: usize = 16;
/// Output channels of a point that one task sums.
const TASK_OUTPUTS: usize = 8 * ROWS;
/// Values of the separate sums of all parts, at most: 64 MiB. Separate sums save traffic between processors and
/// waiting, but sums of more than a few MiB per thread leave no room in its cache.
const MAX_SUM_VALUES: usize = 1 << 24;
/// Parts with separate sums, at most.
const MAX_PARTS: usize = 16;
/// With fewer separate sums, of all parts and groups, threads would idle.
const MIN_SUMS: usize = 8;

impl Tiles {
    /// The number of parts with separate sums, one thread each; 1 if all threads share one.
    fn sum_parts(&self) -> usize {
        let parts = (MAX_SUM_VALUES / self.sums_len().max(1)).min(MAX_PARTS).min(self.tiles().div_ceil(self.block));
        if parts * self.groups < MIN_SUMS { 1 } else { parts.max(1) }
    }

    /// Values of the sums of one part: `[group][point][out][in]`.
    fn sums_len(&self) -> usize {
        let [inner, outer] = self.group();
        self.groups * TILE_POINTS * outer * inner
    }

    /// Values of the points and of the gradients of a block.
    fn block_lens(&self) -> [usize; 2] {
        self.group().map(|channels| Layout::new(self.block, channels).len)
    }

    /// Lengths of the buffers that [`weights_gradient`](Self::weights_gradient) takes on `threads` threads.
    pub fn gradient_workspace(&self, threads: usize) -> Vec<usize> {
        let parts = self.sum_parts();
        let blocks = if parts == 1 { 1 } else { threads.min(parts * self.groups) };
        std::iter::once(parts * self.sums_len()).chain(self.block_lens().repeat(blocks)).collect()
    }

    /// dw `[out][R][R][in / groups]` from x and dy. Sums run over the tiles of a part in their order, block by block,
    /// then over parts.
    pub fn weights_gradient(&self, cpu: &Cpu<f32>, x: &[f32], dy: &[f32], dw: &mut [f32]) -> Result<()> {
        assert!(x.len() >= self.images_len(), "all images");
        assert!(dy.len() >= self.n * self.output.iter().product::<usize>(), "all gradients");
        let parts = self.sum_parts();
        let [inner, outer] = self.group();
        let mut sums = cpu.alloc(parts * self.sums_len())?;
        let group_sums = sums.make_mut()?.par_chunks_exact_mut(TILE_POINTS * outer * inner).enumerate();
        group_sums.with_min_len(if parts == 1 { self.groups } else { 1 }).try_for_each(|(i, sums)| {
            let sum = Sum { tiles: self, x, dy, group: i % self.groups, shared: parts == 1 };
            let [points, gradients] = self.block_lens();
            let mut points = cpu.alloc(points)?;
            let mut gradients = cpu.alloc(gradients)?;
            sum.run(self.part(i / self.groups), sums, points.make_mut()?, gradients.make_mut()?);
            Ok(())
        })?;
        let sums = sums.as_slice();
        dw.par_chunks_mut(self.kernel_len()).enumerate().for_each(|(output, dw)| {
            dispatch(self.level, KernelGradient { tiles: self, output, sums, dw });
        });
        Ok(())
    }

    /// The tiles of a part, whole blocks.
    fn part(&self, part: usize) -> Range<usize> {
        let blocks = self.tiles().div_ceil(self.block);
        let start = |part| part * blocks / self.sum_parts() * self.block;
        start(part)..start(part + 1).min(self.tiles())
    }
}

/// The sums of a group over some tiles.
struct Sum<'a> {
    tiles: &'a Tiles,
    x: &'a [f32],
    dy: &'a [f32],
    group: usize,
    /// Whether all threads share the sums.
    shared: bool,
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

    /// Tasks for all threads if the sums are shared, else for this thread.
    fn tasks(&self, len: usize) -> impl IndexedParallelIterator<Item = usize> {
        (0..len).into_par_iter().with_min_len(if self.shared { 1 } else { len })
    }

    /// Ranges of a block's tiles, one per task.
    fn task_ranges(&self, block: Range<usize>) -> impl IndexedParallelIterator<Item = Range<usize>> {
        let each = (block.len() / MIN_TASKS).clamp(1, MAX_TASK_TILES);
        self.tasks(block.len().div_ceil(each)).map(move |task| {
            let first = block.start + task * each;
            first..(first + each).min(block.end)
        })
    }

    /// Transforms the tiles of a block to points.
    fn transform_inputs(&self, block: Range<usize>, points: &mut [f32]) {
        let &Self { tiles, x, group, .. } = self;
        let inner = tiles.group()[0];
        let first = block.start;
        let points = &DisjointSlices::new(points);
        let layout = Layout::new(tiles.block, inner);
        self.task_ranges(block).for_each(|range| {
            let channels = group * inner..(group + 1) * inner;
            dispatch(tiles.level, TransformInputs { tiles, x, first, range, channels, layout, points });
        });
    }

    /// Transforms the tiles of dy of a block to gradients at points.
    fn transform_gradients(&self, block: Range<usize>, gradients: &mut [f32]) {
        let &Self { tiles, dy, group, .. } = self;
        let outer = tiles.group()[1];
        let first = block.start;
        let gradients = &DisjointSlices::new(gradients);
        let layout = Layout::new(tiles.block, outer);
        self.task_ranges(block).for_each(|range| {
            let channels = group * outer..(group + 1) * outer;
            dispatch(tiles.level, TransformGradients { tiles, dy, first, range, channels, layout, gradients });
        });
    }

    /// sums `[point][out][in]` = or += gradients transposed times points, over `tiles` tiles.
    fn add_products(&self, tiles: usize, points: &[f32], gradients: &[f32], sums: &mut [f32], accumulate: bool) {
        let [inner, outer] = self.tiles.group();
        let [right, left] = self.tiles.group().map(|channels| Layout::new(self.tiles.block, channels));
        let pieces = outer.div_ceil(TASK_OUTPUTS);
        let sums = &DisjointSlices::new(sums);
        self.tasks(TILE_POINTS * pieces).for_each(|task| {
            let point = task / pieces;
            let first = task % pieces * TASK_OUTPUTS;
            let m = TASK_OUTPUTS.min(outer - first);
            let a = Strided { data: &gradients[left.at(point, 0) + first..], row: 1, column: left.row };
            let b = Strided { data: &points[right.at(point, 0)..], row: right.row, column: 1 };
            // SAFETY: these rows of the sums belong to this task.
            let sums = unsafe { sums.slice((point * outer + first) * inner, m * inner) };
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
    /// The channels of a group.
    channels: Range<usize>,
    layout: Layout,
    gradients: &'a DisjointSlices<'a>,
}

impl WithSimd for TransformGradients<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.tiles.kernel {
            Kernel::Three => self.transform::<S, 5>(simd),
            Kernel::Five => self.transform::<S, 3>(simd),
        }
    }
}

impl TransformGradients<'_> {
    #[inline(always)]
    fn transform<S: Simd, const M: usize>(&self, simd: S) {
        let Self { tiles, dy, first, channels, layout, gradients, .. } = self;
        let [oh, ow, out] = tiles.output;
        let mut half = [[simd.splat(0.0); POINTS]; M];
        for tile in self.range.clone() {
            let [image, top, left] = tiles.origin(tile);
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
                    points.store_column(q, output_gradient(column(&half, q)));
                }
            }
        }
    }
}

/// dw of one output channel over all groups: Gt sums G.
struct KernelGradient<'a> {
    tiles: &'a Tiles,
    output: usize,
    /// `[part][group][point][out][in]`.
    sums: &'a [f32],
    dw: &'a mut [f32],
}

impl WithSimd for KernelGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.tiles.kernel {
            Kernel::Three => self.transform::<S, 3>(simd),
            Kernel::Five => self.transform::<S, 5>(simd),
        }
    }
}

impl KernelGradient<'_> {
    #[inline(always)]
    fn transform<S: Simd, const R: usize>(self, simd: S) {
        let Self { tiles, output, sums, dw } = self;
        let [inner, outer] = tiles.group();
        let first = (output / outer * TILE_POINTS * outer + output % outer) * inner;
        let mut half = [[simd.splat(0.0); R]; POINTS];
        for channel in (0..inner).step_by(LANES) {
            for (p, half) in half.iter_mut().enumerate() {
                let mut row = [simd.splat(0.0); POINTS];
                for sums in sums.chunks_exact(tiles.sums_len()) {
                    for (q, value) in row.iter_mut().enumerate() {
                        *value = value.add(simd.load(&sums[first + (p * POINTS + q) * outer * inner + channel..]));
                    }
                }
                *half = kernel_gradient(row);
            }
            for j in 0..R {
                let column = kernel_gradient::<_, R>(column(&half, j));
                for (i, value) in column.into_iter().enumerate() {
                    let Some(space_to_depth) = &tiles.space_to_depth else {
                        value.store(&mut dw[(i * R + j) * inner + channel..]);
                        continue;
                    };
                    let mut lanes = [0.0; LANES];
                    value.store(&mut lanes);
                    for (lane, value) in lanes.into_iter().enumerate() {
                        if let Some(at) = space_to_depth.kernel_index([i, j], channel + lane) {
                            dw[at] = value;
                        }
                    }
                }
            }
        }
    }
}
