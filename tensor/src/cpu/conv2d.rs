//! Convolution as matrix products: the windows of a piece of the output become rows of a matrix (im2col), which stays
//! in cache and is multiplied with the kernels, group by group. Winograd's algorithm replaces it where it is faster.

use std::ops::Range;

use bytemuck::{cast_slice, cast_slice_mut};
use rayon::prelude::*;

use super::Buffer;
use super::bf16::{ConvolutionOperands, TileConvolution, TileWeightGradient};
use super::compiled::CpuKernel;
use super::debug_build::note_work;
use super::im2col::{add_window, is_pointwise, window_matrix};
use super::matrix::{Matrix, MatrixMut, Parallelism, add_bias_and_relu, product};
use super::winograd::{Operands, RowTiles, Tiles};
use crate::ops::conv2d::{Conv2dForward, Conv2dInputGrad, Conv2dWeightGrad, Geometry};
use crate::{Cpu, Dtype, Element, Result, Workspace};

/// Maximum number of values in a window matrix, unless [`MIN_ROWS`] need more: 2 MiB in `f32`.
const MAX_WINDOW_VALUES: usize = 1 << 19;
/// Minimum number of windows in a piece: for fewer, reading the kernels takes too long.
const MIN_ROWS: usize = 64;
/// The output is divided into at least this many pieces, if they have [`MIN_ROWS`]: work for that many threads.
const MIN_PIECES: usize = 32;
/// Maximum number of values in all partial sums of dw: 64 MiB in `f32`.
const MAX_PARTIAL_VALUES: usize = 1 << 24;

/// The number of windows in a piece of `rows` windows. It depends on the shapes alone.
fn piece_rows(g: &Geometry, rows: usize) -> usize {
    let fit = MAX_WINDOW_VALUES / g.patch().max(1);
    fit.min(rows.div_ceil(MIN_PIECES)).max(MIN_ROWS).min(rows.max(1))
}

/// The number of values in the window matrix of `rows` windows.
fn window_values(g: &Geometry, rows: usize) -> usize {
    if is_pointwise(g) { 0 } else { rows * g.patch() }
}

/// The number of values in the window matrix of `rows` windows for dw, where each row is padded.
fn padded_window_values(g: &Geometry, rows: usize) -> usize {
    if is_pointwise(g) { 0 } else { rows * padded_patch(g) }
}

/// The row length of the partial sums of dw: a multiple of the vector length, so that the product need not copy the
/// windows. This saves 40 % of the time of conv1's dw, whose patches have 363 values.
fn padded_patch(g: &Geometry) -> usize {
    if is_pointwise(g) { g.patch() } else { g.patch().next_multiple_of(16) }
}

/// The kernels of one group: `[out / groups, patch]`.
fn kernels<'a, E>(g: &Geometry, w: &'a [E], group: usize) -> Matrix<'a, E> {
    let out = g.output[2] / g.groups;
    let patch = g.patch();
    Matrix::new(&w[group * out * patch..(group + 1) * out * patch], out, patch, patch)
}

/// One group's channels in `rows` of the output or its gradient: `[rows, out / groups]`.
fn outputs<'a, E>(g: &Geometry, y: &'a [E], group: usize, rows: Range<usize>) -> Matrix<'a, E> {
    let channels = g.output[2];
    let out = channels / g.groups;
    Matrix::new(&y[rows.start * channels + group * out..rows.end * channels], rows.len(), out, channels)
}

/// The number of partial sums of dw, for an output of `pieces` pieces.
fn partial_sums(g: &Geometry, pieces: usize) -> usize {
    let fit = MAX_PARTIAL_VALUES / (g.output[2] * padded_patch(g)).max(1);
    fit.clamp(4, 16).min(pieces).max(1)
}

impl<E: Element> CpuKernel<Conv2dForward> for Cpu<E> {
    fn run(&self, op: &Conv2dForward, ([x, w], b): ([&Buffer<E>; 2], Option<&Buffer<E>>)) -> Result<[Buffer<E>; 1]> {
        let &Conv2dForward { geometry: ref g, relu } = op;
        note_work(g.flops());
        if let Some(tiles) = self.tile_convolution(g) {
            let mut y = self.alloc_bf16(g.output_len())?;
            let x = self.to_bf16(x)?;
            let bias = b.map(|b| cast_slice(b.as_slice()));
            if let (Some(x), Some(to)) = (x.bf16(), y.bf16_mut()?) {
                self.install(|| tiles.run(self, &ConvolutionOperands { x, w, bias, relu }, to))?;
            }
            return Ok([y]);
        }
        let x = x.as_slice();
        let b = b.map(|b| b.as_slice());
        let mut result = self.alloc(g.output_len())?;
        if g.output_len() == 0 {
            return Ok([result]);
        }
        let y = result.make_mut()?;
        if let (Some(cpu), Some(w), Some(tiles)) = (self.fast(), w.single(), Tiles::forward(g)) {
            let bias = b.map(|b| cast_slice(b));
            let operands = Operands { x: cast_slice(x), w, bias, relu, transposed: false };
            let y = cast_slice_mut(y);
            self.install(|| match RowTiles::forward(g) {
                Some(rows) => rows.run(cpu, &operands, y),
                None => tiles.run(cpu, &operands, y),
            })?;
        } else {
            self.install(|| self.forward_by_pieces(g, x, w.as_slice(), b, relu, y))?;
        }
        Ok([result])
    }

    fn takes_bf16(&self, op: &Conv2dForward) -> bool {
        self.tile_convolution(&op.geometry).is_some()
    }

    fn executed_flops(&self, op: &Conv2dForward) -> f64 {
        let g = &op.geometry;
        if self.fast().is_none() || self.tile_convolution(g).is_some() {
            return g.flops();
        }
        match RowTiles::forward(g) {
            Some(rows) => rows.flops(),
            None => tile_flops(g, Tiles::forward(g)),
        }
    }

    fn workspace(&self, op: &Conv2dForward) -> Workspace {
        let g = &op.geometry;
        if let Some(tiles) = self.tile_convolution(g) {
            return tiles.workspace(self.threads());
        }
        if self.fast().is_some() {
            if let Some(rows) = RowTiles::forward(g) {
                return Workspace { buffers: rows.workspace(self.threads()), cached_weights: rows.kernels() };
            }
            if let Some(tiles) = Tiles::forward(g) {
                return Workspace { buffers: tiles.workspace(self.threads()), cached_weights: tiles.kernels() };
            }
        }
        let rows = g.n * g.output[0] * g.output[1];
        let piece = piece_rows(g, rows);
        Workspace::of(vec![window_values(g, piece); self.threads().min(rows.div_ceil(piece))])
    }
}

impl<E: Element> CpuKernel<Conv2dInputGrad> for Cpu<E> {
    fn run(&self, op: &Conv2dInputGrad, [w, dy]: [&Buffer<E>; 2]) -> Result<[Buffer<E>; 1]> {
        let g = &op.geometry;
        if let Some(tiles) = self.tile_convolution_dx(g) {
            let mut dx = self.alloc_bf16(g.input_len())?;
            let dy = self.to_bf16(dy)?;
            if let (Some(dy), Some(to)) = (dy.bf16(), dx.bf16_mut()?) {
                let operands = ConvolutionOperands { x: dy, w, bias: None, relu: false };
                self.install(|| tiles.run(self, &operands, to))?;
            }
            return Ok([dx]);
        }
        let dy = dy.as_slice();
        let mut result = self.alloc(g.input_len())?;
        if g.input_len() == 0 {
            return Ok([result]);
        }
        let dx = result.make_mut()?;
        if let (Some(cpu), Some(w), Some(tiles)) = (self.fast(), w.single(), Tiles::backward(g)) {
            let operands = Operands { x: cast_slice(dy), w, bias: None, relu: false, transposed: true };
            let dx = cast_slice_mut(dx);
            self.install(|| tiles.run(cpu, &operands, dx))?;
        } else {
            self.install(|| self.input_grad_by_pieces(g, w.as_slice(), dy, dx))?;
        }
        Ok([result])
    }

    fn takes_bf16(&self, op: &Conv2dInputGrad) -> bool {
        self.tile_convolution_dx(&op.geometry).is_some()
    }

    fn executed_flops(&self, op: &Conv2dInputGrad) -> f64 {
        if self.takes_bf16(op) {
            return op.geometry.flops();
        }
        let tiles = self.fast().and_then(|_| Tiles::backward(&op.geometry));
        tile_flops(&op.geometry, tiles)
    }

    fn workspace(&self, op: &Conv2dInputGrad) -> Workspace {
        let g = &op.geometry;
        if let Some(tiles) = self.tile_convolution_dx(g) {
            return tiles.workspace(self.threads());
        }
        if let Some(tiles) = self.fast().and_then(|_| Tiles::backward(g)) {
            let mut buffers = vec![tiles.kernels()];
            buffers.extend(tiles.workspace(self.threads()));
            return Workspace::of(buffers);
        }
        let piece = piece_rows(g, g.output[0] * g.output[1]);
        Workspace::of(vec![window_values(g, piece); self.threads().min(g.n)])
    }
}

impl<E: Element> CpuKernel<Conv2dWeightGrad> for Cpu<E> {
    fn run(&self, op: &Conv2dWeightGrad, [x, dy]: [&Buffer<E>; 2]) -> Result<[Buffer<E>; 1]> {
        let g = &op.geometry;
        let len = g.output[2] * g.patch();
        let mut result = self.alloc(len)?;
        if len == 0 {
            return Ok([result]);
        }
        let dw = result.make_mut()?;
        if let Some(tiles) = self.tile_convolution_dw(g) {
            let x = self.to_bf16(x)?;
            let dy = self.to_bf16(dy)?;
            if let (Some(x), Some(dy)) = (x.bf16(), dy.bf16()) {
                let dw = cast_slice_mut(dw);
                self.install(|| tiles.run(self, x, dy, dw))?;
            }
            return Ok([result]);
        }
        let x = x.as_slice();
        let dy = dy.as_slice();
        if let (Some(cpu), Some(tiles)) = (self.fast(), Tiles::weights(g)) {
            let dw = cast_slice_mut(dw);
            self.install(|| tiles.weights_gradient(cpu, cast_slice(x), cast_slice(dy), dw))?;
        } else {
            self.install(|| self.weight_grad_by_pieces(g, x, dy, dw))?;
        }
        Ok([result])
    }

    fn takes_bf16(&self, op: &Conv2dWeightGrad) -> bool {
        self.tile_convolution_dw(&op.geometry).is_some()
    }

    fn executed_flops(&self, op: &Conv2dWeightGrad) -> f64 {
        if self.takes_bf16(op) {
            return op.geometry.flops();
        }
        let tiles = self.fast().and_then(|_| Tiles::weights(&op.geometry));
        tile_flops(&op.geometry, tiles)
    }

    fn workspace(&self, op: &Conv2dWeightGrad) -> Workspace {
        let g = &op.geometry;
        if let Some(tiles) = self.tile_convolution_dw(g) {
            return tiles.workspace(self.threads());
        }
        if let Some(tiles) = self.fast().and_then(|_| Tiles::weights(g)) {
            return Workspace::of(tiles.gradient_workspace(self.threads()));
        }
        let rows = g.n * g.output[0] * g.output[1];
        let piece = piece_rows(g, rows);
        let sums = partial_sums(g, rows.div_ceil(piece));
        let mut buffers = vec![sums * g.output[2] * padded_patch(g)];
        buffers.resize(1 + self.threads().min(sums), padded_window_values(g, piece));
        Workspace::of(buffers)
    }
}

/// The multiplications and additions of Winograd's algorithm if `tiles` are used, else those of the definition.
fn tile_flops(g: &Geometry, tiles: Option<Tiles>) -> f64 {
    tiles.map_or_else(|| g.flops(), |tiles| tiles.flops())
}

impl<E: Element> Cpu<E> {
    /// The convolution on tiles of `bf16`, if activations are, and if the processor has units for them.
    fn tile_convolution(&self, g: &Geometry) -> Option<TileConvolution> {
        let is_bf16 = self.activations() == Dtype::Bf16 && g.output_len() > 0 && g.patch() > 0;
        TileConvolution::forward(g).filter(|_| is_bf16)
    }

    /// The same for dx.
    fn tile_convolution_dx(&self, g: &Geometry) -> Option<TileConvolution> {
        let is_bf16 = self.activations() == Dtype::Bf16 && g.input_len() > 0 && g.output_len() > 0;
        TileConvolution::backward(g).filter(|_| is_bf16)
    }

    /// The same for dw.
    fn tile_convolution_dw(&self, g: &Geometry) -> Option<TileWeightGradient> {
        let is_bf16 = self.activations() == Dtype::Bf16 && g.input_len() > 0 && g.output_len() > 0 && g.patch() > 0;
        TileWeightGradient::new(g).filter(|_| is_bf16)
    }

    fn forward_by_pieces(
        &self,
        g: &Geometry,
        x: &[E],
        w: &[E],
        b: Option<&[E]>,
        relu: bool,
        y: &mut [E],
    ) -> Result<()> {
        let channels = g.output[2];
        let out = channels / g.groups;
        let piece = piece_rows(g, y.len() / channels);
        y.par_chunks_mut(piece * channels).enumerate().try_for_each(|(i, y)| {
            let mut buffer = self.alloc(window_values(g, piece))?;
            let rows = i * piece..i * piece + y.len() / channels;
            for group in 0..g.groups {
                let windows = window_matrix(g, x, group, rows.clone(), g.patch(), buffer.make_mut()?);
                let y = MatrixMut::new(&mut y[group * out..], rows.len(), out, channels);
                product(y, false, windows, kernels(g, w, group).t(), Parallelism::None);
            }
            add_bias_and_relu(y, b, relu);
            Ok(())
        })
    }

    fn input_grad_by_pieces(&self, g: &Geometry, w: &[E], dy: &[E], dx: &mut [E]) -> Result<()> {
        let piece = piece_rows(g, g.output[0] * g.output[1]);
        let image_len = g.input.iter().product();
        dx.par_chunks_mut(image_len).enumerate().try_for_each(|(n, dx)| {
            if is_pointwise(g) {
                pointwise_image_dx(g, w, dy, n, dx);
                return Ok(());
            }
            let mut buffer = self.alloc(window_values(g, piece))?;
            image_dx(g, w, dy, n, dx, piece, buffer.make_mut()?);
            Ok(())
        })
    }

    /// Each partial sum adds its own pieces in order, and the partial sums are then added in order.
    fn weight_grad_by_pieces(&self, g: &Geometry, x: &[E], dy: &[E], dw: &mut [E]) -> Result<()> {
        let width = padded_patch(g);
        let rows = g.n * g.output[0] * g.output[1];
        let piece = piece_rows(g, rows);
        let pieces = rows.div_ceil(piece);
        let sums = partial_sums(g, pieces);
        let sum_len = g.output[2] * width;
        let mut partial = self.alloc(sums * sum_len)?;
        partial.make_mut()?.par_chunks_mut(sum_len).enumerate().try_for_each(|(sum, dw)| -> Result<()> {
            let mut buffer = self.alloc(padded_window_values(g, piece))?;
            dw.fill(E::zero());
            for i in pieces * sum / sums..pieces * (sum + 1) / sums {
                let rows = i * piece..((i + 1) * piece).min(rows);
                add_dw(g, x, dy, rows, dw, buffer.make_mut()?);
            }
            Ok(())
        })?;
        add_partial_sums(partial.as_slice(), width, dw, g.patch());
        Ok(())
    }
}

/// Computes dx of image `n` for kernels of one pixel.
fn pointwise_image_dx<E: Element>(g: &Geometry, w: &[E], dy: &[E], n: usize, dx: &mut [E]) {
    let places = g.output[0] * g.output[1];
    let patch = g.patch();
    for group in 0..g.groups {
        let dy = outputs(g, dy, group, n * places..(n + 1) * places);
        let dx = MatrixMut::new(&mut dx[group * patch..], places, patch, g.input[2]);
        product(dx, false, dy, kernels(g, w, group), Parallelism::None);
    }
}

/// Computes dx of image `n`: the gradients of windows, added where the windows lie.
fn image_dx<E: Element>(g: &Geometry, w: &[E], dy: &[E], n: usize, dx: &mut [E], piece: usize, buffer: &mut [E]) {
    let [oh, ow, _] = g.output;
    let places = oh * ow;
    let patch = g.patch();
    dx.fill(E::zero());
    for start in (0..places).step_by(piece) {
        let rows = start..(start + piece).min(places);
        for group in 0..g.groups {
            let dy = outputs(g, dy, group, n * places + rows.start..n * places + rows.end);
            let windows = MatrixMut::new(&mut *buffer, rows.len(), patch, patch);
            product(windows, false, dy, kernels(g, w, group), Parallelism::None);
            for (row, window) in rows.clone().zip(buffer.chunks_exact(patch.max(1))) {
                add_window(g, dx, group, [row / ow, row % ow], window);
            }
        }
    }
}

/// Adds the contribution of `rows` of the output to dw `[out, padded patch]`.
fn add_dw<E: Element>(g: &Geometry, x: &[E], dy: &[E], rows: Range<usize>, dw: &mut [E], buffer: &mut [E]) {
    let out = g.output[2] / g.groups;
    let width = padded_patch(g);
    for group in 0..g.groups {
        let windows = window_matrix(g, x, group, rows.clone(), width, buffer);
        let dy = outputs(g, dy, group, rows.clone());
        let dw = MatrixMut::new(&mut dw[group * out * width..], out, width, width);
        product(dw, true, dy.t(), windows, Parallelism::None);
    }
}

/// Computes total `[rows, columns]`, the sum of the partial sums `[rows, width]` in their order.
fn add_partial_sums<E: Element>(partial: &[E], width: usize, total: &mut [E], columns: usize) {
    let sum_len = total.len() / columns * width;
    total.par_chunks_mut(columns).enumerate().for_each(|(row, total)| {
        for (i, sum) in partial.chunks_exact(sum_len).enumerate() {
            let values = &sum[row * width..row * width + columns];
            if i == 0 {
                total.copy_from_slice(values);
            } else {
                total.iter_mut().zip(values).for_each(|(t, &v)| *t += v);
            }
        }
    });
}
