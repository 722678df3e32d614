//! Networks of Caffe.

use std::path::PathBuf;

use alexnet_formats::layers::model::{ChannelOrder, Mean};
use alexnet_formats::layers::tensor::ops::{AlphaScaling, PoolKind, Region, RoundMode};
use alexnet_formats::layers::weights::Weights;
use alexnet_formats::layers::{Init, LayerKind};
use alexnet_formats::{Format, caffe};

use crate::caffe_file::{CaffeLayer, Version, net};
use crate::onnx_file::{numbers, write};
use crate::protobuf::Message;

fn written(folder: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("net.caffemodel");
    write(&path, bytes);
    path
}

fn load(message: &Message) -> Weights {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder, &message.0);
    assert_eq!(Format::of(&path).unwrap(), Format::Caffe);
    alexnet_formats::load(&path, None).unwrap().weights
}

fn refusal(message: &Message) -> String {
    let folder = tempfile::tempdir().unwrap();
    caffe::read(&written(&folder, &message.0)).unwrap_err().to_string()
}

fn filler(kind: &str, field: u64, value: f32) -> Message {
    Message::default().text(1, kind).float(field, value)
}

fn layer<'a>(kind: &'a str, name: &'a str, bottom: &'a str, top: &'a str, settings: Option<Message>) -> CaffeLayer<'a> {
    CaffeLayer { name, kind, bottom, top, blobs: &[], settings }
}

fn transform() -> Message {
    Message::default().int(3, 12).float(5, 104.0).float(5, 117.0).float(5, 123.0)
}

/// A network with all kinds of layers, for training on crops of 12 x 12.
fn all_kinds<'a>() -> Vec<CaffeLayer<'a>> {
    let conv = Message::default().int(1, 6).int(3, 1).int(4, 3).int(6, 1);
    let conv = conv.message(7, filler("gaussian", 6, 0.01)).message(8, filler("constant", 2, 0.1));
    let grouped = Message::default().int(1, 4).int(9, 0).int(10, 1).int(11, 1).int(12, 3).int(5, 2);
    let across = Message::default().int(1, 3).float(2, 1e-4).float(3, 0.75);
    let within = Message::default().int(1, 3).float(2, 5e-5).int(4, 1).float(5, 7.0);
    let maximum = Message::default().int(1, 0).int(2, 3).int(3, 2);
    let average = Message::default().int(1, 1).int(2, 3).int(3, 2).int(4, 1);
    let inner = |units: i64| Some(Message::default().int(1, units));
    let with_blobs = |kind, name, bottom, top, blobs, settings| CaffeLayer { name, kind, bottom, top, blobs, settings };
    vec![
        layer("Data", "data", "", "data", Some(transform())),
        with_blobs("Convolution", "conv1", "data", "conv1", &[&[6, 3, 3, 3], &[6]], Some(conv)),
        layer("ReLU", "relu1", "conv1", "conv1", None),
        layer("LRN", "norm1", "conv1", "norm1", Some(across)),
        layer("Pooling", "pool1", "norm1", "pool1", Some(maximum)),
        with_blobs("Convolution", "conv2", "pool1", "conv2", &[&[4, 3, 1, 3], &[4]], Some(grouped)),
        layer("LRN", "norm2", "conv2", "norm2", Some(within)),
        layer("Pooling", "pool2", "norm2", "pool2", Some(average)),
        with_blobs("InnerProduct", "fc3", "pool2", "fc3", &[&[9, 64], &[9]], inner(9)),
        layer("Sigmoid", "act3", "fc3", "fc3", None),
        layer("Dropout", "drop3", "fc3", "fc3", Some(Message::default().float(1, 0.4))),
        with_blobs("InnerProduct", "fc4", "fc3", "fc4", &[&[5, 9], &[5]], inner(5)),
        layer("Accuracy", "accuracy", "fc4", "accuracy", None),
        layer("SoftmaxWithLoss", "loss", "fc4", "loss", None),
    ]
}

#[test]
fn both_kinds_of_messages_are_the_same_network() {
    let today = load(&net("Small net", &all_kinds(), Version::Today));
    assert_eq!(load(&net("Small net", &all_kinds(), Version::Of2014)), today);
    let model = today.model.clone().unwrap();
    assert_eq!((model.name.as_str(), model.classes), ("Small net", 5));
    let names: Vec<&str> = model.layers.iter().map(|layer| layer.name.as_str()).collect();
    let expected =
        ["conv1", "relu1", "norm1", "pool1", "conv2", "norm2", "pool2", "fc3", "act3", "drop3", "fc4", "softmax"];
    assert_eq!(names, expected);
    let theirs = numbers("conv1.0", &[6, 3, 3, 3]);
    assert_eq!(today.tensor("conv1.weight").unwrap()[[4, 2, 1, 0]], theirs[(4 * 3) * 9 + 2 * 3 + 1]);
    let theirs = numbers("fc3.0", &[9, 64]);
    assert_eq!(today.tensor("fc3.weight").unwrap()[[8, (3 * 4 + 1) * 4 + 2]], theirs[8 * 64 + 2 * 16 + 3 * 4 + 1]);
}

#[test]
fn settings_have_caffes_meaning() {
    let model = load(&net("net", &all_kinds(), Version::Of2014)).model.unwrap();
    let input = &model.input;
    assert_eq!((input.crop, input.channels, input.scale), (12, ChannelOrder::Bgr, 1.0));
    assert_eq!(input.mean, Mean::Rgb([123.0, 117.0, 104.0]));
    let LayerKind::Conv(conv) = &model.layers[0].kind else { panic!() };
    assert_eq!(conv.parameters.init, Init::Normal { mean: 0.0, std: 0.01 });
    assert_eq!(conv.parameters.bias, Some(Init::Constant(0.1)));
    assert_eq!((conv.parameters.bias_rate, conv.parameters.bias_decay), (2.0, 0.0));
    let LayerKind::Lrn(across) = &model.layers[2].kind else { panic!() };
    assert_eq!((across.size, across.alpha, across.k), (3, 1e-4, 1.0));
    assert_eq!((across.region, across.alpha_scaling), (Region::AcrossChannels, AlphaScaling::Mean));
    let LayerKind::Pool(maximum) = &model.layers[3].kind else { panic!() };
    assert_eq!((maximum.kind, maximum.round_mode), (PoolKind::Max, RoundMode::Ceil));
    let LayerKind::Conv(grouped) = &model.layers[4].kind else { panic!() };
    assert_eq!((grouped.kernel, grouped.groups, grouped.operation([6, 6]).padding.left), ([1, 3], 2, 1));
    let LayerKind::Lrn(within) = &model.layers[5].kind else { panic!() };
    assert_eq!((within.region, within.k), (Region::WithinChannel, 1.0));
    let LayerKind::Pool(average) = &model.layers[6].kind else { panic!() };
    assert_eq!(average.kind, PoolKind::AverageWithPadding);
    let LayerKind::Dropout(dropout) = &model.layers[9].kind else { panic!() };
    assert_eq!(dropout.p, 0.4);
}

#[test]
fn old_data_layers_say_how_images_are_prepared() {
    let layers = all_kinds();
    let old = Message::default().text(1, "train").float(2, 0.5).text(3, "mean.binaryproto").int(5, 12);
    let data = Message::default().texts(3, &["data", "label"]).text(4, "data").int(5, 5).message(11, old);
    let rest = layers.iter().skip(1).map(|layer| layer.message(Version::Of2014));
    let file = rest.fold(Message::default().text(1, "net").message(2, data), |file, layer| file.message(2, layer));
    let input = load(&file).model.unwrap().input;
    assert_eq!((input.crop, input.scale, input.mean), (12, 0.5, Mean::PackImage));
}

#[test]
fn other_layers_are_refused_by_name() {
    let refused = |change: &dyn Fn(&mut Vec<CaffeLayer>)| {
        let mut layers = all_kinds();
        change(&mut layers);
        refusal(&net("net", &layers, Version::Today))
    };
    let message = refused(&|layers| layers[2].kind = "PReLU");
    assert!(message.contains("the layer \"relu1\" is of the kind \"PReLU\""), "{message}");
    // Settings outside the ranges of network files, which could be written and not be read.
    for setting in [Message::default().int(1, 0), Message::default().int(1, 5).float(2, f32::NAN)] {
        let mut layers = all_kinds();
        layers[3].settings = Some(setting);
        let folder = tempfile::tempdir().unwrap();
        let path = written(&folder, &net("net", &layers, Version::Today).0);
        let message = alexnet_formats::read(&path).unwrap_err().to_string();
        assert!(message.contains("norm1") && message.contains(&*path.display().to_string()), "{message}");
    }
    let message = refused(&|layers| layers[3].bottom = "data");
    assert!(message.contains("the layer \"norm1\" branches off"), "{message}");
    let message = refused(&|layers| layers[3].bottom = "nothing");
    assert!(message.contains("takes \"nothing\""), "{message}");
    let message = refused(&|layers| layers[2].settings = Some(Message::default().float(1, 0.1)));
    assert!(message.contains("negative_slope 0.1"), "{message}");
    let message = refused(&|layers| layers[8].blobs = &[&[9, 63], &[9]]);
    assert!(message.contains("has a blob of shape [9, 63], and its input takes [9, 64]"), "{message}");
    let message = refused(&|layers| layers[8].blobs = &[]);
    assert!(message.contains("the layer \"fc3\" has 0 blobs"), "{message}");
    let old =
        Message::default().text(1, "net").message(2, Message::default().message(1, Message::default().text(1, "a")));
    assert!(refusal(&old).contains("before 2014"));
    assert!(refusal(&Message::default().text(1, "net").message(100, Message::default())).contains("takes \"\""));
}

#[test]
fn batch_normalisation_is_divided_by_its_number() {
    let pooled = Message::default().int(1, 1).int(12, 1);
    let with_blobs = |kind, name, bottom, top, blobs, settings| CaffeLayer { name, kind, bottom, top, blobs, settings };
    let layers = vec![
        layer("Data", "data", "", "data", Some(transform())),
        with_blobs("BatchNorm", "bn", "data", "data", &[&[3], &[3], &[1]], None),
        with_blobs("Scale", "scale", "data", "data", &[&[3], &[3]], None),
        layer("Pooling", "pool", "data", "pool", Some(pooled)),
    ];
    let weights = load(&net("net", &layers, Version::Today));
    let number = numbers("bn.2", &[1])[0];
    let mean = numbers("bn.0", &[3])[1] * (1.0 / number);
    assert_eq!(weights.tensor("bn.running_mean").unwrap()[[1]], mean);
    let variance = numbers("bn.1", &[3])[2] * (1.0 / number);
    assert_eq!(weights.tensor("bn.running_var").unwrap()[[2]], variance);
    assert_eq!(weights.tensor("bn.weight").unwrap().as_slice().unwrap(), numbers("scale.0", &[3]));
    assert_eq!(weights.tensor("bn.bias").unwrap().as_slice().unwrap(), numbers("scale.1", &[3]));
}

#[test]
fn settings_that_are_seldom_given_have_caffes_meaning_and_defaults() {
    let network = |norm: Option<Message>, pool: Message, inputs: i64| {
        let blobs: &[&[i64]] = &[&[3], &[3], &[1]];
        let norm = CaffeLayer { blobs, ..layer("BatchNorm", "bn", "data", "data", norm) };
        let pool = layer("Pooling", "pool", "data", "pool", Some(pool.int(2, 3).int(3, 2)));
        let shapes: &[&[i64]] = &[&[2, inputs], &[2]];
        let units = Some(Message::default().int(1, 2));
        let linear = CaffeLayer { blobs: shapes, ..layer("InnerProduct", "fc", "pool", "fc", units) };
        let layers = [layer("Data", "data", "", "data", Some(transform())), norm, pool, linear];
        let model = load(&net("net", &layers, Version::Today));
        let kinds: Vec<LayerKind> = model.model.unwrap().layers.into_iter().map(|layer| layer.kind).collect();
        let LayerKind::BatchNorm(norm) = &kinds[0] else { panic!() };
        let LayerKind::Pool(pool) = &kinds[1] else { panic!() };
        (norm.momentum, norm.epsilon, pool.round_mode)
    };
    assert_eq!(network(None, Message::default(), 3 * 36), (0.001, 1e-5, RoundMode::Ceil));
    let norm = Message::default().float(2, 0.9).float(3, 0.01);
    assert_eq!(network(Some(norm), Message::default().int(13, 1), 3 * 25), (0.1, 0.01, RoundMode::Floor));
}

#[test]
fn a_file_cut_or_changed_anywhere_ends_in_one_error_or_weights() {
    let folder = tempfile::tempdir().unwrap();
    for version in [Version::Today, Version::Of2014] {
        let layers = vec![
            layer("Data", "data", "", "data", Some(Message::default().int(3, 2))),
            CaffeLayer {
                blobs: &[&[2, 12], &[2]],
                ..layer("InnerProduct", "fc", "data", "fc", Some(Message::default().int(1, 2)))
            },
            layer("Softmax", "prob", "fc", "prob", None),
        ];
        let bytes = net("net", &layers, version).0;
        let path = written(&folder, &bytes);
        caffe::read(&path).unwrap();
        for end in 0..bytes.len() {
            written(&folder, &bytes[..end]);
            if let Err(error) = alexnet_formats::load(&path, None) {
                assert!(error.to_string().contains("net.caffemodel"), "{end}: {error}");
            }
        }
        for at in 0..bytes.len() {
            for change in [1, 4, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                written(&folder, &changed);
                if let Err(error) = caffe::read(&path) {
                    assert!(error.to_string().contains("net.caffemodel"), "{at}: {error}");
                }
            }
        }
    }
}
