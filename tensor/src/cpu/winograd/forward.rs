//! Outputs, and gradients of inputs.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::inputs::TransformInputs;
use super::outputs::TransformOutputs;
use super::transform::TILE;
use super::{DisjointSlices, Layout, Tiles};
use crate::cpu::Buffer;
use crate::cpu::simd::dispatch;
use crate::cpu::tile::{COLUMNS, Strided, Target, product, shape};
use crate::{Cpu, Result};

/// Output channels whose products are made and transformed together, at most: at all points and for a block of tiles
/// they stay in the second cache.
pub(super) const PANEL: usize = 2 * COLUMNS;

/// What a convolution reads.
#[derive(Clone, Copy)]
pub(in crate::cpu) struct Operands<'a> {
    pub x: &'a [f32],
    pub w: &'a Buffer<f32>,
    pub bias: Option<&'a [f32]>,
    pub relu: bool,
    /// Whether x is dy, of a convolution with these weights, and y its dx.
    pub transposed: bool,
}

impl Tiles {
    /// Buffers that [`run`](Self::run) takes on `threads` threads beside the transformed kernels.
    pub fn workspace(&self, threads: usize) -> Vec<usize> {
        self.own_workspace().repeat(threads.min(self.pieces(threads)[1]))
    }

    /// Those of one thread: a block's points, and a panel's products.
    fn own_workspace(&self) -> [usize; 2] {
        let [inner, outer] = self.group();
        [inner, PANEL.min(outer)].map(|channels| Layout::new(self.block, channels).len)
    }

    /// Blocks of tiles, of each group.
    fn parts(&self) -> usize {
        self.tiles().div_ceil(self.block) * self.groups
    }

    fn panels(&self) -> usize {
        self.group()[1].div_ceil(PANEL)
    }

    /// Parts that one thread does each, and the pieces of work in all: those, and the panels of the parts that are
    /// left, too few for all threads.
    fn pieces(&self, threads: usize) -> [usize; 2] {
        let whole = self.parts() / threads * threads;
        [whole, whole + (self.parts() - whole) * self.panels()]
    }

    /// y from x, written in full.
    pub fn run(&self, cpu: &Cpu<f32>, operands: &Operands<'_>, y: &mut [f32]) -> Result<()> {
        assert!(operands.x.len() >= self.images(), "all images");
        assert!(y.len() >= self.n * self.output.iter().product::<usize>(), "all images");
        let kernels = self.transformed_kernels(cpu, operands)?;
        let (threads, next) = (cpu.threads(), AtomicUsize::new(0));
        let [whole, pieces] = self.pieces(threads);
        let pass =
            Pass { tiles: self, operands, kernels: kernels.as_slice(), y: DisjointSlices::new(y), whole, pieces };
        (0..threads.min(pieces)).into_par_iter().with_max_len(1).try_for_each(|_| pass.take_part(cpu, &next))
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
    /// Does pieces of the work until there are no more. A thread makes all that it reads but the kernels, so that
    /// nothing moves from one processor to the other, and none waits.
    fn take_part(&self, cpu: &Cpu<f32>, next: &AtomicUsize) -> Result<()> {
        let mut piece = next.fetch_add(1, Ordering::Relaxed);
        if piece >= self.pieces {
            return Ok(());
        }
        let [points, products] = self.tiles.own_workspace();
        let (mut points, mut products) = (cpu.alloc(points)?, cpu.alloc(products)?);
        let (points, products) = (points.make_mut()?, products.make_mut()?);
        let mut held = None;
        while piece < self.pieces {
            let (part, panels) = self.piece(piece);
            if held.replace(part) != Some(part) {
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

    /// The part and the panels of a piece of the work.
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

    /// The output channels of a panel, counted within their group.
    fn panel(&self, panel: usize) -> Range<usize> {
        panel * PANEL..((panel + 1) * PANEL).min(self.tiles.group()[1])
    }

    /// A part's tiles as points, in the [`Layout`] of the whole block.
    fn transform_inputs(&self, part: usize, points: &mut [f32]) {
        let ((range, group), inner) = (self.part(part), self.tiles.group()[0]);
        let layout = Layout::new(self.tiles.block, inner);
        let (first, channels) = (range.start, group * inner..(group + 1) * inner);
        let (tiles, x, points) = (self.tiles, self.operands.x, &DisjointSlices::new(points));
        dispatch(tiles.level, TransformInputs { tiles, x, first, range, channels, layout, points });
    }

    /// products = points times a panel's kernels, point by point.
    fn multiply(&self, part: usize, panel: usize, points: &[f32], products: &mut [f32]) {
        let ((range, group), panel, [inner, outer]) = (self.part(part), self.panel(panel), self.tiles.group());
        let [from, to] = [inner, PANEL.min(outer)].map(|channels| Layout::new(self.tiles.block, channels));
        let places = self.tiles.kernel_places(group, panel.start);
        for point in 0..TILE {
            let kernels = &self.kernels[places.point(point)..][..panel.len() * inner];
            let a = Strided { data: &points[from.at(point, 0)..], row: from.row, column: 1 };
            let mut first = 0;
            while first < panel.len() {
                let (n, _) = shape(panel.len() - first);
                let b = Strided { data: &kernels[first * inner..], row: n, column: 1 };
                let out = &mut products[to.at(point, 0) + first..];
                let c = Target { data: out.as_mut_ptr(), len: out.len(), row: to.row };
                // SAFETY: the products are this thread's own.
                unsafe { product(self.tiles.level, [range.len(), n, inner], a, b, c, false) };
                first += n;
            }
        }
    }

    /// A part's tiles of y, of a panel's channels, from their points.
    fn transform_outputs(&self, part: usize, panel: usize, products: &[f32]) {
        let ((range, group), panel, outer) = (self.part(part), self.panel(panel), self.tiles.group()[1]);
        let layout = Layout::new(self.tiles.block, PANEL.min(outer));
        let (first, channels) = (range.start, group * outer + panel.start..group * outer + panel.end);
        let Self { tiles, operands, y, .. } = self;
        dispatch(tiles.level, TransformOutputs { tiles, operands, first, range, channels, layout, products, y });
    }
}
