//! Convolution as products of matrices: windows are laid out as rows (im2col) for a piece of the output at a time, so
//! that the piece stays in cache, and multiplied with the kernels, group by group.

use std::ops::Range;

use bytemuck::{cast_slice, cast_slice_mut};
use gemm::Parallelism;
use rayon::prelude::*;

use super::Buffer;
use super::matrix::{Matrix, MatrixMut, finish_rows, product};
use super::patch::{columns, is_pointwise, scatter};
use super::winograd::{Operands, RowTiles, Tiles};
use crate::ops::conv2d::{Conv2dForward, Conv2dInputGrad, Conv2dWeightGrad, Geometry};
use crate::{Cpu, Element, Kernel, Result, Workspace};

/// Values of one column buffer, at most, unless [`MIN_ROWS`] need more: 2 MiB in `f32`.
const COLUMN_VALUES: usize = 1 << 19;
/// Fewer windows than this at a time do not pay for reading the kernels.
const MIN_ROWS: usize = 64;
/// The output is cut into at least this many pieces, if they keep [`MIN_ROWS`]: work for that many threads.
const MIN_PIECES: usize = 32;
/// Values of all partial sums of dw, at most: 64 MiB in `f32`.
const PARTIAL_VALUES: usize = 1 << 24;

/// Windows that are worked on at a time, of `rows`. Follows from the shapes alone.
fn piece_rows(g: &Geometry, rows: usize) -> usize {
    let fit = COLUMN_VALUES / g.patch().max(1);
    fit.min(rows.div_ceil(MIN_PIECES)).max(MIN_ROWS).min(rows.max(1))
}

/// Values of a column buffer for `rows` windows.
fn buffer_len(g: &Geometry, rows: usize) -> usize {
    if is_pointwise(g) { 0 } else { rows * g.patch() }
}

/// The length of a row of dw while it is summed. Whole vectors save the product a copy of the windows: conv1's dw, with
/// patches of 363 values, takes 40 % less time.
fn padded_patch(g: &Geometry) -> usize {
    if is_pointwise(g) { g.patch() } else { g.patch().next_multiple_of(16) }
}

/// The kernels of one group: `[out / groups, patch]`.
fn kernels<'a, E>(g: &Geometry, w: &'a [E], group: usize) -> Matrix<'a, E> {
    let (out, patch) = (g.output[2] / g.groups, g.patch());
    Matrix::new(&w[group * out * patch..(group + 1) * out * patch], out, patch, patch)
}

/// One group's channels of `rows` of the output or its gradient: `[rows, out / groups]`.
fn outputs<'a, E>(g: &Geometry, y: &'a [E], group: usize, rows: Range<usize>) -> Matrix<'a, E> {
    let (all, out) = (g.output[2], g.output[2] / g.groups);
    Matrix::new(&y[rows.start * all + group * out..rows.end * all], rows.len(), out, all)
}

/// Parts of the sum over windows that is dw, for `pieces` of them.
fn parts(g: &Geometry, pieces: usize) -> usize {
    (PARTIAL_VALUES / (g.output[2] * padded_patch(g)).max(1)).clamp(4, 16).min(pieces).max(1)
}

/// Values of what the forward makes of its weights: it is kept beside them if they do not change. `fast` says whether fast
/// algorithms are allowed.
fn kept(g: &Geometry, fast: bool) -> usize {
    match (RowTiles::forward(g), Tiles::forward(g)) {
        _ if !fast => 0,
        (Some(rows), _) => rows.kernels(),
        (None, tiles) => tiles.map_or(0, |tiles| tiles.kernels()),
    }
}

/// Buffers beside the output and [`kept`] that the forward takes on `threads` threads: the columns of a piece each.
fn workspace(g: &Geometry, threads: usize, fast: bool) -> Vec<usize> {
    if let Some(rows) = RowTiles::forward(g).filter(|_| fast) {
        return rows.workspace(threads);
    }
    if let Some(tiles) = Tiles::forward(g).filter(|_| fast) {
        return tiles.workspace(threads);
    }
    let rows = g.n * g.output[0] * g.output[1];
    let piece = piece_rows(g, rows);
    vec![buffer_len(g, piece); threads.min(rows.div_ceil(piece))]
}

/// As [`workspace`], for dx.
fn dx_workspace(g: &Geometry, threads: usize, fast: bool) -> Vec<usize> {
    if let Some(tiles) = Tiles::backward(g).filter(|_| fast) {
        return std::iter::once(tiles.kernels()).chain(tiles.workspace(threads)).collect();
    }
    let piece = piece_rows(g, g.output[0] * g.output[1]);
    vec![buffer_len(g, piece); threads.min(g.n)]
}

/// As [`workspace`], for dw: the partial sums, and the columns of a piece each.
fn dw_workspace(g: &Geometry, threads: usize, fast: bool) -> Vec<usize> {
    if let Some(tiles) = Tiles::weights(g).filter(|_| fast) {
        return tiles.gradient_workspace(threads);
    }
    let (rows, width) = (g.n * g.output[0] * g.output[1], padded_patch(g));
    let piece = piece_rows(g, rows);
    let parts = parts(g, rows.div_ceil(piece));
    let columns = if is_pointwise(g) { 0 } else { piece * width };
    std::iter::once(parts * g.output[2] * width).chain(vec![columns; threads.min(parts)]).collect()
}

impl<E: Element> Kernel<Conv2dForward> for Cpu<E> {
    fn run(&self, op: &Conv2dForward, ([x, w], b): ([&Buffer<E>; 2], Option<&Buffer<E>>)) -> Result<[Buffer<E>; 1]> {
        let &Conv2dForward { geometry: ref g, relu } = op;
        let (x, b) = (x.as_slice(), b.map(|b| b.as_slice()));
        let out = g.output[2];
        let rows = g.n * g.output[0] * g.output[1];
        let mut y = self.take(rows * out)?;
        if rows * out == 0 {
            return Ok([y]);
        }
        if let (Some(cpu), Some(w), Some(tiles)) = (self.fast(), w.single(), Tiles::forward(g)) {
            let bias = b.map(|b| cast_slice(b));
            let operands = Operands { x: cast_slice(x), w, bias, relu, turned: false };
            let all = cast_slice_mut(y.make_mut()?);
            self.install(|| match RowTiles::forward(g) {
                Some(rows) => rows.run(cpu, &operands, all),
                None => tiles.run(cpu, &operands, all),
            })?;
            return Ok([y]);
        }
        let (w, piece) = (w.as_slice(), piece_rows(g, rows));
        self.install(|| {
            y.make_mut()?.par_chunks_mut(piece * out).enumerate().try_for_each(|(i, y)| {
                let mut buffer = self.take(buffer_len(g, piece))?;
                let rows = i * piece..i * piece + y.len() / out;
                let og = out / g.groups;
                for group in 0..g.groups {
                    let windows = columns(g, x, group, rows.clone(), g.patch(), buffer.make_mut()?);
                    let y = MatrixMut::new(&mut y[group * og..], rows.len(), og, out);
                    product(y, false, windows, kernels(g, w, group).t(), Parallelism::None);
                }
                finish_rows(y, b, relu);
                Ok(())
            })
        })?;
        Ok([y])
    }

    fn executed_flops(&self, op: &Conv2dForward) -> f64 {
        let g = &op.geometry;
        if self.fast().is_none() {
            return g.flops();
        }
        match RowTiles::forward(g) {
            Some(rows) => rows.flops(),
            None => tile_flops(g, Tiles::forward(g)),
        }
    }

    fn workspace(&self, op: &Conv2dForward) -> Workspace {
        let fast = self.fast().is_some();
        let buffers = workspace(&op.geometry, self.threads(), fast);
        Workspace { buffers, cached_weights: kept(&op.geometry, fast) }
    }
}

impl<E: Element> Kernel<Conv2dInputGrad> for Cpu<E> {
    fn run(&self, op: &Conv2dInputGrad, [w, dy]: [&Buffer<E>; 2]) -> Result<[Buffer<E>; 1]> {
        let g = &op.geometry;
        let dy = dy.as_slice();
        let [h, width, c] = g.input;
        let mut dx = self.take(g.n * h * width * c)?;
        if g.n * h * width * c == 0 {
            return Ok([dx]);
        }
        if let (Some(cpu), Some(w), Some(tiles)) = (self.fast(), w.single(), Tiles::backward(g)) {
            let operands = Operands { x: cast_slice(dy), w, bias: None, relu: false, turned: true };
            let all = cast_slice_mut(dx.make_mut()?);
            self.install(|| tiles.run(cpu, &operands, all))?;
            return Ok([dx]);
        }
        let (w, piece) = (w.as_slice(), piece_rows(g, g.output[0] * g.output[1]));
        self.install(|| {
            dx.make_mut()?.par_chunks_mut(h * width * c).enumerate().try_for_each(|(n, dx)| {
                let mut buffer = self.take(buffer_len(g, piece))?;
                image_dx(g, w, dy, n, dx, piece, buffer.make_mut()?);
                Ok(())
            })
        })?;
        Ok([dx])
    }

    fn executed_flops(&self, op: &Conv2dInputGrad) -> f64 {
        let tiles = self.fast().and_then(|_| Tiles::backward(&op.geometry));
        tile_flops(&op.geometry, tiles)
    }

    fn workspace(&self, op: &Conv2dInputGrad) -> Workspace {
        Workspace::of(dx_workspace(&op.geometry, self.threads(), self.fast().is_some()))
    }
}

impl<E: Element> Kernel<Conv2dWeightGrad> for Cpu<E> {
    fn run(&self, op: &Conv2dWeightGrad, [x, dy]: [&Buffer<E>; 2]) -> Result<[Buffer<E>; 1]> {
        let g = &op.geometry;
        let (x, dy) = (x.as_slice(), dy.as_slice());
        let (out, patch, width) = (g.output[2], g.patch(), padded_patch(g));
        let mut dw = self.take(out * patch)?;
        if out * patch == 0 {
            return Ok([dw]);
        }
        if let (Some(cpu), Some(tiles)) = (self.fast(), Tiles::weights(g)) {
            let all = cast_slice_mut(dw.make_mut()?);
            self.install(|| tiles.weights_gradient(cpu, cast_slice(x), cast_slice(dy), all))?;
            return Ok([dw]);
        }
        let rows = g.n * g.output[0] * g.output[1];
        let piece = piece_rows(g, rows);
        let pieces = rows.div_ceil(piece);
        let parts = parts(g, pieces);
        // Each part sums its own pieces in order; the parts are then added in order.
        let mut partial = self.take(parts * out * width)?;
        self.install(|| {
            partial.make_mut()?.par_chunks_mut(out * width).enumerate().try_for_each(|(part, dw)| {
                let mut buffer = self.take(if is_pointwise(g) { 0 } else { piece * width })?;
                dw.fill(E::zero());
                for i in pieces * part / parts..pieces * (part + 1) / parts {
                    let rows = i * piece..((i + 1) * piece).min(rows);
                    add_dw(g, x, dy, rows, dw, buffer.make_mut()?);
                }
                Ok(())
            })?;
            add_parts(partial.as_slice(), width, dw.make_mut()?, patch);
            Ok(())
        })?;
        Ok([dw])
    }

    fn executed_flops(&self, op: &Conv2dWeightGrad) -> f64 {
        let tiles = self.fast().and_then(|_| Tiles::weights(&op.geometry));
        tile_flops(&op.geometry, tiles)
    }

    fn workspace(&self, op: &Conv2dWeightGrad) -> Workspace {
        Workspace::of(dw_workspace(&op.geometry, self.threads(), self.fast().is_some()))
    }
}

/// Multiplications and additions by Winograd's algorithm where it is used, else as defined.
fn tile_flops(g: &Geometry, tiles: Option<Tiles>) -> f64 {
    tiles.map_or_else(|| g.flops(), |tiles| tiles.flops())
}

/// dx of image `n`: columns of gradients are added up where their windows lie.
fn image_dx<E: Element>(g: &Geometry, w: &[E], dy: &[E], n: usize, dx: &mut [E], piece: usize, buffer: &mut [E]) {
    let ([oh, ow, _], c, patch) = (g.output, g.input[2], g.patch());
    if is_pointwise(g) {
        for group in 0..g.groups {
            let dy = outputs(g, dy, group, n * oh * ow..(n + 1) * oh * ow);
            let dx = MatrixMut::new(&mut dx[group * patch..], oh * ow, patch, c);
            product(dx, false, dy, kernels(g, w, group), Parallelism::None);
        }
        return;
    }
    dx.fill(E::zero());
    for start in (0..oh * ow).step_by(piece) {
        let rows = start..(start + piece).min(oh * ow);
        for group in 0..g.groups {
            let dy = outputs(g, dy, group, n * oh * ow + rows.start..n * oh * ow + rows.end);
            let columns = MatrixMut::new(&mut *buffer, rows.len(), patch, patch);
            product(columns, false, dy, kernels(g, w, group), Parallelism::None);
            for (row, window) in rows.clone().zip(buffer.chunks_exact(patch.max(1))) {
                scatter(g, dx, group, [row / ow, row % ow], window);
            }
        }
    }
}

/// dw `[out, padded patch]` += what `rows` of the output contribute.
fn add_dw<E: Element>(g: &Geometry, x: &[E], dy: &[E], rows: Range<usize>, dw: &mut [E], buffer: &mut [E]) {
    let (out, width) = (g.output[2] / g.groups, padded_patch(g));
    for group in 0..g.groups {
        let windows = columns(g, x, group, rows.clone(), width, buffer);
        let dy = outputs(g, dy, group, rows.clone());
        let dw = MatrixMut::new(&mut dw[group * out * width..], out, width, width);
        product(dw, true, dy.t(), windows, Parallelism::None);
    }
}

/// total `[rows, columns]` = the sum of the parts `[rows, width]`, in their order.
fn add_parts<E: Element>(parts: &[E], width: usize, total: &mut [E], columns: usize) {
    let len = total.len() / columns * width;
    total.par_chunks_mut(columns).enumerate().for_each(|(row, total)| {
        for (part, values) in parts.chunks_exact(len).enumerate() {
            let values = &values[row * width..row * width + columns];
            if part == 0 {
                total.copy_from_slice(values);
            } else {
                total.iter_mut().zip(values).for_each(|(t, &v)| *t += v);
            }
        }
    });
}
