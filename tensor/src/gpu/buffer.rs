//! Buffers: device memory with its length and type.

use std::sync::Arc;

use cubecl::prelude::{ArrayArg, Runtime};
use cubecl::server::Handle;

use super::Dtype;

/// Floating-point numbers on a device. Clones share the memory.
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

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn dtype(&self) -> Dtype {
        self.dtype
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle::clone(&self.handle)
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

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The buffer as a kernel argument.
    pub(crate) fn arg<R: Runtime>(&self) -> ArrayArg<R> {
        // SAFETY: the memory was allocated for `len` words of 32 bits.
        unsafe { ArrayArg::from_raw_parts(self.handle(), self.len) }
    }
}
