//! Buffers: device memory with its length and type.

use std::any::TypeId;
use std::sync::Arc;

use cubecl::prelude::{ArrayArg, Float, Runtime};
use cubecl::server::Handle;

use super::{Dtype, dispatch};
use crate::{Error, Result};

/// Floating-point numbers on a device. Clones share the memory.
///
/// A kernel of your own reads or writes the values through [`array_arg`](Self::array_arg). It does so for the type that
/// [`dtype`](Self::dtype) says: [`dispatch!`](crate::gpu::dispatch) launches a generic kernel for it. Before a kernel
/// writes to a buffer that is not new, [`Gpu::make_unique`](super::Gpu::make_unique) copies it if clones share it.
#[derive(Clone, Debug)]
pub struct Buffer {
    handle: Arc<Handle>,
    len: usize,
    dtype: Dtype,
}

impl Buffer {
    pub(crate) fn new(handle: Handle, len: usize, dtype: Dtype) -> Self {
        Self { handle: Arc::new(handle), len, dtype }
    }

    /// The first `len` values of CubeCL's memory, which was allocated on the device that will use the buffer.
    ///
    /// # Errors
    /// [`Error::Argument`] if the memory is too small.
    pub fn from_handle(handle: Handle, len: usize, dtype: Dtype) -> Result<Self> {
        check_size(&handle, len, dtype.bytes())?;
        Ok(Self::new(handle, len, dtype))
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The type of the values.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// CubeCL's handle of the memory.
    pub fn handle(&self) -> Handle {
        Handle::clone(&self.handle)
    }

    /// The buffer as an `Array<F>` of a kernel that is launched for `F`, or as an `Array<Vector<F, N>>` where N divides the
    /// length.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `F` is the type of the values.
    pub fn array_arg<F: Float, R: Runtime>(&self) -> Result<ArrayArg<R>> {
        let id = dispatch!(self.dtype, Stored => TypeId::of::<Stored>());
        if TypeId::of::<F>() != id {
            let what = format!("the values are {:?}, not {}", self.dtype, std::any::type_name::<F>());
            return Err(Error::argument("array_arg", what));
        }
        Ok(self.arg())
    }

    /// Whether no other buffer shares the memory.
    pub(crate) fn is_unique(&mut self) -> bool {
        Arc::get_mut(&mut self.handle).is_some()
    }

    /// The buffer as a kernel argument. The vector width of the launch decides whether the kernel sees scalars or vectors.
    pub(crate) fn arg<R: Runtime>(&self) -> ArrayArg<R> {
        // SAFETY: the memory was allocated for `len` numbers of `dtype`, and kernels are launched for that type: every
        // launch goes through `dispatch!` or checks `dtype` itself.
        unsafe { ArrayArg::from_raw_parts(self.handle(), self.len) }
    }
}

/// Integers on a device. Clones share the memory.
#[derive(Clone, Debug)]
pub struct IntBuffer {
    handle: Handle,
    len: usize,
}

impl IntBuffer {
    pub(crate) fn new(handle: Handle, len: usize) -> Self {
        Self { handle, len }
    }

    /// The first `len` words of CubeCL's memory, which was allocated on the device that will use the buffer.
    ///
    /// # Errors
    /// [`Error::Argument`] if the memory is too small.
    pub fn from_handle(handle: Handle, len: usize) -> Result<Self> {
        check_size(&handle, len, size_of::<u32>())?;
        Ok(Self::new(handle, len))
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// CubeCL's handle of the memory.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The buffer as an `Array<u32>` of a kernel.
    pub fn array_arg<R: Runtime>(&self) -> ArrayArg<R> {
        self.arg()
    }

    /// The buffer as a kernel argument.
    pub(crate) fn arg<R: Runtime>(&self) -> ArrayArg<R> {
        // SAFETY: the memory was allocated for `len` words of 32 bits.
        unsafe { ArrayArg::from_raw_parts(self.handle(), self.len) }
    }
}

/// Fails unless the memory holds `len` values.
fn check_size(handle: &Handle, len: usize, bytes_each: usize) -> Result<()> {
    let outside = handle.offset_start.unwrap_or(0).saturating_add(handle.offset_end.unwrap_or(0));
    let size = handle.size().saturating_sub(outside);
    let needed = (len as u64).saturating_mul(bytes_each as u64);
    if needed <= size {
        return Ok(());
    }
    Err(Error::argument("from_handle", format!("{len} values need {needed} bytes of memory, got {size}")))
}
