//! Products of matrices: the fully connected, convolutional and locally connected layers, forward and backward, are one
//! kernel that computes C[m,n] = sum over k of A(m,k) B(k,n) for a batch of products.
//!
//! A and B need not lie in memory as matrices: a [`view`] says where the value of a row and a depth is, or that it is
//! zero. A convolution is then a product over windows that are never written out (implicit GEMM); the batch is its
//! groups, and for locally connected layers also the positions.
//!
//! Sums are taken in the order of k, in as many parts as the shapes alone say ([`tile::Extent::splits`]): tiles, which
//! are chosen by device, do not change a bit of the result.

mod fragments;
mod kernel;
mod reduce;
mod stage;
pub(crate) mod tile;
pub(crate) mod tune;
mod units;
pub(crate) mod view;

#[cfg(all(test, feature = "wgpu"))]
mod tests;

use cubecl::ir::{ElemType, FloatKind, StorageType};
use cubecl::prelude::*;

use super::{Buffer, Dtype, Gpu, Precision};
use crate::{Error, Result};
use kernel::{Plan, ShapeLaunch, floor, product_kernel};
use reduce::add_parts_kernel;
use tile::{Extent, Inner, Staging, Tile};
use view::{Along, Kind, Lengths, Operand};

/// Vectors of the result have at most this many values: a plane's are then whole cache lines, and shared memory is read
/// in 16 bytes.
const OUT_WIDTH: usize = 4;

/// Where a factor is not loaded in vectors, values that a unit can load for a stage, and values of a tile, without running
/// out of registers.
const SINGLES: u32 = 32;
const SINGLES_TILE: u32 = 128 * 128;

/// Values of the widest vector of a factor: 16 bytes of `bf16`.
const WIDEST: u32 = 8;

/// One factor of a product.
#[derive(Clone, Copy)]
pub(crate) struct Factor<'a> {
    pub buffer: &'a Buffer,
    pub kind: Kind,
    pub along: Along,
    pub lengths: Lengths,
}

/// Where results go: rows are `row_stride` values apart, columns side by side. All values of the buffer are written.
pub(crate) struct Output {
    pub dtype: Dtype,
    pub len: usize,
    pub row_stride: usize,
    pub by_position: usize,
    pub by_group: usize,
}

/// A value for each column.
pub(crate) struct Bias<'a> {
    pub buffer: &'a Buffer,
    pub by_position: usize,
    pub by_group: usize,
}

/// A batch of products.
pub(crate) struct Job<'a> {
    pub op: &'static str,
    pub extent: Extent,
    /// The batch is positions x groups.
    pub groups: usize,
    /// Positions in a line.
    pub across: usize,
    pub a: Factor<'a>,
    pub b: Factor<'a>,
    pub output: Output,
    pub bias: Option<Bias<'a>>,
    pub relu: bool,
}

/// How the factors are rounded before they are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rounding {
    stage: FloatKind,
    /// Depth of the fragments, where matrix units are used.
    pub fragments: Option<u32>,
}

impl Rounding {
    pub(crate) fn of(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self { stage: FloatKind::F32, fragments: None },
            Precision::Tf32 => Self { stage: FloatKind::TF32, fragments: Some(8) },
            Precision::Bf16 => Self { stage: FloatKind::BF16, fragments: Some(16) },
        }
    }

    /// Bytes of a staged value.
    pub(crate) fn bytes(&self) -> u32 {
        if self.stage == FloatKind::BF16 { 2 } else { 4 }
    }
}

/// Values of `f32` that a product needs beside its factors and its result, which has `len` values.
pub(crate) fn workspace_len(extent: &Extent, len: usize) -> usize {
    match extent.splits() {
        (1, _) => 0,
        (splits, _) => splits * len,
    }
}

impl<R: Runtime> Gpu<R> {
    /// The result of a batch of products.
    ///
    /// # Errors
    /// [`Error::Argument`] where an index would not fit 32 bits, [`Error::Device`] where no tile fits the device.
    pub(crate) fn product(&self, job: &Job) -> Result<Buffer> {
        check(job)?;
        let rounding = Rounding::of(self.precision());
        let tiles = self.tiles(job, rounding)?;
        let tile = if job.output.len == 0 { tiles[0] } else { self.fastest(job, rounding, &tiles)? };
        Ok(self.product_by(job, tile, rounding))
    }

    /// The tiles for a job, first what should be fastest.
    fn tiles(&self, job: &Job, rounding: Rounding) -> Result<Vec<Tile>> {
        let device = &self.client().properties().hardware;
        let mut tiles = tile::tiles(device, rounding.bytes(), rounding.fragments);
        let e = &job.extent;
        let single = |tile: &Tile| {
            let width = |factor, rows| self.operand(factor, rows, e.k, tile.widest()).width;
            width(&job.a, e.m) == 1 || width(&job.b, e.n) == 1
        };
        let large = |t: &Tile| (t.m + t.n) * t.k / t.cube() > SINGLES || t.m * t.n > SINGLES_TILE;
        tiles.retain(|tile| rounding.fragments.is_none() || !large(tile) || !single(tile));
        if tiles.is_empty() {
            return Err(Error::Device {
                device: self.shared.name.clone(),
                what: "it has too little shared memory for products of matrices; use another device".into(),
            });
        }
        tile::rank(e, device, &mut tiles);
        Ok(tiles)
    }

    /// The same with a given tile.
    pub(crate) fn product_by(&self, job: &Job, tile: Tile, rounding: Rounding) -> Buffer {
        let c = self.empty(job.output.dtype, job.output.len);
        if job.output.len == 0 {
            return c;
        }
        if job.extent.splits().0 == 1 {
            self.launch(job, tile, rounding, job.bias.as_ref(), job.relu, &c);
            return c;
        }
        let parts = self.empty(Dtype::F32, workspace_len(&job.extent, job.output.len));
        self.launch(job, tile, rounding, None, false, &parts);
        self.add_parts(job, &parts, &c);
        c
    }

    fn launch(&self, job: &Job, tile: Tile, rounding: Rounding, bias: Option<&Bias>, relu: bool, c: &Buffer) {
        let extent = &job.extent;
        let operand = |f: &Factor, rows| self.operand(f, rows, extent.k, tile.widest());
        let (a, b) = (operand(&job.a, extent.m), operand(&job.b, extent.n));
        let out = &job.output;
        let run = match tile.inner {
            Inner::Units { .. } if b.along == Along::Rows => b.width as usize,
            Inner::Units { .. } => 1,
            Inner::Fragments { .. } => OUT_WIDTH,
        };
        let width = if self.output_width(job).min(run) == OUT_WIDTH { OUT_WIDTH } else { 1 };
        let stage = |operand, rows| Staging::new(operand, rows, tile.k, tile.cube(), rounding.bytes());
        let plan = Plan { tile, a: stage(a, tile.m), b: stage(b, tile.n), width: width as u32 };
        let (splits, split_len) = extent.splits();
        let [tiles_m, tiles_n] = extent.tiles(&tile);
        let shape = ShapeLaunch::new(
            extent.m as u32,
            extent.n as u32,
            extent.k as u32,
            tiles_m as u32,
            tiles_n as u32,
            u32::from(tiles_m < tiles_n),
            job.groups as u32,
            extent.batches as u32,
            job.across as u32,
            splits as u32,
            split_len as u32,
            out.row_stride as u32,
            out.by_position as u32,
            out.by_group as u32,
            out.len as u32,
            bias.map_or(0, |b| b.by_position) as u32,
            bias.map_or(0, |b| b.by_group) as u32,
            floor(relu),
        );
        let dim = match tile.inner {
            Inner::Units { .. } => CubeDim::new_1d(tile.cube()),
            Inner::Fragments { m, n, plane, .. } => CubeDim::new_2d(plane, m * n),
        };
        let cubes = tiles_m * tiles_n * extent.batches * splits;
        let types =
            [storage(job.a.buffer.dtype()), storage(job.b.buffer.dtype()), storage(c.dtype()), float(rounding.stage)];
        // SAFETY: reads of a and b are guarded by their lengths along both axes, which the operation has checked against
        // the buffers; writes by the number of rows and columns of the result, whose buffer was made for them.
        unsafe {
            product_kernel::launch_unchecked::<R>(
                self.client(),
                self.cube_count(cubes),
                dim,
                a.width as usize,
                b.width as usize,
                width,
                job.a.buffer.arg(),
                job.b.buffer.arg(),
                bias.map(|b| b.buffer.arg()).into(),
                c.arg(),
                job.a.lengths.arg(),
                job.b.lengths.arg(),
                shape,
                plan,
                types,
            );
        }
    }

    /// Values of a vector of the result.
    fn output_width(&self, job: &Job) -> usize {
        let out = &job.output;
        self.vector_width(Dtype::F32, &[job.extent.n, out.row_stride, out.by_position, out.by_group])
    }

    /// What the kernel's compiler is told of a factor: vectors as wide as its lengths allow, up to `widest` values.
    fn operand(&self, factor: &Factor, rows: usize, depth: usize, widest: u32) -> Operand {
        let l = &factor.lengths;
        let (length, across) = match (factor.kind, factor.along) {
            (Kind::Window { .. }, _) => (l.channels, 0),
            (_, Along::Depth) => (depth, l.row_stride),
            (_, Along::Rows) => (rows, l.depth_stride),
        };
        let lens = [length, across, l.by_position, l.by_group, l.tap_stride, l.image, l.line, l.column];
        // A value can be read of a buffer of none, a vector not.
        let most = if factor.buffer.len() == 0 { 1 } else { widest };
        let width = match self.vector_width(factor.buffer.dtype(), &lens).min(most as usize) {
            // Not worth kernels of their own.
            2 | 3 => 1,
            width => width,
        };
        Operand { kind: factor.kind, along: factor.along, width: width as u32 }
    }

    fn add_parts(&self, job: &Job, parts: &Buffer, c: &Buffer) {
        let bias_len = job.bias.as_ref().map_or(0, |b| b.buffer.len());
        let width = self.vector_width(Dtype::F32, &[c.len(), bias_len]);
        let (count, dim) = self.cover(c.len() / width);
        add_parts_kernel::launch::<R>(
            self.client(),
            count,
            dim,
            width,
            parts.arg(),
            job.bias.as_ref().map(|b| b.buffer.arg()).into(),
            c.arg(),
            job.extent.splits().0 as u32,
            (bias_len / width).max(1) as u32,
            floor(job.relu),
            storage(c.dtype()),
        );
    }

    /// At least `cubes` cubes.
    fn cube_count(&self, cubes: usize) -> CubeCount {
        let (most, ..) = self.client().properties().hardware.max_cube_count;
        let lines = cubes.div_ceil(most as usize);
        CubeCount::Static(cubes.div_ceil(lines) as u32, lines as u32, 1)
    }
}

fn float(kind: FloatKind) -> StorageType {
    ElemType::Float(kind).into()
}

fn storage(dtype: Dtype) -> StorageType {
    float(match dtype {
        Dtype::F32 => FloatKind::F32,
        Dtype::Bf16 => FloatKind::BF16,
    })
}

/// Kernels count in 32 bits, and divide numbers below 2^31.
fn check(job: &Job) -> Result<()> {
    let e = &job.extent;
    let lens = [job.a.buffer.len(), job.b.buffer.len(), job.output.len];
    let limit = 1 << 31;
    let too_long = lens.iter().any(|&len| len > u32::MAX as usize);
    if too_long || [e.m, e.n, e.k, e.batches].iter().any(|&len| len >= limit) {
        let what = format!(
            "a GPU's kernels count to 2^32 values a tensor and 2^31 rows, got factors of {} and {} values and a result of \
             {}; use a smaller batch",
            lens[0], lens[1], lens[2]
        );
        return Err(Error::argument(job.op, what));
    }
    Ok(())
}
