//! The commands as a user types them.

use std::fs;

use serde_json::Value;

use crate::support::World;

#[test]
fn pack_train_eval_predict() {
    let world = World::trained();
    let eval: Value =
        serde_json::from_str(&world.ok(&["eval", "--data", "val.pack", "--weights", "run", "--json"])).unwrap();
    assert_eq!((&eval["images"], &eval["crops"]), (&Value::from(6), &Value::from(1)));
    for key in ["loss", "top1_error", "top5_error"] {
        assert!(eval[key].is_f64(), "{key}");
    }
    let ten = world.ok(&["eval", "--data", "val.pack", "--weights", "run", "--crops", "10"]);
    assert!(ten.contains("crops        10") && ten.contains("top-1 error"), "{ten}");

    let json = world.ok(&["predict", "--weights", "run", "val/red/0.png", "val/blue/1.png", "--json"]);
    let predictions: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(predictions[0]["file"], "val/red/0.png");
    let top = predictions[0]["top"].as_array().unwrap();
    assert_eq!(top.len(), 2);
    assert_eq!((&top[0]["name"], &top[0]["class"]), (&Value::from("red"), &Value::from(1)));
    assert_eq!(predictions[1]["top"][0]["name"], "blue");
    let sum: f64 = top.iter().map(|g| g["probability"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-5);
}

#[test]
fn the_log_has_a_line_a_step() {
    let world = World::trained();
    let log = fs::read_to_string(world.path("run/log.jsonl")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 6);
    for (i, line) in lines.iter().enumerate() {
        assert_eq!(line["step"], i as u64 + 1);
        assert_eq!(line["epoch"], 1 + i as u64 / 3);
        for key in ["loss", "rate", "images_per_s"] {
            assert!(line[key].is_f64(), "{key}");
        }
    }
}

#[test]
fn run_toml_begins_the_same_run_again() {
    let world = World::trained();
    world.ok(&["train", "--config", "run/run.toml", "--out", "again"]);
    for name in ["run.toml", "model.toml"] {
        let [a, b] = ["run", "again"].map(|run| fs::read_to_string(world.path(run).join(name)).unwrap());
        assert_eq!(a, b);
    }
    let last = |run: &str| fs::read(world.path(run).join("checkpoints/step-000000006.h5")).unwrap();
    assert_eq!(last("run"), last("again"));
}

#[test]
fn a_run_is_lengthened_by_resuming() {
    let world = World::trained();
    world.ok(&["train", "--out", "run", "--resume", "--epochs", "3"]);
    let log = fs::read_to_string(world.path("run/log.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 9);
    let message = world.fails(2, &["train", "--out", "run", "--resume", "--batch", "5"]);
    assert!(message.contains("run.batch was 4, now 5"), "{message}");
}

#[test]
fn settings_reach_the_run() {
    let world = World::packed();
    world.ok(&[
        "train",
        "--data",
        "train.pack",
        "--model",
        "tiny.toml",
        "--out",
        "run",
        "--steps",
        "1",
        "--batch",
        "6",
        "--set",
        "optim.kind=adam",
        "--set",
        "optim.lr=0.002",
        "--set",
        "data.augment=false",
    ]);
    let text = fs::read_to_string(world.path("run/run.toml")).unwrap();
    for line in ["kind = \"adam\"", "lr = 0.002", "augment = false", "steps = 1", "batch = 6"] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

#[test]
fn weights_convert_both_ways() {
    let world = World::trained();
    world.ok(&["convert", "run", "a.safetensors"]);
    world.ok(&["convert", "a.safetensors", "b.h5"]);
    let eval = |weights: &str| world.ok(&["eval", "--data", "val.pack", "--weights", weights, "--json"]);
    assert_eq!(eval("run"), eval("a.safetensors"));
    assert_eq!(eval("run"), eval("b.h5"));
}

#[test]
fn info_tells_what_things_are() {
    let world = World::trained();
    world.ok(&["convert", "run", "a.safetensors"]);
    let pack = world.ok(&["info", "train.pack"]);
    assert!(pack.contains("12") && pack.contains("red"), "{pack}");
    assert!(world.ok(&["info", "run"]).contains("tiny"));
    assert!(world.ok(&["info", "a.safetensors"]).contains("fc1.weight"));
    assert!(world.ok(&["info"]).contains("cpu ("));
    let json: Value = serde_json::from_str(&world.ok(&["info", "train.pack", "--json"])).unwrap();
    assert_eq!(json["images"], 12);
}

#[test]
fn summary_of_every_preset() {
    let world = World::new();
    let paper = world.ok(&["summary", "paper"]);
    assert!(paper.contains("60,965,224"), "{paper}");
    let to_train = |with: &str| -> f64 {
        let line = paper.lines().find(|line| line.starts_with(&format!("memory to train with {with}, batch 128")));
        line.unwrap().split_whitespace().nth(7).unwrap().parse().unwrap()
    };
    // Weights, gradients and momentum alone are 0.7 GiB, and Adam keeps 0.2 more.
    let sgd = to_train("SGD");
    let adam = to_train("Adam");
    assert!((0.9..1.5).contains(&sgd) && (0.1..0.4).contains(&(adam - sgd)), "{paper}");
    let keras = world.ok(&["summary", "keras", "--style", "keras"]);
    assert!(keras.starts_with("Model: \"sequential\"\n") && keras.contains("Total params: 62,378,344"), "{keras}");
    for preset in layers::Model::presets() {
        world.ok(&["summary", preset]);
    }
}

/// A run is shown as its weights are; a folder of another kind is named as what it is.
#[test]
fn summary_of_a_run() {
    let world = World::trained();
    let of_weights = world.ok(&["summary", "run/best.h5", "--style", "toml"]);
    assert_eq!(world.ok(&["summary", "run", "--style", "toml"]), of_weights);
    assert!(world.fails(2, &["summary", "val"]).contains("val: is a folder but not a run"));
    fs::rename(world.path("run"), world.path("paper")).unwrap();
    let output = world.run(&["summary", "paper"]);
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(notes.contains("paper is the preset of this name; ./paper names the folder"), "{notes}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("60,965,224"));
    assert_eq!(world.ok(&["summary", "./paper", "--style", "toml"]), of_weights);
}

/// A PNG with an EXIF chunk of this orientation, if any.
fn write_png(path: &std::path::Path, image: &image::RgbImage, orientation: Option<u8>) {
    use image::ImageEncoder;
    let mut encoder = image::codecs::png::PngEncoder::new(fs::File::create(path).unwrap());
    if let Some(orientation) = orientation {
        let tiff = [b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".as_slice(), &[orientation, 0, 0, 0, 0, 0, 0]];
        encoder.set_exif_metadata(tiff.concat()).unwrap();
    }
    encoder.write_image(image, image.width(), image.height(), image::ExtendedColorType::Rgb8).unwrap();
}

#[test]
fn predict_turns_images_as_those_of_the_training() {
    let world = World::trained();
    world.ok(&["pack", "train", "turned.pack", "--size", "10", "--exif-orientation"]);
    world.ok(&["train", "--data", "turned.pack", "--model", "tiny.toml", "--out", "turned"]);
    world.ok(&["convert", "turned", "turned.safetensors"]);
    let image = image::RgbImage::from_fn(12, 12, |x, y| image::Rgb([(x * 20) as u8, (y * 20) as u8, 90]));
    write_png(&world.path("marked.png"), &image, Some(3));
    write_png(&world.path("plain.png"), &image, None);
    write_png(&world.path("upright.png"), &image::imageops::rotate180(&image), None);
    let guesses = |weights: &str, file: &str| -> Value {
        let json = world.ok(&["predict", "--weights", weights, file, "--json"]);
        serde_json::from_str::<Value>(&json).unwrap()[0]["top"].clone()
    };
    assert_eq!(guesses("run", "marked.png"), guesses("run", "plain.png"));
    for weights in ["turned", "turned.safetensors"] {
        assert_eq!(guesses(weights, "marked.png"), guesses(weights, "upright.png"), "{weights}");
        assert_ne!(guesses(weights, "marked.png"), guesses(weights, "plain.png"), "{weights}");
    }
    let other = world.run(&["eval", "--data", "val.pack", "--weights", "turned"]);
    let notes = String::from_utf8(other.stderr).unwrap();
    let expected = "note: --data: packed without --exif-orientation, the pack of the training with";
    assert!(other.status.success() && notes.contains(expected), "{notes}");
    let same = String::from_utf8(world.run(&["eval", "--data", "val.pack", "--weights", "run"]).stderr).unwrap();
    assert!(!same.contains("--exif-orientation"), "{same}");
}
