//! GPUs of any vendor, by Vulkan, or Metal on a Mac.

use cubecl::future::block_on;
use cubecl::wgpu::{AutoGraphicsApi, GraphicsApi as _, WgpuDevice, WgpuRuntime};
use wgpu::{Adapter, DeviceType, Instance, InstanceDescriptor};

use super::{DeviceInfo, DeviceKind, RuntimeKind, Unavailable, connect, find_device};
use crate::gpu::{Gpu, Identity, Precision, fault};
use crate::{Memory, Result};

/// Opens device `index` of [`devices`].
///
/// # Errors
/// [`Error::Device`](crate::Error::Device) without such a device, or if it does not support `precision`.
pub fn open(index: usize, precision: Precision) -> Result<Gpu<WgpuRuntime>> {
    let mut entries = enumerate();
    let info = find_device(RuntimeKind::Wgpu, index, infos(&entries))?;
    let Entry { device, adapter, .. } = entries.swap_remove(info.index);
    let is_host = info.kind.is_host();
    let identity = Identity {
        name: info.to_string(),
        unsupported: Vec::new(),
        memory: Some(Box::new(move || memory(&adapter, is_host))),
    };
    connect(&info, &device, identity, precision)
}

/// Opens Vulkan in software (Mesa's lavapipe), which computes on the CPU: for tests.
///
/// # Errors
/// [`Error::Device`](crate::Error::Device) if there is none.
pub fn open_software(precision: Precision) -> Result<Gpu<WgpuRuntime>> {
    let devices = devices().map_err(|unavailable| unavailable.error("wgpu"))?;
    let Some(software) = devices.iter().find(|info| info.kind == DeviceKind::Software) else {
        let remedy = "install Mesa's lavapipe (Debian: mesa-vulkan-drivers)";
        return Err(Unavailable::new("no device in software", remedy).error("wgpu"));
    };
    open(software.index, precision)
}

/// The devices: discrete GPUs first, software last.
///
/// # Errors
/// [`Unavailable`] without a driver that has a device.
pub fn devices() -> std::result::Result<Vec<DeviceInfo>, Unavailable> {
    infos(&enumerate())
}

fn infos(entries: &[Entry]) -> std::result::Result<Vec<DeviceInfo>, Unavailable> {
    if entries.is_empty() {
        let api = if cfg!(target_os = "macos") { "Metal" } else { "Vulkan" };
        let remedy = "install the driver of your GPU's maker (in software, on Debian: mesa-vulkan-drivers)";
        return Err(Unavailable::new(format!("no {api} device found"), remedy));
    }
    Ok(entries.iter().map(|entry| entry.info.clone()).collect())
}

/// A device, with CubeCL's name for it and wgpu's handle.
struct Entry {
    info: DeviceInfo,
    device: WgpuDevice,
    adapter: Adapter,
}

/// The devices: discrete GPUs first, software last.
fn enumerate() -> Vec<Entry> {
    fault::install_panic_hook();
    let adapters = fault::catch_panic(adapters).unwrap_or_default();
    let kinds: Vec<DeviceKind> = adapters.iter().map(|adapter| kind(adapter.get_info().device_type)).collect();
    let mut entries = Vec::new();
    for ((adapter, &kind), device) in adapters.into_iter().zip(&kinds).zip(names(&kinds)) {
        if let Some(device) = device {
            entries.push(Entry { info: describe(&adapter, kind), device, adapter });
        }
    }
    entries.sort_by_key(|entry| entry.info.kind as u8);
    for (index, entry) in entries.iter_mut().enumerate() {
        entry.info.index = index;
    }
    entries
}

/// The adapter's properties; its index follows from the order of the list.
fn describe(adapter: &Adapter, kind: DeviceKind) -> DeviceInfo {
    let info = adapter.get_info();
    DeviceInfo {
        runtime: RuntimeKind::Wgpu,
        index: 0,
        model: info.name,
        kind,
        driver: format!("{:?}, {} {}", info.backend, info.driver, info.driver_info).trim().to_string(),
        memory: heap(adapter).map(|heap| heap.size),
    }
}

/// The adapters of the graphics API that CubeCL uses, in its order.
fn adapters() -> Vec<Adapter> {
    let backends = AutoGraphicsApi::backend().into();
    let instance = Instance::new(InstanceDescriptor { backends, ..InstanceDescriptor::new_without_display_handle() });
    block_on(instance.enumerate_adapters(backends))
}

fn kind(device: DeviceType) -> DeviceKind {
    match device {
        DeviceType::DiscreteGpu => DeviceKind::Discrete,
        DeviceType::IntegratedGpu => DeviceKind::Integrated,
        DeviceType::VirtualGpu => DeviceKind::Virtual,
        DeviceType::Cpu => DeviceKind::Software,
        DeviceType::Other => DeviceKind::Other,
    }
}

/// CubeCL's names for adapters of these kinds. It counts each kind separately, has no name for a second software
/// renderer, and reaches adapters of other kinds by an index past the end of one of its kinds.
fn names(kinds: &[DeviceKind]) -> Vec<Option<WgpuDevice>> {
    let count = |kind: DeviceKind, until: usize| kinds[..until].iter().filter(|&&k| k == kind).count();
    let name = |(position, kind): (usize, &DeviceKind)| {
        let index = count(*kind, position);
        let past_the_end = |kind: DeviceKind| count(kind, kinds.len()) <= index;
        match kind {
            DeviceKind::Discrete => Some(WgpuDevice::DiscreteGpu(index)),
            DeviceKind::Integrated => Some(WgpuDevice::IntegratedGpu(index)),
            DeviceKind::Virtual => Some(WgpuDevice::VirtualGpu(index)),
            DeviceKind::Software => (index == 0).then_some(WgpuDevice::Cpu),
            DeviceKind::Other if past_the_end(DeviceKind::Discrete) => Some(WgpuDevice::DiscreteGpu(index)),
            DeviceKind::Other if past_the_end(DeviceKind::Integrated) => Some(WgpuDevice::IntegratedGpu(index)),
            DeviceKind::Other if past_the_end(DeviceKind::Virtual) => Some(WgpuDevice::VirtualGpu(index)),
            DeviceKind::Other => None,
        }
    };
    kinds.iter().enumerate().map(name).collect()
}

/// A memory heap of a device, in bytes.
struct Heap {
    size: u64,
    /// The budget of this process and its use of it, where the driver reports them.
    budget: Option<(u64, u64)>,
}

/// The device's own memory: the largest heap, since smaller ones can be windows into it. Only Vulkan reports heaps.
fn heap(adapter: &Adapter) -> Option<Heap> {
    use ash::vk;
    // SAFETY: the handle is only queried, and does not outlive the adapter.
    let hal = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }?;
    let shared = hal.shared_instance();
    if shared.instance_api_version() < vk::API_VERSION_1_1 {
        return None;
    }
    let has_budget = hal.physical_device_capabilities().supports_extension(ash::ext::memory_budget::NAME);
    let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
    let mut properties = vk::PhysicalDeviceMemoryProperties2::default();
    if has_budget {
        properties = properties.push_next(&mut budget);
    }
    // SAFETY: the instance is of Vulkan 1.1, which has this function, and owns the physical device, which supports the
    // chained structure.
    unsafe {
        shared.raw_instance().get_physical_device_memory_properties2(hal.raw_physical_device(), &mut properties);
    }
    let heaps = properties.memory_properties;
    let heaps = &heaps.memory_heaps[..(heaps.memory_heap_count as usize).min(vk::MAX_MEMORY_HEAPS)];
    let is_local = |(_, heap): &(usize, &vk::MemoryHeap)| heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL);
    let (index, heap) = heaps.iter().enumerate().filter(is_local).max_by_key(|(_, heap)| heap.size)?;
    let budget = has_budget.then(|| (budget.heap_budget[index], budget.heap_usage[index]));
    Some(Heap { size: heap.size, budget })
}

fn memory(adapter: &Adapter, is_host: bool) -> Option<Memory> {
    let heap = heap(adapter)?;
    let (budget, used) = heap.budget?;
    Some(Memory { total: heap.size, free: budget.saturating_sub(used), is_host })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_separately() {
        use DeviceKind::{Discrete, Integrated, Other, Software};
        let names =
            |kinds: &[DeviceKind]| super::names(kinds).into_iter().map(|n| n.map(|n| format!("{n:?}"))).collect();
        let expected = |names: &[&str]| names.iter().map(|n| Some(n.to_string())).collect::<Vec<_>>();
        let found: Vec<_> = names(&[Integrated, Discrete, Software, Discrete]);
        assert_eq!(found, expected(&["IntegratedGpu(0)", "DiscreteGpu(0)", "Cpu", "DiscreteGpu(1)"]));
        let found: Vec<_> = names(&[Discrete, Other, Other]);
        assert_eq!(found, expected(&["DiscreteGpu(0)", "IntegratedGpu(0)", "DiscreteGpu(1)"]));
        let found: Vec<_> = names(&[Software, Software]);
        assert_eq!(found, vec![Some("Cpu".to_string()), None]);
    }
}
