//! Matrix products, with the bias, the ReLU and the dropout of a fully connected layer.

use bytemuck::{cast_slice, cast_slice_mut};
use rayon::prelude::*;

use super::Buffer;
use super::bf16::TileProduct;
use super::compiled::CpuKernel;
use super::debug_build::note_work;
use super::dropout::kept;
use super::gemv;
use super::int8::Int8Matrix;
use super::matrix::{Matrix, MatrixMut, Parallelism, TRANSPOSE_ROWS, add_bias_and_relu, product, transpose};
use super::philox_simd::{CALL, for_batches};
use super::simd::multiversion;
use crate::ops::dropout::DropoutForward;
use crate::ops::linear::{Matmul, Product};
use crate::{Cpu, Dtype, Element, Operation, Result, Workspace};

/// Products of up to this many rows with transposed weights are computed as (W x^T)^T.
const FEW_ROWS: usize = 512;
/// Outputs, which are rows of W, in one such product.
const OUTPUTS: usize = 256;

const _: () = assert!(TRANSPOSE_ROWS.is_multiple_of(CALL), "blocks of rows start at a call of Philox");

fn has_few_rows(p: &Product) -> bool {
    !p.transpose_a && p.transpose_b && p.m <= FEW_ROWS
}

impl<E: Element> CpuKernel<Matmul> for Cpu<E> {
    fn run(&self, op: &Matmul, ([a, b], bias): ([&Buffer<E>; 2], Option<&Buffer<E>>)) -> Result<[Buffer<E>; 1]> {
        let p = &op.product;
        note_work(op.flops());
        if let Some(weights) = self.int8_weights(p, b) {
            return self.run_on_int8(op, weights, a, bias);
        }
        if let Some(tiles) = self.tile_product(p) {
            return self.run_on_tiles(op, &tiles, a, b, bias);
        }
        let a = a.as_slice();
        let epilogue = Epilogue { bias: bias.map(|b| b.as_slice()), relu: op.relu, dropout: op.dropout };
        let mut c = self.alloc(p.m * p.n)?;
        if p.m * p.n == 0 {
            return Ok([c]);
        }
        if let (Some(cpu), Some(w), true) = (self.fast(), b.single(), gemv::applies(p)) {
            let y = c.make_mut()?;
            self.install(|| gemv::run(cpu, p, cast_slice(a), w, cast_slice_mut(y)))?;
            epilogue.finish(0, y);
            return Ok([c]);
        }
        let b = b.as_slice();
        let y = c.make_mut()?;
        if has_few_rows(p) {
            self.install(|| self.few_rows(p, a, b, &epilogue, y))?;
        } else {
            self.install(|| self.whole_product(p, a, b, &epilogue, y));
        }
        Ok([c])
    }

    fn workspace(&self, op: &Matmul) -> Workspace {
        let p = &op.product;
        if self.single().is_some_and(|cpu| cpu.has_int8_weights) && self.may_be_int8(p) {
            return Workspace::of(Int8Matrix::workspace(p.m, p.n, p.k, self.threads()));
        }
        if let Some(tiles) = self.tile_product(p) {
            let mut workspace = tiles.workspace(self.threads());
            workspace.buffers.extend((!tiles.is_weights()).then_some(p.m * p.n));
            return workspace;
        }
        if self.fast().is_some() && gemv::applies(p) {
            return Workspace { buffers: gemv::workspace(p, self.threads()), cached_weights: gemv::panels_len(p) };
        }
        if has_few_rows(p) {
            return Workspace::of(vec![p.m * p.k, p.n * p.m]);
        }
        Workspace::default()
    }

    fn is_fused(&self, _: &Matmul) -> bool {
        true
    }

    fn takes_bf16(&self, op: &Matmul) -> bool {
        self.tile_product(&op.product).is_some()
    }
}

/// The operations on the values of a product, row by row.
struct Epilogue<'a, E> {
    bias: Option<&'a [E]>,
    relu: bool,
    dropout: Option<DropoutForward>,
}

impl<E: Element> Epilogue<'_, E> {
    /// Computes it on whole rows, whose first value has this index: a multiple of 4, the values of a call of Philox.
    fn finish(&self, first: usize, rows: &mut [E]) {
        add_bias_and_relu(rows, self.bias, self.relu);
        let Some(DropoutForward { p, factor, stream, .. }) = self.dropout else { return };
        for_batches(stream, (first / CALL) as u32, rows.len(), |start, words| {
            drop_values(words, p, E::of(factor), &mut rows[start..start + words.len()]);
        });
    }

    fn is_empty(&self) -> bool {
        self.bias.is_none() && !self.relu && self.dropout.is_none()
    }
}

multiversion! {
    fn drop_values<E: Element>(words: &[u32], p: f32, factor: E, values: &mut [E]) {
        for (value, &word) in values.iter_mut().zip(words) {
            *value = kept(word, p, factor, *value);
        }
    }
}

impl<E: Element> Cpu<E> {
    /// Whether weights of the product are used in 8 bits: of those of many images, tiles of `bf16` get a widened copy.
    fn may_be_int8(&self, p: &Product) -> bool {
        !p.transpose_a && p.transpose_b && !p.weights && (p.m == 1 || self.tile_product(p).is_none())
    }

    /// The weights of a fully connected layer, if they are in 8 bits.
    fn int8_weights<'a>(&self, p: &Product, w: &'a Buffer<E>) -> Option<&'a Int8Matrix> {
        w.int8().filter(|w| w.has_shape(p.n, p.k) && self.may_be_int8(p))
    }

    fn run_on_int8(
        &self,
        op: &Matmul,
        weights: &Int8Matrix,
        a: &Buffer<E>,
        bias: Option<&Buffer<E>>,
    ) -> Result<[Buffer<E>; 1]> {
        let epilogue = Epilogue { bias: bias.map(|b| b.as_slice()), relu: op.relu, dropout: op.dropout };
        let mut c = self.alloc(op.product.m * op.product.n)?;
        let y = c.make_mut()?;
        let Some(cpu) = self.single() else { unreachable!("buffers in 8 bits are of f32") };
        self.install(|| {
            weights.product(cpu, cast_slice(a.as_slice()), cast_slice_mut(y))?;
            self.finish_rows(&op.product, &epilogue, y);
            Ok(())
        })?;
        Ok([c])
    }

    /// The product on tiles of `bf16`, if activations are, and if the processor has units for it.
    fn tile_product(&self, p: &Product) -> Option<TileProduct> {
        TileProduct::new(p).filter(|_| self.activations() == Dtype::Bf16)
    }

    /// Computes the sums in `f32`, and the epilogue. The gradient of weights stays so, other results are rounded.
    fn run_on_tiles(
        &self,
        op: &Matmul,
        tiles: &TileProduct,
        a: &Buffer<E>,
        b: &Buffer<E>,
        bias: Option<&Buffer<E>>,
    ) -> Result<[Buffer<E>; 1]> {
        let a = self.to_bf16(a)?;
        let mut c = self.alloc(op.product.m * op.product.n)?;
        let epilogue = Epilogue { bias: bias.map(|b| b.as_slice()), relu: op.relu, dropout: op.dropout };
        let values = c.make_mut()?;
        self.install(|| {
            if let Some(a) = a.bf16() {
                tiles.run(self, a, b, cast_slice_mut(values))?;
            }
            self.finish_rows(&op.product, &epilogue, values);
            Ok(())
        })?;
        if tiles.is_weights() { Ok([c]) } else { Ok([self.to_bf16(&c)?]) }
    }

    /// Computes the epilogue of all rows.
    fn finish_rows(&self, p: &Product, epilogue: &Epilogue<'_, E>, c: &mut [E]) {
        if epilogue.is_empty() {
            return;
        }
        let block = TRANSPOSE_ROWS * p.n;
        c.par_chunks_mut(block).enumerate().for_each(|(i, rows)| epilogue.finish(i * block, rows));
    }

    fn whole_product(&self, p: &Product, a: &[E], b: &[E], epilogue: &Epilogue<'_, E>, c: &mut [E]) {
        let a = if p.transpose_a { Matrix::new(a, p.k, p.m, p.m).t() } else { Matrix::new(a, p.m, p.k, p.k) };
        let b = if p.transpose_b { Matrix::new(b, p.n, p.k, p.k).t() } else { Matrix::new(b, p.k, p.n, p.n) };
        product(MatrixMut::new(c, p.m, p.n, p.n), false, a, b, Parallelism::Rayon(self.threads()));
        self.finish_rows(p, epilogue, c);
    }

    /// c = x W^T for few rows x `[m, k]` and weights `[n, k]`, as (W x^T)^T in blocks of outputs. Such a product reads
    /// the weights once and in the order of their addresses, where x W^T gathers columns that are k values apart. It is
    /// twice as fast for 128 rows of 9216 values and 4096 outputs, and 6 times for 32 rows.
    fn few_rows(&self, p: &Product, x: &[E], w: &[E], epilogue: &Epilogue<'_, E>, c: &mut [E]) -> Result<()> {
        let mut columns = self.alloc(x.len())?;
        transpose(x, p.m, p.k, columns.make_mut()?, |_, _| {});
        let columns = Matrix::new(columns.as_slice(), p.k, p.m, p.m);
        let mut by_output = self.alloc(p.n * p.m)?;
        by_output.make_mut()?.par_chunks_mut(OUTPUTS * p.m).enumerate().for_each(|(i, c)| {
            let outputs = c.len() / p.m;
            let w = Matrix::new(&w[i * OUTPUTS * p.k..], outputs, p.k, p.k);
            product(MatrixMut::new(c, outputs, p.m, p.m), false, w, columns, Parallelism::None);
        });
        transpose(by_output.as_slice(), p.n, p.m, c, |first, rows| epilogue.finish(first, rows));
        Ok(())
    }
}
