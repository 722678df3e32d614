//! Outputs, and gradients of inputs.

use std::ops::Range;

use rayon::prelude::*;

use super::transform::{POINTS, TILE, column, input, kernel, output};
use super::{AtPoints, Kernel, Layout, Parts, Tiles};
use crate::cpu::Buffer;
use crate::cpu::simd::{LANES, Vector, Work, dispatch};
use crate::cpu::tile::{COLUMNS, Strided, Target, product};
use crate::{Cpu, Result};

/// Tiles that one task transforms, at most.
const TASK: usize = 6;
/// Tasks that there are at least, if there are as many tiles: work for that many threads.
const MIN_TASKS: usize = 16;
/// Points this far ahead are asked for before they are written: the processor does not foresee as many streams.
pub(super) const AHEAD: usize = 2 * LANES;
/// Channels, on either side, of the kernels that one task transforms.
const CHANNELS: usize = LANES;

/// What a convolution reads.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Operands<'a> {
    pub x: &'a [f32],
    pub w: &'a Buffer<f32>,
    pub bias: Option<&'a [f32]>,
    pub relu: bool,
    /// Whether x is dy, of a convolution with these weights, and y its dx.
    pub turned: bool,
}

impl Tiles {
    /// Values of the transformed kernels.
    pub fn kernels(&self) -> usize {
        let [inner, outer] = self.group();
        self.groups * TILE * inner * outer
    }

    /// Buffers that [`run`](Self::run) takes beside the transformed kernels, and
    /// [`weights_gradient`](Self::weights_gradient) beside their gradients.
    pub fn workspace(&self) -> [usize; 2] {
        self.group().map(|channels| self.groups * Layout::new(self.block, channels).group)
    }

    /// All of them.
    pub fn with_kernels(&self) -> Vec<usize> {
        let [points, products] = self.workspace();
        vec![self.kernels(), points, products]
    }

    /// y from x, written in full.
    pub fn run(&self, cpu: &Cpu<f32>, operands: &Operands<'_>, y: &mut [f32]) -> Result<()> {
        let kernels = self.transformed_kernels(cpu, operands)?;
        let [points, products] = self.workspace();
        let (mut points, mut products) = (cpu.take(points)?, cpu.take(products)?);
        let (kernels, points, products) = (kernels.as_slice(), points.make_mut()?, products.make_mut()?);
        for start in (0..self.tiles()).step_by(self.block) {
            let block = start..(start + self.block).min(self.tiles());
            self.transform_inputs(operands.x, block.clone(), points);
            self.multiply(block.len(), points, kernels, products);
            self.transform_outputs(operands, block, products, y);
        }
        Ok(())
    }

    /// The transformed kernels, those of weights that do not change kept beside them. At batch 1 transforming them takes
    /// as long as all the rest.
    fn transformed_kernels(&self, cpu: &Cpu<f32>, operands: &Operands<'_>) -> Result<Buffer<f32>> {
        let make = || {
            let mut kernels = cpu.take(self.kernels())?;
            self.transform_kernels(operands, kernels.make_mut()?);
            Ok(kernels)
        };
        if operands.turned {
            return make();
        }
        let [inner, outer] = self.group();
        let kept = operands.w.kept().again([self.kernel.side(), self.groups, inner, outer], make)?;
        kept.map_or_else(make, Ok)
    }

    /// Transformed kernels: `[group][point][panel of outputs][in][COLUMNS]`, the last panel as wide as what is left.
    fn transform_kernels(&self, operands: &Operands<'_>, kernels: &mut [f32]) {
        let [inner, outer] = self.group();
        let per_group = [inner / CHANNELS, outer / CHANNELS];
        let kernels = &Parts::new(kernels);
        (0..self.groups * per_group[0] * per_group[1]).into_par_iter().for_each(|task| {
            let (group, rest) = (task / (per_group[0] * per_group[1]), task % (per_group[0] * per_group[1]));
            let from = [rest % per_group[0] * CHANNELS, rest / per_group[0] * CHANNELS];
            let work = TransformKernels { tiles: self, operands, group, from, kernels };
            dispatch(self.level, work);
        });
    }

    /// A block's tiles as points, in the [`Layout`] of the whole block.
    pub(super) fn transform_inputs(&self, x: &[f32], block: Range<usize>, points: &mut [f32]) {
        assert!(x.len() >= self.n * self.input.iter().product::<usize>(), "all pictures");
        let (points, layout) = (&Parts::new(points), Layout::new(self.block, self.group()[0]));
        tasks(&block).for_each(|tiles| {
            dispatch(self.level, TransformInputs { tiles: self, x, first: block.start, range: tiles, layout, points });
        });
    }

    /// products = points times kernels, point by point.
    fn multiply(&self, tiles: usize, points: &[f32], kernels: &[f32], products: &mut [f32]) {
        let [inner, outer] = self.group();
        let [from, to] = self.group().map(|channels| Layout::new(self.block, channels));
        let products = &Parts::new(products);
        (0..self.groups * TILE).into_par_iter().for_each(|task| {
            let (group, point) = (task / TILE, task % TILE);
            let a = Strided { data: &points[from.at(group, point, 0)..], row: from.row, column: 1 };
            let kernels = &kernels[task * inner * outer..][..inner * outer];
            // SAFETY: this point's products belong to this task.
            let out = unsafe { products.part(to.at(group, point, 0), tiles * to.row) };
            for first in (0..outer).step_by(COLUMNS) {
                let n = COLUMNS.min(outer - first);
                let b = Strided { data: &kernels[first * inner..], row: n, column: 1 };
                let out = &mut out[first..];
                let c = Target { data: out.as_mut_ptr(), len: out.len(), row: to.row };
                // SAFETY: as above.
                unsafe { product(self.level, [tiles, n, inner], a, b, c, false) };
            }
        });
    }

    /// A block's tiles of y from their points.
    fn transform_outputs(&self, operands: &Operands<'_>, block: Range<usize>, products: &[f32], y: &mut [f32]) {
        assert!(y.len() >= self.n * self.output.iter().product::<usize>(), "all pictures");
        let (y, layout) = (&Parts::new(y), Layout::new(self.block, self.group()[1]));
        tasks(&block).for_each(|tiles| {
            let work =
                TransformOutputs { tiles: self, operands, first: block.start, range: tiles, layout, products, y };
            dispatch(self.level, work);
        });
    }
}

/// The tiles of a block, some for each task.
pub(super) fn tasks(block: &Range<usize>) -> impl IndexedParallelIterator<Item = Range<usize>> {
    let block = block.clone();
    let each = (block.len() / MIN_TASKS).clamp(1, TASK);
    (0..block.len().div_ceil(each)).into_par_iter().map(move |task| {
        let first = block.start + task * each;
        first..(first + each).min(block.end)
    })
}

/// G w Gt of [`CHANNELS`] x [`CHANNELS`] kernels.
struct TransformKernels<'a> {
    tiles: &'a Tiles,
    operands: &'a Operands<'a>,
    group: usize,
    /// The first input and output channel within the group.
    from: [usize; 2],
    kernels: &'a Parts<'a>,
}

impl Work for TransformKernels<'_> {
    type Out = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        match self.tiles.kernel {
            Kernel::Three => self.of_side::<V, 3, 9>(),
            Kernel::Five => self.of_side::<V, 5, 25>(),
        }
    }
}

impl TransformKernels<'_> {
    #[inline(always)]
    fn of_side<V: Vector, const R: usize, const AREA: usize>(&self) {
        let Self { tiles, group, from, .. } = *self;
        let [inner, outer] = tiles.group();
        let mut kernels = [[[0.0f32; CHANNELS]; CHANNELS]; AREA];
        self.gather(&mut kernels);
        let panel = from[1] / COLUMNS * COLUMNS;
        let width = COLUMNS.min(outer - panel);
        let mut half = [[V::splat(0.0); POINTS]; R];
        for i in 0..CHANNELS {
            for (half, kernels) in half.iter_mut().zip(kernels.chunks_exact(R)) {
                let mut row = [V::splat(0.0); R];
                for (value, kernels) in row.iter_mut().zip(kernels) {
                    *value = V::of(&kernels[i]);
                }
                *half = kernel(row);
            }
            for q in 0..POINTS {
                for (p, value) in kernel(column(&half, q)).into_iter().enumerate() {
                    let point = (group * TILE + p * POINTS + q) * inner * outer;
                    let at = point + panel * inner + (from[0] + i) * width + from[1] - panel;
                    // SAFETY: these channels' kernels belong to this task.
                    value.put(unsafe { self.kernels.part(at, LANES) });
                }
            }
        }
    }

    /// `[place][in][out]` from weights that lie `[out][place][in]` as the forward has them.
    #[inline(always)]
    fn gather<const AREA: usize>(&self, kernels: &mut [[[f32; CHANNELS]; CHANNELS]; AREA]) {
        let Self { tiles, operands, group, from, .. } = *self;
        let [inner, outer] = tiles.group();
        if operands.turned {
            let w = &operands.w.as_slice()[group * outer * inner * AREA..];
            for (place, kernels) in kernels.iter_mut().enumerate() {
                for (i, kernels) in kernels.iter_mut().enumerate() {
                    let at = ((from[0] + i) * AREA + AREA - 1 - place) * outer + from[1];
                    kernels.copy_from_slice(&w[at..at + CHANNELS]);
                }
            }
        } else {
            let w = &operands.w.as_slice()[group * outer * inner * AREA..];
            for o in 0..CHANNELS {
                for (place, kernels) in kernels.iter_mut().enumerate() {
                    let w = &w[((from[1] + o) * AREA + place) * inner + from[0]..][..CHANNELS];
                    for (kernels, &w) in kernels.iter_mut().zip(w) {
                        kernels[o] = w;
                    }
                }
            }
        }
    }
}

/// Bt x B of the tiles of one task.
struct TransformInputs<'a> {
    tiles: &'a Tiles,
    x: &'a [f32],
    /// The block's first tile.
    first: usize,
    range: Range<usize>,
    layout: Layout,
    points: &'a Parts<'a>,
}

/// Where nothing is to be read.
const OUTSIDE: usize = usize::MAX;

impl Tiles {
    /// Where in x the first channel of each of a tile's inputs is, or [`OUTSIDE`].
    #[inline(always)]
    fn places(&self, tile: usize) -> [[usize; POINTS]; POINTS] {
        let ([h, width, c], [picture, top, left]) = (self.input, self.place(tile));
        std::array::from_fn(|i| {
            let y = (top + i).checked_sub(self.pads[0]).filter(|&y| y < h);
            std::array::from_fn(|j| {
                let x = (left + j).checked_sub(self.pads[1]).filter(|&x| x < width);
                y.zip(x).map_or(OUTSIDE, |(y, x)| ((picture * h + y) * width + x) * c)
            })
        })
    }
}

impl Work for TransformInputs<'_> {
    type Out = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        let Self { tiles, x, first, range, layout, points } = self;
        let (inner, c) = (tiles.group()[0], tiles.input[2]);
        let mut half = [[V::splat(0.0); POINTS]; POINTS];
        for tile in range {
            let places = tiles.places(tile);
            for channel in (0..c).step_by(LANES) {
                let at = layout.at(channel / inner, 0, tile - first) + channel % inner;
                for point in 0..TILE {
                    V::prefetch(points.near(at + point * layout.point + AHEAD));
                }
                for (places, half) in places.iter().zip(&mut half) {
                    let mut row = [V::splat(0.0); POINTS];
                    for (value, &place) in row.iter_mut().zip(places) {
                        if place != OUTSIDE {
                            // SAFETY: a place in a picture and a vector of its channels; all pictures are in x, as
                            // `transform_inputs` asserted.
                            *value = unsafe { V::load(x.as_ptr().add(place + channel)) };
                        }
                    }
                    *half = input(row);
                }
                // SAFETY: this tile's points belong to this task.
                let points = unsafe { points.tile(at, layout) };
                for q in 0..POINTS {
                    points.put(q, input(column(&half, q)));
                }
            }
        }
    }
}

/// At p A of the tiles of one task; bias and ReLU on the way.
struct TransformOutputs<'a> {
    tiles: &'a Tiles,
    operands: &'a Operands<'a>,
    /// The block's first tile.
    first: usize,
    range: Range<usize>,
    layout: Layout,
    products: &'a [f32],
    y: &'a Parts<'a>,
}

impl Work for TransformOutputs<'_> {
    type Out = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        match self.tiles.kernel {
            Kernel::Three => self.tiles_of::<V, 5>(),
            Kernel::Five => self.tiles_of::<V, 3>(),
        }
    }
}

impl TransformOutputs<'_> {
    #[inline(always)]
    fn tiles_of<V: Vector, const M: usize>(&self) {
        let Self { tiles, operands, first, layout, products, y, .. } = self;
        let ([oh, ow, out], outer) = (tiles.output, tiles.group()[1]);
        let mut half = [[V::splat(0.0); M]; POINTS];
        for tile in self.range.clone() {
            let [picture, top, left] = tiles.place(tile);
            let [rows, columns] = [M.min(oh - top), M.min(ow - left)];
            for channel in (0..out).step_by(LANES) {
                let at = layout.at(channel / outer, 0, tile - first) + channel % outer;
                let points = AtPoints::new(products, at, *layout);
                for (p, half) in half.iter_mut().enumerate() {
                    *half = output::<V, M>(points.row(p));
                }
                let bias = operands.bias.map_or(V::splat(0.0), |bias| V::of(&bias[channel..]));
                for j in 0..columns {
                    let column = output::<V, M>(column(&half, j));
                    for (i, value) in column.into_iter().enumerate() {
                        if i < rows {
                            let value = value.add(bias);
                            let value = if operands.relu { value.relu() } else { value };
                            let place = ((picture * oh + top + i) * ow + left + j) * out + channel;
                            // SAFETY: this tile's outputs belong to this task.
                            value.put(unsafe { y.part(place, LANES) });
                        }
                    }
                }
            }
        }
    }
}
