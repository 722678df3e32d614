//! Files that real Keras wrote, and files that are written for it.

use std::path::{Path, PathBuf};

use alexnet_formats::layers::model::Mean;
use alexnet_formats::layers::tensor::{Cpu, Tensor};
use alexnet_formats::layers::weights::Weights;
use alexnet_formats::layers::{LayerKind, LayerSpec, Model, Network};
use alexnet_formats::{Loaded, OptimizerState, keras, load, model_of, save, save_with};
use serde_json::Value;

/// A file that `make.py` made.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/keras").join(name)
}

/// The images and outputs of a golden file.
fn expected(name: &str) -> (Vec<f32>, Vec<f32>) {
    let json: Value = serde_json::from_slice(&std::fs::read(golden(name)).unwrap()).unwrap();
    let numbers = |key: &str| json[key].as_array().unwrap().iter().map(|n| n.as_f64().unwrap() as f32).collect();
    (numbers("images"), numbers("outputs"))
}

/// Images of 0 to 255 as the network takes them.
fn prepared(model: &Model, images: &[f32]) -> Vec<f32> {
    let input = &model.input;
    let mean = match input.mean {
        Mean::Rgb(mean) => mean,
        _ => [0.0; 3],
    };
    let deviation = input.deviation.unwrap_or([1.0; 3]);
    let value = |(i, pixel): (usize, &f32)| ((f64::from(*pixel) * input.scale - mean[i % 3]) / deviation[i % 3]) as f32;
    images.iter().enumerate().map(value).collect()
}

/// The outputs of the network for images of 0 to 255.
pub fn outputs(weights: &Weights, images: &[f32]) -> Vec<f32> {
    let model = weights.model.as_ref().unwrap();
    let cpu = Cpu::<f32>::new(1).unwrap();
    let network = Network::with_parameters(&cpu, model, "test", &weights.tensors).unwrap();
    let crop = model.input.crop;
    let values = prepared(model, images);
    let images = Tensor::from_slice(&cpu, &[values.len() / (crop * crop * 3), crop, crop, 3], &values).unwrap();
    let mut rows = network.predict(images).unwrap().to_vec().unwrap();
    if model.layers.last().unwrap().kind == LayerKind::Softmax {
        rows.chunks_mut(model.classes).for_each(softmax);
    }
    rows
}

fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::MIN, f32::max);
    row.iter_mut().for_each(|value| *value = (*value - largest).exp());
    let sum: f32 = row.iter().sum();
    row.iter_mut().for_each(|value| *value /= sum);
}

fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-5 * largest, "{found} and not {expected}");
    }
}

/// The bits of all parameters by name.
fn bits(weights: &Weights) -> Vec<(String, Vec<usize>, Vec<u32>)> {
    let bits = |values: &ndarray::ArrayD<f32>| values.iter().map(|value| value.to_bits()).collect();
    weights.tensors.iter().map(|(name, values)| (name.clone(), values.shape().to_vec(), bits(values))).collect()
}

fn state(loaded: &Loaded) -> &OptimizerState {
    loaded.optimizer.as_ref().unwrap()
}

/// The optimizer's state but for zeros, which a parameter has that Keras lacked.
fn stated(loaded: &Loaded) -> OptimizerState {
    let mut state = state(loaded).clone();
    for (_, tensors) in &mut state.slots {
        tensors.retain(|tensor| tensor.values.iter().any(|value| *value != 0.0));
    }
    state
}

#[test]
fn networks_of_keras_give_keras_outputs() {
    let files = [
        ("chain.keras", "chain.json"),
        ("chain.h5", "chain.json"),
        ("graph.keras", "graph.json"),
        ("older.h5", "older.json"),
    ];
    for (file, json) in files {
        let (images, outputs_of_keras) = expected(json);
        let loaded = load(&golden(file), None).unwrap();
        assert_close(&outputs(&loaded.weights, &images), &outputs_of_keras);
        assert!(loaded.report.left_over.is_empty(), "{file}: {:?}", loaded.report.left_over);
    }
}

#[test]
fn the_network_is_read_as_keras_has_it() {
    let model = keras::model(&golden("chain.keras")).unwrap();
    let kinds: Vec<&str> = model.layers.iter().map(|layer| layer.kind.name()).collect();
    assert_eq!(
        kinds,
        [
            "conv",
            "relu",
            "max-pool",
            "conv",
            "batch-norm",
            "tanh",
            "average-pool",
            "flatten",
            "dropout",
            "linear",
            "logistic",
            "linear",
            "softmax"
        ]
    );
    assert_eq!(model.layers[0].name, "first");
    assert_eq!(model.layers[1].name, "first_relu");
    assert_eq!((model.input.crop, model.input.deviation), (9, Some([127.5; 3])));
    let optim = model.train["optim"].as_table().unwrap();
    assert_eq!((optim["kind"].as_str(), optim["lr"].as_float()), (Some("adam"), Some(0.01)));
    assert_eq!(keras::model(&golden("chain.h5")).unwrap().layers, model.layers);

    let graph = keras::model(&golden("graph.keras")).unwrap();
    assert_eq!(graph.input.mean, Mean::Rgb([10.0, 20.0, 30.0]));
    assert_eq!(graph.input.deviation, Some([2.0, 3.0, 4.0]));
    let LayerKind::Conv(conv) = &graph.layers[0].kind else { panic!("expected a convolution") };
    assert_eq!(conv.parameters.weight_rate, 0.0);
}

#[test]
fn all_files_of_a_model_hold_the_same() {
    let archive = load(&golden("chain.keras"), None).unwrap();
    let old = load(&golden("chain.h5"), None).unwrap();
    assert_eq!(bits(&archive.weights), bits(&old.weights));
    assert_eq!(archive.optimizer, old.optimizer);
    assert_eq!((state(&archive).kind.as_str(), state(&archive).step), ("adam", 3));
    let shapes = |state: &OptimizerState| -> Vec<_> {
        state.slots.iter().flat_map(|(_, tensors)| tensors.iter().map(|t| t.values.shape().to_vec())).collect()
    };
    let specs = archive.weights.model.as_ref().unwrap().parameters().unwrap();
    let trained: Vec<_> = specs.iter().filter(|spec| spec.is_trainable()).map(|spec| spec.shape.clone()).collect();
    assert_eq!(shapes(state(&archive)), [trained.clone(), trained].concat());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chain.weights.h5");
    let mut parts = zip::ZipArchive::new(std::fs::File::open(golden("chain.keras")).unwrap()).unwrap();
    let mut file = std::fs::File::create(&path).unwrap();
    std::io::copy(&mut parts.by_name("model.weights.h5").unwrap(), &mut file).unwrap();
    let alone = load(&path, archive.weights.model.as_ref()).unwrap();
    assert_eq!(bits(&alone.weights), bits(&archive.weights));
}

#[test]
fn files_of_keras_2_hold_adams_state() {
    let loaded = load(&golden("older.h5"), None).unwrap();
    let state = state(&loaded);
    assert_eq!((state.kind.as_str(), state.step, state.slots.len()), ("adam", 2, 2));
    let optim = loaded.weights.model.as_ref().unwrap().train["optim"].as_table().unwrap();
    assert_eq!((optim["lr"].as_float(), optim["epsilon_hat"].as_bool()), (Some(0.01), Some(true)));
    let names = |slot: usize| -> Vec<&str> { state.slots[slot].1.iter().map(|tensor| tensor.name.as_str()).collect() };
    let expected: Vec<&str> = loaded.weights.tensors.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names(0), names(1)), (expected.clone(), expected));
    // Squares.
    assert!(state.slots[1].1.iter().all(|tensor| tensor.values.iter().all(|value| *value >= 0.0)));
    assert!(state.slots[0].1.iter().any(|tensor| tensor.values.iter().any(|value| *value < 0.0)));
}

#[test]
fn frozen_parameters_have_no_state() {
    let loaded = load(&golden("graph.keras"), None).unwrap();
    assert_eq!(state(&loaded).kind, "sgd");
    let [(slot, tensors)] = state(&loaded).slots.as_slice() else { panic!("expected one slot") };
    let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    assert_eq!((slot.as_str(), names), ("momentum", vec!["norm.bias", "classes.weight", "classes.bias"]));
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["chain.keras", "graph.keras"] {
        let first = load(&golden(file), None).unwrap();
        let classes = vec!["cat".to_string(), "dog".to_string(), "größer".to_string()];
        let mean_image = Some(ndarray::Array3::from_shape_fn((9, 9, 3), |(i, j, k)| (i * 30 + j * 3 + k) as f32));
        let mean_rgb = Some([1.5, 2.5, 3.5]);
        let weights = Weights { classes: classes.clone(), mean_image, mean_rgb, ..first.weights.clone() };
        let path = folder.path().join(file);
        let notes = save_with(&path, &weights, first.optimizer.as_ref(), None).unwrap();
        assert!(notes.iter().any(|note| note.contains("prepare images")), "{notes:?}");
        let second = load(&path, None).unwrap();
        assert_eq!(second.weights, weights);
        assert_eq!(bits(&second.weights), bits(&first.weights));
        assert_eq!(stated(&second), stated(&first));
        let again = folder.path().join(format!("again-{file}"));
        save_with(&again, &weights, first.optimizer.as_ref(), None).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&again).unwrap());

        let path = folder.path().join("alone.weights.h5");
        save(&path, &weights, None).unwrap();
        let third = load(&path, weights.model.as_ref()).unwrap();
        assert_eq!(bits(&third.weights), bits(&first.weights));
    }
}

#[test]
fn presets_without_normalisation_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let cpu = Cpu::<f32>::new(1).unwrap();
    let mut model = Model::preset("cifar-tanh").unwrap();
    let images: Vec<f32> = (0..model.input.crop * model.input.crop * 3).map(|i| (i * 37 % 256) as f32 / 50.0).collect();
    // Means are given by a pack, and left outside.
    model.input.mean = Mean::None;
    model.layers.retain(|layer| layer.kind.name() != "lrn");
    let network = Network::new(&cpu, &model, 1).unwrap();
    let weights = Weights { model: Some(model), ..Weights::of(&network).unwrap() };
    let path = folder.path().join("pools.keras");
    save(&path, &weights, None).unwrap();
    let mut parts = zip::ZipArchive::new(std::fs::File::open(&path).unwrap()).unwrap();
    let config: Value = serde_json::from_reader(parts.by_name("config.json").unwrap()).unwrap();
    let layers = config["config"]["layers"].as_array().unwrap();
    let pools = layers.iter().filter(|layer| layer["class_name"].as_str().unwrap().ends_with("Pooling2D"));
    assert!(pools.clone().count() > 1 && pools.clone().all(|pool| pool["config"]["padding"] == "same"), "{config}");
    assert_eq!(outputs(&load(&path, None).unwrap().weights, &images), outputs(&weights, &images));
}

#[test]
fn a_network_that_keras_lacks_is_refused_by_its_layer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("normed.keras");
    let mut weights = load(&golden("chain.keras"), None).unwrap().weights;
    let lrn = Model::preset("caffe").unwrap().layers.into_iter().find(|layer| layer.kind.name() == "lrn").unwrap();
    weights.model.as_mut().unwrap().layers.insert(2, lrn);
    let error = save(&path, &weights, None).unwrap_err().to_string();
    assert!(error.contains("norm") && error.contains(".weights.h5"), "{error}");
    assert!(!path.exists());
    save(&folder.path().join("normed.weights.h5"), &weights, None).unwrap();
}

#[test]
fn layers_without_a_network_are_in_the_order_of_their_kind() {
    // Convolutions and batch norms of the same shapes: only their numbers say which is which.
    let mut model = Model::preset("keras").unwrap();
    let norm = LayerKind::BatchNorm(Default::default());
    for (i, at) in [4, 2, 1].into_iter().enumerate() {
        let conv = model.layers[0].kind.clone();
        let LayerKind::Conv(mut conv) = conv else { panic!("expected a convolution") };
        (conv.filters, conv.kernel, conv.stride) = (3, [3, 3], [1, 1]);
        let layer = |name: &str, kind| LayerSpec { name: format!("{name}{i}"), export: None, kind };
        let layers = [layer("c", LayerKind::Conv(conv)), layer("n", norm.clone())];
        model.layers.splice(at - 1..at, layers);
    }
    model.layers.retain(|layer| !layer.name.starts_with("pool") && !layer.name.starts_with("conv"));
    model.layers.retain(|layer| !layer.name.starts_with("fc6") && !layer.name.starts_with("fc7"));
    (model.input.crop, model.input.size) = (6, 6);
    model.set_classes(4).unwrap();
    let cpu = Cpu::<f32>::new(1).unwrap();
    let network = Network::new(&cpu, &model, 1).unwrap();
    let weights = Weights { model: Some(model.clone()), ..Weights::of(&network).unwrap() };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.weights.h5");
    save(&path, &weights, None).unwrap();
    assert_eq!(load(&path, Some(&model)).unwrap().weights, weights);

    let archive = folder.path().join("a.keras");
    save(&archive, &weights, None).unwrap();
    assert_eq!(model_of(archive.to_str().unwrap()).unwrap(), model);
    assert_eq!(model_of("linear").unwrap(), Model::preset("linear").unwrap());
    let error = model_of(path.to_str().unwrap()).unwrap_err().to_string();
    assert!(error.contains("no network"), "{error}");
    let text = folder.path().join("a.toml");
    std::fs::write(&text, model.to_toml()).unwrap();
    assert_eq!(model_of(text.to_str().unwrap()).unwrap(), model);
}
