//! Networks to Keras' configuration and back, and configurations that are refused.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use alexnet_formats::keras;
use alexnet_formats::layers::model::{Conv, Input, Linear, Pad, ParameterSettings, Pool, Units};
use alexnet_formats::layers::tensor::Cpu;
use alexnet_formats::layers::tensor::ops::{Activation, Dropout, DropoutScale, Padding, PoolKind, RoundMode};
use alexnet_formats::layers::weights::Weights;
use alexnet_formats::layers::{Init, LayerKind, LayerSpec, Model, Network};
use alexnet_formats::{load, save};
use proptest::prelude::*;
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::keras_files::outputs;

/// An archive of a configuration, with weights of no layers.
pub fn archive(folder: &Path, config: &str) -> PathBuf {
    let weights = folder.join("none.weights.h5");
    let file = hdf5::File::create(&weights).unwrap();
    file.create_group("layers").unwrap();
    file.create_group("vars").unwrap();
    file.close().unwrap();
    let weights = std::fs::read(weights).unwrap();
    let parts =
        [("metadata.json", b"{}".as_slice()), ("config.json", config.as_bytes()), ("model.weights.h5", &weights)];
    let path = folder.join("model.keras");
    zipped(&path, &parts);
    path
}

/// Writes an archive of parts that are stored.
pub fn zipped(path: &Path, parts: &[(&str, &[u8])]) {
    let mut archive = ZipWriter::new(File::create(path).unwrap());
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in parts {
        archive.start_file(*name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
}

/// A Sequential of layers on images of 8 x 8.
fn sequential(layers: &[(&str, Value)]) -> Value {
    let named = |(i, (class, config)): (usize, &(&str, Value))| {
        let mut config = config.clone();
        config["name"] = json!(format!("layer{i}"));
        json!({ "class_name": class, "config": config })
    };
    let mut all = vec![json!({ "class_name": "InputLayer", "config": { "batch_shape": [null, 8, 8, 3] } })];
    all.extend(layers.iter().enumerate().map(named));
    json!({ "class_name": "Sequential", "config": { "name": "test", "layers": all } })
}

fn read(config: &Value) -> Result<Model, String> {
    let folder = tempfile::tempdir().unwrap();
    keras::model(&archive(folder.path(), &config.to_string())).map_err(|error| error.to_string())
}

fn head() -> [(&'static str, Value); 2] {
    [("Flatten", json!({})), ("Dense", json!({ "units": 2 }))]
}

#[test]
fn what_is_not_read_is_refused_by_layer_and_setting() {
    let conv = |settings: Value| {
        let mut config = json!({ "filters": 2, "kernel_size": [3, 3] });
        config.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        ("Conv2D", config)
    };
    type Layers<'a> = &'a [(&'a str, Value)];
    let cases: [(Layers, &[&str]); 12] = [
        (&[("LSTM", json!({}))], &["layer0", "LSTM"]),
        (&[conv(json!({ "dilation_rate": [2, 2] }))], &["layer0", "dilation_rate", "[2,2]"]),
        (&[conv(json!({ "data_format": "channels_first" }))], &["layer0", "channels_first", "channels_last"]),
        (&[conv(json!({ "activation": "gelu" }))], &["layer0", "gelu", "relu"]),
        (&[conv(json!({ "padding": "causal" }))], &["padding", "causal", "same"]),
        (&[conv(json!({ "filters": 0 }))], &["filters"]),
        (&[conv(json!({ "filters": 1e300 }))], &["filters"]),
        (&[("Dense", json!({ "units": 2 }))], &["layer0", "Flatten"]),
        (&[("ZeroPadding2D", json!({})), ("MaxPooling2D", json!({}))], &["layer1", "below 0"]),
        (&[("ZeroPadding2D", json!({})), ("Flatten", json!({}))], &["layer1", "ZeroPadding2D"]),
        (&[conv(json!({})), ("Rescaling", json!({ "scale": 2.0 }))], &["layer1", "front"]),
        (&[conv(json!({ "kernel_size": [9, 9] }))], &["layer0"]),
    ];
    for (layers, words) in cases {
        let all: Vec<(&str, Value)> = layers.iter().cloned().chain(head()).collect();
        let error = read(&sequential(&all)).unwrap_err();
        assert!(words.iter().all(|word| error.contains(word)), "{words:?}: {error}");
        assert!(error.contains("model.keras"), "{error}");
    }
    for (config, word) in [
        (json!({ "class_name": "MyModel", "config": {} }), "MyModel"),
        (json!([]), "expected the configuration"),
        (json!({ "class_name": "Sequential", "config": { "layers": [3] } }), "class"),
        (json!({ "class_name": "Sequential", "config": { "layers": [] } }), "images"),
    ] {
        let error = read(&config).unwrap_err();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn settings_that_a_file_leaves_out_are_keras_defaults() {
    let mut layers =
        vec![("BatchNormalization", json!({})), ("MaxPooling2D", json!({})), ("Dropout", json!({ "rate": null }))];
    layers.extend(head());
    let model = read(&sequential(&layers)).unwrap();
    let LayerKind::BatchNorm(norm) = &model.layers[0].kind else { panic!("expected a norm") };
    assert_eq!((norm.epsilon, norm.momentum), (1e-3, 0.01));
    let LayerKind::Pool(pool) = &model.layers[1].kind else { panic!("expected a pool") };
    assert_eq!((pool.kernel, pool.stride), ([2; 2], [2; 2]));
    let rule = |class: &str| {
        let mut config = sequential(&head());
        config["compile_config"] = json!({ "optimizer": { "class_name": class, "config": {} } });
        read(&config).unwrap().train["optim"].as_table().unwrap().clone()
    };
    let numbers = |class: &str, keys: &[&str]| -> Vec<f64> {
        let settings = rule(class);
        keys.iter().map(|key| settings[*key].as_float().unwrap()).collect()
    };
    let of_adam = ["lr", "beta1", "beta2", "epsilon", "weight_decay"];
    assert_eq!(numbers("Adam", &of_adam), [0.001, 0.9, 0.999, 1e-7, 0.0]);
    assert_eq!(numbers("AdamW", &of_adam), [0.001, 0.9, 0.999, 1e-7, 0.004]);
    assert_eq!(numbers("SGD", &["lr", "momentum", "weight_decay"]), [0.01, 0.0, 0.0]);
    for (class, kind) in [("Adam", "adam"), ("AdamW", "adamw"), ("SGD", "sgd")] {
        let settings = rule(class);
        assert_eq!(settings["kind"].as_str(), Some(kind));
        assert_eq!(settings.get("epsilon_hat").and_then(|flag| flag.as_bool()), (kind != "sgd").then_some(true));
        assert!(!settings.contains_key("nesterov"));
    }
}

#[test]
fn graphs_that_are_no_chain_are_refused() {
    let node = |of: &str| json!([{ "args": [{ "config": { "keras_history": [of, 0, 0] } }], "kwargs": {} }]);
    let layer = |name: &str, class: &str, nodes: Value| {
        let config = json!({ "name": name, "batch_shape": [null, 8, 8, 3], "units": 2 });
        json!({ "class_name": class, "name": name, "config": config, "inbound_nodes": nodes })
    };
    let graph = |layers: Vec<Value>| json!({ "class_name": "Functional", "config": { "layers": layers } });
    let start = || layer("in", "InputLayer", json!([]));
    let chain = vec![start(), layer("d", "Dense", node("f")), layer("f", "Flatten", node("in"))];
    assert_eq!(read(&graph(chain)).unwrap().layers.len(), 2);
    let older = vec![start(), layer("f", "Flatten", json!([[["in", 0, 0, {}]]])), layer("d", "Dense", node("f"))];
    assert_eq!(read(&graph(older)).unwrap().layers.len(), 2);
    let fork = vec![start(), layer("a", "Flatten", node("in")), layer("b", "Flatten", node("in"))];
    assert!(read(&graph(fork)).unwrap_err().contains("both follow"));
    let circle = vec![start(), layer("a", "Flatten", node("b")), layer("b", "Flatten", node("a"))];
    assert!(read(&graph(circle)).unwrap_err().contains("does not follow"));
    let twice = json!([node("in")[0], node("in")[0]]);
    assert!(read(&graph(vec![start(), layer("a", "Flatten", twice)])).unwrap_err().contains("more than once"));
}

#[test]
fn images_are_prepared_as_the_layers_in_front_do() {
    let with = |layers: &[(&str, Value)]| {
        let all: Vec<(&str, Value)> = layers.iter().cloned().chain(head()).collect();
        read(&sequential(&all)).unwrap().input
    };
    let given = |input: &Input, pixel: f64, channel: usize| {
        let mean = match input.mean {
            alexnet_formats::layers::model::Mean::Rgb(mean) => mean[channel],
            _ => 0.0,
        };
        (pixel * input.scale - mean) / input.deviation.map_or(1.0, |deviation| deviation[channel])
    };
    let nothing = with(&[]);
    assert!((given(&nothing, 51.0, 0) - 0.2).abs() < 1e-12);
    let scaled = with(&[("Rescaling", json!({ "scale": 1.0 / 255.0 }))]);
    assert_eq!(scaled.deviation, Some([255.0; 3]));
    let both = with(&[
        ("Rescaling", json!({ "scale": 0.5, "offset": 1.0 })),
        ("Normalization", json!({ "mean": [[[[1.0, 2.0, 3.0]]]], "variance": [4.0, 9.0, 16.0], "axis": [-1] })),
    ]);
    for (channel, expected) in [(0, (10.0 * 0.5 + 1.0 - 1.0) / 2.0), (2, (10.0 * 0.5 + 1.0 - 3.0) / 4.0)] {
        assert!((given(&both, 10.0, channel) - expected).abs() < 1e-12);
    }
    let constant = with(&[("Normalization", json!({ "mean": 1.0, "variance": [0.0, 4.0, 9.0] }))]);
    assert_eq!(constant.deviation, Some([1e-7, 2.0, 3.0]));
}

fn parameters() -> ParameterSettings {
    ParameterSettings { init: Init::GlorotUniform, ..ParameterSettings::default() }
}

fn conv() -> impl Strategy<Value = LayerKind> {
    let sides = prop_oneof![
        Just(Pad::Same),
        [0..3usize, 0..3usize, 0..3usize, 0..3usize]
            .prop_map(|[top, bottom, left, right]| { Pad::Sides(Padding { top, bottom, left, right }) })
    ];
    (1..3usize, [1..3usize, 1..3usize], [1..3usize, 1..3usize], sides, any::<bool>()).prop_map(
        |(filters, kernel, stride, padding, has_bias)| {
            let bias = has_bias.then_some(Init::Constant(0.0));
            let parameters = ParameterSettings { bias, ..parameters() };
            LayerKind::Conv(Conv { filters: 3 * filters, kernel, stride, padding, groups: 3, parameters })
        },
    )
}

fn map_layer() -> impl Strategy<Value = LayerKind> {
    let pool = |kind, padding| {
        LayerKind::Pool(Pool { kind, kernel: [2; 2], stride: [1; 2], padding, round_mode: RoundMode::Floor })
    };
    let scales = prop::sample::select(vec![DropoutScale::AtTest, DropoutScale::InTraining]);
    prop_oneof![
        3 => conv(),
        1 => prop::sample::select(vec![Activation::Relu, Activation::Tanh, Activation::Logistic])
            .prop_map(LayerKind::Activation),
        1 => Just(pool(PoolKind::Max, Pad::Same)),
        1 => Just(pool(PoolKind::Average, Pad::Same)),
        1 => Just(pool(PoolKind::AverageWithPadding, Pad::Sides(Padding::all(1)))),
        1 => Just(LayerKind::BatchNorm(Default::default())),
        1 => (0.0..0.9f64, scales).prop_map(|(p, scale)| LayerKind::Dropout(Dropout { p, scale })),
    ]
}

fn network() -> impl Strategy<Value = Model> {
    let end = prop::sample::select(vec![LayerKind::Flatten, LayerKind::GlobalAveragePool]);
    (prop::collection::vec(map_layer(), 0..5), end, any::<bool>()).prop_map(|(mut kinds, end, has_softmax)| {
        kinds.push(end);
        kinds.push(LayerKind::Linear(Linear { units: Units::Classes, parameters: parameters() }));
        if has_softmax {
            kinds.push(LayerKind::Softmax);
        }
        let layers = kinds.into_iter().enumerate();
        let layers = layers.map(|(i, kind)| LayerSpec { name: format!("layer-{i}"), export: None, kind }).collect();
        Model { classes: 4, layers, ..sized() }
    })
}

/// A network of images of 12 x 12.
fn sized() -> Model {
    let mut model = Model::preset("keras").unwrap();
    model.input.crop = 12;
    model.input.size = 12;
    model
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_network_is_the_same_in_keras_words(model in network(), seed in 0..1000u64) {
        let cpu = Cpu::<f32>::new(1).unwrap();
        let network = Network::new(&cpu, &model, seed);
        prop_assume!(network.is_ok());
        let weights = Weights { model: Some(model), ..Weights::of(&network.unwrap()).unwrap() };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.keras");
        save(&path, &weights, None).unwrap();
        let same = load(&path, None).unwrap().weights;
        prop_assert_eq!(&same, &weights);

        // Without our own entry, as Keras saves it again.
        let mut archive = zip::ZipArchive::new(File::open(&path).unwrap()).unwrap();
        let mut part = |name: &str| {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut archive.by_name(name).unwrap(), &mut bytes).unwrap();
            bytes
        };
        let config = part("config.json");
        let file = part("model.weights.h5");
        let path = folder.path().join("b.keras");
        zipped(&path, &[("metadata.json", b"{}"), ("config.json", &config), ("model.weights.h5", &file)]);
        let other = load(&path, None).unwrap().weights;
        let images: Vec<f32> = (0..12 * 12 * 3).map(|i| (i * 37 % 256) as f32).collect();
        prop_assert_eq!(&other.tensors, &weights.tensors);
        prop_assert_eq!(outputs(&other, &images), outputs(&weights, &images));
    }
}
