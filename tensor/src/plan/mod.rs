//! A backend that computes nothing and counts the memory that another would need.
//!
//! Its buffers are lengths, its kernels take their outputs and what they need beside them and give back the latter. So
//! the program's own training step, run on a [`Plan`], finds the most memory it needs at once, in milliseconds and with
//! no formula to keep up to date: each device says in its [`Rules`] how it differs.
//!
//! ```
//! use alexnet_tensor::plan::{Plan, Rules};
//! use alexnet_tensor::{Result, Tensor};
//!
//! # fn main() -> Result<()> {
//! let plan = Plan::new(Rules::default());
//! let x = Tensor::zeros(&plan, &[1000, 500])?;
//! let w = Tensor::zeros(&plan, &[200, 500])?;
//! let y = x.linear(&w, None, true)?;
//! drop(x);
//! assert_eq!(plan.peak(), 4 * (1000 * 500 + 200 * 500 + 1000 * 200));
//! assert_eq!(plan.in_use(), 4 * (200 * 500 + 1000 * 200));
//! # Ok(())
//! # }
//! ```

mod arena;
mod kernels;

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ops::conv2d::Geometry;
use crate::ops::linear::Product;
use crate::ops::lrn::Lrn;
use crate::ops::pool;
use crate::{Backend, Device, Error, Result};
pub use arena::{Arena, Counter};

/// How a device's memory differs from one buffer of `f32` an output.
pub struct Rules {
    /// Bytes of a weight, of its gradient, of a statistic.
    pub number: usize,
    /// Bytes of a number that flows between layers.
    pub activation: usize,
    /// Whether gradients of activations take the memory of what they are given.
    pub in_place: bool,
    /// How memory comes and goes.
    pub arena: Box<dyn Arena>,
    /// What kernels take beside their operands and outputs.
    pub kernels: Box<dyn Needs>,
}

/// What a device's kernels take beside their operands and outputs.
pub trait Needs: Send + Sync {
    /// Lengths of the buffers of [`Rules::number`] that a kernel has while it runs.
    fn workspace(&self, _kernel: &Kernel<'_>) -> Vec<usize> {
        Vec::new()
    }
    /// The length of what a kernel makes of its weights, keeps the second time that it is given the same, and drops when
    /// they change.
    fn kept(&self, _kernel: &Kernel<'_>) -> usize {
        0
    }
    /// Whether normalisation and max-pooling are one kernel, which keeps nothing of the normalised maps.
    fn fuses_lrn_pool(&self, _lrn: &Lrn, _g: &pool::Geometry) -> bool {
        false
    }
}

/// Kernels that take nothing beside.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl Needs for Nothing {}

impl Default for Rules {
    fn default() -> Self {
        Self {
            number: 4,
            activation: 4,
            in_place: false,
            arena: Box::new(Counter::default()),
            kernels: Box::new(Nothing),
        }
    }
}

/// A kernel that may need memory beside its operands and outputs, with its lengths.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Kernel<'a> {
    /// Convolution.
    Conv2d(&'a Geometry),
    /// Gradient of a convolution's input.
    Conv2dDx(&'a Geometry),
    /// Gradient of a convolution's weights.
    Conv2dDw(&'a Geometry),
    /// Locally connected layer.
    Local2d(&'a Geometry),
    /// Gradient of a locally connected layer's input.
    Local2dDx(&'a Geometry),
    /// Gradient of a locally connected layer's weights.
    Local2dDw(&'a Geometry),
    /// Product of matrices.
    Matmul(&'a Product),
    /// Local response normalisation of an NHWC shape.
    Lrn(&'a Lrn, [usize; 4]),
    /// Its gradient.
    LrnDx(&'a Lrn, [usize; 4]),
}

/// The backend. Values that are asked for are zeros.
#[derive(Clone)]
pub struct Plan {
    shared: Arc<Shared>,
}

struct Shared {
    number: usize,
    activation: usize,
    in_place: bool,
    kernels: Box<dyn Needs>,
    ledger: Mutex<Ledger>,
}

struct Ledger {
    arena: Box<dyn Arena>,
    in_use: u64,
    peak: u64,
}

/// A buffer of more bytes is refused, so that sums of bytes do not overflow.
const LARGEST: u64 = 1 << 56;

impl Plan {
    /// A plan for a device of these rules, with nothing taken yet.
    pub fn new(rules: Rules) -> Self {
        let Rules { number, activation, in_place, arena, kernels } = rules;
        let ledger = Mutex::new(Ledger { arena, in_use: 0, peak: 0 });
        Self { shared: Arc::new(Shared { number, activation, in_place, kernels, ledger }) }
    }

    /// The most bytes that the device's allocator held at once so far.
    pub fn peak(&self) -> u64 {
        self.shared.lock().peak
    }

    /// Bytes of the buffers that are held now.
    pub fn in_use(&self) -> u64 {
        self.shared.lock().in_use
    }

    /// A buffer of weights, gradients of weights, statistics or losses.
    fn numbers(&self, len: usize) -> Result<Buffer> {
        self.take(Block { kind: Kind::Floats, len, bytes: self.shared.number })
    }

    /// A buffer of what flows between layers.
    fn activations(&self, len: usize) -> Result<Buffer> {
        self.take(Block { kind: Kind::Floats, len, bytes: self.shared.activation })
    }

    /// A buffer of `len` numbers in the format of `other`.
    fn like(&self, other: &Buffer, len: usize) -> Result<Buffer> {
        self.take(Block { len, ..other.held.block })
    }

    fn ints(&self, len: usize) -> Result<Buffer> {
        self.take(Block { kind: Kind::Ints, len, bytes: 4 })
    }

    fn take(&self, block: Block) -> Result<Buffer> {
        if block.size() > LARGEST {
            return Err(Error::Memory { device: self.describe(), needed: block.size() });
        }
        let mut ledger = self.shared.lock();
        let place = ledger.arena.take(&block)?;
        ledger.in_use += block.size();
        ledger.peak = ledger.peak.max(ledger.arena.held());
        drop(ledger);
        Ok(Buffer {
            held: Arc::new(Held { block, place: Some(place), plan: Arc::clone(&self.shared), kept: Mutex::default() }),
        })
    }

    /// Takes and gives back what a kernel needs beside its outputs.
    fn work(&self, kernel: &Kernel<'_>) -> Result<()> {
        let lens = self.shared.kernels.workspace(kernel);
        lens.into_iter().map(|len| self.numbers(len)).collect::<Result<Vec<_>>>()?;
        Ok(())
    }

    /// As [`work`](Self::work), for a kernel that keeps what it makes of its weights.
    fn work_with(&self, weights: &Buffer, kernel: &Kernel<'_>) -> Result<()> {
        let len = self.shared.kernels.kept(kernel);
        let mut kept = weights.held.kept();
        let _made = match &*kept {
            Kept::Made(_) => None,
            _ if len == 0 => None,
            Kept::Unused => {
                *kept = Kept::Used;
                Some(self.numbers(len)?)
            }
            Kept::Used => {
                *kept = Kept::Made(self.numbers(len)?);
                None
            }
        };
        drop(kept);
        self.work(kernel)
    }

    /// What a kernel that writes in place works on: a copy if somebody else holds the buffer too.
    fn own(&self, buffer: &mut Buffer) -> Result<()> {
        match Arc::get_mut(&mut buffer.held) {
            Some(held) => *held.kept() = Kept::Unused,
            None => *buffer = self.like(buffer, buffer.held.block.len)?,
        }
        Ok(())
    }

    /// Two operands in the wider of their formats.
    fn in_one_format(&self, a: &Buffer, b: &Buffer) -> Result<(Buffer, Buffer)> {
        let wider = if a.held.block.bytes >= b.held.block.bytes { a } else { b };
        let cast = |x: &Buffer| match x.held.block.bytes == wider.held.block.bytes {
            true => Ok(x.clone()),
            false => self.like(wider, x.held.block.len),
        };
        Ok((cast(a)?, cast(b)?))
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plan({} bytes in use, {} at most)", self.in_use(), self.peak())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Floating-point numbers.
    Floats,
    /// Whole numbers.
    Ints,
}

/// A buffer that an [`Arena`] is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// What it holds.
    pub kind: Kind,
    /// How many.
    pub len: usize,
    /// Bytes of each.
    pub bytes: usize,
}

impl Block {
    /// Bytes of all.
    pub fn size(&self) -> u64 {
        (self.len as u64).saturating_mul(self.bytes as u64)
    }
}

/// A length and what it occupies. Clones share it.
#[derive(Clone)]
pub struct Buffer {
    held: Arc<Held>,
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.held.block.fmt(f)
    }
}

struct Held {
    block: Block,
    place: Option<Box<dyn Any + Send + Sync>>,
    plan: Arc<Shared>,
    kept: Mutex<Kept>,
}

/// What kernels made of a buffer's values.
#[derive(Default)]
enum Kept {
    #[default]
    Unused,
    Used,
    Made(#[expect(dead_code, reason = "it takes memory")] Buffer),
}

impl Held {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut ledger = self.plan.lock();
        ledger.in_use -= self.block.size();
        if let Some(place) = self.place.take() {
            ledger.arena.give(&self.block, place);
        }
    }
}

impl Device for Plan {
    type Elem = f32;
    type Floats = Buffer;
    type Ints = Buffer;

    fn describe(&self) -> String {
        "a plan of memory".into()
    }

    fn upload(&self, values: &[f32]) -> Result<Buffer> {
        self.numbers(values.len())
    }

    fn download(&self, buffer: &Buffer) -> Result<Vec<f32>> {
        Ok(vec![0.0; buffer.held.block.len])
    }

    fn filled(&self, len: usize, _value: f32) -> Result<Buffer> {
        self.numbers(len)
    }

    fn upload_ints(&self, values: &[u32]) -> Result<Buffer> {
        self.ints(values.len())
    }

    fn download_ints(&self, buffer: &Buffer) -> Result<Vec<u32>> {
        Ok(vec![0; buffer.held.block.len])
    }

    fn to_activations(&self, buffer: &Buffer) -> Result<Buffer> {
        if buffer.held.block.bytes == self.shared.activation {
            return Ok(buffer.clone());
        }
        self.activations(buffer.held.block.len)
    }

    fn upload_bytes(&self, bytes: &[u8]) -> Result<Buffer> {
        self.ints(bytes.len().div_ceil(4))
    }

    fn bytes(&self, buffer: &Buffer) -> u64 {
        buffer.held.block.size()
    }

    fn int_bytes(&self, buffer: &Buffer) -> u64 {
        buffer.held.block.size()
    }

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }
}

impl Backend for Plan {}
