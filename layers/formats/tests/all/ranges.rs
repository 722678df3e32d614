//! Settings out of their ranges, names that are there twice, and more tensors than a network has.

use std::fs;
use std::path::Path;

use alexnet_formats::read;
use ndarray::Array2;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::allocator::allocated_by;
use crate::keras_networks::archive as keras_archive;
use crate::onnx_file::Attribute::{Float, Int, Ints, Tensor};
use crate::onnx_file::{OnnxFile, numbers, tensor};
use crate::protobuf::Message;
use crate::support::{Pickle, archive, bytes, file, temporary_file};

/// The refusal of a file: one line without anything that only programmers of this crate read.
fn refusal(path: &Path) -> String {
    let message = read(path).unwrap_err().to_string();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(message.contains(name) && message.lines().count() == 1, "{message}");
    for debug in ["Some(", "None", "Number(", "Batch,", "String(", " { ", "Ok(", "Err("] {
        assert!(!message.contains(debug), "{message}");
    }
    message
}

fn refused(name: &str, content: &[u8]) -> String {
    let (_folder, path) = file(name, content);
    refusal(&path)
}

fn refused_graph(graph: &OnnxFile) -> String {
    refused("a.onnx", &graph.bytes())
}

/// Maps of four channels on 8 x 8.
fn maps() -> OnnxFile {
    let start = OnnxFile::new(&[0, 3, 8, 8]).weight("w", &[4, 3, 3, 3]);
    start.node("Conv", &["w"], &[Ints("pads", &[1, 1, 1, 1])])
}

fn classified(graph: OnnxFile, inputs: i64) -> OnnxFile {
    graph.weight("fw", &[5, inputs]).node("Flatten", &[], &[]).node("Gemm", &["fw"], &[Int("transB", 1)])
}

#[test]
fn settings_of_onnx() {
    let conv = |attribute| OnnxFile::new(&[0, 3, 8, 8]).weight("w", &[4, 3, 3, 3]).node("Conv", &["w"], &[attribute]);
    let pool = |kernel: &[i64], more| maps().node("MaxPool", &[], &[Ints("kernel_shape", kernel), more]);
    let lrn = |attribute| maps().node("LRN", &[], &[Int("size", 5), attribute]);
    let norm = |attribute| {
        let start = ["s", "b", "m", "v"].iter().fold(maps(), |graph, name| graph.weight(name, &[4]));
        start.node("BatchNormalization", &["s", "b", "m", "v"], &[attribute])
    };
    let gemm = |attribute| {
        let start = maps().weight("fw", &[5, 256]).node("Flatten", &[], &[]);
        start.node("Gemm", &["fw"], &[Int("transB", 1), attribute])
    };
    let cases = [
        conv(Ints("strides", &[0, 1])),
        conv(Ints("strides", &[1, -1])),
        conv(Ints("pads", &[0, 0, -1, 0])),
        conv(Ints("pads", &[1 << 40, 0, 0, 0])),
        conv(Int("group", 0)),
        conv(Int("group", -3)),
        pool(&[0, 2], Ints("strides", &[1, 1])),
        pool(&[1 << 19, 1 << 19], Ints("strides", &[1, 1])),
        pool(&[2, 2], Ints("strides", &[0, 0])),
        pool(&[2, 2], Ints("pads", &[-1, 0, 0, 0])),
        pool(&[2, 2], Ints("pads", &[7, 7, 7, 7])),
        maps().node("LRN", &[], &[Int("size", 0)]),
        maps().node("LRN", &[], &[Int("size", -5)]),
        maps().node("LRN", &[], &[Int("size", (1 << 40) + 1)]),
        lrn(Float("alpha", f32::NAN)),
        lrn(Float("alpha", -1.0)),
        lrn(Float("beta", f32::INFINITY)),
        lrn(Float("bias", 0.0)),
        norm(Float("epsilon", f32::NAN)),
        norm(Float("epsilon", f32::INFINITY)),
        norm(Float("epsilon", 0.0)),
        norm(Float("momentum", 1.5)),
        gemm(Float("alpha", f32::NAN)),
        gemm(Float("alpha", f32::INFINITY)),
    ];
    for graph in cases {
        let inputs = 256;
        let is_flat = graph.bytes().windows(4).any(|window| window == b"Gemm");
        refused_graph(&if is_flat { graph } else { classified(graph, inputs) });
    }
    let dropout = maps().floats("ratio", &[], &[f32::NAN]).node("Dropout", &["ratio"], &[]);
    refused_graph(&classified(dropout, 256));
}

/// The words of refusals that once held the names of this crate's own types.
#[test]
fn lengths_are_shown_as_lists() {
    let reshaped = maps().ints("shape", &[1, -1]).node("Reshape", &["shape"], &[]);
    assert!(refused_graph(&reshaped).contains("makes [1, -1] of [4, 8, 8]"));
    let squares = maps().named_node("Mul", "", &["value0", "value0"], &["squares"], &[]);
    let averaged =
        |attributes: &[_]| squares.clone().named_node("AveragePool", "", &["squares"], &["mean"], attributes);
    assert!(refused_graph(&averaged(&[])).contains("averages squares over [] as"));
    assert!(refused_graph(&averaged(&[Ints("kernel_shape", &[3, 2])])).contains("averages squares over [3, 2] as"));
}

fn caffe(kind: &str, field: u64, settings: Message) -> Vec<u8> {
    let shape = Message::default().packed_ints(1, &[1, 3, 8, 8]);
    let data = Message::default().text(1, "data").text(2, "Input").text(4, "data");
    let data = data.message(143, Message::default().message(1, shape));
    let weight = Message::default().floats(5, &[0.5; 108]);
    let weight = weight.message(7, Message::default().packed_ints(1, &[4, 3, 3, 3]));
    let bias = Message::default().floats(5, &[0.5; 4]).message(7, Message::default().packed_ints(1, &[4]));
    let layer = Message::default().text(1, "one").text(2, kind).text(3, "data").text(4, "one");
    let layer = layer.message(7, weight).message(7, bias).message(field, settings);
    Message::default().text(1, "net").message(100, data).message(100, layer).0
}

#[test]
fn settings_of_caffe() {
    let conv = || Message::default().int(1, 4);
    let cases = [
        caffe("Convolution", 106, conv().int(4, 3).int(6, 0)),
        caffe("Convolution", 106, conv().int(4, 3).int(3, 1 << 31)),
        caffe("Convolution", 106, conv().int(4, 0)),
        caffe("Convolution", 106, conv().int(4, 3).int(5, 0)),
        caffe("Pooling", 121, Message::default().int(2, 0)),
        caffe("Pooling", 121, Message::default().int(2, 1 << 19)),
        caffe("Pooling", 121, Message::default().int(2, 2).int(3, 0)),
        caffe("Pooling", 121, Message::default().int(2, 2).int(4, 7)),
        caffe("LRN", 118, Message::default().int(1, 0)),
        caffe("LRN", 118, Message::default().float(2, f32::NAN)),
        caffe("LRN", 118, Message::default().float(3, f32::INFINITY)),
        caffe("Dropout", 108, Message::default().float(1, f32::NAN)),
        caffe("Dropout", 108, Message::default().float(1, -0.5)),
        caffe("ReLU", 123, Message::default().float(1, f32::NAN)),
    ];
    for (number, content) in cases.iter().enumerate() {
        let message = refused("a.caffemodel", content);
        assert!(message.contains("one"), "case {number}: {message}");
    }
    for transform in [Message::default().float(1, f32::NAN), Message::default().float(5, f32::INFINITY)] {
        let data = Message::default().text(1, "data").text(2, "Data").text(4, "data").message(100, transform.int(3, 8));
        let message = refused("a.caffemodel", &Message::default().text(1, "net").message(100, data).0);
        assert!(message.contains("in its data layer"), "{message}");
    }
}

#[test]
fn settings_of_keras() {
    let cases = [
        ("Conv2D", json!({ "filters": 2, "kernel_size": [3, 3], "strides": [0, 1] })),
        ("Conv2D", json!({ "filters": 2, "kernel_size": [-3, 3] })),
        ("Conv2D", json!({ "filters": 1u64 << 40, "kernel_size": [3, 3] })),
        ("Conv2D", json!({ "filters": 2, "kernel_size": [3, 3], "groups": 0 })),
        ("Conv2D", json!({ "filters": 2, "kernel_size": [3, 3], "groups": 2 })),
        ("MaxPooling2D", json!({ "pool_size": [1 << 19, 1 << 19] })),
        ("MaxPooling2D", json!({ "strides": [0, 0] })),
        ("BatchNormalization", json!({ "epsilon": -1.0 })),
        ("BatchNormalization", json!({ "epsilon": 0.0 })),
        ("BatchNormalization", json!({ "momentum": 5.0 })),
        ("BatchNormalization", json!({ "momentum": -1.0 })),
        ("Dropout", json!({ "rate": 1.0 })),
        ("Dropout", json!({ "rate": -0.5 })),
        ("ZeroPadding2D", json!({ "padding": [-1, 1] })),
        ("Rescaling", json!({ "scale": 0.0 })),
        ("Normalization", json!({ "mean": 1.0, "variance": -1.0 })),
    ];
    for (class, mut config) in cases {
        config["name"] = json!("one");
        let layers: Vec<Value> = vec![
            json!({ "class_name": "InputLayer", "config": { "batch_shape": [null, 8, 8, 3] } }),
            json!({ "class_name": class, "config": config }),
            json!({ "class_name": "Flatten", "config": { "name": "flat" } }),
            json!({ "class_name": "Dense", "config": { "name": "dense", "units": 2 } }),
        ];
        let model = json!({ "class_name": "Sequential", "config": { "name": "test", "layers": layers } });
        let folder = tempfile::tempdir().unwrap();
        let message = refusal(&keras_archive(folder.path(), &model.to_string()));
        assert!(message.contains("one"), "{class} {config}: {message}");
    }
}

#[test]
fn names_of_onnx_are_there_once() {
    let twice = classified(maps().weight("w", &[4, 3, 3, 3]), 256);
    assert!(refused_graph(&twice).contains("two values of the name \"w\""));
    let given = maps().named_node("Relu", "", &["value0"], &["w"], &[]);
    assert!(refused_graph(&given).contains("two values of the name \"w\""));
}

#[test]
fn more_tensors_than_a_network_has() {
    const MOST: usize = 65_536;
    let (_folder, path) = temporary_file("a.safetensors");
    let write = |count: usize| {
        let one = |n: usize| format!("\"{n}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}");
        let header = format!("{{{}}}", (0..count).map(one).collect::<Vec<_>>().join(","));
        fs::write(&path, [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat()).unwrap();
    };
    write(MOST);
    assert_eq!(read(&path).unwrap().unwrap().tensors.len(), MOST);
    write(MOST + 1);
    assert!(refusal(&path).contains("more than 65536 tensors"));
    let mut pickle = Pickle::new().row("Float", "0", 1).raw(b"q\x010}");
    for n in 0..=MOST {
        pickle = pickle.text(&n.to_string()).raw(b"h\x01s");
    }
    let content = archive(&pickle.end(), &[("0", &bytes(&[1.0]))]);
    assert!(refused("a.pt", &content).contains("more than 65536 tensors"));
    let places: Vec<String> = (0..=MOST).map(|n| format!("\"{n}\": \"m.safetensors\"")).collect();
    let index = format!("{{\"weight_map\": {{{}}}}}", places.join(", "));
    assert!(refused("model.safetensors.index.json", index.as_bytes()).contains("names 65537 tensors"));
}

#[test]
fn more_objects_than_a_file_of_keras_has() {
    let (_folder, path) = temporary_file("a.h5");
    {
        let file = hdf5::File::create(&path).unwrap();
        file.create_group("vars").unwrap();
        let group = file.create_group("layers/dense/vars").unwrap();
        for n in 0..65_536 {
            group.new_dataset::<f32>().create(n.to_string().as_str()).unwrap();
        }
    }
    assert!(
        alexnet_formats::keras::read(&path).unwrap_err().to_string().contains("more than 65536 groups and tensors")
    );
}

/// A dataset of Keras that is saved through a filter.
fn filtered(path: &Path, build: impl Fn(hdf5::DatasetBuilder) -> hdf5::DatasetBuilder) {
    let file = hdf5::File::create(path).unwrap();
    file.create_group("vars").unwrap();
    let group = file.create_group("layers/dense/vars").unwrap();
    let values = Array2::<f32>::from_elem((40, 30), 0.25);
    build(group.new_dataset_builder().chunk([20, 30])).with_data(&values).create("0").unwrap();
}

#[test]
fn filters_that_are_not_read_are_named() {
    let (_folder, path) = temporary_file("a.h5");
    let expected =
        |name: &str| format!("is saved with the filter {name}, which is not read; save it without compression");
    filtered(&path, |builder| builder.nbit());
    assert!(refusal(&path).contains(&expected("nbit")));
    filtered(&path, |builder| builder.scale_offset(hdf5::filters::ScaleOffset::FloatDScale(2)));
    assert!(refusal(&path).contains(&expected("scale-offset")));
    // The library has not these filters: their numbers are put in the place of deflate's, before its name.
    for (id, name) in [(32_000u16, "lzf"), (4, "szip"), (32_015, "zstd"), (40_000, "number 40000")] {
        filtered(&path, |builder| builder.deflate(9));
        let mut content = fs::read(&path).unwrap();
        let at = content.windows(8).position(|window| window == b"deflate\0").unwrap();
        content[at - 8..at - 6].copy_from_slice(&id.to_le_bytes());
        fs::write(&path, content).unwrap();
        assert!(refusal(&path).contains(&expected(name)), "{}", refusal(&path));
    }
}

/// A graph that turns a constant again and again holds it once.
#[test]
fn turned_constants_are_bounded() {
    let value = || tensor("", &[1], &[0.25]);
    let fill = |shape: &[i64], turns: usize| {
        let start = OnnxFile::new(&[0, 3, 2, 2]).ints("shape", shape);
        let mut graph = start.named_node("ConstantOfShape", "", &["shape"], &["made0"], &[Tensor("value", value())]);
        for n in 0..turns {
            let names = [format!("made{n}"), format!("made{}", n + 1)];
            graph = graph.named_node("Transpose", "", &[&names[0]], &[&names[1]], &[Ints("perm", &[1, 0, 2, 3])]);
        }
        let graph = graph.from("input").node("Conv", &[&format!("made{turns}")], &[]);
        graph.weight("fw", &[5, 16]).node("Flatten", &[], &[]).node("Gemm", &["fw"], &[Int("transB", 1)])
    };
    let (_folder, path) = file("a.onnx", &fill(&[3, 4, 1, 1], 1).bytes());
    assert_eq!(read(&path).unwrap().unwrap().tensors[0].values[[3, 2, 0, 0]], 0.25);
    // 128 MiB of one value, turned a hundred times on its way to a layer that it does not fit.
    let (_folder, path) = file("b.onnx", &fill(&[1 << 20, 32, 1, 1], 100).bytes());
    let (allocated, message) = allocated_by(|| refusal(&path));
    assert!(message.contains("channels"), "{message}");
    assert!(allocated < 140 << 20, "{allocated}");
    // Values of the file, turned as often, are refused before they fill the memory.
    let shape = [256, 256, 1, 1];
    let mut graph = OnnxFile::new(&[0, 3, 2, 2]).floats("made0", &shape, &numbers("w", &shape));
    for n in 0..100 {
        let names = [format!("made{n}"), format!("made{}", n + 1)];
        graph = graph.named_node("Transpose", "", &[&names[0]], &[&names[1]], &[Ints("perm", &[1, 0, 2, 3])]);
    }
    let content = graph.bytes();
    let (_folder, path) = file("c.onnx", &content);
    let (allocated, message) = allocated_by(|| refusal(&path));
    assert!(message.contains("more values than a file of its length"), "{message}");
    assert!(allocated < 24 * content.len() as u64, "{allocated} bytes for a file of {}", content.len());
}

#[test]
fn converted_numbers_of_safetensors_are_noted() {
    let part = |name: &str, kind: &str, from: usize, to: usize| {
        format!("\"{name}\":{{\"dtype\":\"{kind}\",\"shape\":[2],\"data_offsets\":[{from},{to}]}}")
    };
    let content = |parts: &[String], data: usize| {
        let header = format!("{{{}}}", parts.join(","));
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
    };
    let (_folder, path) = file("a.safetensors", &content(&[part("a", "F16", 0, 4), part("b", "BF16", 4, 8)], 8));
    assert_eq!(read(&path).unwrap().unwrap().notes, ["its numbers are bf16 and f16 and become f32"]);
    let (_folder, path) = file("a.safetensors", &content(&[part("a", "F32", 0, 8)], 8));
    assert_eq!(read(&path).unwrap().unwrap().notes, Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any numbers in any place end in a network or in one line.
    #[test]
    fn any_settings_of_a_layer(stride in -1i64..4, kernel in -1i64..5, pad in -1i64..4, bits: u32) {
        let lrn = [Int("size", kernel), Float("alpha", f32::from_bits(bits)), Float("bias", f32::from_bits(!bits))];
        let pool = [
            Ints("kernel_shape", &[kernel, kernel]),
            Ints("strides", &[stride, 1]),
            Ints("pads", &[pad, 0, pad, 0]),
        ];
        for graph in [maps().node("LRN", &[], &lrn), maps().node("MaxPool", &[], &pool)] {
            let (_folder, path) = file("a.onnx", &graph.bytes());
            if read(&path).is_err() {
                refusal(&path);
            }
        }
    }
}
