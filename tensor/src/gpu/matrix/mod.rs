//! Batched GEMM: the fully connected, convolutional and locally connected layers, forward and backward, are one kernel
//! that computes C[m,n] = sum over k of A(m,k) B(k,n) for a batch of products.
//!
//! A and B need not lie in memory as matrices: a [`view`] maps a row and a depth to an address, or to zero. A convolution
//! is then a product over windows that are never written out (implicit GEMM). Its groups are the batch; for locally
//! connected layers, the batch is groups times output positions.
//!
//! Sums are taken in the order of k, split into parts that follow from the shapes alone ([`tile::Problem::splits`]).
//! Tiles are chosen by device and do not change a bit of the result.

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
use kernel::{GemmConfig, GemmSizesLaunch, product_kernel, relu_threshold};
use reduce::add_parts_kernel;
use tile::{Inner, Problem, Staging, Tile};
use view::{Axis, OperandSpec, ViewKind, ViewSizes};

/// The most values in a vector of the result: the vectors of a plane are then whole cache lines, and shared memory is
/// read 16 bytes at a time.
const OUT_WIDTH: usize = 4;

/// The most values that a unit loads for a stage, where an operand is loaded value by value. With more, registers run out.
const MAX_SCALAR_LOADS: u32 = 32;
/// The most values of a tile, in the same case.
const MAX_SCALAR_TILE: u32 = 128 * 128;

/// The most values in a vector of an operand: 16 bytes of `bf16`.
const MAX_WIDTH: u32 = 8;

/// A or B: a buffer and the view of it as a matrix.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a> {
    pub buffer: &'a Buffer,
    pub kind: ViewKind,
    /// The axis along which values are contiguous in memory.
    pub contiguous: Axis,
    pub sizes: ViewSizes,
}

/// The layout of C, in values: rows are `row_stride` apart, columns are contiguous. The whole buffer is written.
pub(crate) struct Output {
    pub dtype: Dtype,
    pub len: usize,
    pub row_stride: usize,
    pub position_stride: usize,
    pub group_stride: usize,
}

/// One value for each column of C.
pub(crate) struct Bias<'a> {
    pub buffer: &'a Buffer,
    pub position_stride: usize,
    pub group_stride: usize,
}

/// A batch of products, one for each position and group.
pub(crate) struct Gemm<'a> {
    /// The operation, for messages.
    pub op: &'static str,
    pub problem: Problem,
    pub groups: usize,
    /// Positions in a row of the image; 1 where the batch is groups alone.
    pub positions_per_row: usize,
    pub a: Operand<'a>,
    pub b: Operand<'a>,
    pub output: Output,
    pub bias: Option<Bias<'a>>,
    pub relu: bool,
}

/// The format that operands are rounded to before they are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OperandPrecision {
    /// The format of values in shared memory.
    stage: FloatKind,
    /// The depth of a fragment, where matrix units are used.
    pub fragments: Option<u32>,
}

impl OperandPrecision {
    pub(crate) fn of(precision: Precision) -> Self {
        match precision {
            Precision::F32 | Precision::Int8 => Self { stage: FloatKind::F32, fragments: None },
            Precision::Tf32 => Self { stage: FloatKind::TF32, fragments: Some(8) },
            Precision::Bf16 => Self { stage: FloatKind::BF16, fragments: Some(16) },
        }
    }

    /// Bytes of a staged value.
    pub(crate) fn bytes(&self) -> u32 {
        if self.stage == FloatKind::BF16 { 2 } else { 4 }
    }
}

/// Length of the `f32` workspace of a product whose result has `len` values.
pub(crate) fn workspace_len(problem: &Problem, len: usize) -> usize {
    match problem.splits() {
        (1, _) => 0,
        (splits, _) => splits * len,
    }
}

impl<R: Runtime> Gpu<R> {
    /// Runs a GEMM with the fastest tile and returns C.
    ///
    /// # Errors
    /// [`Error::Argument`] where an index would not fit 32 bits, [`Error::Device`] where no tile fits the device.
    pub(crate) fn product(&self, gemm: &Gemm) -> Result<Buffer> {
        check(gemm)?;
        let precision = OperandPrecision::of(self.precision());
        let tiles = self.tiles(gemm, precision)?;
        let tile = if gemm.output.len == 0 { tiles[0] } else { self.fastest(gemm, precision, &tiles)? };
        Ok(self.product_by(gemm, tile, precision))
    }

    /// The tiles that can run a GEMM, in order of estimated time.
    fn tiles(&self, gemm: &Gemm, precision: OperandPrecision) -> Result<Vec<Tile>> {
        let device = &self.client().properties().hardware;
        let mut tiles = tile::tiles(device, precision.bytes(), precision.fragments);
        let problem = &gemm.problem;
        if precision.fragments.is_some() {
            tiles.retain(|tile| !needs_vectors(tile) || !self.loads_scalars(gemm, tile));
        }
        if tiles.is_empty() {
            return Err(Error::Device {
                device: self.shared.name.clone(),
                what: "it has too little shared memory for products of matrices; use another device".into(),
            });
        }
        tile::rank(problem, device, &mut tiles);
        Ok(tiles)
    }

    /// Whether A or B is loaded value by value.
    fn loads_scalars(&self, gemm: &Gemm, tile: &Tile) -> bool {
        let Problem { m, n, k, .. } = gemm.problem;
        let a = self.operand_spec(&gemm.a, m, k, tile.max_width());
        let b = self.operand_spec(&gemm.b, n, k, tile.max_width());
        a.width == 1 || b.width == 1
    }

    /// Runs a GEMM with the given tile and returns C.
    pub(crate) fn product_by(&self, gemm: &Gemm, tile: Tile, precision: OperandPrecision) -> Buffer {
        let c = self.empty(gemm.output.dtype, gemm.output.len);
        if gemm.output.len == 0 {
            return c;
        }
        let (splits, _) = gemm.problem.splits();
        if splits == 1 {
            self.launch(gemm, tile, precision, gemm.bias.as_ref(), gemm.relu, &c);
            return c;
        }
        let parts = self.empty(Dtype::F32, workspace_len(&gemm.problem, gemm.output.len));
        self.launch(gemm, tile, precision, None, false, &parts);
        self.add_parts(gemm, &parts, &c);
        c
    }

    fn launch(
        &self,
        gemm: &Gemm,
        tile: Tile,
        precision: OperandPrecision,
        bias: Option<&Bias>,
        relu: bool,
        c: &Buffer,
    ) {
        let config = self.config(gemm, tile, precision);
        let dim = match tile.inner {
            Inner::Units { .. } => CubeDim::new_1d(tile.cube()),
            Inner::Fragments { m, n, plane, .. } => CubeDim::new_2d(plane, m * n),
        };
        let types = [
            storage_type(gemm.a.buffer.dtype()),
            storage_type(gemm.b.buffer.dtype()),
            storage_type(c.dtype()),
            float_type(precision.stage),
        ];
        // SAFETY: reads of a and b are guarded by their lengths along both axes, which the operation has checked against
        // the buffers; writes are guarded by the rows and columns of the result, whose buffer was made for them.
        unsafe {
            product_kernel::launch_unchecked::<R>(
                self.client(),
                self.cube_count(gemm.problem.cubes(&tile)),
                dim,
                config.a.operand.width as usize,
                config.b.operand.width as usize,
                config.width as usize,
                gemm.a.buffer.arg(),
                gemm.b.buffer.arg(),
                bias.map(|bias| bias.buffer.arg()).into(),
                c.arg(),
                gemm.a.sizes.arg(),
                gemm.b.sizes.arg(),
                sizes_arg(gemm, &tile, bias, relu),
                config,
                types,
            );
        }
    }

    /// The compile-time configuration of the kernel for a tile.
    fn config(&self, gemm: &Gemm, tile: Tile, precision: OperandPrecision) -> GemmConfig {
        let Problem { m, n, k, .. } = gemm.problem;
        let a = self.operand_spec(&gemm.a, m, k, tile.max_width());
        let b = self.operand_spec(&gemm.b, n, k, tile.max_width());
        let contiguous_columns = match tile.inner {
            Inner::Units { .. } if b.contiguous == Axis::Rows => b.width as usize,
            Inner::Units { .. } => 1,
            Inner::Fragments { .. } => OUT_WIDTH,
        };
        let width = if self.output_width(gemm).min(contiguous_columns) == OUT_WIDTH { OUT_WIDTH } else { 1 };
        let stage = |operand, rows| Staging::new(operand, rows, tile.k, tile.cube(), precision.bytes());
        GemmConfig { tile, a: stage(a, tile.m), b: stage(b, tile.n), width: width as u32 }
    }

    /// The number of values in a vector of the result.
    fn output_width(&self, gemm: &Gemm) -> usize {
        let out = &gemm.output;
        self.vector_width(Dtype::F32, &[gemm.problem.n, out.row_stride, out.position_stride, out.group_stride])
    }

    /// The compile-time part of an operand: vectors as wide as its sizes allow, up to `max_width` values.
    fn operand_spec(&self, operand: &Operand, rows: usize, depth: usize, max_width: u32) -> OperandSpec {
        let &Operand { buffer, kind, contiguous, ref sizes } = operand;
        let (contiguous_len, line_stride) = match (kind, contiguous) {
            (ViewKind::Window { .. }, _) => (sizes.channels, 0),
            (_, Axis::Depth) => (depth, sizes.row_stride),
            (_, Axis::Rows) => (rows, sizes.depth_stride),
        };
        let lens = [
            contiguous_len,
            line_stride,
            sizes.position_stride,
            sizes.group_stride,
            sizes.tap_stride,
            sizes.image_stride,
            sizes.line_stride,
            sizes.pixel_stride,
        ];
        // A scalar can be read from an empty buffer, a vector cannot.
        let max_width = if buffer.is_empty() { 1 } else { max_width };
        let width = match self.vector_width(buffer.dtype(), &lens).min(max_width as usize) {
            // Not worth a kernel of their own.
            2 | 3 => 1,
            width => width,
        };
        OperandSpec { kind, contiguous, width: width as u32 }
    }

    /// Adds the parts of split sums, then the bias, and applies the ReLU.
    fn add_parts(&self, gemm: &Gemm, parts: &Buffer, c: &Buffer) {
        let (splits, _) = gemm.problem.splits();
        let bias_len = gemm.bias.as_ref().map_or(0, |b| b.buffer.len());
        let width = self.vector_width(Dtype::F32, &[c.len(), bias_len]);
        let (count, dim) = self.unit_grid(c.len() / width);
        add_parts_kernel::launch::<R>(
            self.client(),
            count,
            dim,
            width,
            parts.arg(),
            gemm.bias.as_ref().map(|b| b.buffer.arg()).into(),
            c.arg(),
            splits as u32,
            (bias_len / width).max(1) as u32,
            relu_threshold(gemm.relu),
            storage_type(c.dtype()),
        );
    }

    /// A grid of at least `cubes` cubes.
    fn cube_count(&self, cubes: usize) -> CubeCount {
        let (max_x, ..) = self.client().properties().hardware.max_cube_count;
        let y = cubes.div_ceil(max_x as usize);
        CubeCount::Static(cubes.div_ceil(y) as u32, y as u32, 1)
    }
}

/// The sizes of a GEMM as a kernel argument.
fn sizes_arg<R: Runtime>(gemm: &Gemm, tile: &Tile, bias: Option<&Bias>, relu: bool) -> GemmSizesLaunch<R> {
    let Problem { m, n, k, batches } = gemm.problem;
    let output = &gemm.output;
    let (splits, split_len) = gemm.problem.splits();
    let [tiles_m, tiles_n] = gemm.problem.tiles(tile);
    GemmSizesLaunch::new(
        m as u32,
        n as u32,
        k as u32,
        tiles_m as u32,
        tiles_n as u32,
        u32::from(tiles_m < tiles_n),
        gemm.groups as u32,
        batches as u32,
        gemm.positions_per_row as u32,
        splits as u32,
        split_len as u32,
        output.row_stride as u32,
        output.position_stride as u32,
        output.group_stride as u32,
        output.len as u32,
        bias.map_or(0, |bias| bias.position_stride) as u32,
        bias.map_or(0, |bias| bias.group_stride) as u32,
        relu_threshold(relu),
    )
}

/// Whether a tile runs out of registers where operands are loaded value by value.
fn needs_vectors(tile: &Tile) -> bool {
    let loads = (tile.m + tile.n) * tile.k / tile.cube();
    loads > MAX_SCALAR_LOADS || tile.m * tile.n > MAX_SCALAR_TILE
}

fn float_type(kind: FloatKind) -> StorageType {
    ElemType::Float(kind).into()
}

fn storage_type(dtype: Dtype) -> StorageType {
    match dtype {
        Dtype::F32 => float_type(FloatKind::F32),
        Dtype::Bf16 => float_type(FloatKind::BF16),
    }
}

/// Refuses tensors that the kernel's 32-bit indices do not reach, and lengths past 2^31, which its divisions assume.
fn check(gemm: &Gemm) -> Result<()> {
    let Problem { m, n, k, batches } = gemm.problem;
    let lens = [gemm.a.buffer.len(), gemm.b.buffer.len(), gemm.output.len];
    let too_large = lens.iter().any(|&len| len > u32::MAX as usize);
    let too_long = [m, n, k, batches].iter().any(|&len| len >= 1 << 31);
    if too_large || too_long {
        let what = format!(
            "a GPU's kernels count to 2^32 values a tensor and 2^31 rows, got factors of {} and {} values and a result of \
             {}; use a smaller batch",
            lens[0], lens[1], lens[2]
        );
        return Err(Error::argument(gemm.op, what));
    }
    Ok(())
}
