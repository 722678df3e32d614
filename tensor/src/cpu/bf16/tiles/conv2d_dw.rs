//! The gradient of a convolution's weights on tiles: for each place of the kernel, a product of dy and x over the
//! positions of all images.
//!
//! Operand a is dy, transposed. Operand b is the staged image as pairs of positions: a place of the kernel moves by whole
//! positions, so there are two copies, one whose pairs start at even positions and one at odd ones. Images are staged in
//! chunks that fit the caches, and their sums added in order.

use std::ops::Range;

use rayon::prelude::*;

use super::pack::{a_of_columns, b_of_rows};
use super::staged::Staged;
use super::tile::{BLOCK, Product, ROWS, TERMS, TILE, prepare};
use super::units::Unit;
use crate::cpu::{Buffer, Cpu};
use crate::ops::conv2d::Geometry;
use crate::{Element, Result, Workspace};

/// Values of the staged images of a chunk, at least those of one image: 2 MiB.
const CHUNK_VALUES: usize = 1 << 20;
/// Steps of a product: its tiles, for all places of the kernel, fit the L1 cache nearly.
const MAX_STEPS: usize = 14;
/// With fewer tasks by blocks of channels, each row of the kernel is a task.
const MIN_TASKS: usize = 16;

/// The gradient of weights, for a processor with a unit for it.
pub(in crate::cpu) struct TileWeightGradient {
    unit: Unit,
    staged: Staged,
    /// Tiles of output channels of a group.
    out_tiles: usize,
    /// Channels at a place: those of a position, or of a whole row of the kernel where a position has few.
    channels: usize,
    /// Places of a row of the kernel.
    columns: usize,
    /// Steps over the positions of an image.
    steps: usize,
    /// Pairs of positions of an image that its places read.
    pairs: usize,
}

impl TileWeightGradient {
    /// `None` if the processor has no unit.
    pub fn new(g: &Geometry) -> Option<Self> {
        let unit = Unit::get()?;
        let staged = Staged::forward(g);
        let has_few = staged.channels < ROWS;
        let [kh, kw] = staged.kernel;
        let steps = staged.windows().div_ceil(TERMS);
        let last = steps * TERMS + (kh - 1) * staged.width + kw;
        Some(Self {
            unit,
            staged,
            out_tiles: staged.group_output().div_ceil(ROWS),
            channels: if has_few { staged.run() } else { staged.channels },
            columns: if has_few { 1 } else { kw },
            steps,
            pairs: last.div_ceil(2),
        })
    }

    /// Tiles of channels at a place.
    fn tiles(&self) -> usize {
        self.channels.div_ceil(ROWS)
    }

    /// Values of an image as operand a.
    fn dy_len(&self) -> usize {
        self.out_tiles * self.steps * TILE
    }

    /// Values of an image as operand b: both copies.
    fn x_len(&self) -> usize {
        self.tiles() * 2 * self.pairs * TERMS
    }

    /// Images of a chunk.
    fn chunk(&self) -> usize {
        (CHUNK_VALUES / (self.dy_len() + self.x_len())).clamp(1, self.staged.n.max(1))
    }

    /// Values of an image's dy with the positions of the staged image.
    fn dy_positions_len(&self) -> usize {
        (self.steps * TERMS + 1) * self.staged.group_output() + ROWS
    }

    /// Values of a staged image.
    fn x_positions_len(&self) -> usize {
        let values = (2 * self.pairs + 1) * self.staged.channels + self.tiles() * ROWS;
        values.max(self.staged.len())
    }

    /// Sums of a group: output channels, places and channels, each to whole tiles.
    fn sums_len(&self) -> usize {
        self.out_tiles * ROWS * self.places() * self.tiles() * ROWS
    }

    fn places(&self) -> usize {
        self.staged.kernel[0] * self.columns
    }

    /// Memory for a chunk of staged images, an image of each for every thread, and the sums.
    pub fn workspace(&self, threads: usize) -> Workspace {
        let chunk = self.chunk() * (self.dy_len() + self.x_len());
        let mut buffers = vec![chunk.div_ceil(2), self.sums_len()];
        let positions = (self.dy_positions_len() + self.x_positions_len()).div_ceil(2);
        buffers.extend(vec![positions; threads.min(self.chunk())]);
        Workspace::of(buffers)
    }

    /// Computes dw `[out, kh, kw, c / groups]`, on the threads of the caller's pool.
    pub fn run<E: Element>(&self, cpu: &Cpu<E>, x: &[u16], dy: &[u16], dw: &mut [f32]) -> Result<()> {
        let staged = &self.staged;
        let group_len = dw.len() / staged.groups;
        let mut operands = cpu.alloc_halves(self.chunk() * (self.dy_len() + self.x_len()))?;
        let mut sums = cpu.alloc(self.sums_len())?;
        let sums: &mut [f32] = bytemuck::cast_slice_mut(sums.make_mut()?);
        for (group, dw) in dw.chunks_exact_mut(group_len).enumerate() {
            for first in (0..staged.n).step_by(self.chunk()) {
                let images = first..(first + self.chunk()).min(staged.n);
                let operands = operands.make_mut()?;
                self.stage(cpu, x, dy, images.clone(), group, operands)?;
                self.add_products(operands, images.len(), first > 0, sums);
            }
            self.store(sums, dw);
        }
        Ok(())
    }

    /// Stages the images of a chunk, each as operand a, and then as operand b.
    fn stage<E: Element>(
        &self,
        cpu: &Cpu<E>,
        x: &[u16],
        dy: &[u16],
        images: Range<usize>,
        group: usize,
        operands: &mut [u16],
    ) -> Result<()> {
        let image = self.staged.input.iter().product::<usize>();
        let out_image = self.staged.output.iter().product::<usize>();
        let tasks = operands.par_chunks_mut(self.dy_len() + self.x_len()).zip(images);
        tasks.try_for_each_init(
            || None,
            |buffer: &mut Option<Buffer<u16>>, (operands, n)| {
                let len = self.dy_positions_len() + self.x_positions_len();
                let buffer = match buffer {
                    Some(buffer) => buffer.make_mut()?,
                    None => {
                        let buffer = buffer.insert(cpu.alloc_halves(len)?).make_mut()?;
                        buffer.fill(0);
                        buffer
                    }
                };
                let (dy_positions, x_positions) = buffer.split_at_mut(self.dy_positions_len());
                let (a, b) = operands.split_at_mut(self.dy_len());
                self.stage_dy(&dy[n * out_image..(n + 1) * out_image], group, dy_positions, a);
                self.staged.stage(&x[n * image..(n + 1) * image], group, x_positions);
                self.stage_x(x_positions, b);
                Ok(())
            },
        )
    }

    /// One group of an image of dy as operand a: output channels are rows, the positions of the staged image terms.
    fn stage_dy(&self, dy: &[u16], group: usize, positions: &mut [u16], a: &mut [u16]) {
        let [_, ow, c] = self.staged.output;
        let out = self.staged.group_output();
        for (y, row) in dy.chunks_exact(ow * c).enumerate() {
            let to = &mut positions[y * self.staged.width * out..][..ow * out];
            if self.staged.groups == 1 {
                to.copy_from_slice(row);
                continue;
            }
            for (to, pixel) in to.chunks_exact_mut(out).zip(row.chunks_exact(c)) {
                to.copy_from_slice(&pixel[group * out..(group + 1) * out]);
            }
        }
        for (i, tiles) in a.chunks_exact_mut(self.steps * TILE).enumerate() {
            let columns = (out - i * ROWS).min(ROWS);
            for (step, tile) in tiles.chunks_exact_mut(TILE).enumerate() {
                let from = positions[step * TERMS * out + i * ROWS..].as_ptr();
                // SAFETY: `dy_positions_len` covers 32 rows from each step on; a unit proves the instructions.
                unsafe { a_of_columns(from, out, TERMS, columns, tile.as_mut_ptr()) };
            }
        }
    }

    /// A staged image as operand b: for each tile of channels the pairs from even positions on, then those from odd ones.
    fn stage_x(&self, positions: &[u16], b: &mut [u16]) {
        let channels = self.staged.channels;
        for (i, copies) in b.chunks_exact_mut(2 * self.pairs * TERMS).enumerate() {
            let columns = (self.channels - i * ROWS).min(ROWS);
            for (odd, pairs) in copies.chunks_exact_mut(self.pairs * TERMS).enumerate() {
                let from = positions[odd * channels + i * ROWS..].as_ptr();
                let rows = 2 * self.pairs;
                // SAFETY: `x_positions_len` covers the positions and their channels; a unit proves the instructions.
                unsafe { b_of_rows(from, channels, rows, columns, self.pairs, pairs.as_mut_ptr()) };
            }
        }
    }

    /// Adds the products of a chunk to the sums, or replaces them.
    fn add_products(&self, operands: &[u16], images: usize, accumulate: bool, sums: &mut [f32]) {
        let rows = self.staged.kernel[0];
        let blocks = self.out_tiles.div_ceil(2) * self.tiles().div_ceil(2);
        let row_tasks = if blocks < MIN_TASKS { rows } else { 1 };
        let sums = SumsPointer(sums.as_mut_ptr());
        (0..blocks * row_tasks).into_par_iter().for_each(|task| {
            let block = task / row_tasks;
            let row = task % row_tasks;
            let rows = if row_tasks == 1 { 0..rows } else { row..row + 1 };
            prepare(self.unit);
            let place = [block / self.tiles().div_ceil(2), block % self.tiles().div_ceil(2)];
            self.add_block(operands, images, accumulate, place.map(|i| 2 * i), rows, &sums);
        });
    }

    /// The sums of a block of output channels and channels, for rows of the kernel. `tile` is the block's first tiles.
    fn add_block(
        &self,
        operands: &[u16],
        images: usize,
        accumulate: bool,
        tile: [usize; 2],
        rows: Range<usize>,
        sums: &SumsPointer,
    ) {
        let [out_tile, channel_tile] = tile;
        let places = self.places();
        let width = self.tiles() * ROWS;
        let image_len = self.dy_len() + self.x_len();
        let per_run = self.steps.min(MAX_STEPS);
        let runs = (MAX_STEPS / self.steps).max(1);
        for (part, first) in (0..images).step_by(runs).enumerate() {
            for step in (0..self.steps).step_by(per_run) {
                let run_steps = per_run.min(self.steps - step);
                let is_first = part == 0 && step == 0;
                let a = &operands[first * image_len + (out_tile * self.steps + step) * TILE..];
                let jump = (image_len * 2) as isize - (run_steps * TILE * 2) as isize;
                // Even places first: the other copy may then take their room in the cache.
                for odd in 0..2 {
                    for place in (rows.start * self.columns)..(rows.end * self.columns) {
                        let offset = place / self.columns * self.staged.width + place % self.columns;
                        if offset % 2 != odd {
                            continue;
                        }
                        let pair = (channel_tile * 2 + odd) * self.pairs + step * TERMS / 2 + offset / 2;
                        let b = &operands[first * image_len + self.dy_len() + pair * TERMS..];
                        let at = (out_tile * ROWS * places + place) * width + channel_tile * ROWS;
                        let product = Product {
                            c: sums.0.wrapping_add(at),
                            c_row: places * width * size_of::<f32>(),
                            accumulate: usize::from(accumulate || !is_first),
                            a_row: TERMS * 2,
                            run_steps,
                            steps: [TILE * 2; 2],
                            jumps: [jump; 2],
                            runs: runs.min(images - first),
                            a: [a.as_ptr(), a.as_ptr().wrapping_add(self.steps * TILE)],
                            b: [b.as_ptr(), b.as_ptr().wrapping_add(2 * self.pairs * TERMS)],
                            tiles: [(self.out_tiles - out_tile).min(2), (self.tiles() - channel_tile).min(2)],
                        };
                        // SAFETY: the operands hold the tiles of all steps and places; each task has its own sums.
                        unsafe { product.run(self.unit) };
                    }
                }
            }
        }
    }

    /// Copies the sums of a group to its weights.
    fn store(&self, sums: &[f32], dw: &mut [f32]) {
        let staged = &self.staged;
        let patch = dw.len() / staged.group_output();
        let width = self.tiles() * ROWS;
        let places = self.places();
        dw.par_chunks_mut(patch).zip(sums.par_chunks(places * width)).for_each(|(dw, sums)| {
            if width == self.channels && patch == sums.len() && !staged.has_blocks() {
                dw.copy_from_slice(sums);
                return;
            }
            for (place, sums) in sums.chunks_exact(width).enumerate() {
                let first = place % self.columns * staged.channels;
                for (channel, &sum) in sums[..self.channels].iter().enumerate() {
                    if let Some(at) = staged.place(place / self.columns, first + channel) {
                        dw[at] = sum;
                    }
                }
            }
        });
    }
}

/// The sums, of which each task writes its own.
struct SumsPointer(*mut f32);

// SAFETY: tasks write different sums.
unsafe impl Sync for SumsPointer {}

const _: () = assert!(BLOCK == 2 * ROWS, "blocks are two tiles wide");
