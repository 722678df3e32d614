//! The device's memory, for plans: CubeCL's own pools, over memory that is not there.

use std::any::Any;
use std::sync::Arc;

use cubecl::prelude::*;
use cubecl::server::IoError;
use cubecl_runtime::logging::ServerLogger;
use cubecl_runtime::memory_management::{MemoryConfiguration, MemoryManagement, MemoryManagementOptions};
use cubecl_runtime::storage::{ComputeStorage, StorageHandle, StorageId, StorageUtilization};

use super::fold::Folded;
use super::launch::MAX_LEN;
use super::matrix::tile::Extent;
use super::matrix::workspace_len;
use super::{Dtype, Gpu, conv2d, fault, linear, local2d};
use crate::ops::conv2d::Geometry;
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
            in_place: false,
            arena: Box::new(Pools { pools, device: self.describe() }),
            kernels: Box::new(self.clone()),
        })
    }
}

/// Values of the partial sums of a product.
fn parts(extent: &Extent) -> usize {
    workspace_len(extent, extent.m * extent.n * extent.batches)
}

impl<R: Runtime> Gpu<R> {
    /// What the product of a convolution takes that may be folded: for y (0) or dw (2).
    fn folding_workspace(&self, g: &Geometry, which: usize) -> Vec<usize> {
        let folded = Folded::of(g).map_or(*g, |f| f.geometry);
        let mut lens = self.fold_workspace(g);
        lens.push(parts(&conv2d::extents(&folded)[which]));
        lens
    }
}

impl<R: Runtime> Needs for Gpu<R> {
    fn workspace(&self, kernel: &Kernel<'_>) -> Vec<usize> {
        let extent = match *kernel {
            Kernel::Conv2d(g) => return self.folding_workspace(g, 0),
            Kernel::Conv2dDw(g) => return self.folding_workspace(g, 2),
            Kernel::Conv2dDx(g) => conv2d::extents(g)[1],
            Kernel::Local2d(g) => local2d::extents(g)[0],
            Kernel::Local2dDx(g) => local2d::extents(g)[1],
            Kernel::Local2dDw(g) => local2d::extents(g)[2],
            Kernel::Matmul(p) => linear::extent(p),
            Kernel::Lrn(..) => return Vec::new(),
            Kernel::LrnDx(spec, shape) => return vec![self.lrn_dx_workspace(spec, shape)],
        };
        vec![parts(&extent)]
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
