//! y, and dx as a convolution of dy.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::Tiles;
use super::inputs::TransformInputs;
use super::outputs::TransformOutputs;
use super::points::{DisjointSlices, Layout};
use super::transform::TILE_POINTS;
use crate::cpu::Buffer;
use crate::cpu::microkernel::{COLUMNS, Strided, Target, product, tile_shape};
use crate::cpu::simd::dispatch;
use crate::{Cpu, Result};

/// Output channels of a panel, at most: the products of a panel at all points of a block of tiles fit the L2 cache.
pub(super) const PANEL: usize = 2 * COLUMNS;

/// The inputs of a convolution.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Operands<'a> {
    pub x: &'a [f32],
    pub w: &'a Buffer<f32>,
    pub bias: Option<&'a [f32]>,
    pub relu: bool,
    /// Whether x is dy of a convolution with these weights, and y its dx.
    pub transposed: bool,
}

impl Tiles {
    /// Lengths of the buffers that [`run`](Self::run) takes on `threads` threads beside the transformed kernels.
    pub fn workspace(&self, threads: usize) -> Vec<usize> {
        self.thread_workspace().repeat(threads.min(self.pieces(threads)[1]))
    }

    /// Those of one thread: the points of a block and the products of a panel.
    fn thread_workspace(&self) -> [usize; 2] {
        let [inner, outer] = self.group();
        [inner, PANEL.min(outer)].map(|channels| Layout::new(self.block, channels).len)
    }

    /// The number of pairs of a block of tiles and a group.
    fn parts(&self) -> usize {
        self.tiles().div_ceil(self.block) * self.groups
    }

    fn panels(&self) -> usize {
        self.group()[1].div_ceil(PANEL)
    }

    /// The number of parts that are one piece of work each, and of all pieces: the parts that are left, too few for all
    /// threads, are one piece per panel.
    fn pieces(&self, threads: usize) -> [usize; 2] {
        let whole = self.parts() / threads * threads;
        [whole, whole + (self.parts() - whole) * self.panels()]
    }

    /// y from x, written in full.
    pub fn run(&self, cpu: &Cpu<f32>, operands: &Operands<'_>, y: &mut [f32]) -> Result<()> {
        assert!(operands.x.len() >= self.images_len(), "all images");
        assert!(y.len() >= self.n * self.output.iter().product::<usize>(), "all images");
        let kernels = self.transformed_kernels(cpu, operands)?;
        let threads = cpu.threads();
        let next = AtomicUsize::new(0);
        let [whole, pieces] = self.pieces(threads);
        let pass =
            Pass { tiles: self, operands, kernels: kernels.as_slice(), y: DisjointSlices::new(y), whole, pieces };
        (0..threads.min(pieces)).into_par_iter().with_max_len(1).try_for_each(|_| pass.take_pieces(cpu, &next))
    }
}

/// One run.
struct Pass<'a> {
    tiles: &'a Tiles,
    operands: &'a Operands<'a>,
    kernels: &'a [f32],
    y: DisjointSlices<'a>,
    /// See [`Tiles::pieces`].
    whole: usize,
    pieces: usize,
}

impl Pass<'_> {
    /// Computes pieces until none is left. A thread makes everything that it reads except for the kernels, so that no
    /// data moves between processors and no thread waits.
    fn take_pieces(&self, cpu: &Cpu<f32>, next: &AtomicUsize) -> Result<()> {
        let mut piece = next.fetch_add(1, Ordering::Relaxed);
        if piece >= self.pieces {
            return Ok(());
        }
        let [points, products] = self.tiles.thread_workspace();
        let mut points = cpu.alloc(points)?;
        let mut products = cpu.alloc(products)?;
        let points = points.make_mut()?;
        let products = products.make_mut()?;
        let mut transformed = None;
        while piece < self.pieces {
            let (part, panels) = self.piece(piece);
            if transformed.replace(part) != Some(part) {
                self.transform_inputs(part, points);
            }
            for panel in panels {
                self.multiply(part, panel, points, products);
                self.transform_outputs(part, panel, products);
            }
            piece = next.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The part and the panels of a piece.
    fn piece(&self, piece: usize) -> (usize, Range<usize>) {
        let panels = self.tiles.panels();
        match piece.checked_sub(self.whole) {
            None => (piece, 0..panels),
            Some(rest) => (self.whole + rest / panels, rest % panels..rest % panels + 1),
        }
    }

    /// The tiles and the group of a part.
    fn part(&self, part: usize) -> (Range<usize>, usize) {
        let Tiles { groups, block, .. } = *self.tiles;
        let start = part / groups * block;
        (start..(start + block).min(self.tiles.tiles()), part % groups)
    }

    /// The output channels of a panel within their group.
    fn panel(&self, panel: usize) -> Range<usize> {
        panel * PANEL..((panel + 1) * PANEL).min(self.tiles.group()[1])
    }

    /// Transforms the tiles of a part to points, in the [`Layout`] of the whole block.
    fn transform_inputs(&self, part: usize, points: &mut [f32]) {
        let tiles = self.tiles;
        let (range, group) = self.part(part);
        let inner = tiles.group()[0];
        let kernel = TransformInputs {
            tiles,
            x: self.operands.x,
            first: range.start,
            range,
            channels: group * inner..(group + 1) * inner,
            layout: Layout::new(tiles.block, inner),
            points: &DisjointSlices::new(points),
        };
        dispatch(tiles.level, kernel);
    }

    /// Multiplies the points of a part by the kernels of a panel, point by point.
    fn multiply(&self, part: usize, panel: usize, points: &[f32], products: &mut [f32]) {
        let (range, group) = self.part(part);
        let panel = self.panel(panel);
        let [inner, outer] = self.tiles.group();
        let [from, to] = [inner, PANEL.min(outer)].map(|channels| Layout::new(self.tiles.block, channels));
        let layout = self.tiles.panel_layout(group, panel.start);
        for point in 0..TILE_POINTS {
            let kernels = &self.kernels[layout.point(point)..][..panel.len() * inner];
            let a = Strided { data: &points[from.at(point, 0)..], row: from.row, column: 1 };
            let mut first = 0;
            while first < panel.len() {
                let (n, _) = tile_shape(panel.len() - first);
                let b = Strided { data: &kernels[first * inner..], row: n, column: 1 };
                let out = &mut products[to.at(point, 0) + first..];
                let c = Target { data: out.as_mut_ptr(), len: out.len(), row: to.row };
                // SAFETY: only this thread uses the products.
                unsafe { product(self.tiles.level, [range.len(), n, inner], a, b, c, false) };
                first += n;
            }
        }
    }

    /// Transforms the products of a part to tiles of y, for the channels of a panel.
    fn transform_outputs(&self, part: usize, panel: usize, products: &[f32]) {
        let Self { tiles, operands, y, .. } = self;
        let (range, group) = self.part(part);
        let panel = self.panel(panel);
        let outer = tiles.group()[1];
        let kernel = TransformOutputs {
            tiles,
            operands,
            first: range.start,
            range,
            channels: group * outer + panel.start..group * outer + panel.end,
            layout: Layout::new(tiles.block, PANEL.min(outer)),
            products,
            y,
        };
        dispatch(tiles.level, kernel);
    }
}
