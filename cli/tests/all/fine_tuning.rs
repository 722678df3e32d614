//! Fine-tuning and means from the command line: `--weights`, `--freeze`, `--lr-multiplier`, `--layer-decay`, `--mean`.

use std::fs;

use layers::weights::Weights;
use serde_json::Value;

use crate::support::World;

/// A convolution, a batch norm and two linear layers.
const MODEL: &str = r#"
name = "deep"
about = "Small, with something to freeze."
classes = 2
[input]
size = 10
crop = 8
mean = "pack-image"
scale = 0.004
[[layer]]
name = "conv1"
kind = "conv"
filters = 4
kernel = 3
[[layer]]
name = "bn1"
kind = "batch-norm"
[[layer]]
name = "relu1"
kind = "relu"
[[layer]]
name = "fc2"
kind = "linear"
units = 4
[[layer]]
name = "fc3"
kind = "linear"
units = "classes"
[train.run]
epochs = 1
batch = 4
threads = 1
"#;

/// Packs of two classes and of three, and a run on the two: `first`.
fn world() -> World {
    let world = World::packed();
    fs::write(world.path("deep.toml"), MODEL).unwrap();
    world.ok(&["train", "--data", "train.pack", "--model", "deep.toml", "--out", "first"]);
    fs::create_dir(world.path("train/green")).unwrap();
    for i in 0..4 {
        let image = image::RgbImage::from_pixel(12, 12, image::Rgb([9 * i, 200, 30]));
        image.save(world.path(format!("train/green/{i}.png"))).unwrap();
    }
    world.ok(&["pack", "train", "three.pack", "--size", "10"]);
    world
}

/// Standard error of a command that succeeds.
fn notes(world: &World, args: &[&str]) -> String {
    let output = world.run(args);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{args:?}: {text}");
    text
}

fn saved(world: &World, run: &str) -> Weights {
    let name = format!("{run}.safetensors");
    world.ok(&["convert", run, &name]);
    Weights::load(&world.path(name)).unwrap()
}

const TRAIN: [&str; 6] = ["train", "--data", "three.pack", "--model", "deep.toml", "--out"];

#[test]
fn another_number_of_classes_begins_the_last_layer_anew() {
    let world = world();
    let note = "note: fc3 is initialised anew: 3 classes here, 2 in first/checkpoints/step-000000003.h5 (set \
                model.reinit=fc3 to silence this note)";
    for (out, flag) in [("a", "--weights"), ("b", "--pretrained")] {
        let text = notes(&world, &[&TRAIN[..], &[out, flag, "first"]].concat());
        assert!(text.contains(note), "{text}");
        let run = fs::read_to_string(world.path(out).join("run.toml")).unwrap();
        assert!(run.contains("reinit = [\"fc3\"]"), "{run}");
    }
    assert_eq!(saved(&world, "a").tensors, saved(&world, "b").tensors);
    world.ok(&["convert", "first", "first.safetensors"]);
    let text = notes(&world, &[&TRAIN[..], &["c", "--weights", "first.safetensors"]].concat());
    assert!(text.contains("2 in first.safetensors"), "{text}");
    let silent = notes(&world, &[&TRAIN[..], &["d", "--weights", "first", "--set", "model.reinit=fc3"]].concat());
    assert!(!silent.contains("anew"), "{silent}");
    // The folder of a run may be copied as a configuration, and resumed.
    world.ok(&["train", "--config", "a/run.toml", "--out", "e"]);
    world.ok(&["train", "--out", "a", "--resume", "--epochs", "2"]);
}

#[test]
fn weights_of_other_frameworks_begin_a_run() {
    let world = world();
    world.ok(&[&TRAIN[..], &["own", "--weights", "first", "--freeze", "conv1..bn1"]].concat());
    let expected = saved(&world, "own").tensors;
    for file in ["first.pt", "first.weights.h5", "first.keras", "first.onnx"] {
        world.ok(&["convert", "first", file]);
        let out = format!("run-{file}");
        let text = notes(&world, &[&TRAIN[..], &[&out, "--weights", file, "--freeze", "conv1..bn1"]].concat());
        assert!(text.contains(&format!("note: fc3 is initialised anew: 3 classes here, 2 in {file} (set")), "{text}");
        assert_eq!(saved(&world, &out).tensors, expected, "{file}");
    }
}

/// The commands of the page are understood; they fail for the files, which are not here.
#[test]
fn commands_of_the_page_are_understood() {
    let world = World::new();
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/fine-tuning.md")).unwrap();
    let mut count = 0;
    for block in page.split("```sh\n").skip(1) {
        let text = block.split("```").next().unwrap().replace("\\\n", " ").replace('\'', "");
        for line in text.lines() {
            let args: Vec<&str> = line.split_whitespace().skip(1).collect();
            let message = String::from_utf8(world.run(&args).stderr).unwrap();
            assert!(message.contains("error: ") && !message.contains("Usage:"), "{line}: {message}");
            count += 1;
        }
    }
    assert!(count >= 8, "{count} commands");
}

#[test]
fn frozen_layers_keep_their_bits() {
    let world = world();
    let before = saved(&world, "first");
    for (out, layers) in [("a", "conv1,bn1"), ("b", "conv*, b?1"), ("c", "conv1..bn1"), ("d", "..relu1")] {
        world.ok(&[&TRAIN[..], &[out, "--weights", "first", "--freeze", layers]].concat());
        let after = saved(&world, out);
        for (name, values) in &before.tensors {
            let is_frozen = name.starts_with("conv1.") || name.starts_with("bn1.");
            assert_eq!(after.tensor(name) == Some(values), is_frozen, "{layers}: {name}");
        }
    }
    world.ok(&[&TRAIN[..], &["set", "--weights", "first", "--set", "model.freeze=conv1, bn1"]].concat());
    assert_eq!(saved(&world, "set").tensors, saved(&world, "a").tensors);
    // Evaluation and prediction take the weights, also for the network as its file has it.
    world.ok(&["eval", "--data", "three.pack", "--weights", "a", "--model", "deep.toml"]);
    let message = world.fails(2, &["train", "--out", "a", "--resume", "--freeze", "fc2"]);
    assert!(message.contains("model.freeze was [\"conv1\", \"bn1\"], now [\"fc2\"]"), "{message}");
}

#[test]
fn patterns_without_layers_list_them() {
    let world = world();
    for (args, expected) in [
        (["--freeze", "conv7"], "model.freeze (--freeze): deep: \"conv7\" selects no layer; did you mean \"conv1\"?"),
        (["--freeze", "*"], "model.freeze (--freeze): no layer is left to train"),
        (["--freeze", "fc3..conv1"], "fc3 comes after conv1; write conv1..fc3"),
        (["--lr-multiplier", "relu1=2"], "model.lr_multipliers (--lr-multiplier): deep: \"relu1\" selects only"),
        (["--lr-multiplier", "fc2"], "model.lr_multipliers (--lr-multiplier): must be entries like conv*=0.1"),
        (["--layer-decay", "2"], "model.layer_decay (--layer-decay): must be in (0, 1], got 2.0"),
    ] {
        let message = world.fails(2, &[&TRAIN[..], &["r", "--weights", "first"], &args].concat());
        assert!(message.contains(expected), "{message}");
        assert!(!world.path("r").exists());
    }
    let message = world.fails(2, &[&TRAIN[..], &["r", "--freeze", "fc9"]].concat());
    assert!(message.contains("those with parameters are conv1, bn1, fc2, fc3"), "{message}");
    let text = notes(&world, &[&TRAIN[..], &["random", "--freeze", "conv1"]].concat());
    assert!(text.contains("note: frozen layers keep their random initial values"), "{text}");
}

#[test]
fn learning_rates_of_layers_are_settings_of_the_run() {
    let world = world();
    let rates = ["--lr-multiplier", "conv*=0.1,fc3=2", "--lr-multiplier", "bn1=0", "--layer-decay", "0.5"];
    world.ok(&[&TRAIN[..], &["a", "--weights", "first"], &rates].concat());
    let run = fs::read_to_string(world.path("a/run.toml")).unwrap();
    assert!(run.contains("lr_multipliers = [\"conv*=0.1\", \"fc3=2\", \"bn1=0\"]"), "{run}");
    assert!(run.contains("layer_decay = 0.5"), "{run}");
    let model = layers::Model::load(world.path("a/model.toml").to_str().unwrap()).unwrap();
    let rates: Vec<f64> = model.parameters().unwrap().iter().filter(|p| p.trained).map(|p| p.rate).collect();
    assert_eq!(rates, [0.1 * 0.25, 0.1 * 0.25, 0.0, 0.0, 0.5, 0.5, 2.0, 2.0]);
    world.ok(&["train", "--out", "a", "--resume", "--epochs", "2"]);
}

#[test]
fn summary_counts_frozen_layers() {
    let world = world();
    let text = world.ok(&["summary", "paper", "--freeze", "conv1..conv5"]);
    let line = text.lines().find(|line| line.contains("of these frozen")).unwrap();
    assert!(line.ends_with("2,334,080"), "{text}");
    let memory = |text: &str| {
        let line = text.lines().find(|line| line.contains("train with Adam")).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[8], "MiB", "{text}");
        words[7].parse::<f64>().unwrap()
    };
    let text = world.ok(&["summary", "cifar-11pct", "--batch", "64", "--freeze", "conv*"]);
    assert!(memory(&text) < memory(&world.ok(&["summary", "cifar-11pct", "--batch", "64"])), "{text}");
    let text = world.ok(&["summary", "deep.toml", "--style", "keras", "--freeze", "conv1"]);
    assert!(text.contains("Non-trainable params: 120"), "{text}");
}

/// Weights of another program for a network that subtracts a mean image.
fn foreign(world: &World) {
    let trained = saved(world, "first");
    let bare = Weights { mean_image: None, mean_rgb: None, ..trained };
    bare.save(&world.path("foreign.safetensors")).unwrap();
}

#[test]
fn a_mean_is_given_to_predictions_and_stored_with_weights() {
    let world = world();
    foreign(&world);
    let predict = |more: &[&str]| {
        let args = [&["predict", "train/red/0.png", "--json"], more].concat();
        let json: Value = serde_json::from_str(&world.ok(&args)).unwrap();
        json[0]["top"].clone()
    };
    for command in [
        &["predict", "train/red/0.png", "--weights", "foreign.safetensors"][..],
        &["eval", "--data", "train.pack", "--weights", "foreign.safetensors"],
    ] {
        let message = world.fails(2, command);
        let expected = "input.mean: the network subtracts the mean image of the images it was trained on, and the weights \
                        have none; give --mean: imagenet, a colour R,G,B, an image in .npy or .binaryproto, a pack, or \
                        weights that have a mean";
        assert!(message.contains(expected), "{message}");
        for mean in ["imagenet", "123.68,116.779,103.939", "train.pack", "first"] {
            world.ok(&[command, &["--mean", mean]].concat());
        }
        let message = world.fails(2, &[command, &["--mean", "imagenett"]].concat());
        assert!(
            message.contains("data.mean (--mean): imagenett: there is no such file; expected imagenet"),
            "{message}"
        );
    }
    world.ok(&["convert", "foreign.safetensors", "mean.h5", "--mean", "train.pack"]);
    world.ok(&["convert", "mean.h5", "mean.safetensors"]);
    let own = predict(&["--weights", "first"]);
    assert_eq!(predict(&["--weights", "mean.h5"]), own);
    assert_eq!(predict(&["--weights", "mean.safetensors"]), own);
    assert_eq!(predict(&["--weights", "foreign.safetensors", "--mean", "mean.h5"]), own);
    world.ok(&["convert", "foreign.safetensors", "colour.h5", "--mean", "imagenet"]);
    let colour = Weights::load(&world.path("colour.h5")).unwrap();
    assert_eq!(colour.mean_image.unwrap()[[9, 0, 2]], 103.939);
    assert_ne!(predict(&["--weights", "colour.h5"]), own);
}

#[test]
fn training_subtracts_the_mean_that_is_given() {
    let world = world();
    world.ok(&[&TRAIN[..], &["a", "--weights", "first", "--mean", "imagenet"]].concat());
    assert_eq!(saved(&world, "a").mean_rgb, Some([123.68, 116.779, 103.939]));
    let run = fs::read_to_string(world.path("a/run.toml")).unwrap();
    assert!(run.contains("mean = \"imagenet\""), "{run}");
    fs::write(world.path("plain.toml"), MODEL.replace("\"pack-image\"", "\"none\"")).unwrap();
    let plain = ["train", "--data", "three.pack", "--model", "plain.toml", "--mean", "imagenet", "--out", "r"];
    let message = world.fails(2, &plain);
    let expected =
        "data.mean (--mean): has no effect: the network subtracts no mean (its input.mean is \"none\"); leave it";
    assert!(message.contains(expected), "{message}");
}
