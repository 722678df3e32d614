//! Values that f32 does not hold, values that are not finite, and descriptions that do not fit the network.

use std::path::Path;

use alexnet_formats::layers::weights::Weights;
use alexnet_formats::{load, read, save};
use hdf5::File;
use ndarray::Array2;

use crate::onnx_file::OnnxFile;
use crate::protobuf::Message;
use crate::support::{Pickle, SMALL, archive, bytes, file, model, temporary_file, weights};

/// A finite number of f64 that f32 does not hold.
const BEYOND: f64 = -1e39;

fn doubles(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The refusal of a file, which must name the tensor and the value.
fn refuses(name: &str, content: &[u8], tensor: &str) {
    let (_folder, path) = file(name, content);
    refuses_at(&path, tensor);
}

fn refuses_at(path: &Path, tensor: &str) {
    let message = read(path).unwrap_err().to_string();
    let name = path.file_name().unwrap().to_str().unwrap();
    for expected in [name, tensor, "-1e39", "in the range of f32"] {
        assert!(message.contains(expected), "{message}\nlacks {expected}");
    }
}

#[test]
fn numbers_beyond_f32_are_refused_with_their_tensor() {
    let pickle = Pickle::new().raw(b"}").text("fc.weight").row("Double", "0", 2).raw(b"s").end();
    refuses("a.pt", &archive(&pickle, &[("0", &doubles(&[1.0, BEYOND]))]), "fc.weight");
    let header = r#"{"fc.weight":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}}"#;
    let safetensors = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &doubles(&[1.0, BEYOND])].concat();
    refuses("a.safetensors", &safetensors, "fc.weight");
    let named = Message::default().ints(1, &[1, 3, 1, 1]).int(2, 11).text(8, "kernels");
    let data = doubles(&[0.0, BEYOND, 0.0]);
    for tensor in [named.clone().bytes(9, &data), named.bytes(10, &data)] {
        let graph = OnnxFile::new(&[0, 3, 2, 2]).initializer(tensor).node("Conv", &["kernels"], &[]);
        refuses("a.onnx", &graph.bytes(), "kernels");
    }
    let blob = |shape: &[i64], field: u64, data: &[u8]| {
        Message::default().bytes(field, data).message(7, Message::default().packed_ints(1, shape))
    };
    let input = Message::default().text(1, "data").text(2, "Input").texts(4, &["data"]);
    let inner = Message::default().text(1, "ip").text(2, "InnerProduct").texts(3, &["data"]).texts(4, &["ip"]);
    let weight = blob(&[1, 3], 8, &data);
    let inner = inner.message(7, weight).message(117, Message::default().int(1, 1).int(2, 0));
    let shape = Message::default().packed_ints(1, &[1, 3, 1, 1]);
    let input = input.message(143, Message::default().message(1, shape));
    refuses("a.caffemodel", &Message::default().text(1, "net").message(100, input).message(100, inner).0, "\"ip\"");
}

#[test]
fn numbers_beyond_f32_in_hdf5_are_refused_in_every_layout() {
    let (_folder, path) = temporary_file("a.h5");
    let mut values = Array2::<f64>::zeros((5, 3));
    values[[3, 2]] = BEYOND;
    for chunked in [false, true] {
        write_dense(&path, &values, chunked);
        refuses_at(&path, "layers/dense/vars/0");
    }
}

/// A file of Keras' form with one matrix. The file is complete when all its parts are dropped.
fn write_dense(path: &Path, values: &Array2<f64>, chunked: bool) {
    let file = File::create(path).unwrap();
    file.create_group("vars").unwrap();
    let group = file.create_group("layers/dense/vars").unwrap();
    let builder = group.new_dataset_builder();
    let builder = if chunked { builder.chunk([2, 2]).deflate(3) } else { builder };
    builder.with_data(values).create("0").unwrap();
}

#[test]
fn values_that_are_not_finite_are_noted_once() {
    let pickle = Pickle::new().raw(b"}").text("a").row("Float", "0", 3).raw(b"s").text("b").row("Float", "1", 1);
    let pickle = pickle.raw(b"s").end();
    let values = [("0", bytes(&[f32::NAN, 1.0, f32::INFINITY])), ("1", bytes(&[f32::MAX]))];
    let storages: Vec<(&str, &[u8])> = values.iter().map(|(key, bytes)| (*key, bytes.as_slice())).collect();
    let (_folder, path) = file("a.pt", &archive(&pickle, &storages));
    let notes = read(&path).unwrap().unwrap().notes;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].contains("NaN or infinite: 2 in a;"), "{notes:?}");
    // Files of this workspace and of others, on their way to weights.
    let mut damaged = weights(&model(SMALL), 1);
    let last = damaged.tensors.iter_mut().find(|(name, _)| name == "fc8.bias").unwrap();
    last.1[[1]] = f32::NEG_INFINITY;
    for name in ["w.h5", "w.safetensors", "w.pt", "w.onnx", "w.keras"] {
        let (_folder, path) = temporary_file(name);
        save(&path, &damaged, None).unwrap();
        let notes = load(&path, None).unwrap().report.notes;
        let of_values: Vec<&String> = notes.iter().filter(|note| note.contains("NaN or infinite: 1 in ")).collect();
        assert_eq!(of_values.len(), 1, "{name}: {notes:?}");
    }
}

/// Saves weights in each format and returns the errors of loading and of looking at them.
fn refusals(weights: &Weights) -> Vec<String> {
    let one = |name: &str| {
        let (_folder, path) = temporary_file(name);
        save(&path, weights, None).unwrap();
        let message = load(&path, None).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
        message
    };
    ["w.h5", "w.safetensors", "w.pt", "w.onnx", "w.keras"].into_iter().map(one).collect()
}

#[test]
fn means_that_are_not_finite_are_refused() {
    let mut damaged = weights(&model(SMALL), 1);
    damaged.mean_image.as_mut().unwrap()[[1, 0, 2]] = f32::NAN;
    for message in refusals(&damaged) {
        assert!(message.contains("its mean image holds NaN"), "{message}");
    }
    let mut damaged = weights(&model(SMALL), 1);
    damaged.mean_rgb = Some([1.0, f32::INFINITY, 1.0]);
    let (_folder, path) = temporary_file("w.pt");
    // JSON has no infinity.
    save(&path, &damaged, None).unwrap();
    assert!(load(&path, None).is_err());
    let (_folder, path) = temporary_file("w.h5");
    save(&path, &damaged, None).unwrap();
    assert!(load(&path, None).unwrap_err().to_string().contains("its mean colour holds inf"));
}

#[test]
fn class_names_of_another_number_are_refused() {
    let mut fewer = weights(&model(SMALL), 1);
    fewer.classes.pop();
    let mut more = weights(&model(SMALL), 1);
    more.classes.push("one more".into());
    for (wrong, count) in [(fewer, 2), (more, 4)] {
        for message in refusals(&wrong) {
            let expected = format!("names {count} classes, and its network has 3 outputs");
            assert!(message.contains(&expected), "{message}");
        }
    }
    // A file without names has none to compare.
    let unnamed = Weights { classes: Vec::new(), ..weights(&model(SMALL), 1) };
    let (_folder, path) = temporary_file("w.pt");
    save(&path, &unnamed, None).unwrap();
    load(&path, None).unwrap();
}
