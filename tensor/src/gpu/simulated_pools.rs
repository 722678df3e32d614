//! The device's memory for dry runs: CubeCL's own pools, over a storage that holds nothing.

use std::any::Any;
use std::sync::Arc;

use cubecl::prelude::*;
use cubecl::server::IoError;
use cubecl_runtime::logging::ServerLogger;
use cubecl_runtime::memory_management::{MemoryConfiguration, MemoryManagement, MemoryManagementOptions};
use cubecl_runtime::storage::{ComputeStorage, StorageHandle, StorageId, StorageUtilization};

use super::launch::MAX_LEN;
use super::matrix::tile::Extent;
use super::matrix::workspace_len;
use super::{Dtype, Gpu, fault};
use crate::dry_run::{Allocator, Block, MemoryModel};
use crate::{Device, Error, Result};

impl<R: Runtime> Gpu<R> {
    /// Bytes that this thread's queue holds on the device: in use and kept for later.
    ///
    /// # Errors
    /// [`Error::Device`] if the device does not answer.
    pub fn reserved_bytes(&self) -> Result<u64> {
        Ok(self.outcome(fault::quietly(|| self.client().memory_usage()))?.bytes_reserved)
    }

    pub(super) fn simulated_memory(&self) -> MemoryModel {
        let properties = &self.client().properties().memory;
        let options = MemoryManagementOptions::new("dry run");
        let logger = Arc::new(ServerLogger::default());
        let configuration = MemoryConfiguration::default();
        let pools = MemoryManagement::from_configuration(Nowhere, properties, configuration, logger, options);
        MemoryModel {
            weight_bytes: Dtype::F32.bytes(),
            activation_bytes: self.activation_dtype().bytes(),
            allocator: Box::new(Pools { pools, device: self.describe() }),
        }
    }
}

/// Values of the partial sums of a product.
pub(super) fn partial_sums(extent: &Extent) -> usize {
    workspace_len(extent, extent.m * extent.n * extent.batches)
}

/// A storage that records sizes and allocates nothing.
struct Nowhere;

impl ComputeStorage for Nowhere {
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
    pools: MemoryManagement<Nowhere>,
    device: String,
}

impl Allocator for Pools {
    fn take(&mut self, block: &Block) -> Result<Box<dyn Any + Send + Sync>> {
        let needed = block.size().max(4);
        // What kernels do not reach is as good as not there.
        let reserved = if block.len <= MAX_LEN { self.pools.reserve(needed).ok() } else { None };
        let refused = || Error::Memory { device: self.device.clone(), needed };
        reserved.map(|handle| Box::new(handle) as Box<dyn Any + Send + Sync>).ok_or_else(refused)
    }

    /// Memory is free for others when its handle is dropped.
    fn give(&mut self, _: &Block, _: Box<dyn Any + Send + Sync>) {}

    fn held(&self) -> u64 {
        self.pools.memory_usage().bytes_reserved
    }
}
