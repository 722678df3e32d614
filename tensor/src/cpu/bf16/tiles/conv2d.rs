//! Convolutions on tiles, without a matrix of windows: the rows of operand a are the positions of a staged image, which
//! stays in the L2 cache, and its part for a block in L1. Weights are packed once a call, or once in all while they do
//! not change.

use std::ops::Range;

use rayon::prelude::*;

use super::rows::store_row;
use super::staged::Staged;
use super::tile::{BLOCK, Product, ROW_BYTES, ROWS, Sums, TILE, prepare};
use super::units::Unit;
use super::weights::{pack_backward, pack_forward, packed_len, panel};
use crate::cpu::bf16::ConvolutionOperands;
use crate::cpu::weight_cache::CacheKey;
use crate::cpu::{Buffer, Cpu};
use crate::ops::conv2d::Geometry;
use crate::{Element, Result, Workspace};

/// The convolution that a processor computes on its tiles.
pub(in crate::cpu) struct TileConvolution {
    unit: Unit,
    staged: Staged,
    is_backward: bool,
}

impl TileConvolution {
    /// The forward convolution, if the processor has a unit for it.
    pub fn forward(g: &Geometry) -> Option<Self> {
        Some(Self { unit: Unit::get()?, staged: Staged::forward(g), is_backward: false })
    }

    /// The gradient of the input, if the processor has a unit for it, and if it is a convolution.
    pub fn backward(g: &Geometry) -> Option<Self> {
        Some(Self { unit: Unit::get()?, staged: Staged::backward(g)?, is_backward: true })
    }

    /// Memory for packed weights, and a staged image for each thread.
    pub fn workspace(&self, threads: usize) -> Workspace {
        let packed = packed_len(&self.staged).div_ceil(2);
        let mut buffers = vec![self.staged.len().div_ceil(2); threads.min(self.tasks(threads))];
        if self.is_backward {
            buffers.push(packed);
            return Workspace::of(buffers);
        }
        Workspace { buffers, cached_weights: packed }
    }

    /// Images, or parts of images where there are few.
    fn tasks(&self, threads: usize) -> usize {
        self.staged.n * self.staged.output[0].div_ceil(self.part_rows(threads))
    }

    /// Rows of the output in a task: an image, or a part where there are few. The sums are the same in any.
    fn part_rows(&self, threads: usize) -> usize {
        let [rows, ..] = self.staged.output;
        let parts = if self.staged.n >= 2 * threads { 1 } else { (2 * threads).div_ceil(self.staged.n.max(1)) };
        rows.div_ceil(parts).max(1)
    }

    /// Computes y `[n, oh, ow, out]`, on the threads of the caller's pool.
    pub fn run<E: Element>(&self, cpu: &Cpu<E>, operands: &ConvolutionOperands<'_, E>, y: &mut [u16]) -> Result<()> {
        let staged = &self.staged;
        let packed = self.packed(cpu, operands.w)?;
        let packed = &bytemuck::cast_slice(packed.as_slice())[..packed_len(staged)];
        let image = staged.input.iter().product::<usize>();
        let [oh, ow, channels] = staged.output;
        let rows = self.part_rows(cpu.threads());
        let images = y.par_chunks_mut(oh * ow * channels).enumerate();
        let tasks = images.flat_map(|(n, y)| {
            y.par_chunks_mut(rows * ow * channels).enumerate().map(move |(part, y)| (n, part * rows, y))
        });
        tasks.try_for_each_init(
            || None,
            |buffer: &mut Option<Buffer<u16>>, (n, first, y)| {
                let buffer = match buffer {
                    Some(buffer) => buffer.make_mut()?,
                    None => {
                        let buffer = buffer.insert(cpu.alloc_halves(staged.len())?).make_mut()?;
                        buffer.fill(0);
                        buffer
                    }
                };
                prepare(self.unit);
                let windows = first * staged.width..(first + y.len() / (ow * channels)) * staged.width;
                for group in 0..staged.groups {
                    staged.stage(&operands.x[n * image..(n + 1) * image], group, buffer);
                    self.group_windows(buffer, packed, group, windows.clone(), operands, y);
                }
                Ok(())
            },
        )
    }

    /// The weights as tiles. Those of the forward convolution are cached from their second use on.
    fn packed<E: Element>(&self, cpu: &Cpu<E>, w: &Buffer<E>) -> Result<Buffer<E>> {
        let len = packed_len(&self.staged);
        let pack = || {
            let mut packed = cpu.alloc(len.div_ceil(2))?;
            let tiles = &mut bytemuck::cast_slice_mut(packed.make_mut()?)[..len];
            let w = bytemuck::cast_slice(w.as_slice());
            if self.is_backward {
                pack_backward(&self.staged, w, tiles);
            } else {
                pack_forward(&self.staged, w, tiles);
            }
            Ok(packed)
        };
        if self.is_backward {
            return pack();
        }
        match w.weight_cache().get_on_reuse(self.cache_key(), pack)? {
            Some(packed) => Ok(packed),
            None => pack(),
        }
    }

    fn cache_key(&self) -> CacheKey {
        [usize::MAX - 16, self.staged.channels, self.staged.kernel[0], self.staged.kernel[1]]
    }

    /// Computes one group's channels of `windows` of an image. `y` holds their rows of the output.
    fn group_windows<E>(
        &self,
        image: &[u16],
        packed: &[u16],
        group: usize,
        windows: Range<usize>,
        operands: &ConvolutionOperands<'_, E>,
        y: &mut [u16],
    ) {
        let staged = &self.staged;
        let out = staged.group_output();
        let row = staged.channels * 2;
        let run = staged.run_steps() * ROW_BYTES;
        let mut sums = Sums::default();
        for column in (0..out).step_by(BLOCK) {
            let columns = BLOCK.min(out - column);
            let b = panel(staged, packed, group, column);
            let mut bias = [0.0; BLOCK];
            if let Some(values) = operands.bias {
                bias[..columns].copy_from_slice(&values[group * out + column..][..columns]);
            }
            let b_tiles = columns.div_ceil(ROWS);
            for first in windows.clone().step_by(BLOCK) {
                let count = BLOCK.min(windows.end - first);
                let a = image[first * staged.channels..].as_ptr();
                let product = Product {
                    c: sums.0.as_mut_ptr().cast(),
                    c_row: BLOCK * size_of::<f32>(),
                    accumulate: 0,
                    a_row: row,
                    run_steps: staged.run_steps(),
                    steps: [ROW_BYTES, b_tiles * TILE * size_of::<u16>()],
                    jumps: [(staged.width * row) as isize - run as isize, 0],
                    runs: staged.kernel[0],
                    a: [a, a.wrapping_byte_add(ROWS * row)],
                    b: [b.as_ptr(), b.as_ptr().wrapping_add(TILE)],
                    tiles: [count.div_ceil(ROWS), b_tiles],
                };
                // SAFETY: `Staged::len` covers what blocks of windows read, `packed_len` the weights.
                unsafe { product.run(self.unit) };
                let y = &mut y[group * out + column..];
                let windows = first - windows.start..first - windows.start + count;
                // SAFETY: a unit proves the instructions.
                unsafe { self.store(&sums, windows, &bias, operands.relu, columns, y) };
            }
        }
    }

    /// Rounds the sums of `windows`, and stores those that are not dropped.
    ///
    /// # Safety
    /// The processor has AVX512-BF16.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn store(
        &self,
        sums: &Sums,
        windows: Range<usize>,
        bias: &[f32; BLOCK],
        relu: bool,
        columns: usize,
        y: &mut [u16],
    ) {
        let [_, ow, channels] = self.staged.output;
        let mut row = windows.start / self.staged.width;
        let mut place = windows.start % self.staged.width;
        for sums in &sums.0[..windows.len()] {
            if place < ow {
                let to = &mut y[(row * ow + place) * channels..][..columns];
                // SAFETY: the slice has `columns` values.
                unsafe { store_row(sums, bias, relu, to.as_mut_ptr(), columns) };
            }
            place += 1;
            if place == self.staged.width {
                place = 0;
                row += 1;
            }
        }
    }
}
