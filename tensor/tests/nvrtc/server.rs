//! A server that compiles each launched kernel to CUDA C++, checks the launch against the device's limits, and runs
//! nothing. Downloads are zeros.

use std::any::Any;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use cubecl::bytes::Bytes;
use cubecl::cuda::CudaRuntime;
use cubecl::device::{DeviceId, DeviceService, ServerUtilitiesHandle};
use cubecl::future::DynFut;
use cubecl::prelude::*;
use cubecl::profile::ProfileDuration;
use cubecl::server::{
    Binding, ComputeServer, CopyDescriptor, IoError, KernelArguments, ProfileError, ProfilingToken,
    ServerCommunication, ServerError, ServerUtilities,
};
use cubecl::stream_id::StreamId;
use cubecl::{CubeTask, MemoryAllocationMode, MemoryUsage, backtrace::BackTrace};
use cubecl_runtime::logging::ServerLogger;
use cubecl_runtime::memory_management::ManagedMemoryHandle;
use cubecl_runtime::storage::ManagedResource;

use crate::runtime::{options, properties};

type CudaServer = <CudaRuntime as Runtime>::Server;
type Policy = <CudaServer as ComputeServer>::MemoryLayoutPolicy;
type Storage = <CudaServer as ComputeServer>::Storage;
type Resource = <Storage as cubecl_runtime::storage::ComputeStorage>::Resource;
type Task = Box<dyn CubeTask<<CudaRuntime as Runtime>::Compiler>>;

/// A kernel as CUDA C++.
#[derive(Debug)]
pub struct Source {
    /// The Rust type of the kernel: its module, name and type parameters.
    pub name: String,
    pub text: String,
    /// Threads of a block.
    pub units: u32,
    /// Bytes of a block.
    pub shared: usize,
}

/// The kernels launched on a device.
#[derive(Debug, Default)]
pub struct Launches {
    /// Each kernel once.
    pub sources: Vec<Source>,
    /// Launches that the device would refuse, and kernels that cannot be compiled.
    pub failures: Vec<String>,
}

/// The client's `info()`, filled on the server's thread.
pub type Shared = Arc<Mutex<Launches>>;

#[derive(Debug)]
pub struct CompileServer {
    utilities: Arc<ServerUtilities<Self>>,
    known: HashSet<KernelId>,
}

impl CompileServer {
    fn checked_source(&mut self, task: &Task, count: &CubeCount, bindings: usize, mode: ExecutionMode) -> Outcome {
        let limits = &self.utilities.properties.hardware;
        let mut id = task.id();
        id.mode(mode);
        if let CubeCount::Static(x, y, z) = *count {
            let (mx, my, mz) = limits.max_cube_count;
            if x > mx || y > my || z > mz || x == 0 || y == 0 || z == 0 {
                return Err(format!("{x} x {y} x {z} blocks, where 1 to {mx} x {my} x {mz} can be launched"));
            }
        }
        if bindings > limits.max_bindings as usize {
            return Err(format!("{bindings} buffers, of at most {}", limits.max_bindings));
        }
        let dim = id.cube_dim;
        let max = limits.max_cube_dim;
        let units = dim.num_elems();
        if units == 0 || units > limits.max_units_per_cube || dim.x > max.0 || dim.y > max.1 || dim.z > max.2 {
            return Err(format!("blocks of {dim:?}, of at most {} threads", limits.max_units_per_cube));
        }
        if !self.known.insert(id) {
            return Ok(None);
        }
        let compiled = task
            .compile(&mut Default::default(), &options(), mode, task.address_type())
            .map_err(|e| format!("no CUDA C++: {e}"))?;
        let shared = compiled.repr.as_ref().map_or(0, |r| r.shared_memory_size());
        if shared > limits.max_shared_memory_size {
            return Err(format!("{shared} bytes of shared memory, of at most {}", limits.max_shared_memory_size));
        }
        Ok(Some(Source { name: task.name().to_string(), text: compiled.source, units, shared }))
    }
}

type Outcome = Result<Option<Source>, String>;

fn message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| s.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".into())
}

impl DeviceService for CompileServer {
    fn init(_: DeviceId) -> Self {
        let properties = properties();
        let policy = Policy::new(properties.memory.alignment as usize);
        let utilities = ServerUtilities::new(properties, Arc::new(ServerLogger::default()), Shared::default(), policy);
        Self { utilities: Arc::new(utilities), known: HashSet::new() }
    }

    fn utilities(&self) -> ServerUtilitiesHandle {
        Arc::clone(&self.utilities) as ServerUtilitiesHandle
    }
}

impl ServerCommunication for CompileServer {
    const SERVER_COMM_ENABLED: bool = false;
}

impl ComputeServer for CompileServer {
    type Kernel = Task;
    type Info = Shared;
    type MemoryLayoutPolicy = Policy;
    type Storage = Storage;

    unsafe fn launch(
        &mut self,
        kernel: Task,
        count: CubeCount,
        arguments: KernelArguments,
        mode: ExecutionMode,
        _: StreamId,
    ) {
        let bindings = arguments.buffers.len() + arguments.tensor_maps.len();
        // Without this, a panic in a kernel's expansion would be lost.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.checked_source(&kernel, &count, bindings, mode)));
        let mut launches = self.utilities.info.lock().expect("no panic under the lock");
        match outcome.unwrap_or_else(|panic| Err(message(panic))) {
            Ok(source) => launches.sources.extend(source),
            Err(what) => launches.failures.push(format!("{}: {what}", kernel.name())),
        }
    }

    fn initialize_memory(&mut self, _: ManagedMemoryHandle, _: u64, _: StreamId) {}

    fn write(&mut self, _: Vec<(CopyDescriptor, Bytes)>, _: StreamId) {}

    fn read(&mut self, descriptors: Vec<CopyDescriptor>, _: StreamId) -> DynFut<Result<Vec<Bytes>, ServerError>> {
        let zeros = |d: CopyDescriptor| Bytes::from_bytes_vec(vec![0; d.handle.size_in_used() as usize]);
        let bytes = descriptors.into_iter().map(zeros).collect();
        Box::pin(async move { Ok(bytes) })
    }

    fn sync(&mut self, _: StreamId) -> DynFut<Result<(), ServerError>> {
        Box::pin(async { Ok(()) })
    }

    fn flush(&mut self, _: StreamId) -> Result<(), ServerError> {
        Ok(())
    }

    fn logger(&self) -> Arc<ServerLogger> {
        Arc::clone(&self.utilities.logger)
    }

    fn utilities(&self) -> Arc<ServerUtilities<Self>> {
        Arc::clone(&self.utilities)
    }

    fn get_resource(&mut self, _: Binding, _: StreamId) -> Result<ManagedResource<Resource>, ServerError> {
        Err(IoError::UnsupportedIoOperation { backtrace: BackTrace::capture() }.into())
    }

    fn memory_usage(&mut self, _: StreamId) -> Result<MemoryUsage, ServerError> {
        Ok(MemoryUsage { number_allocs: 0, bytes_in_use: 0, bytes_padding: 0, bytes_reserved: 0 })
    }

    fn memory_cleanup(&mut self, _: StreamId) {}

    fn start_profile(&mut self, _: StreamId) -> Result<ProfilingToken, ServerError> {
        Ok(ProfilingToken { id: 0 })
    }

    fn end_profile(&mut self, _: StreamId, _: ProfilingToken) -> Result<ProfileDuration, ProfileError> {
        Err(ProfileError::NotRegistered { backtrace: BackTrace::capture() })
    }

    fn allocation_mode(&mut self, _: MemoryAllocationMode, _: StreamId) {}
}
