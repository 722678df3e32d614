//! The devices of this machine, for `alexnet info`.

use serde_json::{Value, json};
use tensor::Cpu;

use super::device::{RUNTIMES, all_threads};
use crate::console::count;

/// A line and a JSON object for each device.
#[derive(Default)]
pub struct Devices {
    /// For people; runtimes that this build does not have are among them.
    pub lines: Vec<String>,
    /// For programs.
    pub values: Vec<Value>,
}

/// The CPU and each GPU, opened to query its capabilities.
pub fn all() -> Devices {
    let mut devices = Devices::default();
    let threads = all_threads();
    let unit = Cpu::<f32>::bf16_unit();
    let products = unit.unwrap_or("no instructions for it: slower than f32");
    devices.lines.push(format!("cpu ({}): f32, bf16 ({products}), int8 (prediction)", count(threads as u64, "thread")));
    let cpu = json!({ "name": "cpu", "threads": threads, "precisions": ["f32", "bf16", "int8"], "bf16_unit": unit });
    devices.values.push(cpu);
    #[cfg(feature = "gpu")]
    devices.add_gpus();
    for (name, _) in RUNTIMES.iter().filter(|(_, built)| !built) {
        devices.lines.push(format!("{name}: not in this build"));
    }
    devices
}

#[cfg(feature = "gpu")]
mod gpus {
    use serde_json::json;
    use tensor::gpu::Precision;
    use tensor::gpu::runtime::{self, Capabilities, DeviceInfo};

    use super::Devices;

    impl Devices {
        pub(super) fn add_gpus(&mut self) {
            for probed in runtime::devices() {
                match probed.devices {
                    Ok(found) => found.iter().for_each(|device| self.add(device, device.capabilities())),
                    Err(missing) => {
                        self.lines.push(format!("{}: {missing}", probed.runtime));
                        self.values.push(json!({ "name": probed.runtime.to_string(), "missing": missing.to_string() }));
                    }
                }
            }
        }

        fn add(&mut self, device: &DeviceInfo, capabilities: tensor::Result<Capabilities>) {
            let mut line = format!("{device} ({}; {}): ", device.kind, device.driver);
            let mut json = json!({
                "name": device.name(),
                "model": device.model,
                "kind": device.kind.to_string(),
                "driver": device.driver,
                "memory": device.memory,
            });
            match capabilities {
                Ok(capabilities) => {
                    let precisions: Vec<String> = capabilities.precisions.iter().map(Precision::to_string).collect();
                    let free = capabilities.memory.map(|m| m.free);
                    let units = if capabilities.matrix_units { "with" } else { "no" };
                    line += &format!(
                        "{}; {}, {units} matrix units; buffers up to {}",
                        memory(device.memory, free),
                        precisions.join(", "),
                        gib(capabilities.largest_buffer)
                    );
                    json["free_memory"] = free.into();
                    json["precisions"] = precisions.into();
                    json["matrix_units"] = capabilities.matrix_units.into();
                    json["largest_buffer"] = capabilities.largest_buffer.into();
                }
                Err(error) => {
                    line += &error.to_string();
                    json["error"] = error.to_string().into();
                }
            }
            self.lines.push(line);
            self.values.push(json);
        }
    }

    fn memory(total: Option<u64>, free: Option<u64>) -> String {
        match (total, free) {
            (Some(total), Some(free)) => format!("{} of {} free", gib(free), gib(total)),
            (Some(total), None) => gib(total),
            _ => "memory unknown".into(),
        }
    }

    fn gib(bytes: u64) -> String {
        format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
    }
}
