//! Protocol buffers that would take more memory than their length justifies.

use alexnet_formats::{caffe, load, onnx};

use crate::allocator::allocated_by;
use crate::onnx_file::Attribute::{Int, Ints};
use crate::onnx_file::{OnnxFile, path_of};
use crate::protobuf::Message;

/// Refuses a file within a small multiple of its length, and gives the message.
fn refused_in_bounds(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = path_of(&folder, bytes);
    let (allocated, result) = allocated_by(|| load(&path, None));
    let most = 8 * bytes.len() as u64 + (8 << 20);
    assert!(allocated <= most, "{allocated} bytes were allocated for a file of {}", bytes.len());
    result.map(|_| ()).unwrap_err().to_string()
}

fn model_of(graph: Message) -> Vec<u8> {
    let operators = Message::default().int(2, 13);
    Message::default().int(1, 8).message(7, graph).message(8, operators).0
}

/// A million empty messages in two million bytes would become hundreds of megabytes.
#[test]
fn floods_of_empty_messages_are_refused_before_they_are_decoded() {
    let flood = |field: u8| Message([field << 3 | 2, 0].repeat(1 << 20));
    for field in [1, 5, 11] {
        assert!(refused_in_bounds(&model_of(flood(field))).contains("parts"), "field {field}");
    }
    let attributes = Message::default().message(1, flood(5));
    assert!(refused_in_bounds(&model_of(attributes)).contains("parts"));
    let inputs = Message::default().message(1, flood(1));
    assert!(refused_in_bounds(&model_of(inputs)).contains("parts"));
    let layers = Message([0x12, 0].repeat(1 << 20));
    assert!(refused_in_bounds(&Message::default().text(1, "net").message(2, layers.clone()).0).contains("parts"));
    let blobs = Message([0x3a, 0].repeat(1 << 20));
    let net = Message::default().text(1, "net").message(100, blobs);
    assert!(refused_in_bounds(&net.0).contains("parts"));
}

#[test]
fn lengths_beyond_the_file_are_refused() {
    for length in
        [&[0xff, 0xff, 0xff, 0xff, 0x07][..], &[0xff; 9], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f]]
    {
        let onnx = [&[0x08, 8, 0x3a][..], length].concat();
        refused_in_bounds(&onnx);
        let caffe = [&[0x0a, 1, b'n', 0x12][..], length].concat();
        refused_in_bounds(&caffe);
    }
}

/// If within If within If: the reader of the graph would recurse.
#[test]
fn graphs_deep_in_each_other_are_refused() {
    let mut graph = Message::default();
    for _ in 0..200 {
        let branch = Message::default().text(1, "then_branch").message(6, graph).int(20, 5);
        let node = Message::default().text(1, "c").text(2, "y").text(4, "If").message(5, branch);
        graph = Message::default().message(1, node);
    }
    assert!(refused_in_bounds(&model_of(graph)).contains("deep"));
}

/// One tensor of a megabyte, used by many nodes, would become many.
#[test]
fn one_tensor_as_the_weights_of_many_layers_is_bounded() {
    let mut file = OnnxFile::new(&[0, 3, 2, 2]).weight("first", &[512, 12]).weight("w", &[512, 512]);
    file = file.node("Flatten", &[], &[]).node("Gemm", &["first"], &[Int("transB", 1)]);
    for _ in 0..1000 {
        file = file.node("Gemm", &["w"], &[Int("transB", 1)]);
    }
    let bytes = file.bytes();
    let folder = tempfile::tempdir().unwrap();
    let path = path_of(&folder, &bytes);
    let (allocated, result) = allocated_by(|| onnx::read(&path));
    assert!(result.unwrap_err().to_string().contains("more values"));
    assert!(allocated <= 24 * bytes.len() as u64, "{allocated} bytes for a file of {}", bytes.len());
}

#[test]
fn shapes_that_overflow_are_refused() {
    let tensor = Message::default().ints(1, &[i64::MAX, i64::MAX, 1, 1]).int(2, 1).text(8, "w").bytes(9, &[0; 4]);
    let file = OnnxFile::new(&[0, 3, 2, 2]).initializer(tensor).node("Conv", &["w"], &[]);
    assert!(refused_in_bounds(&file.bytes()).contains("larger than any"));
    let negative = Message::default().ints(1, &[-4, 3, 1, 1]).int(2, 1).text(8, "w").bytes(9, &[0; 4]);
    let file = OnnxFile::new(&[0, 3, 2, 2]).initializer(negative).node("Conv", &["w"], &[]);
    assert!(refused_in_bounds(&file.bytes()).contains("larger than any"));
    let strides = [Ints("strides", &[i64::MAX, i64::MIN])];
    let file = OnnxFile::new(&[0, 3, 2, 2]).weight("w", &[4, 3, 1, 1]).node("Conv", &["w"], &strides);
    assert!(refused_in_bounds(&file.bytes()).contains("two numbers from 1"));
    let pads = [Ints("pads", &[i64::MAX, 0, -1, 0])];
    let file = OnnxFile::new(&[0, 3, 2, 2]).weight("w", &[4, 3, 1, 1]).node("Conv", &["w"], &pads);
    assert!(refused_in_bounds(&file.bytes()).contains("four numbers from 0"));
}

/// Settings of Caffe at the ends of their ranges.
#[test]
fn settings_that_overflow_are_refused() {
    let net = |settings: Message| {
        let data = Message::default().text(1, "data").text(2, "Input").text(4, "data");
        let shape = Message::default().packed_ints(1, &[1, 3, 8, 8]);
        let data = data.message(143, Message::default().message(1, shape));
        let conv = Message::default().text(1, "conv").text(2, "Convolution").text(3, "data").text(4, "conv");
        Message::default().text(1, "net").message(100, data).message(100, conv.message(106, settings)).0
    };
    let most = i64::from(u32::MAX);
    let cases = [
        Message::default().int(1, most).int(4, most).int(6, most).int(3, most).int(5, 1),
        Message::default().int(1, 4).int(4, 0).int(6, 0),
        Message::default().int(1, 0).int(4, 3).int(5, 0),
        Message::default().int(1, 4).int(4, 3).int(5, most),
    ];
    for settings in cases {
        assert!(refused_in_bounds(&net(settings)).contains("the layer \"conv\""));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = path_of(&folder, &net(Message::default()));
    assert!(caffe::read(&path).is_err());
}
