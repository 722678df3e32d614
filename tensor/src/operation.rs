//! Operations as data, separate from the kernels that compute them.
//!
//! An [`Operation`] holds the settings and sizes of a kernel and declares its operands and outputs. A device implements
//! [`Kernel`] for it. Code for all operations is generic over these two traits: the profiler
//! ([`Profiled`](crate::Profiled)) and the dry run that predicts memory ([`DryRun`](crate::DryRun)).
//!
//! Both traits are open: another crate adds an operation by a type that implements [`Operation`], with a [`Kernel`] for
//! each device that shall compute it.

use std::fmt::Debug;

use crate::device::sealed::Sealed;
use crate::{Device, Result};

/// The description of a kernel: settings, sizes, operands, outputs and work.
pub trait Operation: Debug {
    /// The buffers that the kernel reads or changes in place: `F` of floating-point numbers, `I` of integers.
    type In<'a, F: Handle, I: Handle>: Operands<F, I>;
    /// The buffers that the kernel returns.
    type Out<F: Handle, I: Handle>: Outputs<F, I>;

    /// The kernel's name in profiles.
    fn name(&self) -> &'static str;

    /// Multiplications and additions of matrix products and convolutions, by definition; 0 for memory-bound kernels.
    fn flops(&self) -> f64 {
        0.0
    }

    /// Whether the operation fuses others, its parts. Devices run the parts one by one unless they have a kernel for it
    /// ([`Kernel::is_fused`]).
    fn has_parts(&self) -> bool {
        false
    }

    /// Bytes that the kernel reads; `None` where it reads each operand once.
    fn bytes_read(&self) -> Option<u64> {
        None
    }

    /// Allocates the outputs for these operands.
    ///
    /// # Errors
    /// Those of [`Alloc`].
    fn outputs<F: Handle, I: Handle>(&self, of: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>>;

    /// Reborrows the operands, so that a call can be repeated.
    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I>;
}

/// A device's handle to a buffer.
pub trait Handle: 'static {}

impl<T: 'static> Handle for T {}

/// A device's implementation of an operation.
///
/// An operation of your own, with a kernel for the CPU. The profiler and the dry run handle it as they do the others.
/// `examples/own_kernel.rs` adds a kernel for GPUs.
///
/// ```
/// use alexnet_tensor::cpu::Buffer;
/// use alexnet_tensor::{Alloc, Backend, Cpu, Element, Handle, Kernel, Operation, Result, Tensor};
///
/// /// x / (1 + |x|). Operand: x. Output: y.
/// #[derive(Clone, Copy, Debug)]
/// struct Softsign {
///     len: usize,
/// }
///
/// impl Operation for Softsign {
///     type In<'a, F: Handle, I: Handle> = [&'a F; 1];
///     type Out<F: Handle, I: Handle> = [F; 1];
///
///     fn name(&self) -> &'static str {
///         "softsign"
///     }
///
///     fn outputs<F: Handle, I: Handle>(&self, [x]: &[&F; 1], new: &dyn Alloc<F, I>) -> Result<[F; 1]> {
///         Ok([new.like(x, self.len)?])
///     }
///
///     fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut [&'a F; 1]) -> [&'s F; 1] {
///         *operands
///     }
/// }
///
/// impl<E: Element> Kernel<Softsign> for Cpu<E> {
///     fn run(&self, _: &Softsign, [x]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 1]> {
///         Ok([self.map(x, |v| v / (E::one() + v.abs()))?])
///     }
/// }
///
/// fn softsign<B: Backend + Kernel<Softsign>>(x: &Tensor<B>) -> Result<Tensor<B>> {
///     let [y] = x.device().run(&Softsign { len: x.len() }, [x.buffer()])?;
///     Tensor::from_buffer(x.device(), x.shape(), y)
/// }
///
/// let x = Tensor::from_slice(&Cpu::<f32>::new(1)?, &[3], &[-1.0, 0.0, 3.0])?;
/// assert_eq!(softsign(&x)?.as_slice(), [-0.5, 0.0, 0.75]);
/// # Ok::<(), alexnet_tensor::Error>(())
/// ```
pub trait Kernel<O: Operation>: Device {
    /// Computes the outputs. The buffers have the lengths that the operation declares.
    ///
    /// # Errors
    /// Those of the device.
    fn run(
        &self,
        op: &O,
        operands: O::In<'_, Self::FloatBuffer, Self::IntBuffer>,
    ) -> Result<O::Out<Self::FloatBuffer, Self::IntBuffer>>;

    /// Multiplications and additions that the device's algorithm executes. Fast algorithms need fewer than
    /// [`Operation::flops`].
    fn executed_flops(&self, op: &O) -> f64 {
        op.flops()
    }

    /// The memory that the kernel needs beside its operands and outputs.
    fn workspace(&self, _op: &O) -> Workspace {
        Workspace::default()
    }

    /// Whether the device has a single kernel for the operation. If not, callers run its parts one by one, and
    /// [`run`](Self::run) must not be called. A device says so only of the fused operations that it has.
    fn is_fused(&self, op: &O) -> bool {
        !op.has_parts()
    }

    /// Whether operands and outputs in `bf16` take memory in `f32` too, since the kernel has only that format.
    fn widens_bf16(&self, _op: &O) -> bool {
        false
    }

    /// Whether operands that change in place keep their memory. If not, the kernel replaces them by new buffers.
    fn runs_in_place(&self, _op: &O) -> bool {
        true
    }
}

/// The memory of a kernel beside its operands and outputs, in values of the size of a weight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workspace {
    /// Lengths of the buffers that are held while the kernel runs.
    pub buffers: Vec<usize>,
    /// Length of the transformed weights. The weights, the second operand, are transformed once and cached from their
    /// second use until they change.
    pub cached_weights: usize,
}

impl Workspace {
    /// Buffers of these lengths, without a cache.
    pub fn of(buffers: Vec<usize>) -> Self {
        Self { buffers, cached_weights: 0 }
    }
}

/// Allocates outputs.
///
/// All methods return [`Error::Memory`](crate::Error::Memory) for a buffer that the device cannot have. The trait is
/// sealed.
pub trait Alloc<F, I>: Sealed {
    /// A buffer in the format of weights, their gradients, statistics and losses.
    fn weights(&self, len: usize) -> Result<F>;
    /// A buffer in the format of activations.
    fn activations(&self, len: usize) -> Result<F>;
    /// A buffer in the format of `operand`.
    fn like(&self, operand: &F, len: usize) -> Result<F>;
    /// A buffer in the widest format of `operands`, to which the kernel converts them.
    fn like_widest(&self, operands: &[&F], len: usize) -> Result<F>;
    /// A buffer of integers.
    fn ints(&self, len: usize) -> Result<I>;
}

/// The operands of a kernel.
pub trait Operands<F, I> {
    /// Buffers of floating-point numbers, also those that change in place.
    fn floats(&self) -> Vec<&F>;
    /// Buffers of integers.
    fn ints(&self) -> Vec<&I> {
        Vec::new()
    }
    /// Buffers that change in place.
    fn in_place(&mut self) -> Vec<&mut F> {
        Vec::new()
    }
}

impl<F, I, const N: usize> Operands<F, I> for [&F; N] {
    fn floats(&self) -> Vec<&F> {
        self.to_vec()
    }
}

/// With an optional operand, such as a bias.
impl<F, I, const N: usize> Operands<F, I> for ([&F; N], Option<&F>) {
    fn floats(&self) -> Vec<&F> {
        self.0.iter().copied().chain(self.1).collect()
    }
}

impl<F, I, const N: usize, const M: usize> Operands<F, I> for ([&F; N], [&I; M]) {
    fn floats(&self) -> Vec<&F> {
        self.0.to_vec()
    }

    fn ints(&self) -> Vec<&I> {
        self.1.to_vec()
    }
}

/// With optional operands.
impl<F, I, const N: usize> Operands<F, I> for ([&F; N], Option<&I>, Option<&F>) {
    fn floats(&self) -> Vec<&F> {
        self.0.iter().copied().chain(self.2).collect()
    }

    fn ints(&self) -> Vec<&I> {
        self.1.into_iter().collect()
    }
}

/// The first buffer changes in place.
impl<F, I, const N: usize> Operands<F, I> for (&mut F, [&F; N]) {
    fn floats(&self) -> Vec<&F> {
        std::iter::once(&*self.0).chain(self.1).collect()
    }

    fn in_place(&mut self) -> Vec<&mut F> {
        vec![&mut *self.0]
    }
}

/// The outputs of a kernel.
pub trait Outputs<F, I> {
    /// Buffers of floating-point numbers.
    fn floats(&self) -> &[F];
    /// Buffers of floating-point numbers, to be replaced.
    fn floats_mut(&mut self) -> &mut [F];
    /// Buffers of integers.
    fn ints(&self) -> &[I] {
        &[]
    }
}

impl<F, I, const N: usize> Outputs<F, I> for [F; N] {
    fn floats(&self) -> &[F] {
        self
    }

    fn floats_mut(&mut self) -> &mut [F] {
        self
    }
}

impl<F, I, const N: usize, const M: usize> Outputs<F, I> for ([F; N], [I; M]) {
    fn floats(&self) -> &[F] {
        &self.0
    }

    fn floats_mut(&mut self) -> &mut [F] {
        &mut self.0
    }

    fn ints(&self) -> &[I] {
        &self.1
    }
}
