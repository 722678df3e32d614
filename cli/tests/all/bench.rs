//! `alexnet bench` on the smallest network, for a moment each.

use serde_json::Value;

use crate::support::World;

/// A measurement in no time, as JSON.
fn json(world: &World, args: &[&str]) -> Value {
    let text = world.ok(&[args, &["--seconds", "0.02", "--threads", "1", "--device", "cpu", "--json"]].concat());
    serde_json::from_str(&text).unwrap()
}

fn positive(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value[key].as_f64().is_some_and(|v| v > 0.0), "{key}: {value}");
    }
}

#[test]
fn speed_of_training_and_predicting() {
    let world = World::new();
    for work in ["train", "predict"] {
        let rows = json(&world, &["bench", work, "tiny.toml", "--batch", "2,5"]);
        assert_eq!(rows.as_array().map(Vec::len), Some(2));
        for (row, batch) in rows.as_array().unwrap().iter().zip([2, 5]) {
            assert_eq!((row["work"].as_str(), row["batch"].as_u64()), (Some(work), Some(batch)));
            assert_eq!(row["model"], "tiny.toml");
            assert!(row["device"].as_str().unwrap().contains("CPU"), "{row}");
            positive(row, &["images_per_s", "step_s", "steps", "peak_mib"]);
            let product = row["images_per_s"].as_f64().unwrap() * row["step_s"].as_f64().unwrap();
            assert!((product - batch as f64).abs() < 1e-6, "{row}");
        }
    }
    let text = world.ok(&["bench", "train", "tiny.toml", "--batch", "3", "--seconds", "0.02", "--device", "cpu"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("train, tiny.toml, CPU"), "{text}");
    assert!(lines[1].contains("images/s") && lines[2].trim_start().starts_with('3'), "{text}");
}

#[test]
fn training_from_a_pack_names_its_limit() {
    let world = World::packed();
    let rows = json(&world, &["bench", "train", "tiny.toml", "--data", "train.pack", "--batch", "4"]);
    let row = &rows[0];
    positive(row, &["images_per_s", "synthetic_images_per_s", "loader_images_per_s", "share"]);
    let [device, loader] = ["synthetic_images_per_s", "loader_images_per_s"].map(|key| row[key].as_f64().unwrap());
    assert_eq!(row["limit"], if loader < device { "loader" } else { "device" });
    let share = row["images_per_s"].as_f64().unwrap() / loader.min(device);
    assert!((row["share"].as_f64().unwrap() - share).abs() < 1e-9, "{row}");
    let message = world.fails(2, &["bench", "train", "tiny.toml", "--data", "train.pack", "--batch", "13"]);
    assert!(message.contains("run.batch") && message.contains("12 images"), "{message}");
}

#[test]
fn a_step_by_layer() {
    let world = World::new();
    let found = json(&world, &["bench", "layers", "tiny.toml", "--batch", "3"]);
    positive(&found, &["step_s", "listed_s", "calls"]);
    positive(&found["ceilings"], &["matrix_flops_per_s", "copy_bytes_per_s", "launch_s"]);
    let rows = found["rows"].as_array().unwrap();
    let row = |layer: &str, kernel: &str| rows.iter().find(|r| r["layer"] == layer && r["kernel"] == kernel);
    // Three rows of 8 x 8 x 3 values, two classes; the gradient of the images is not needed.
    for (kernel, values) in [("linear", 966 + 2), ("linear dw", 966)] {
        let row = row("fc1", kernel).unwrap();
        assert_eq!(row["done"], row["flops"], "no fast algorithm");
        assert_eq!((&row["flops"], &row["bytes"]), (&Value::from(2.0 * 3.0 * 192.0 * 2.0), &Value::from(4 * values)));
        positive(row, &["seconds", "share"]);
    }
    assert!(row("fc1", "linear dx").is_none());
    assert!(row("loss", "cross-entropy").is_some());
    assert!(rows.iter().any(|r| r["layer"] == "update"), "{rows:?}");
    let sum: f64 = rows.iter().map(|r| r["seconds"].as_f64().unwrap()).sum();
    assert!((sum / found["listed_s"].as_f64().unwrap() - 1.0).abs() < 1e-9);

    let text = world.ok(&["bench", "layers", "tiny.toml", "--batch", "3", "--seconds", "0", "--device", "cpu"]);
    assert!(
        text.contains("fc1     linear dw") && text.contains("\nwhole step ") && text.contains("\nbounds: "),
        "{text}"
    );
}

#[test]
fn what_cannot_be_measured_is_said() {
    let world = World::new();
    let message = world.fails(2, &["bench", "train", "nothing-like-it"]);
    assert!(message.contains("nothing-like-it"), "{message}");
    for (flag, value) in [("--batch", "0"), ("--batch", "4,x"), ("--seconds", "long"), ("--threads", "0")] {
        let message = world.fails(2, &["bench", "train", "tiny.toml", flag, value]);
        assert!(message.contains(flag), "{message}");
    }
    let message = world.fails(1, &["bench", "train", "tiny.toml", "--data", "no.pack"]);
    assert!(message.contains("no.pack"), "{message}");
}

#[test]
fn a_loader_by_stage() {
    let world = World::packed();
    let measure = |more: &[&str]| {
        let args = ["bench", "data", "train.pack", "--batch", "4", "--seconds", "0.02", "--threads", "1", "--json"];
        let text = world.ok(&[&args[..], more].concat());
        serde_json::from_str::<Value>(&text).unwrap()
    };
    for more in [&[][..], &["--output", "pictures"], &["--output", "images", "--set", "data.mixup=0.2"]] {
        let found = measure(more);
        positive(&found, &["images_per_s", "copy_bytes_per_s"]);
        if more.contains(&"pictures") {
            // Images of a raw pack stay in the map.
            assert_eq!(found["bytes_per_image"], 0.0);
        } else {
            positive(&found, &["bytes_per_image", "bytes_per_s", "share_of_copy"]);
        }
        assert_eq!((found["work"].as_str(), found["shuffle"].as_str()), (Some("data"), Some("full")));
        let stages: Vec<&str> =
            found["stages"].as_array().unwrap().iter().map(|s| s["stage"].as_str().unwrap()).collect();
        assert_eq!(stages, ["storage", "decode", "augment", "consumer"]);
        assert!(stages.contains(&found["limit"].as_str().unwrap()));
    }
    let windowed = measure(&["--set", "data.shuffle=window", "--set", "data.window_bytes=5000"]);
    assert_eq!(windowed["shuffle"], "window of 5000 bytes");
    let text = world.ok(&["bench", "data", "train.pack", "--batch", "4", "--seconds", "0.02"]);
    assert!(text.contains("the limit is ") && text.contains("of copying"), "{text}");
    let all = world.ok(&["bench", "data", "train.pack", "--seconds", "0.02", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&all).unwrap()["batch"], 12);
    let message = world.fails(2, &["bench", "data", "train.pack", "--batch", "128"]);
    assert!(message.contains("run.batch") && message.contains("12 images"), "{message}");
}
