//! ONNX graphs, in and out.
//!
//! A graph of ONNX' operators 7 to 22 is read as a chain of layers if it is one: Conv, pools, LRN, Gemm and so on, groups
//! that are written as Split, Conv and Concat, response normalisation written out, and the shapes that exporters compute
//! before a Reshape. The tensors may be in files beside the graph. Names, preparation of images and training come from
//! the metadata that [`save`] writes, else from the preset that computes the same.
//!
//! A graph may fill tensors with one value (ConstantOfShape), as ONNX' test files do: at most 2^26 values, the one thing
//! that the file's length does not justify.

mod arithmetic;
mod base64;
mod graph;
mod groups;
mod images_ops;
mod input;
mod lengths;
mod linear;
mod metadata;
mod node;
mod normalisation;
mod preparation;
mod proto;
mod shapes;
mod tensor;
mod value;
mod windows;
mod write;

use std::path::Path;

use layers::Model;
use layers::model::Input;
use layers::weights::AxisOrder;
use prost::Message;
use prost::bytes::Bytes;

use crate::{Error, ForeignFile, ForeignTensor, Format, Result, known, wire};
use graph::Graph;
use input::GraphInput;
use metadata::Metadata;
use node::Node;
use proto::{GraphProto, ModelProto};
use tensor::Store;
use value::Value;

pub use write::{GraphOutput, save};

/// The oldest version of ONNX' operators that is read: older ones broadcast in other ways.
const OLDEST_OPERATORS: i64 = 7;

/// The newest version whose operators are known.
const NEWEST_OPERATORS: i64 = 22;

/// Reads a file.
///
/// # Errors
/// [`Error::File`] if it cannot be read; [`Error::Refused`] if it is damaged, or with the node and the operator that is
/// not read.
pub fn read(path: &Path) -> Result<ForeignFile> {
    let bytes = Bytes::from(wire::read(path)?);
    let len = bytes.len();
    let refused = |what: String| Error::refused(path, what);
    wire::check(&bytes, &proto::MODEL).map_err(refused)?;
    let decoded = ModelProto::decode(bytes);
    let file = decoded.map_err(|error| refused(format!("is no ONNX file, or a damaged one: {error}")))?;
    let store = Store::new(path, len);
    let name = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    read_model(&file, &store, &name).map_err(refused)
}

/// The network, its parameters and what the metadata says.
fn read_model(file: &ModelProto, store: &Store, name: &str) -> std::result::Result<ForeignFile, String> {
    let graph = file.graph.as_ref().ok_or("is an ONNX file without a graph")?;
    let mut notes = Vec::new();
    let opset = opset(file, &mut notes)?;
    let input = GraphInput::of(graph)?;
    let Network { mut model, mut tensors, prepares } = network(graph, store, opset, &input, name, &mut notes)?;
    let metadata = Metadata::read(&file.metadata_props, &mut notes);
    let prepared = prepares.then(|| model.input.clone());
    let what_to_know = known::identify(&mut model, &mut tensors, metadata.model.as_ref());
    match prepared {
        Some(input) => {
            notes.push(
                "the graph prepares its images itself: [input] is what it does, on pixels that are red first".into(),
            );
            model.input = Input { size: model.input.size, ..input };
        }
        None => notes.extend(what_to_know),
    }
    let classes = metadata.classes;
    let empty = ForeignFile::new(Format::Onnx, AxisOrder::PyTorch);
    let mean_image = metadata.mean_image;
    let mean_rgb = metadata.mean_rgb;
    let exif_orientation = metadata.exif_orientation;
    Ok(ForeignFile { tensors, model: Some(model), classes, mean_image, mean_rgb, exif_orientation, notes, ..empty })
}

/// The version of ONNX' own operators.
fn opset(file: &ModelProto, notes: &mut Vec<String>) -> std::result::Result<i64, String> {
    let own = file.opset_import.iter().find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
    let version = own.map(|set| set.version).ok_or("is an ONNX file that does not say which operators it uses")?;
    if version < OLDEST_OPERATORS {
        return Err(format!(
            "uses ONNX' operators of version {version}; versions {OLDEST_OPERATORS} to {NEWEST_OPERATORS} are read: convert \
             it with onnx.version_converter.convert_version(model, 13)"
        ));
    }
    if version > NEWEST_OPERATORS {
        notes.push(format!("ONNX' operators of version {version} are read as those of version {NEWEST_OPERATORS}"));
    }
    Ok(version)
}

/// A network, its parameters, and whether its graph prepares the images.
struct Network {
    model: Model,
    tensors: Vec<ForeignTensor>,
    prepares: bool,
}

/// The layers and parameters for the graph's size of images, else for the first usual size that they fit.
fn network(
    graph: &GraphProto,
    store: &Store,
    opset: i64,
    input: &GraphInput,
    name: &str,
    notes: &mut Vec<String>,
) -> std::result::Result<Network, String> {
    if let Some(size) = input.size {
        return network_of_size(graph, store, opset, input, (name, size), notes);
    }
    let mut first_error = None;
    for size in input::USUAL_SIZES {
        let mut own_notes = Vec::new();
        match network_of_size(graph, store, opset, input, (name, size), &mut own_notes) {
            Ok(found) => {
                notes.extend(own_notes);
                notes.push(format!("the graph takes images of any size; it is read for {size} x {size}"));
                return Ok(found);
            }
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    let error = first_error.unwrap_or_default();
    Err(format!("does not fix the size of its images, and for 224 x 224: {error}"))
}

fn network_of_size(
    graph: &GraphProto,
    store: &Store,
    opset: i64,
    input: &GraphInput,
    (name, size): (&str, usize),
    notes: &mut Vec<String>,
) -> std::result::Result<Network, String> {
    let images = (input.name, input.images(size));
    let mut reader = Graph::new(graph, store, opset, images, size, input.batch)?;
    for node in &graph.node {
        reader.read(Node(node))?;
    }
    check_output(graph, &reader)?;
    notes.append(&mut reader.notes);
    let prepares = reader.preparation.is_some();
    let input = reader.preparation.unwrap_or_default().input(size);
    // Pixels go in as they are, unless the graph changes them.
    let input = if prepares { input } else { Input { scale: 1.0, ..input } };
    let (model, tensors) = reader.chain.finish(name, "Read from an ONNX graph.", input)?;
    Ok(Network { model, tensors, prepares })
}

/// Fails unless the graph gives the output of the last layer.
fn check_output(graph: &GraphProto, reader: &Graph) -> std::result::Result<(), String> {
    let last = reader.chain.len();
    let is_last = |name: &str| match reader.named(name) {
        Some(Value::Images(images)) => images.layers == last && images.pads.is_none(),
        _ => false,
    };
    if graph.output.iter().any(|output| is_last(&output.name)) {
        return Ok(());
    }
    Err("gives something other than the output of its last layer; only networks without branches are read".into())
}
