//! CubeCL's CUDA runtime as it is on an H100 or H200, without the device.

use cubecl::client::ComputeClient;
use cubecl::cuda::CudaRuntime;
use cubecl::device::{Device, DeviceId};
use cubecl::ir::features::{Plane, Tma, TypeUsage};
use cubecl::ir::{
    BarrierLevel, DeviceProperties, ElemType, FloatKind, HardwareProperties, MemoryDeviceProperties, OpaqueType,
    SemanticType, TargetProperties, VectorSize,
};
use cubecl::prelude::*;
use cubecl::profile::TimingMethod;
use cubecl::zspace::{Shape, Strides};
use cubecl_cpp::DialectWmmaCompiler;
use cubecl_cpp::cuda::arch::CudaArchitecture;
use cubecl_cpp::cuda::mma::CudaWmmaCompiler;
use cubecl_cpp::shared::{
    CompilationOptions, CppSupportedFeatures, register_mma_features, register_supported_types, register_wmma_features,
};

use crate::server::{CompileServer, Shared};

/// A runtime that compiles each launched kernel and runs nothing.
#[derive(Clone, Debug)]
pub struct CompileRuntime;

/// A device number. Each has its own server.
#[derive(Clone, Debug, Default)]
pub struct NoDevice(pub u16);

impl Device for NoDevice {
    fn from_id(id: DeviceId) -> Self {
        Self(id.index_id)
    }

    fn to_id(&self) -> DeviceId {
        DeviceId { type_id: 0, index_id: self.0 }
    }
}

impl Runtime for CompileRuntime {
    type Compiler = <CudaRuntime as Runtime>::Compiler;
    type Server = CompileServer;
    type Device = NoDevice;

    fn client(device: &Self::Device) -> ComputeClient<Self> {
        ComputeClient::load(device)
    }

    fn name(_: &ComputeClient<Self>) -> &'static str {
        "cuda"
    }

    fn require_array_lengths() -> bool {
        CudaRuntime::require_array_lengths()
    }

    fn max_cube_count() -> (u32, u32, u32) {
        CudaRuntime::max_cube_count()
    }

    fn can_read_tensor(shape: &Shape, strides: &Strides) -> bool {
        CudaRuntime::can_read_tensor(shape, strides)
    }

    fn target_properties() -> TargetProperties {
        CudaRuntime::target_properties()
    }

    fn enumerate_devices(_: u16, _: &Shared) -> Vec<DeviceId> {
        vec![NoDevice::default().to_id()]
    }
}

/// The options that CubeCL's CUDA runtime passes to its compiler for compute capability 9.0.
pub fn options() -> CompilationOptions {
    let supports_features = CppSupportedFeatures {
        grid_constants: true,
        clusters: true,
        fast_math: true,
        fast_tanh: cudarc::driver::sys::CUDA_VERSION >= 12080,
        elect_sync: true,
    };
    CompilationOptions { warp_size: 32, supports_features }
}

/// The properties that CubeCL's CUDA runtime reports for a device of compute capability 9.0 with 80 GB.
pub fn properties() -> DeviceProperties {
    let memory = MemoryDeviceProperties { max_page_size: (80 << 30) / 4, alignment: 512 };
    let hardware = HardwareProperties {
        load_width: 128,
        plane_size_min: 32,
        plane_size_max: 32,
        max_bindings: cubecl::cuda::CUDA_MAX_BINDINGS,
        max_shared_memory_size: 227 * 1024,
        max_cube_count: (i32::MAX as u32, 65_535, 65_535),
        max_units_per_cube: 1024,
        max_cube_dim: (1024, 1024, 64),
        num_streaming_multiprocessors: Some(132),
        num_tensor_cores: Some(4),
        min_tensor_cores_dim: Some(8),
        num_cpu_cores: None,
        max_vector_size: VectorSize::MAX,
    };
    let mut properties = DeviceProperties::new(Default::default(), memory, hardware, TimingMethod::System);
    register_supported_types(&mut properties);
    let tf32 = ElemType::Float(FloatKind::TF32);
    properties.register_type_usage(tf32, TypeUsage::Conversion);
    for level in [BarrierLevel::Unit, BarrierLevel::Cube] {
        properties.register_type_usage(OpaqueType::Barrier(level), TypeUsage::Buffer);
    }
    for semantic in [SemanticType::Pipeline, SemanticType::TensorMap] {
        properties.register_semantic_type(semantic);
    }
    let features = &mut properties.features;
    for plane in [Plane::Sync, Plane::Ops, Plane::NonUniformControlFlow] {
        features.plane.insert(plane);
    }
    for half in [FloatKind::F16, FloatKind::BF16].map(ElemType::Float) {
        features.matmul.ldmatrix.insert(half.into());
        features.matmul.stmatrix.insert(half.into());
    }
    features.tma.insert(Tma::Base);
    features.copy_async = true;
    features.cube_cluster = true;
    features.memory_reinterpret = true;
    features.alignment = true;
    let arch = CudaArchitecture { version: 90 };
    register_wmma_features(CudaWmmaCompiler::supported_wmma_combinations(&arch), &mut properties);
    register_mma_features(CudaWmmaCompiler::supported_mma_combinations(&arch), &mut properties);
    properties
}
