//! ONNX files for tests.

use std::path::{Path, PathBuf};

use alexnet_formats::layers::weights::Weights;
use alexnet_formats::{Error, ForeignFile, onnx};

use crate::protobuf::Message;

/// An attribute.
pub enum Attribute<'a> {
    Int(&'a str, i64),
    Ints(&'a str, &'a [i64]),
    Float(&'a str, f32),
    Text(&'a str, &'a str),
    Tensor(&'a str, Message),
}

/// A graph that is being written.
#[derive(Clone, Default)]
pub struct OnnxFile {
    graph: Message,
    values: usize,
    last: String,
    pub opset: i64,
}

impl OnnxFile {
    /// A graph with an input of these lengths; 0 is a length that is not fixed.
    pub fn new(input: &[i64]) -> Self {
        let graph = Message::default().message(11, value("input", input));
        Self { graph, values: 0, last: "input".into(), opset: 13 }
    }

    pub fn opset(self, opset: i64) -> Self {
        Self { opset, ..self }
    }

    /// A parameter, with values that are different for each name and place.
    pub fn weight(self, name: &str, shape: &[i64]) -> Self {
        self.floats(name, shape, &numbers(name, shape))
    }

    pub fn floats(mut self, name: &str, shape: &[i64], values: &[f32]) -> Self {
        self.graph = self.graph.message(5, tensor(name, shape, values));
        self
    }

    pub fn ints(mut self, name: &str, values: &[i64]) -> Self {
        let message = Message::default().ints(1, &[values.len() as i64]).int(2, 7).packed_ints(7, values).text(8, name);
        self.graph = self.graph.message(5, message);
        self
    }

    /// An initializer as it is.
    pub fn initializer(mut self, tensor: Message) -> Self {
        self.graph = self.graph.message(5, tensor);
        self
    }

    /// A node on the value after the last one and `others`.
    pub fn node(self, operator: &str, others: &[&str], attributes: &[Attribute]) -> Self {
        let last = self.last.clone();
        let inputs: Vec<&str> = std::iter::once(last.as_str()).chain(others.iter().copied()).collect();
        let output = format!("value{}", self.values);
        let mut file = self.named_node(operator, "", &inputs, &[&output], attributes);
        file.values += 1;
        file.last = output;
        file
    }

    /// A node with all its names.
    pub fn named_node(
        mut self,
        operator: &str,
        name: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[Attribute],
    ) -> Self {
        let mut node = Message::default().texts(1, inputs).texts(2, outputs).text(3, name).text(4, operator);
        for attribute in attributes {
            node = node.message(5, encoded(attribute));
        }
        self.graph = self.graph.message(1, node);
        self
    }

    /// Makes the value of this name the one that the next node takes.
    pub fn from(mut self, value: &str) -> Self {
        self.last = value.into();
        self
    }

    /// The file; the graph's output is the last value.
    pub fn bytes(&self) -> Vec<u8> {
        let graph = self.graph.clone().text(2, "graph").message(12, value(&self.last, &[0, 0]));
        let operators = Message::default().text(1, "").int(2, self.opset);
        Message::default().int(1, 8).text(2, "test").message(7, graph).message(8, operators).0
    }
}

/// A tensor of f32.
pub fn tensor(name: &str, shape: &[i64], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Message::default().ints(1, shape).int(2, 1).text(8, name).bytes(9, &raw)
}

/// Small numbers that depend on the name and the place.
pub fn numbers(name: &str, shape: &[i64]) -> Vec<f32> {
    let seed: u32 = name.bytes().fold(7, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()));
    let count: i64 = shape.iter().product();
    let number = |at: i64| (seed.wrapping_add(at as u32).wrapping_mul(2_654_435_761) >> 16) as f32;
    (0..count).map(|at| (number(at) / 65_536.0 - 0.5) * 0.2).collect()
}

fn encoded(attribute: &Attribute) -> Message {
    let named = |name: &str| Message::default().text(1, name);
    match attribute {
        Attribute::Int(name, value) => named(name).int(3, *value).int(20, 2),
        Attribute::Ints(name, values) => named(name).ints(8, values).int(20, 7),
        Attribute::Float(name, value) => named(name).float(2, *value).int(20, 1),
        Attribute::Text(name, value) => named(name).text(4, value).int(20, 3),
        Attribute::Tensor(name, tensor) => named(name).message(5, tensor.clone()).int(20, 4),
    }
}

fn value(name: &str, lengths: &[i64]) -> Message {
    let mut shape = Message::default();
    for &length in lengths {
        let dimension = match length {
            0 => Message::default().text(2, "open"),
            length => Message::default().int(1, length),
        };
        shape = shape.message(1, dimension);
    }
    let kind = Message::default().message(1, Message::default().int(1, 1).message(2, shape));
    Message::default().text(1, name).message(2, kind)
}

/// A file of these bytes.
pub fn path_of(folder: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("net.onnx");
    write(&path, bytes);
    path
}

/// Writes a file anew: some file systems wait for the disk when an old one is overwritten.
pub fn write(path: &Path, bytes: &[u8]) {
    let _ = std::fs::remove_file(path);
    std::fs::write(path, bytes).unwrap();
}

pub fn read_bytes(bytes: &[u8]) -> Result<ForeignFile, Error> {
    let folder = tempfile::tempdir().unwrap();
    onnx::read(&path_of(&folder, bytes))
}

pub fn read(file: &OnnxFile) -> ForeignFile {
    read_bytes(&file.bytes()).unwrap()
}

pub fn refusal(file: &OnnxFile) -> String {
    read_bytes(&file.bytes()).unwrap_err().to_string()
}

/// The weights, through the whole of loading.
pub fn load(file: &OnnxFile) -> Weights {
    let folder = tempfile::tempdir().unwrap();
    alexnet_formats::load(&path_of(&folder, &file.bytes()), None).unwrap().weights
}

/// A convolution of 3 x 3 with padding, ReLU, and a linear layer of 5 classes on 6 x 6 x 4 values.
pub fn plain() -> OnnxFile {
    OnnxFile::new(&[0, 3, 6, 6])
        .weight("w", &[4, 3, 3, 3])
        .weight("b", &[4])
        .weight("fw", &[5, 144])
        .weight("fb", &[5])
        .node("Conv", &["w", "b"], &[Attribute::Ints("pads", &[1, 1, 1, 1])])
        .node("Relu", &[], &[])
        .node("Flatten", &[], &[])
        .node("Gemm", &["fw", "fb"], &[Attribute::Int("transB", 1)])
}
