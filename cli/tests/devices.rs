//! `--device` and `--precision`: a device or format that this machine and this build have is used and logged; another
//! is an error that says what to do.

mod support;

use serde_json::Value;
use support::World;

const TRAIN: [&str; 5] = ["train", "--data", "train.pack", "--model", "tiny.toml"];

fn train<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&TRAIN[..], more].concat()
}

#[test]
fn auto_says_what_it_chose_and_why() {
    let world = World::packed();
    let output = world.run(&train(&["--out", "run", "--threads", "2"]));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{message}");
    let line = message.lines().find(|line| line.starts_with("device: ")).unwrap();
    let run: toml::Table = std::fs::read_to_string(world.path("run/run.toml")).unwrap().parse().unwrap();
    let device = run["run"]["device"].as_str().unwrap();
    assert!(line.starts_with(&format!("device: {device}")), "{line}, but run.toml has {device}");
    assert_eq!(run["run"]["precision"].as_str(), Some("f32"));
    if device == "cpu" {
        assert!(line.starts_with("device: cpu, 2 threads: "), "{line}");
        for (name, there) in [("cuda", cfg!(feature = "cuda")), ("wgpu", cfg!(feature = "wgpu"))] {
            assert_eq!(line.contains(&format!("no {name}")), !there, "{line}");
        }
    }
}

#[test]
fn a_device_asked_for_by_name_needs_no_reason() {
    let world = World::packed();
    let output = world.run(&train(&["--out", "run", "--device", "cpu"]));
    assert!(!String::from_utf8(output.stderr).unwrap().contains("device: "));
}

#[test]
fn no_such_device_or_precision_is_a_usage_error() {
    let world = World::trained();
    for (args, words) in [
        (train(&["--device", "gpu"]), &["--device", "\"gpu\"", "cuda[:N]"][..]),
        (train(&["--device", "cuda:x"]), &["--device", "\"cuda:x\""]),
        (train(&["--device", "cpu:1"]), &["--device", "\"cpu:1\""]),
        (train(&["--device", "cpu", "--precision", "tf32"]), &["--precision tf32", "CPU computes in f32 or bf16"]),
        (train(&["--precision", "f16"]), &["--precision", "f32, tf32, bf16"]),
        (train(&["--precision", "int8"]), &["--precision", "f32, tf32, bf16"]),
        (vec!["demo", "--out", "demo", "--precision", "int8"], &["--precision", "f32, tf32, bf16"]),
        (vec!["reproduce", "fig1", "--precision", "int8"], &["--precision", "f32, tf32, bf16"]),
        (vec!["bench", "train", "tiny.toml", "--precision", "int8"], &["--precision int8", "prediction alone"]),
        (
            vec!["eval", "--data", "val.pack", "--weights", "run", "--crops", "dense", "--precision", "int8"],
            &["--crops dense", "fully connected", "--precision f32 or bf16"],
        ),
        (train(&["--set", "run.precision=f64"]), &["run.precision", "f32, tf32 or bf16", "f64"]),
        (
            vec!["eval", "--data", "val.pack", "--weights", "run", "--device", "cpu", "--precision", "tf32"],
            &["--precision tf32"],
        ),
        (vec!["predict", "--weights", "run", "--device", "tpu", "val/red/0.png"], &["--device", "\"tpu\""]),
        (vec!["demo", "--out", "demo", "--device", "cpu", "--precision", "tf32"], &["--precision tf32"]),
    ] {
        let message = world.fails(2, &args);
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
    }
    assert!(!world.path("runs").exists() && !world.path("demo").exists(), "a folder is left");
}

/// Predictions are those of f32 but for the rounding of the last layer's weights, and the output names the format.
#[test]
fn predictions_with_weights_in_8_bits() {
    let world = World::trained();
    let probabilities = |precision: &str| -> Vec<f64> {
        let args = ["predict", "--weights", "run", "--device", "cpu", "--precision", precision, "--json", "val"];
        let images: Value = serde_json::from_str(&world.ok(&args)).unwrap();
        let images = images.as_array().unwrap();
        let mut all = Vec::new();
        for image in images {
            let mut top: Vec<&Value> = image["top"].as_array().unwrap().iter().collect();
            top.sort_by_key(|class| class["class"].as_u64());
            all.extend(top.iter().map(|class| class["probability"].as_f64().unwrap()));
        }
        all
    };
    let single = probabilities("f32");
    let rounded = probabilities("int8");
    assert_ne!(single, rounded, "int8 was not used");
    assert_eq!(single.len(), rounded.len());
    for (single, rounded) in single.iter().zip(&rounded) {
        assert!((single - rounded).abs() < 0.03, "{rounded} for {single}");
    }
    let eval = ["eval", "--data", "val.pack", "--weights", "run", "--device", "cpu", "--precision"];
    let text = world.ok(&[&eval[..], &["int8"]].concat());
    assert!(text.contains("\nprecision    int8: weights of fully connected layers in 8 bits\n"), "{text}");
    assert!(!world.ok(&[&eval[..], &["f32"]].concat()).contains("\nprecision "), "f32 needs no line");
    let json: Value = serde_json::from_str(&world.ok(&[&eval[..], &["int8", "--json"]].concat())).unwrap();
    assert_eq!(json["precision"], "int8");
    let bench = ["bench", "predict", "tiny.toml", "--precision", "int8", "--seconds", "0.02", "--device", "cpu"];
    assert!(world.ok(&bench).starts_with("predict, tiny.toml, CPU, int8, "), "the device names its format");
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_build_without_cuda_names_the_feature() {
    let world = World::packed();
    let message = world.fails(2, &train(&["--device", "cuda:1"]));
    assert!(message.contains("--device cuda") && message.contains("--features cuda"), "{message}");
}

#[cfg(not(feature = "wgpu"))]
#[test]
fn a_build_without_wgpu_names_the_feature() {
    let world = World::packed();
    let message = world.fails(2, &train(&["--device", "wgpu"]));
    assert!(message.contains("--device wgpu") && message.contains("--features vulkan"), "{message}");
}

#[test]
fn info_lists_the_cpu_and_what_the_build_lacks() {
    let world = World::new();
    let text = world.ok(&["info"]);
    assert!(text.lines().any(|line| line.starts_with("devices   cpu (") && line.contains("): f32, bf16 (")), "{text}");
    for (name, there) in [("cuda", cfg!(feature = "cuda")), ("wgpu", cfg!(feature = "wgpu"))] {
        assert_eq!(text.contains(&format!("{name}: not in this build")), !there, "{text}");
    }
    let json: Value = serde_json::from_str(&world.ok(&["info", "--json"])).unwrap();
    let cpu = &json["devices"][0];
    assert_eq!((&cpu["name"], &cpu["precisions"]), (&Value::from("cpu"), &Value::from(vec!["f32", "bf16", "int8"])));
    match cpu["bf16_unit"].as_str() {
        Some(unit) => assert!(text.contains(&format!("bf16 ({unit})")), "{text}"),
        None => assert!(text.contains("bf16 (no instructions for it"), "{text}"),
    }
}

/// A machine without a driver, or without that many devices.
#[cfg(feature = "cuda")]
mod cuda {
    use super::*;

    fn missing(world: &World) -> Option<String> {
        let json: Value = serde_json::from_str(&world.ok(&["info", "--json"])).unwrap();
        let devices = json["devices"].as_array().unwrap();
        Some(devices.iter().find(|d| d["name"] == "cuda")?["missing"].as_str().unwrap().to_string())
    }

    #[test]
    fn what_is_missing_is_said_with_what_to_do() {
        let world = World::trained();
        let missing = missing(&world);
        for args in [
            train(&["--device", "cuda:7", "--precision", "bf16"]),
            vec!["eval", "--data", "val.pack", "--weights", "run", "--device", "cuda:7"],
            vec!["predict", "--weights", "run", "--device", "cuda:7", "val/red/0.png"],
            vec!["demo", "--out", "demo", "--device", "cuda:7"],
        ] {
            let message = world.fails(1, &args);
            // Beside notes on the weights that were chosen.
            let errors: Vec<&str> = message.lines().filter(|line| !line.starts_with("note: ")).collect();
            assert!(errors.len() == 1 && errors[0].starts_with("error: cuda:7: "), "{message}");
            assert!(message.contains(missing.as_deref().unwrap_or("there is no such device")), "{message}");
        }
        assert!(!world.path("runs").exists() && !world.path("demo").exists(), "a folder is left");
    }

    #[test]
    fn without_a_driver_auto_continues_and_says_so() {
        let world = World::packed();
        let Some(missing) = missing(&world) else { return };
        let output = world.run(&train(&["--out", "run"]));
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{message}");
        let what = missing.split(':').next().unwrap();
        assert!(message.lines().any(|line| line.starts_with("device: ") && line.contains(what)), "{message}");
    }
}

/// On Vulkan in software.
#[cfg(feature = "wgpu")]
mod wgpu {
    use super::*;

    /// The list entry of the first device in software.
    fn software(world: &World) -> Value {
        let json: Value = serde_json::from_str(&world.ok(&["info", "--json"])).unwrap();
        let devices = json["devices"].as_array().unwrap().clone();
        let found = devices.into_iter().find(|d| d["kind"] == "software");
        found.expect("Vulkan in software: Debian's package mesa-vulkan-drivers")
    }

    fn name(world: &World) -> String {
        software(world)["name"].as_str().unwrap().to_string()
    }

    #[test]
    fn info_tells_memory_and_what_is_supported() {
        let world = World::new();
        let device = software(&world);
        assert_eq!(device["precisions"], Value::from(vec!["f32"]));
        assert_eq!(device["matrix_units"], Value::from(false));
        assert!(device["largest_buffer"].as_u64().unwrap() >= 128 << 20, "{device}");
        let text = world.ok(&["info"]);
        let line = text.lines().find(|line| line.contains(device["model"].as_str().unwrap())).unwrap();
        assert!(line.contains("software") && line.contains("f32, no matrix units"), "{line}");
    }

    #[test]
    fn a_number_out_of_range_lists_what_is_there() {
        let world = World::packed();
        let message = world.fails(1, &train(&["--device", "wgpu:99"]));
        let list = format!("{} ", name(&world));
        assert!(message.contains("wgpu:99: there is no such device") && message.contains(&list), "{message}");
        assert!(!world.path("runs").exists(), "a folder is left");
    }

    #[test]
    fn a_precision_that_the_device_lacks_is_refused() {
        let world = World::packed();
        for precision in ["tf32", "bf16"] {
            let message = world.fails(1, &train(&["--device", &name(&world), "--precision", precision]));
            assert!(message.contains(precision) && message.contains("it computes in f32"), "{message}");
        }
        assert!(!world.path("runs").exists(), "a folder is left");
    }

    #[test]
    fn nothing_is_written_beside_the_run() {
        let world = World::packed();
        let before = world.files();
        let _ = world.run(&train(&["--out", "run", "--device", &name(&world)]));
        let after: Vec<_> = world.files().into_iter().filter(|f| f != "run").collect();
        assert_eq!(before, after);
    }

    /// The paper's kinds of layers on 8 x 8 crops, without dropout's luck: few images, no wide margins.
    const SMALL: &str = r#"
name = "small"
about = "The paper's kinds of layers on small images."
classes = 2
[input]
size = 10
crop = 8
mean = "pack-rgb"
scale = 0.01
[[layer]]
name = "conv1"
kind = "conv"
filters = 6
kernel = 3
padding = 1
init = { kind = "normal", std = 0.2 }
[[layer]]
name = "relu1"
kind = "relu"
[[layer]]
name = "norm1"
kind = "lrn"
size = 5
alpha = 1e-4
beta = 0.75
k = 2.0
region = "across-channels"
alpha_rule = "sum"
[[layer]]
name = "pool1"
kind = "max-pool"
kernel = 3
stride = 2
[[layer]]
name = "conv2"
kind = "conv"
filters = 4
kernel = 3
groups = 2
init = { kind = "normal", std = 0.2 }
[[layer]]
name = "relu2"
kind = "relu"
[[layer]]
name = "drop"
kind = "dropout"
p = 0.5
[[layer]]
name = "fc"
kind = "linear"
units = "classes"
init = { kind = "normal", std = 0.1 }
[train.run]
epochs = 3
batch = 4
threads = 1
"#;

    fn near(a: &Value, b: &Value, what: &str) {
        let [a, b] = [a, b].map(|v| v.as_f64().unwrap());
        assert!((a - b).abs() <= 1e-4 * (1.0 + b.abs()), "{what}: {a}, the CPU has {b}");
    }

    #[test]
    fn training_testing_and_predicting_are_the_cpus_to_rounding() {
        let world = World::packed();
        std::fs::write(world.path("small.toml"), SMALL).unwrap();
        let gpu = name(&world);
        for (device, out) in [("cpu", "on-cpu"), (gpu.as_str(), "on-gpu")] {
            let args =
                ["train", "--data", "train.pack", "--val", "val.pack", "--model", "small.toml", "--device", device];
            world.ok(&[&args[..], &["--out", out]].concat());
        }
        let lines = |run: &str| -> Vec<Value> {
            let log = std::fs::read_to_string(world.path(run).join("log.jsonl")).unwrap();
            log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let cpu = lines("on-cpu");
        let on_gpu = lines("on-gpu");
        assert_eq!((cpu.len(), on_gpu.len()), (9, 9));
        for (i, (a, b)) in on_gpu.iter().zip(&cpu).enumerate() {
            near(&a["loss"], &b["loss"], &format!("step {i}"));
        }
        assert!(cpu[0]["loss"] != cpu[8]["loss"]);
        let eval = |device: &str| -> Value {
            let args =
                ["eval", "--data", "val.pack", "--weights", "on-cpu", "--json", "--crops", "10", "--device", device];
            serde_json::from_str(&world.ok(&args)).unwrap()
        };
        near(&eval(&gpu)["loss"], &eval("cpu")["loss"], "eval");
        let predict = |device: &str| -> Value {
            let args = ["predict", "--weights", "on-gpu", "val/red/0.png", "--json", "--device", device];
            serde_json::from_str(&world.ok(&args)).unwrap()
        };
        let a = predict(&gpu);
        let b = predict("cpu");
        for guess in 0..2 {
            near(&a[0]["top"][guess]["probability"], &b[0]["top"][guess]["probability"], "predict");
        }
    }

    #[test]
    fn a_run_resumes_on_its_device_and_on_another_when_asked() {
        let world = World::packed();
        let gpu = name(&world);
        world.ok(&train(&["--out", "run", "--device", &gpu]));
        let resume = |more: &[&str]| {
            let output = world.run(&[&["train", "--out", "run", "--resume"][..], more].concat());
            let message = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success(), "{message}");
            message
        };
        let message = resume(&["--epochs", "3"]);
        assert!(message.contains(&format!("device: {gpu} ")) && !message.contains("differ in rounding"), "{message}");
        let message = resume(&["--epochs", "4", "--device", "cpu"]);
        assert!(message.contains(&format!("resuming on cpu, f32 (was {gpu}, f32)")), "{message}");
        assert!(!resume(&["--epochs", "5"]).contains("differ in rounding"));
    }

    /// Weights larger than the device's largest buffer: one error, and no folder.
    #[test]
    fn what_the_device_does_not_hold_is_an_error() {
        let world = World::packed();
        let largest = software(&world)["largest_buffer"].as_u64().unwrap();
        // The second convolution has 9 / 2 * filters * filters weights of 4 bytes.
        let filters = 2 * ((largest as f64 / 18.0).sqrt() as u64 / 2 + 1);
        let wide = SMALL.replace("filters = 6\n", &format!("filters = {filters}\n"));
        let wide = wide.replace("filters = 4\n", &format!("filters = {filters}\n"));
        std::fs::write(world.path("wide.toml"), wide).unwrap();
        let gpu = name(&world);
        let args = ["train", "--data", "train.pack", "--model", "wide.toml", "--out", "run", "--device", &gpu];
        let message = world.fails(2, &args);
        let line = message.lines().find(|line| line.starts_with("error: ")).unwrap();
        assert!(line.contains("--batch") && line.contains(&gpu), "{message}");
        assert!(!world.path("run").exists(), "a folder is left");
    }
}
