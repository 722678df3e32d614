//! Weights of other programs that say less than those of this one: without a last layer, class names or a mean.

use std::fs;

use layers::Model;
use layers::weights::{AxisOrder, Weights};
use ndarray::ArrayD;
use serde_json::Value;

use crate::support::World;

/// Two linear layers.
const MODEL: &str = r#"
name = "two"
about = "Small, with a last layer."
classes = 2
[input]
size = 10
crop = 8
mean = "none"
scale = 0.004
[[layer]]
name = "fc1"
kind = "linear"
units = 4
[[layer]]
name = "fc2"
kind = "linear"
units = "classes"
[train.run]
threads = 1
batch = 4
"#;

/// A file of Keras without the last layer (`include_top=False`) or the like begins a run.
#[test]
fn a_missing_last_layer_begins_anew() {
    let world = World::packed();
    fs::write(world.path("two.toml"), MODEL).unwrap();
    let train = ["train", "--data", "train.pack", "--model", "two.toml", "--steps", "1"];
    world.ok(&[&train[..], &["--out", "a"]].concat());
    world.ok(&["convert", "a", "whole.safetensors"]);
    let weights = Weights::load(&world.path("whole.safetensors")).unwrap();
    let (last, _) = weights.tensors.last().unwrap().0.split_once('.').unwrap();
    let of_last = |(name, _): &&(String, ArrayD<f32>)| !name.starts_with(&format!("{last}."));
    let tensors: Vec<_> = weights.tensors.iter().filter(of_last).cloned().collect();
    save_of_pytorch(&world, "headless.safetensors", weights.model.as_ref().unwrap(), &tensors);
    let output = world.run(&[&train[..], &["--weights", "headless.safetensors", "--out", "b"]].concat());
    let notes = String::from_utf8(output.stderr).unwrap();
    let note = format!("note: {last} is initialised anew: headless.safetensors lacks it (set model.reinit={last} to");
    assert!(output.status.success() && notes.contains(&note), "{notes}");
    assert!(fs::read_to_string(world.path("b/run.toml")).unwrap().contains(&format!("reinit = [\"{last}\"]")));
    let eval = ["eval", "--data", "val.pack", "--weights", "headless.safetensors", "--model", "two.toml"];
    let message = world.fails(1, &eval);
    assert!(message.contains("headless.safetensors") && message.contains(last), "{message}");
}

#[test]
fn a_thousand_classes_have_the_words_of_ilsvrc() {
    let world = World::new();
    let mut model = Model::preset("linear").unwrap();
    model.set_classes(1000).unwrap();
    let specs = model.parameters().unwrap();
    let tensors: Vec<_> = specs.iter().map(|spec| (spec.name.clone(), ArrayD::zeros(spec.shape.clone()))).collect();
    save_of_pytorch(&world, "a.safetensors", &model, &tensors);
    let info = world.ok(&["info", "a.safetensors"]);
    assert!(info.contains("none; taken to be those of ILSVRC 2012"), "{info}");
    let json: Value = serde_json::from_str(&world.ok(&["info", "a.safetensors", "--json"])).unwrap();
    assert_eq!(json["assumed_classes"], "ILSVRC 2012");
    let predict = ["predict", "--weights", "a.safetensors", "--model", "linear", "--mean", "imagenet", "--json"];
    let json: Value = serde_json::from_str(&world.ok(&[&predict[..], &["train/red/0.png"]].concat())).unwrap();
    // All classes are as probable, so the first comes first.
    let top = &json[0]["top"][0];
    assert_eq!((&top["name"], &top["words"]), (&"n01440764".into(), &"tench, Tinca tinca".into()));

    let world = World::trained();
    let info: Value = serde_json::from_str(&world.ok(&["info", &newest(&world), "--json"])).unwrap();
    assert!(info["assumed_classes"].is_null(), "{info}");
    let json: Value =
        serde_json::from_str(&world.ok(&["predict", "--weights", "run", "--json", "train/red/0.png"])).unwrap();
    assert!(json[0]["top"][0]["words"].is_null() && json[0]["top"][0]["class"].is_u64(), "{json}");
}

/// The mean is shown of networks that subtract one, and taken from files of every format.
#[test]
fn a_mean_is_shown_where_it_is_subtracted() {
    let world = World::trained();
    let has_mean = |file: &str| world.ok(&["info", file]).contains("mean colour");
    world.ok(&["convert", "run", "a.pt"]);
    assert!(has_mean("a.pt") && has_mean(&newest(&world)));
    let text = fs::read_to_string(world.path("tiny.toml")).unwrap().replace("\"pack-rgb\"", "\"none\"");
    fs::write(world.path("plain.toml"), text).unwrap();
    world.ok(&["train", "--data", "train.pack", "--model", "plain.toml", "--steps", "1", "--out", "plain"]);
    world.ok(&["convert", "plain", "plain.h5"]);
    world.ok(&["convert", "plain", "plain.pt"]);
    assert!(!has_mean("plain.h5") && !has_mean("plain.pt"));
    world.ok(&["predict", "--weights", "run", "--mean", "a.pt", "train/red/0.png"]);
}

/// The newest checkpoint of the run.
fn newest(world: &World) -> String {
    let mut names: Vec<String> = fs::read_dir(world.path("run/checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".h5"))
        .collect();
    names.sort();
    format!("run/checkpoints/{}", names.pop().unwrap())
}

/// Writes tensors of a network as a program of PyTorch does as safetensors.
fn save_of_pytorch(world: &World, name: &str, model: &Model, tensors: &[(String, ArrayD<f32>)]) {
    let specs = model.parameters().unwrap();
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    for (tensor, values) in tensors {
        let spec = specs.iter().find(|spec| spec.name == *tensor).unwrap();
        let theirs = AxisOrder::PyTorch.from_own(spec, values.view()).unwrap();
        let start = data.len();
        data.extend(theirs.iter().flat_map(|value| value.to_le_bytes()));
        let entry = serde_json::json!({ "dtype": "F32", "shape": theirs.shape(), "data_offsets": [start, data.len()] });
        header.insert(spec.export.clone(), entry);
    }
    let header = Value::Object(header).to_string();
    let length = (header.len() as u64).to_le_bytes();
    fs::write(world.path(name), [&length[..], header.as_bytes(), &data].concat()).unwrap();
}
