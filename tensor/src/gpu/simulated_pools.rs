//! Device memory for dry runs: CubeCL's own memory pools, over a storage that allocates nothing.

use std::any::Any;
use std::sync::Arc;

use cubecl::prelude::*;
use cubecl::server::IoError;
use cubecl_runtime::logging::ServerLogger;
use cubecl_runtime::memory_management::{MemoryConfiguration, MemoryManagement, MemoryManagementOptions};
use cubecl_runtime::storage::{ComputeStorage, StorageHandle, StorageId, StorageUtilization};

use super::launch::MAX_LEN;
use super::matrix::tile::Problem;
use super::matrix::workspace_len;
use super::{Dtype, Gpu, fault};
use crate::dry_run::{Allocator, Block, MemoryModel};
use crate::{Device, Error, Result};

impl<R: Runtime> Gpu<R> {
    /// Bytes of device memory reserved by this thread's stream: in use, and kept for reuse.
    ///
    /// # Errors
    /// [`Error::Device`] if the device does not answer.
    pub fn reserved_bytes(&self) -> Result<u64> {
        Ok(self.checked(fault::catch_panic(|| self.client().memory_usage()))?.bytes_reserved)
    }

    pub(super) fn simulated_memory(&self) -> MemoryModel {
        let properties = &self.client().properties().memory;
        let options = MemoryManagementOptions::new("dry run");
        let logger = Arc::new(ServerLogger::default());
        let configuration = MemoryConfiguration::default();
        let pools = MemoryManagement::from_configuration(NullStorage, properties, configuration, logger, options);
        MemoryModel {
            weight_bytes: Dtype::F32.bytes(),
            activation_bytes: self.activation_dtype().bytes(),
            allocator: Box::new(Pools { pools, device: self.describe() }),
        }
    }
}

/// Length of the workspace for the parts of split sums.
pub(super) fn split_sums_len(problem: &Problem) -> usize {
    workspace_len(problem, problem.m * problem.n * problem.batches)
}

/// A storage that records sizes and allocates nothing.
struct NullStorage;

impl ComputeStorage for NullStorage {
    type Resource = ();

    fn alignment(&self) -> usize {
        1
    }

    fn get(&mut self, _: &StorageHandle) {}

    fn alloc(&mut self, size: u64) -> std::result::Result<StorageHandle, IoError> {
        Ok(StorageHandle::new(StorageId::new(), StorageUtilization { offset: 0, size }))
    }

    fn dealloc(&mut self, _: StorageId) {}

    fn flush(&mut self) {}
}

struct Pools {
    pools: MemoryManagement<NullStorage>,
    device: String,
}

impl Allocator for Pools {
    fn allocate(&mut self, block: &Block) -> Result<Box<dyn Any + Send + Sync>> {
        let needed = block.size().max(4);
        // Kernels cannot count longer buffers, so the device refuses them.
        let handle = if block.len <= MAX_LEN { self.pools.reserve(needed).ok() } else { None };
        match handle {
            Some(handle) => Ok(Box::new(handle)),
            None => Err(Error::Memory { device: self.device.clone(), needed }),
        }
    }

    /// Memory can be reused when its handle is dropped.
    fn free(&mut self, _: &Block, _: Box<dyn Any + Send + Sync>) {}

    fn reserved(&self) -> u64 {
        self.pools.memory_usage().bytes_reserved
    }
}
