//! Vulkan, and Metal on a Mac: GPUs of any maker.

use cubecl::future::block_on;
use cubecl::wgpu::{AutoGraphicsApi, GraphicsApi as _, WgpuDevice, WgpuRuntime};
use wgpu::{Adapter, DeviceType, Instance, InstanceDescriptor};

use super::{Api, Found, Kind, Missing, connect, pick};
use crate::gpu::{Gpu, Identity, Precision, fault};
use crate::{Memory, Result};

/// Opens device `number` of [`devices`].
///
/// # Errors
/// [`Error::Device`](crate::Error::Device) that says what is missing, which devices there are, or which precisions this
/// one has.
pub fn open(number: usize, precision: Precision) -> Result<Gpu<WgpuRuntime>> {
    let mut listed = listed();
    let found = pick(Api::Wgpu, number, some(&listed))?;
    // The list is numbered from 0.
    let Listed { device, adapter, .. } = listed.swap_remove(found.number);
    let is_host = found.kind.is_host();
    let identity = Identity {
        name: found.to_string(),
        lacks: Vec::new(),
        memory: Some(Box::new(move || memory(&adapter, is_host))),
    };
    connect(&found, &device, identity, precision)
}

/// Opens Vulkan in software (Mesa's lavapipe), which computes on the CPU: for tests.
///
/// # Errors
/// [`Error::Device`](crate::Error::Device) if there is none.
pub fn open_software(precision: Precision) -> Result<Gpu<WgpuRuntime>> {
    let found = devices().map_err(|missing| missing.error("wgpu"))?;
    let missing = || Missing::new("no device in software", "install Mesa's lavapipe (Debian: mesa-vulkan-drivers)");
    let software = found.iter().find(|f| f.kind == Kind::Software).ok_or_else(|| missing().error("wgpu"))?;
    open(software.number, precision)
}

/// The devices, or why there are none: discrete GPUs first, those in software last.
///
/// # Errors
/// [`Missing`] without a driver that has a device.
pub fn devices() -> std::result::Result<Vec<Found>, Missing> {
    some(&listed())
}

fn some(listed: &[Listed]) -> std::result::Result<Vec<Found>, Missing> {
    if listed.is_empty() {
        let api = if cfg!(target_os = "macos") { "Metal" } else { "Vulkan" };
        let remedy = "install the driver of your GPU's maker (in software, on Debian: mesa-vulkan-drivers)";
        return Err(Missing::new(format!("no {api} device found"), remedy));
    }
    Ok(listed.iter().map(|l| l.found.clone()).collect())
}

/// A device with what CubeCL and wgpu call it.
struct Listed {
    found: Found,
    device: WgpuDevice,
    adapter: Adapter,
}

fn listed() -> Vec<Listed> {
    fault::watch();
    let adapters = fault::quietly(adapters).unwrap_or_default();
    let kinds: Vec<Kind> = adapters.iter().map(|a| kind(a.get_info().device_type)).collect();
    let mut named: Vec<(Kind, WgpuDevice, Adapter)> =
        kinds.iter().zip(names(&kinds)).zip(adapters).filter_map(|((k, n), a)| Some((*k, n?, a))).collect();
    named.sort_by_key(|(kind, ..)| *kind as u8);
    let list = |(number, (kind, device, adapter)): (usize, (Kind, WgpuDevice, Adapter))| {
        let info = adapter.get_info();
        let found = Found {
            api: Api::Wgpu,
            number,
            model: info.name,
            kind,
            driver: format!("{:?}, {} {}", info.backend, info.driver, info.driver_info).trim().to_string(),
            memory: heap(&adapter).map(|heap| heap.size),
        };
        Listed { found, device, adapter }
    };
    named.into_iter().enumerate().map(list).collect()
}

/// The adapters of the interface that CubeCL uses, in its order.
fn adapters() -> Vec<Adapter> {
    let backends = AutoGraphicsApi::backend().into();
    let instance = Instance::new(InstanceDescriptor { backends, ..InstanceDescriptor::new_without_display_handle() });
    block_on(instance.enumerate_adapters(backends))
}

fn kind(device: DeviceType) -> Kind {
    match device {
        DeviceType::DiscreteGpu => Kind::Discrete,
        DeviceType::IntegratedGpu => Kind::Integrated,
        DeviceType::VirtualGpu => Kind::Virtual,
        DeviceType::Cpu => Kind::Software,
        DeviceType::Other => Kind::Other,
    }
}

/// CubeCL's names of adapters of these kinds: it counts each kind by itself. It has no name for a second one in software,
/// and reaches those of no kind by a number that is past the end of another kind.
fn names(kinds: &[Kind]) -> Vec<Option<WgpuDevice>> {
    let count = |kind: Kind, until: usize| kinds[..until].iter().filter(|&&k| k == kind).count();
    let name = |(index, kind): (usize, &Kind)| {
        let number = count(*kind, index);
        let past_the_end = |kind: Kind| count(kind, kinds.len()) <= number;
        match kind {
            Kind::Discrete => Some(WgpuDevice::DiscreteGpu(number)),
            Kind::Integrated => Some(WgpuDevice::IntegratedGpu(number)),
            Kind::Virtual => Some(WgpuDevice::VirtualGpu(number)),
            Kind::Software => (number == 0).then_some(WgpuDevice::Cpu),
            Kind::Other if past_the_end(Kind::Discrete) => Some(WgpuDevice::DiscreteGpu(number)),
            Kind::Other if past_the_end(Kind::Integrated) => Some(WgpuDevice::IntegratedGpu(number)),
            Kind::Other if past_the_end(Kind::Virtual) => Some(WgpuDevice::VirtualGpu(number)),
            Kind::Other => None,
        }
    };
    kinds.iter().enumerate().map(name).collect()
}

/// A part of a device's memory, in bytes.
struct Heap {
    size: u64,
    /// What this process may take and has taken, where the driver tells.
    budget: Option<(u64, u64)>,
}

/// The device's own memory: of several heaps the largest, since smaller ones can be windows into it. Only Vulkan tells.
fn heap(adapter: &Adapter) -> Option<Heap> {
    use ash::vk;
    // SAFETY: what is returned is only asked, and outlives nothing.
    let hal = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }?;
    let shared = hal.shared_instance();
    if shared.instance_api_version() < vk::API_VERSION_1_1 {
        return None;
    }
    let told = hal.physical_device_capabilities().supports_extension(ash::ext::memory_budget::NAME);
    let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
    let mut properties = vk::PhysicalDeviceMemoryProperties2::default();
    if told {
        properties = properties.push_next(&mut budget);
    }
    // SAFETY: the instance is of Vulkan 1.1, which has this function, and owns the physical device; the structure chained
    // is one that the device knows.
    unsafe {
        shared.raw_instance().get_physical_device_memory_properties2(hal.raw_physical_device(), &mut properties);
    }
    let heaps = properties.memory_properties;
    let heaps = &heaps.memory_heaps[..(heaps.memory_heap_count as usize).min(vk::MAX_MEMORY_HEAPS)];
    let own = |(_, heap): &(usize, &vk::MemoryHeap)| heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL);
    let (index, heap) = heaps.iter().enumerate().filter(own).max_by_key(|(_, heap)| heap.size)?;
    let budget = told.then(|| (budget.heap_budget[index], budget.heap_usage[index]));
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
    fn each_kind_is_counted_by_itself() {
        use Kind::{Discrete, Integrated, Other, Software};
        let names = |kinds: &[Kind]| super::names(kinds).into_iter().map(|n| n.map(|n| format!("{n:?}"))).collect();
        let expected = |names: &[&str]| names.iter().map(|n| Some(n.to_string())).collect::<Vec<_>>();
        let found: Vec<_> = names(&[Integrated, Discrete, Software, Discrete]);
        assert_eq!(found, expected(&["IntegratedGpu(0)", "DiscreteGpu(0)", "Cpu", "DiscreteGpu(1)"]));
        let found: Vec<_> = names(&[Discrete, Other, Other]);
        assert_eq!(found, expected(&["DiscreteGpu(0)", "IntegratedGpu(0)", "DiscreteGpu(1)"]));
        let found: Vec<_> = names(&[Software, Software]);
        assert_eq!(found, vec![Some("Cpu".to_string()), None]);
    }
}
