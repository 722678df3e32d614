//! The training in files of Keras: frozen layers, learning rates, the state of optimizers.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use alexnet_formats::layers::weights::Weights;
use alexnet_formats::layers::{LayerKind, Model, ParameterSpec};
use alexnet_formats::{ForeignTensor, Loaded, OptimizerState, load, save_with};
use ndarray::{ArrayD, IxDyn};
use serde_json::Value;
use tempfile::TempDir;

use crate::keras_files::golden;

/// The network of a golden file without the layers that are frozen in it; two convolutions, a batch norm, two dense ones.
fn chain() -> Loaded {
    load(&golden("chain.keras"), None).unwrap()
}

/// A state of Adam's kind for the parameters that are trained: each value is another.
fn state(model: &Model, kind: &str) -> OptimizerState {
    let specs = model.parameters().unwrap();
    let mut number = 0.0;
    let mut slot = |name: &str| {
        let mut tensors = Vec::new();
        for spec in specs.iter().filter(|spec| spec.is_trainable()) {
            let values = ArrayD::from_shape_simple_fn(IxDyn(&spec.shape), || {
                number += 1.0;
                number
            });
            tensors.push(ForeignTensor { name: spec.name.clone(), values });
        }
        (format!("{kind}.{name}"), tensors)
    };
    let slots = vec![slot("m"), slot("v")];
    OptimizerState { kind: kind.into(), step: 7, slots }
}

fn saved(folder: &TempDir, name: &str, model: &Model, kind: &str) -> (PathBuf, OptimizerState, Vec<String>) {
    let weights = Weights { model: Some(model.clone()), ..chain().weights };
    let path = folder.path().join(name);
    let state = state(model, kind);
    let notes = save_with(&path, &weights, Some(&state), None).unwrap();
    (path, state, notes)
}

fn config(path: &Path) -> Value {
    let mut parts = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    serde_json::from_reader(parts.by_name("config.json").unwrap()).unwrap()
}

/// A copy of a `.keras` file with another configuration.
fn configured(from: &Path, to: &Path, change: impl FnOnce(&mut Value)) {
    let mut config = config(from);
    change(&mut config);
    let mut parts = zip::ZipArchive::new(File::open(from).unwrap()).unwrap();
    let mut copy = zip::ZipWriter::new(File::create(to).unwrap());
    for number in 0..parts.len() {
        let mut part = parts.by_index(number).unwrap();
        let mut bytes = Vec::new();
        part.read_to_end(&mut bytes).unwrap();
        if part.name() == "config.json" {
            bytes = config.to_string().into_bytes();
        }
        copy.start_file(part.name(), zip::write::SimpleFileOptions::default()).unwrap();
        copy.write_all(&bytes).unwrap();
    }
    copy.finish().unwrap();
}

fn names(state: &OptimizerState) -> Vec<&str> {
    state.slots[0].1.iter().map(|tensor| tensor.name.as_str()).collect()
}

#[test]
fn frozen_layers_are_frozen_in_keras_and_keep_the_slots_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = chain().weights.model.unwrap();
    let layers = model.select_layers("*").unwrap();
    let norm = model.layers.iter().find(|layer| matches!(layer.kind, LayerKind::BatchNorm(_))).unwrap().name.clone();
    model.freeze_layer(&layers[0]).unwrap();
    model.freeze_layer(&norm).unwrap();
    let (path, written, _) = saved(&folder, "frozen.keras", &model, "adam");
    let flags = config(&path)["config"]["layers"].as_array().unwrap().clone();
    let is_trained = |name: &str| {
        let layer = flags.iter().find(|layer| layer["config"]["name"] == name).unwrap();
        layer["config"]["trainable"].as_bool().unwrap()
    };
    assert_eq!(layers.iter().map(|name| is_trained(name)).collect::<Vec<_>>(), [false, true, false, true, true]);
    assert_eq!(load(&path, None).unwrap().optimizer.unwrap(), written);
    // As Keras would save it, without the entry of this workspace: the norm stays frozen.
    let plain = folder.path().join("plain.keras");
    configured(&path, &plain, |config| config["config"]["name"] = "renamed".into());
    let mut described = alexnet_formats::keras::model(&plain).unwrap();
    described.train.clear();
    let specs = |model: &Model| -> Vec<(String, bool)> {
        let specs = model.parameters().unwrap();
        specs.iter().map(|spec: &ParameterSpec| (spec.name.clone(), spec.is_trainable())).collect()
    };
    assert_eq!(specs(&described), specs(&model));
}

#[test]
fn weights_alone_say_which_layers_were_frozen() {
    let folder = tempfile::tempdir().unwrap();
    let whole = chain().weights.model.unwrap();
    for frozen in [vec![], vec![0], vec![1, 2], vec![2, 3]] {
        let mut model = whole.clone();
        for &number in &frozen {
            let name = whole.select_layers("*").unwrap()[number].clone();
            model.freeze_layer(&name).unwrap();
        }
        let (path, written, _) = saved(&folder, "frozen.weights.h5", &model, "adam");
        for asked in [&model, &whole] {
            let found = load(&path, Some(asked)).unwrap();
            let state = found.optimizer.unwrap_or_else(|| panic!("{frozen:?}: {:?}", found.report.notes));
            assert_eq!(state, written, "{frozen:?}");
        }
    }
}

#[test]
fn a_layer_of_which_a_part_is_trained_has_slots_for_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = chain().weights.model.unwrap();
    let LayerKind::Conv(conv) = &mut model.layers[0].kind else { panic!("expected a convolution") };
    conv.parameters.weight_rate = 0.0;
    for name in ["part.keras", "part.weights.h5"] {
        let (path, written, notes) = saved(&folder, name, &model, "adam");
        assert!(notes.iter().any(|note| note.contains("first.weight 0")), "{notes:?}");
        let found = load(&path, Some(&model)).unwrap().optimizer.unwrap();
        assert_eq!(names(&found), [&["first.weight"], &names(&written)[..]].concat());
        assert!(found.slots[0].1[0].values.iter().all(|value| *value == 0.0));
        assert_eq!(found.slots[1].1[1..], written.slots[1].1);
    }
}

#[test]
fn rates_of_layers_are_noted() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = chain().weights.model.unwrap();
    let (_, _, plain) = saved(&folder, "plain.keras", &model, "adam");
    assert!(!plain.iter().any(|note| note.contains("one learning rate")), "{plain:?}");
    for name in model.select_layers("*").unwrap() {
        model.multiply_rate(&name, 0.25).unwrap();
    }
    for name in ["rates.keras", "rates.weights.h5"] {
        let (_, _, notes) = saved(&folder, name, &model, "adam");
        let note = notes.iter().find(|note| note.contains("one learning rate")).unwrap();
        assert!(note.contains("first.weight 0.25, first.bias 0.25") && note.ends_with("and 5 more"), "{note}");
    }
}

#[test]
fn a_norm_whose_statistics_move_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = chain().weights.model.unwrap();
    let norms = model.layers.iter_mut().filter_map(|layer| match &mut layer.kind {
        LayerKind::BatchNorm(norm) => Some(norm),
        _ => None,
    });
    norms.for_each(|norm| norm.rate = 0.0);
    let (_, _, notes) = saved(&folder, "moving.keras", &model, "adam");
    assert!(notes.iter().any(|note| note.contains("statistics")), "{notes:?}");
}

#[test]
fn weights_alone_lose_names_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let classes = ["cat", "dog", "owl"].map(str::to_string).to_vec();
    let weights = Weights { classes, ..chain().weights };
    let notes = |weights: &Weights| save_with(&folder.path().join("a.weights.h5"), weights, None, None).unwrap();
    assert!(notes(&weights).iter().any(|note| note.contains("names of the classes are left out")));
    let means = Weights { mean_rgb: Some([1.0; 3]), ..chain().weights };
    assert!(notes(&means).iter().any(|note| note.contains("the mean is left out")));
    assert!(notes(&chain().weights).is_empty());
}

/// Steps that are not compiled round otherwise than those that go on in Keras, and take longer.
#[test]
fn keras_decides_whether_it_compiles_the_steps() {
    let folder = tempfile::tempdir().unwrap();
    let (path, ..) = saved(&folder, "a.keras", &chain().weights.model.unwrap(), "adam");
    let config = config(&path);
    let compile = config["compile_config"].as_object().unwrap();
    assert!(compile.contains_key("optimizer") && !compile.contains_key("jit_compile"), "{compile:?}");
}

#[test]
fn adamw_keeps_its_state_and_decay() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = chain().weights.model.unwrap();
    let optim = model.train.get_mut("optim").unwrap().as_table_mut().unwrap();
    optim.insert("kind".into(), "adamw".into());
    optim.insert("weight_decay".into(), 0.004.into());
    let (path, written, notes) = saved(&folder, "a.keras", &model, "adamw");
    assert!(!notes.iter().any(|note| note.contains("decay") || note.contains("epsilon")), "{notes:?}");
    let optimizer = &config(&path)["compile_config"]["optimizer"];
    assert_eq!((&optimizer["class_name"], &optimizer["config"]["weight_decay"]), (&"AdamW".into(), &0.004.into()));
    assert_eq!(load(&path, None).unwrap().optimizer.unwrap(), written);
    let (path, written, _) = saved(&folder, "a.weights.h5", &model, "adamw");
    assert_eq!(load(&path, Some(&model)).unwrap().optimizer.unwrap(), written);
}

#[test]
fn adam_of_keras_with_weight_decay_is_adamw() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decayed.keras");
    for class in ["Adam", "AdamW"] {
        configured(&golden("chain.keras"), &path, |config| {
            let optimizer = &mut config["compile_config"]["optimizer"];
            optimizer["class_name"] = class.into();
            optimizer["config"]["weight_decay"] = 0.25.into();
        });
        let loaded = load(&path, None).unwrap();
        assert!(!loaded.report.notes.iter().any(|note| note.contains("weight_decay")), "{:?}", loaded.report.notes);
        let train = &loaded.weights.model.as_ref().unwrap().train["optim"];
        assert_eq!(train["kind"].as_str(), Some("adamw"));
        assert_eq!((train["weight_decay"].as_float(), train["epsilon_hat"].as_bool()), (Some(0.25), Some(true)));
        let state = loaded.optimizer.unwrap();
        assert_eq!((state.kind.as_str(), state.slots[1].0.as_str()), ("adamw", "adamw.v"));
    }
}

/// A `.weights.h5` names its optimizer alone, and Keras names Adam alike with and without decay.
#[test]
fn weights_alone_take_the_decay_of_their_network() {
    let folder = tempfile::tempdir().unwrap();
    let model = chain().weights.model.unwrap();
    let mut decayed = model.clone();
    let optim = decayed.train.get_mut("optim").unwrap().as_table_mut().unwrap();
    optim.insert("kind".into(), "adamw".into());
    let (path, written, _) = saved(&folder, "a.weights.h5", &model, "adam");
    assert_eq!(load(&path, Some(&model)).unwrap().optimizer.as_ref(), Some(&written));
    let found = load(&path, Some(&decayed)).unwrap().optimizer.unwrap();
    assert_eq!((found.kind.as_str(), found.step), ("adamw", written.step));
    let slots = |state: &OptimizerState| state.slots.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(slots(&found), ["adamw.m", "adamw.v"]);
    let tensors = |state: OptimizerState| state.slots.into_iter().map(|(_, tensors)| tensors).collect::<Vec<_>>();
    assert_eq!(tensors(found), tensors(written));
    // Another optimizer keeps its name.
    let mut momentum = state(&model, "sgd");
    momentum.slots.truncate(1);
    momentum.slots[0].0 = "momentum".into();
    let weights = Weights { model: Some(model), ..chain().weights };
    save_with(&path, &weights, Some(&momentum), None).unwrap();
    assert_eq!(load(&path, Some(&decayed)).unwrap().optimizer, Some(momentum));
}

#[test]
fn another_optimizer_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.keras");
    for class in ["RMSprop", "Lion"] {
        configured(&golden("chain.keras"), &path, |config| {
            config["compile_config"]["optimizer"]["class_name"] = class.into();
        });
        let loaded = load(&path, None).unwrap();
        assert!(loaded.optimizer.is_none());
        let notes = loaded.report.notes.iter().filter(|note| note.contains("optim")).collect::<Vec<_>>();
        let [note] = notes.as_slice() else { panic!("{notes:?}") };
        assert!(note.contains(class) && note.contains("optim.kind"), "{note}");
    }
}
