//! Products of fully connected layers on tiles. Weights stay `f32` in memory, are read once in the order of their
//! addresses, and are rounded to tiles that stay in the L2 cache; sums are `f32`.

use std::ops::Range;

use rayon::prelude::*;

use super::pack::{a_of_rows, a_row_of_f32, b_of_columns, b_rows_of_f32};
use super::tile::{BLOCK, Product, ROWS, TERMS, TILE, prepare};
use super::transpose::transpose_memory;
use super::units::Unit;
use crate::cpu::{Buffer, Cpu};
use crate::ops::linear;
use crate::{Element, Result, Workspace};

/// Outputs of a task of the forward product.
const OUTPUTS: usize = 128;
/// Inputs of a task of the product for dx: 2 KiB of each row of weights.
const INPUTS: usize = 512;
/// Steps over which sums stay in a block: operands of 32 to 512 rows fit the L2 cache.
const MAX_STEPS: usize = 32;

/// A product of a fully connected layer, for a processor with a unit for it: rows are images.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct TileProduct {
    pub(super) unit: Unit,
    kind: Kind,
    pub(super) m: usize,
    pub(super) n: usize,
    pub(super) k: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// x W^T.
    Forward,
    /// dy W.
    InputGradient,
    /// dy^T x.
    WeightGradient,
}

/// An address that tasks write different values from.
struct Shared<T>(*mut T);

// SAFETY: tasks write different values.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    fn start(&self) -> *mut T {
        self.0
    }
}

impl TileProduct {
    /// `None` if the processor has no unit, and for products of other kinds.
    pub fn new(p: &linear::Product) -> Option<Self> {
        let kind = match (p.transpose_a, p.transpose_b) {
            (false, true) => Kind::Forward,
            (false, false) => Kind::InputGradient,
            (true, false) if p.weights => Kind::WeightGradient,
            _ => return None,
        };
        let is_empty = p.m == 0 || p.n == 0 || p.k == 0;
        Unit::get().filter(|_| !is_empty).map(|unit| Self { unit, kind, m: p.m, n: p.n, k: p.k })
    }

    /// Whether the result is a gradient of weights, in `f32`.
    pub fn is_weights(&self) -> bool {
        self.kind == Kind::WeightGradient
    }

    /// Memory for the packed operand, and for the rounded weights of each thread.
    pub fn workspace(&self, threads: usize) -> Workspace {
        let steps = self.k.div_ceil(TERMS);
        let rows = |len: usize| len.div_ceil(ROWS) * steps * TILE / 2;
        let mut buffers = Vec::new();
        match self.kind {
            Kind::Forward => {
                buffers.push(rows(self.m));
                let task = OUTPUTS * self.m.next_multiple_of(ROWS) + BLOCK * MAX_STEPS * TERMS / 2;
                buffers.extend(vec![task; threads]);
                return Workspace { buffers, cached_weights: rows(self.n) };
            }
            Kind::InputGradient => {
                buffers.push(rows(self.m));
                let weights = INPUTS / ROWS * MAX_STEPS.min(steps) * TILE / 2;
                buffers.extend(vec![INPUTS * self.m.next_multiple_of(ROWS) + weights; threads]);
            }
            Kind::WeightGradient => buffers.extend([rows(self.m), rows(self.n)]),
        }
        Workspace::of(buffers)
    }

    /// c = a b, for a in `bf16`, on the threads of the caller's pool. b is the weights or, for their gradient, x.
    pub fn run<E: Element>(&self, cpu: &Cpu<E>, a: &[u16], b: &Buffer<E>, c: &mut [f32]) -> Result<()> {
        match self.kind {
            Kind::Forward => self.forward(cpu, a, b, c),
            Kind::InputGradient => self.input_gradient(cpu, a, bytemuck::cast_slice(b.as_slice()), c),
            Kind::WeightGradient => {
                let b = cpu.to_bf16(b)?;
                match b.bf16() {
                    Some(b) => self.weight_gradient(cpu, a, b, c),
                    None => Ok(()),
                }
            }
        }
    }

    /// Steps over all terms.
    pub(super) fn steps(&self) -> usize {
        self.k.div_ceil(TERMS)
    }

    /// Computes the transpose, W x^T, so that rows of weights are operand a as they are.
    fn forward<E: Element>(&self, cpu: &Cpu<E>, x: &[u16], w: &Buffer<E>, y: &mut [f32]) -> Result<()> {
        let steps = self.steps();
        let images = self.m.div_ceil(ROWS);
        let mut columns = cpu.alloc_halves(images * steps * TILE)?;
        self.pack_columns(x, columns.make_mut()?);
        let columns = columns.as_slice();
        let pack = || {
            let mut packed = cpu.alloc(self.n.div_ceil(ROWS) * steps * TILE / 2)?;
            let tiles = bytemuck::cast_slice_mut::<E, u16>(packed.make_mut()?);
            let w = bytemuck::cast_slice(w.as_slice());
            tiles.par_chunks_mut(steps * TILE).enumerate().for_each(|(i, tiles)| {
                self.pack_weights(w, i * ROWS, 0..steps, tiles);
            });
            Ok(packed)
        };
        let cached = w.weight_cache().get_on_reuse([usize::MAX - 17, self.n, self.k, 0], pack)?;
        let cached = cached.as_ref().map(|packed| bytemuck::cast_slice::<E, u16>(packed.as_slice()));
        let w: &[f32] = bytemuck::cast_slice(w.as_slice());
        let y = Shared(y.as_mut_ptr());
        let outputs = (0..self.n.div_ceil(OUTPUTS)).into_par_iter().map(|i| i * OUTPUTS);
        outputs.try_for_each_init(
            || [None, None],
            |buffers: &mut [Option<Buffer<E>>; 2], first| {
                let count = OUTPUTS.min(self.n - first);
                let [sums, weights] = buffers;
                let sums = held(sums, cpu, OUTPUTS * images * ROWS)?;
                let weights = held(weights, cpu, BLOCK * MAX_STEPS * TERMS / 2)?;
                prepare(self.unit);
                for start in (0..steps).step_by(MAX_STEPS) {
                    let range = start..(start + MAX_STEPS).min(steps);
                    self.add_outputs(w, cached, columns, first..first + count, range, weights, sums);
                }
                // SAFETY: each task writes its own columns of y.
                unsafe { self.store_outputs(sums, first..first + count, y.start()) };
                Ok(())
            },
        )
    }

    /// x as operand b: panels of 32 images, each step after step.
    fn pack_columns(&self, x: &[u16], columns: &mut [u16]) {
        let steps = self.steps();
        columns.par_chunks_mut(BLOCK / ROWS * steps * TILE).enumerate().for_each(|(panel, columns)| {
            let tiles = columns.len() / (steps * TILE);
            for (i, tile) in columns.chunks_exact_mut(TILE).enumerate() {
                let row = panel * BLOCK + i % tiles * ROWS;
                let term = i / tiles * TERMS;
                let from = x[row * self.k + term..].as_ptr();
                // SAFETY: the rows and terms lie in x.
                unsafe { b_of_columns(from, self.k, self.m - row, self.k - term, tile.as_mut_ptr()) };
            }
        });
    }

    /// 16 rows of weights as operand a.
    fn pack_weights(&self, w: &[f32], row: usize, steps: Range<usize>, tiles: &mut [u16]) {
        if row + ROWS > self.n {
            tiles.fill(0);
        }
        for i in 0..ROWS.min(self.n - row) {
            let from = w[(row + i) * self.k + steps.start * TERMS..].as_ptr();
            let len = self.k - steps.start * TERMS;
            let to = tiles[i * TERMS..steps.len() * TILE].as_mut_ptr();
            // SAFETY: the row lies in w, and the tiles have rows of terms; a unit proves the instructions.
            unsafe { a_row_of_f32(from, len, steps.len(), to) };
        }
    }

    /// Adds the terms of some steps to the sums `[outputs, images]`, or sets them with the first.
    #[allow(clippy::too_many_arguments)]
    fn add_outputs(
        &self,
        w: &[f32],
        cached: Option<&[u16]>,
        columns: &[u16],
        outputs: Range<usize>,
        steps: Range<usize>,
        weights: &mut [f32],
        sums: &mut [f32],
    ) {
        let images = self.m.div_ceil(ROWS);
        let packed = bytemuck::cast_slice_mut::<f32, u16>(weights);
        for row in outputs.clone().step_by(BLOCK) {
            let row_tiles = (outputs.end - row).min(BLOCK).div_ceil(ROWS);
            let a = match cached {
                Some(all) => {
                    let tile = |i: usize| ((row / ROWS + i) * self.steps() + steps.start) * TILE;
                    [all[tile(0)..].as_ptr(), all.as_ptr().wrapping_add(tile(1))]
                }
                None => {
                    let half = packed.len() / 2;
                    for (i, tiles) in packed.chunks_exact_mut(half).take(row_tiles).enumerate() {
                        self.pack_weights(w, row + i * ROWS, steps.clone(), tiles);
                    }
                    [packed.as_ptr(), packed.as_ptr().wrapping_add(half)]
                }
            };
            for image in (0..images).step_by(2) {
                let tiles = [row_tiles, (images - image).min(2)];
                let b = columns[(image * self.steps() + steps.start * tiles[1]) * TILE..].as_ptr();
                let product = Product {
                    c: sums[(row - outputs.start) * images * ROWS + image * ROWS..].as_mut_ptr(),
                    c_row: images * ROWS * size_of::<f32>(),
                    accumulate: usize::from(steps.start > 0),
                    a_row: TERMS * 2,
                    run_steps: steps.len(),
                    steps: [TILE * 2, tiles[1] * TILE * 2],
                    jumps: [0; 2],
                    runs: 1,
                    a,
                    b: [b, b.wrapping_add(TILE)],
                    tiles,
                };
                // SAFETY: the operands hold the tiles of these steps, the sums the block.
                unsafe { product.run(self.unit) };
            }
        }
    }

    /// Transposes the sums of some outputs to y.
    ///
    /// # Safety
    /// No one else writes these columns of y.
    unsafe fn store_outputs(&self, sums: &[f32], outputs: Range<usize>, y: *mut f32) {
        let width = self.m.div_ceil(ROWS) * ROWS;
        let mut square = [0u32; ROWS * ROWS];
        for row in outputs.clone().step_by(ROWS) {
            let count = ROWS.min(outputs.end - row);
            for image in (0..self.m).step_by(ROWS) {
                let from = sums[(row - outputs.start) * width + image..].as_ptr();
                // SAFETY: the sums have whole tiles; a unit proves the instructions.
                unsafe { transpose_memory(from.cast(), width, square.as_mut_ptr(), ROWS) };
                for (i, values) in square.chunks_exact(ROWS).take(self.m - image).enumerate() {
                    let to = y.wrapping_add((image + i) * self.n + row);
                    // SAFETY: the values of an image that the caller grants.
                    unsafe { to.copy_from_nonoverlapping(values.as_ptr().cast(), count) };
                }
            }
        }
    }

    /// Rows of dy are operand a, and pairs of rows of weights operand b.
    fn input_gradient<E: Element>(&self, cpu: &Cpu<E>, dy: &[u16], w: &[f32], dx: &mut [f32]) -> Result<()> {
        let steps = self.steps();
        let images = self.m.div_ceil(ROWS);
        let mut rows = cpu.alloc_halves(images * steps * TILE)?;
        rows.make_mut()?.par_chunks_mut(steps * TILE).enumerate().for_each(|(i, tiles)| {
            for (step, tile) in tiles.chunks_exact_mut(TILE).enumerate() {
                let from = dy[i * ROWS * self.k + step * TERMS..].as_ptr();
                // SAFETY: the rows and terms lie in dy.
                unsafe { a_of_rows(from, self.k, self.m - i * ROWS, self.k - step * TERMS, tile.as_mut_ptr()) };
            }
        });
        let rows = rows.as_slice();
        let dx = Shared(dx.as_mut_ptr());
        (0..self.n.div_ceil(INPUTS)).into_par_iter().map(|i| i * INPUTS).try_for_each_init(
            || [None, None],
            |buffers: &mut [Option<Buffer<E>>; 2], first| {
                let count = INPUTS.min(self.n - first);
                let [sums, weights] = buffers;
                let sums = held(sums, cpu, images * ROWS * INPUTS)?;
                let weights = held(weights, cpu, INPUTS / ROWS * MAX_STEPS.min(steps) * TILE / 2)?;
                prepare(self.unit);
                for start in (0..steps).step_by(MAX_STEPS) {
                    let range = start..(start + MAX_STEPS).min(steps);
                    self.add_inputs(w, rows, first..first + count, range, weights, sums);
                }
                for (i, sums) in sums.chunks_exact(INPUTS).take(self.m).enumerate() {
                    let to = dx.start().wrapping_add(i * self.n + first);
                    // SAFETY: each task writes its own columns of dx.
                    unsafe { to.copy_from_nonoverlapping(sums.as_ptr(), count) };
                }
                Ok(())
            },
        )
    }

    /// Adds the terms of some steps to the sums `[images, INPUTS]`, or sets them with the first.
    fn add_inputs(
        &self,
        w: &[f32],
        rows: &[u16],
        inputs: Range<usize>,
        steps: Range<usize>,
        weights: &mut [f32],
        sums: &mut [f32],
    ) {
        let images = self.m.div_ceil(ROWS);
        let tiles = inputs.len().div_ceil(ROWS);
        let packed = bytemuck::cast_slice_mut::<f32, u16>(weights);
        let stride = steps.len() * TILE;
        if steps.end * TERMS > self.k {
            packed.fill(0);
        }
        for row in (steps.start * TERMS..(steps.end * TERMS).min(self.k)).step_by(2) {
            let at = |row: usize| (row < self.k).then(|| w[row * self.n + inputs.start..].as_ptr());
            let to = packed[(row - steps.start * TERMS) / 2 * TERMS..].as_mut_ptr();
            // SAFETY: the rows and columns lie in w, the tiles in `packed`; a unit proves the instructions.
            unsafe { b_rows_of_f32([at(row), at(row + 1)], inputs.len(), stride, to) };
        }
        for tile in (0..tiles).step_by(2) {
            let b = packed[tile * steps.len() * TILE..].as_ptr();
            for image in (0..images).step_by(2) {
                let a = rows[(image * self.steps() + steps.start) * TILE..].as_ptr();
                let product = Product {
                    c: sums[image * ROWS * INPUTS + tile * ROWS..].as_mut_ptr(),
                    c_row: INPUTS * size_of::<f32>(),
                    accumulate: usize::from(steps.start > 0),
                    a_row: TERMS * 2,
                    run_steps: steps.len(),
                    steps: [TILE * 2; 2],
                    jumps: [0; 2],
                    runs: 1,
                    a: [a, a.wrapping_add(self.steps() * TILE)],
                    b: [b, b.wrapping_add(steps.len() * TILE)],
                    tiles: [(images - image).min(2), (tiles - tile).min(2)],
                };
                // SAFETY: the operands hold the tiles of these steps, the sums the block.
                unsafe { product.run(self.unit) };
            }
        }
    }
}

/// The values of a buffer, which is allocated first if there is none. E is `f32`.
fn held<'a, E: Element>(buffer: &'a mut Option<Buffer<E>>, cpu: &Cpu<E>, len: usize) -> Result<&'a mut [f32]> {
    let buffer = match buffer {
        Some(buffer) => buffer,
        None => buffer.insert(cpu.alloc(len)?),
    };
    Ok(bytemuck::cast_slice_mut(buffer.make_mut()?))
}
