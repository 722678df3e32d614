//! Weights files of other frameworks.

use std::collections::BTreeMap;
use std::fs;

use formats::{Format, save};
use layers::Model;
use layers::weights::{Weights, save_tensors};
use ndarray::ArrayD;
use serde_json::Value;

use crate::support::{MODEL, World};

/// Writes a safetensors file of another program: zeros, but for one value of `fc1.bias`.
fn foreign(world: &World, name: &str, tensors: &[(&str, &[usize])]) {
    let path = world.path(name);
    let zeros = |(name, shape): &(&str, &[usize])| (name.to_string(), ArrayD::zeros(shape.to_vec()));
    let mut tensors: BTreeMap<String, ArrayD<f32>> = tensors.iter().map(zeros).collect();
    if let Some(value) = tensors.get_mut("fc1.bias").and_then(|tensor| tensor.iter_mut().nth(285)) {
        *value = 9.0;
    }
    save_tensors(&path, &tensors).unwrap();
    let text = |bytes: &[u8]| bytes.windows(8).position(|window| window == b"alexnet.").unwrap();
    let mut bytes = fs::read(&path).unwrap();
    // Without the keys by which a file is one of ours.
    while let Some(at) = bytes.windows(8).any(|window| window == b"alexnet.").then(|| text(&bytes)) {
        bytes[at..at + 8].copy_from_slice(b"another.");
    }
    fs::write(&path, bytes).unwrap();
}

#[test]
fn weights_go_to_pytorch_and_back() {
    let world = World::trained();
    world.ok(&["convert", "run", "a.pt"]);
    world.ok(&["export", "a.pt", "b.bin", "--format", "pytorch"]);
    world.ok(&["convert", "b.bin", "c.h5"]);
    world.ok(&["convert", "run", "d.h5"]);
    assert!(fs::read(world.path("c.h5")).unwrap() == fs::read(world.path("d.h5")).unwrap(), "nothing is lost");
    let results = |weights: &str| {
        let predicted = world.ok(&["predict", "--weights", weights, "val/red/0.png", "--json"]);
        (world.ok(&["eval", "--data", "val.pack", "--weights", weights, "--json"]), predicted)
    };
    for weights in ["a.pt", "b.bin", "c.h5"] {
        assert_eq!(results(weights), results("run"), "{weights}");
    }
    let info = world.ok(&["info", "a.pt"]);
    assert!(info.contains("PyTorch") && info.contains("tiny") && info.contains("fc1.weight"), "{info}");
    world.ok(&[
        "train",
        "--data",
        "train.pack",
        "--weights",
        "a.pt",
        "--model",
        "tiny.toml",
        "--steps",
        "1",
        "--out",
        "b",
    ]);
}

#[test]
fn weights_go_to_onnx_and_back() {
    let world = World::trained();
    world.ok(&["convert", "run", "a.onnx"]);
    world.ok(&["convert", "run", "softmax.onnx", "--softmax"]);
    world.ok(&["convert", "run", "d.h5"]);
    let bytes = |name: &str| fs::read(world.path(name)).unwrap();
    for name in ["a", "softmax"] {
        world.ok(&["convert", &format!("{name}.onnx"), &format!("{name}.h5")]);
        assert!(bytes(&format!("{name}.h5")) == bytes("d.h5"), "nothing is lost in {name}.onnx");
    }
    assert!(bytes("a.onnx") != bytes("softmax.onnx"));
    let eval = |weights: &str| world.ok(&["eval", "--data", "val.pack", "--weights", weights, "--json"]);
    assert_eq!(eval("a.onnx"), eval("run"));
    let message = world.fails(2, &["convert", "run", "b.pt", "--softmax"]);
    assert!(message.contains("only an ONNX graph"), "{message}");
    let info = world.ok(&["info", "a.onnx"]);
    assert!(info.contains("ONNX") && info.contains("tiny") && info.contains("fc1.weight"), "{info}");
}

#[test]
fn the_report_of_a_conversion() {
    let world = World::new();
    foreign(&world, "x.safetensors", &[("net.head.weight", &[2, 192]), ("net.head.bias", &[2]), ("scale", &[300])]);
    let message = world.fails(1, &["convert", "x.safetensors", "y.pt", "--model", "tiny.toml"]);
    assert!(message.contains("2 missing: fc1.weight, fc1.bias"), "{message}");
    assert!(
        message.contains("3 not in the network: net.head.bias [2], net.head.weight [2, 192], scale [300]"),
        "{message}"
    );
    foreign(&world, "x.safetensors", &[("net.head.weight", &[2, 192]), ("net.head.bias", &[2])]);
    let output = world.run(&["convert", "x.safetensors", "y.pt", "--model", "tiny.toml"]);
    let report = String::from_utf8(output.stdout).unwrap();
    let expected = "safetensors: 2 tensors matched, 1 permuted, 2 renamed, 0 left over\n  net.head.weight [2, 192] -> fc1.weight \
                    [2, 192], permuted\n  net.head.bias [2]        -> fc1.bias [2]\n";
    assert_eq!(report, expected);
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(notes.contains("note: x.safetensors: its names are not those of tiny"), "{notes}");
    let message = world.fails(1, &["predict", "--weights", "x.safetensors", "train/red/0.png"]);
    assert!(message.contains("no preset has its 2 tensors: net.head.bias") && message.contains("--model"), "{message}");
    let json: Value = serde_json::from_str(&world.ok(&["info", "x.safetensors", "--json"])).unwrap();
    assert_eq!((&json["format"], &json["network"]), (&"safetensors".into(), &Value::Null));
    assert_eq!((&json["fits"], &json["parameters"]), (&Value::Array(vec![]), &386.into()));
}

#[test]
fn presets_that_a_file_fits() {
    let world = World::new();
    let mut model = Model::preset("linear").unwrap();
    model.set_classes(4).unwrap();
    let zeros = |spec: &layers::ParameterSpec| (spec.name.clone(), ArrayD::zeros(spec.shape.clone()));
    let tensors = model.parameters().unwrap().iter().map(zeros).collect();
    let bare = Weights { model: Some(model), tensors, ..Weights::default() };
    save(&world.path("x.pt"), &bare, Some(Format::Torch)).unwrap();
    let info = world.ok(&["info", "x.pt"]);
    assert!(info.contains("linear with 4 classes, by names"), "{info}");
}

/// A thousand classes without names are ILSVRC's: number 285 is the Egyptian cat.
#[test]
fn a_thousand_classes_have_names() {
    let world = World::packed();
    let text = MODEL.replace("classes = 2", "classes = 1000").replace("mean = \"pack-rgb\"\n", "");
    fs::write(world.path("thousand.toml"), text).unwrap();
    foreign(&world, "x.safetensors", &[("fc1.weight", &[1000, 192]), ("fc1.bias", &[1000])]);
    let args = ["predict", "--weights", "x.safetensors", "--model", "thousand.toml", "train/red/0.png", "--top", "1"];
    let output = world.run(&args);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Egyptian cat (n02124075)"), "{text}");
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(notes.contains("the 1000 classes have no names and are taken to be those of ILSVRC 2012"), "{notes}");
    let json: Value = serde_json::from_str(&world.ok(&[&args[..], &["--json"]].concat())).unwrap();
    world.ok(&["convert", "x.safetensors", "named.pt", "--model", "thousand.toml"]);
    let info: Value = serde_json::from_str(&world.ok(&["info", "named.pt", "--json"])).unwrap();
    assert_eq!((info["classes"].as_array().unwrap().len(), &info["classes"][285]), (1000, &"n02124075".into()));
    assert_eq!((&json[0]["top"][0]["class"], &json[0]["top"][0]["name"]), (&285.into(), &"n02124075".into()));
}

#[test]
fn formats_that_are_not_written_are_refused_at_once() {
    let world = World::new();
    let message = world.fails(2, &["convert", "missing.pt", "out.txt"]);
    assert!(message.contains(".safetensors, .pt, .pth") && message.contains("--format"), "{message}");
    let message = world.fails(2, &["convert", "missing.pt", "out.pt", "--format", "tar"]);
    assert!(message.contains("pytorch"), "{message}");
    assert!(!world.path("out.txt").exists());
}
