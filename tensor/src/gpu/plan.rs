//! The device's memory, for plans: CubeCL's own pools, over memory that is not there.

use std::any::Any;
use std::sync::Arc;

use cubecl::prelude::*;
use cubecl::server::IoError;
use cubecl_runtime::logging::ServerLogger;
use cubecl_runtime::memory_management::{MemoryConfiguration, MemoryManagement, MemoryManagementOptions};
use cubecl_runtime::storage::{ComputeStorage, StorageHandle, StorageId, StorageUtilization};

use super::{Dtype, Gpu, fault};
use crate::ops::lrn::Lrn;
use crate::ops::pool;
use crate::plan::{Arena, Block, Kernel, Needs, Plan, Rules};
use crate::{Device, Error, Result};

impl<R: Runtime> Gpu<R> {
    /// Bytes that this thread's queue holds on the device: in use and kept for later.
    ///
    /// # Errors
    /// [`Error::Device`] if the device does not answer.
    pub fn reserved_bytes(&self) -> Result<u64> {
        Ok(self.outcome(fault::quietly(|| self.client().memory_usage()))?.bytes_reserved)
    }

    pub(super) fn memory_plan(&self) -> Plan {
        let properties = &self.client().properties().memory;
        let options = MemoryManagementOptions::new("plan");
        let (pools, logger) = (MemoryConfiguration::default(), Arc::new(ServerLogger::default()));
        let pools = MemoryManagement::from_configuration(Nowhere, properties, pools, logger, options);
        Plan::new(Rules {
            number: Dtype::F32.bytes(),
            activation: self.activation_dtype().bytes(),
            arena: Box::new(Pools { pools, device: self.describe() }),
            kernels: Box::new(self.clone()),
        })
    }
}

impl<R: Runtime> Needs for Gpu<R> {
    fn workspace(&self, kernel: &Kernel<'_>) -> Vec<usize> {
        let _ = kernel;
        Vec::new()
    }

    fn fuses_lrn_pool(&self, lrn: &Lrn, g: &pool::Geometry) -> bool {
        self.fuses(lrn, g)
    }
}

/// Storage of any size, without memory.
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

impl Arena for Pools {
    fn take(&mut self, block: &Block) -> Result<Box<dyn Any + Send + Sync>> {
        let needed = block.size().max(4);
        match self.pools.reserve(needed) {
            Ok(handle) => Ok(Box::new(handle)),
            Err(_) => Err(Error::Memory { device: self.device.clone(), needed }),
        }
    }

    /// Memory is free for others when its handle is dropped.
    fn give(&mut self, _: &Block, _: Box<dyn Any + Send + Sync>) {}

    fn held(&self) -> u64 {
        self.pools.memory_usage().bytes_reserved
    }
}
