//! The bytes of a file. Parameters are permuted and written one by one, so that memory holds one more of them at most.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use layers::weights::{AxisOrder, Weights};
use layers::{Model, ParameterSpec};
use ndarray::ArrayD;
use prost::Message;

use super::nodes::{Constant, ConstantValues, GraphWriter};
use crate::onnx::metadata::Metadata;
use crate::onnx::proto::{
    DimensionProto, GraphProto, ModelProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto, data_type,
};
use crate::wire::MAX_BYTES;
use crate::{Error, Result};

/// The version of the file format, of 2021.
const IR_VERSION: i64 = 8;

/// The version of the operators, of 2022.
const OPERATORS: i64 = 17;

/// Keys of fields that hold bytes: the field's number, then the kind 2.
const GRAPH_KEY: u8 = 7 << 3 | 2;
const INITIALIZER_KEY: u8 = 5 << 3 | 2;
const RAW_DATA_KEY: u8 = 9 << 3 | 2;

/// One tensor of the file.
struct Initializer<'a> {
    /// All fields but the values, encoded.
    header: Vec<u8>,
    /// The bytes of the values.
    len: usize,
    values: Values<'a>,
}

enum Values<'a> {
    Parameter(&'a ParameterSpec, &'a ArrayD<f32>),
    Bytes(Vec<u8>),
}

/// Writes a graph with the network's parameters.
pub(super) fn write(path: &Path, weights: &Weights, model: &Model, graph: GraphWriter) -> Result<()> {
    let specs = model.parameters()?;
    let mut initializers = Vec::with_capacity(specs.len());
    for spec in &specs {
        let values = weights.tensor(&spec.name).filter(|values| values.shape() == spec.shape);
        let missing = || Error::refused(path, format!("the weights lack {} of shape {:?}", spec.name, spec.shape));
        initializers.push(Initializer::of_parameter(spec, values.ok_or_else(missing)?));
    }
    initializers.extend(graph.constants.iter().map(Initializer::of_constant));
    let crop = model.input.crop as i64;
    let images = ["batch".into(), 3.into(), crop.into(), crop.into()];
    let classes = ["batch".into(), (model.classes as i64).into()];
    let proto = GraphProto {
        input: vec![value(&graph.input, &images)],
        output: vec![value(&graph.output, &classes)],
        node: graph.nodes,
        name: model.name.clone(),
        initializer: Vec::new(),
        doc_string: model.about.clone(),
    };
    let head = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "alexnet".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        doc_string: format!("{}: {}", model.name, model.about),
        graph: None,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPERATORS }],
        metadata_props: Metadata::entries(weights, model),
    };
    let parts = [head.encode_to_vec(), proto.encode_to_vec()];
    let graph_len = parts[1].len() + initializers.iter().map(Initializer::encoded_len).sum::<usize>();
    let total = parts[0].len() + graph_len + 12;
    if total as u64 > MAX_BYTES {
        return Err(Error::refused(path, format!("would have {total} bytes; an ONNX file has at most {MAX_BYTES}")));
    }
    let write_all = |temporary: &Path| -> io::Result<()> {
        let mut file = BufWriter::new(File::create(temporary)?);
        file.write_all(&parts[0])?;
        write_key(&mut file, GRAPH_KEY, graph_len)?;
        file.write_all(&parts[1])?;
        for initializer in &initializers {
            initializer.write(&mut file)?;
        }
        file.flush()
    };
    files::replace(path, |temporary| write_all(temporary).map_err(Error::file(path)))
}

impl<'a> Initializer<'a> {
    fn of_parameter(spec: &'a ParameterSpec, values: &'a ArrayD<f32>) -> Self {
        let header = header(&spec.export, &AxisOrder::PyTorch.shape(spec), data_type::F32);
        Self { header, len: 4 * values.len(), values: Values::Parameter(spec, values) }
    }

    fn of_constant(constant: &Constant) -> Self {
        let (header, bytes) = match &constant.values {
            ConstantValues::Scalar(value) => {
                (header(&constant.name, &[], data_type::F32), value.to_le_bytes().to_vec())
            }
            ConstantValues::Integers(values) => {
                let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                (header(&constant.name, &[values.len()], data_type::I64), bytes)
            }
        };
        Self { header, len: bytes.len(), values: Values::Bytes(bytes) }
    }

    /// The length of the tensor's message.
    fn message_len(&self) -> usize {
        self.header.len() + 1 + prost::length_delimiter_len(self.len) + self.len
    }

    /// The length of the field in the graph.
    fn encoded_len(&self) -> usize {
        let len = self.message_len();
        1 + prost::length_delimiter_len(len) + len
    }

    fn write(&self, file: &mut impl Write) -> io::Result<()> {
        write_key(file, INITIALIZER_KEY, self.message_len())?;
        file.write_all(&self.header)?;
        write_key(file, RAW_DATA_KEY, self.len)?;
        match &self.values {
            Values::Bytes(bytes) => file.write_all(bytes),
            Values::Parameter(spec, ours) => {
                let theirs = AxisOrder::PyTorch.from_own(spec, ours.view()).map_err(io::Error::other)?;
                let theirs = theirs.as_slice().ok_or_else(|| io::Error::other("a tensor is not in row-major order"))?;
                write_values(file, theirs)
            }
        }
    }
}

fn write_values(file: &mut impl Write, values: &[f32]) -> io::Result<()> {
    const BLOCK: usize = 1 << 14;
    let mut bytes = Vec::with_capacity(4 * BLOCK);
    for block in values.chunks(BLOCK) {
        bytes.clear();
        bytes.extend(block.iter().flat_map(|value| value.to_le_bytes()));
        file.write_all(&bytes)?;
    }
    Ok(())
}

fn write_key(file: &mut impl Write, key: u8, len: usize) -> io::Result<()> {
    let mut bytes = vec![key];
    prost::encode_length_delimiter(len, &mut bytes).map_err(io::Error::other)?;
    file.write_all(&bytes)
}

/// A tensor without its values.
fn header(name: &str, shape: &[usize], kind: i32) -> Vec<u8> {
    let dims = shape.iter().map(|&axis| axis as i64).collect();
    TensorProto { name: name.into(), dims, data_type: kind, ..TensorProto::default() }.encode_to_vec()
}

/// A length in a value's type.
enum Axis {
    Fixed(i64),
    Open(&'static str),
}

impl From<i64> for Axis {
    fn from(length: i64) -> Self {
        Self::Fixed(length)
    }
}

impl From<&'static str> for Axis {
    fn from(name: &'static str) -> Self {
        Self::Open(name)
    }
}

/// An input or output of f32.
fn value(name: &str, axes: &[Axis]) -> ValueInfoProto {
    let dimension = |axis: &Axis| match axis {
        Axis::Fixed(length) => DimensionProto { dim_value: Some(*length), dim_param: None },
        Axis::Open(name) => DimensionProto { dim_value: None, dim_param: Some((*name).into()) },
    };
    let shape = TensorShapeProto { dim: axes.iter().map(dimension).collect() };
    let tensor = TensorTypeProto { elem_type: data_type::F32, shape: Some(shape) };
    ValueInfoProto { name: name.into(), kind: Some(TypeProto { tensor_type: Some(tensor) }) }
}
