//! Reads a graph node by node as a chain of layers.

use std::collections::HashMap;

use layers::LayerKind;
use ndarray::ArrayD;

use super::node::Node;
use super::preparation::Preparation;
use super::proto::{GraphProto, TensorProto, data_type};
use super::tensor::{Floats, Source, Store, integers, shape, size_of_type};
use super::value::{Images, Length, Value};
use super::{groups, images_ops, lengths, linear, normalisation, shapes, windows};
use crate::chain::{Chain, Values};

/// A graph that is being read.
pub(super) struct Graph<'a> {
    /// The version of ONNX' operators.
    pub opset: i64,
    /// The number of images, if it is fixed.
    pub batch: Option<i64>,
    /// The layers so far.
    pub chain: Chain,
    /// The preparation of images before the first layer.
    pub preparation: Option<Preparation>,
    /// Notes for the user.
    pub notes: Vec<String>,
    store: &'a Store,
    values: HashMap<&'a str, Value<'a>>,
}

impl<'a> Graph<'a> {
    /// A graph before its first node.
    ///
    /// # Errors
    /// A message for two initializers of one name.
    pub fn new(
        graph: &'a GraphProto,
        store: &'a Store,
        opset: i64,
        images: (&'a str, Images),
        size: usize,
        batch: Option<i64>,
    ) -> Result<Self, String> {
        let values = HashMap::from([(images.0, Value::Images(images.1))]);
        let chain = Chain::new(size);
        let mut read = Self { opset, batch, chain, preparation: None, notes: Vec::new(), store, values };
        read.initialize(graph)?;
        Ok(read)
    }

    /// Takes the initializers of a graph.
    fn initialize(&mut self, graph: &'a GraphProto) -> Result<(), String> {
        for tensor in &graph.initializer {
            self.give(&tensor.name, constant(tensor).unwrap_or_else(Value::Unread))?;
        }
        Ok(())
    }

    /// Gives a name its value, which it must not have yet.
    fn give(&mut self, name: &'a str, value: Value<'a>) -> Result<(), String> {
        if self.values.insert(name, value).is_none() {
            return Ok(());
        }
        let name = files::printable::brief(name, 80);
        Err(format!("has two values of the name {name:?}, of which none can be chosen; export it again"))
    }

    /// Reads a node.
    ///
    /// # Errors
    /// A message that names the node.
    pub fn read(&mut self, node: Node<'a>) -> Result<(), String> {
        let result = if matches!(node.0.domain.as_str(), "" | "ai.onnx") {
            self.dispatch(node)
        } else {
            Err(format!("is of the domain {:?}, whose operators are not read", node.0.domain))
        };
        let value = result.map_err(|what| format!("{} {what}", node.label()))?;
        if let Some(value) = value {
            self.set(node, 0, value)?;
        }
        Ok(())
    }

    /// The value of a node's first output, unless the node has set its outputs.
    fn dispatch(&mut self, node: Node<'a>) -> Result<Option<Value<'a>>, String> {
        match node.0.op_type.as_str() {
            "Conv" => windows::conv(self, node),
            "MaxPool" | "AveragePool" => windows::pool(self, node),
            "Pad" => windows::pad(self, node),
            "GlobalAveragePool" | "ReduceMean" => windows::global_average(self, node),
            "Gemm" => linear::gemm(self, node),
            "MatMul" => linear::matmul(self, node),
            "Relu" | "Tanh" | "Sigmoid" => images_ops::activation(self, node),
            "LRN" => normalisation::lrn(self, node),
            "BatchNormalization" => normalisation::batch_norm(self, node),
            "Dropout" => images_ops::dropout(self, node),
            "Softmax" | "LogSoftmax" => images_ops::softmax(self, node),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" => super::arithmetic::read(self, node),
            "Identity" | "Cast" => self.value(node, 0).map(Some),
            "Constant" => constants(node).map(Some),
            "ConstantOfShape" => self.constant_of_shape(node).map(Some),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Transpose" => shapes::read(self, node),
            "Shape" | "Gather" | "ReduceProd" | "Equal" => lengths::read(self, node),
            "If" => self.branch(node).map(Some),
            "Slice" => groups::slice(self, node),
            "Split" => groups::split(self, node),
            "Concat" => groups::concat(self, node),
            _ => Err("is an operator that no layer here computes".into()),
        }
    }

    /// The value of an input.
    ///
    /// # Errors
    /// A message if it is not given or not known.
    pub fn value(&self, node: Node<'a>, index: usize) -> Result<Value<'a>, String> {
        let name = node.input(index).ok_or_else(|| format!("lacks its input number {}", index + 1))?;
        match self.values.get(name) {
            Some(Value::Unread(what)) => Err(what.clone()),
            Some(value) => Ok(value.clone()),
            None => Err(format!("takes {name:?}, which no node before it gives")),
        }
    }

    /// Gives an output its value.
    ///
    /// # Errors
    /// A message if its name has one already.
    pub fn set(&mut self, node: Node<'a>, index: usize, value: Value<'a>) -> Result<(), String> {
        node.output(index).map_or(Ok(()), |name| self.give(name, value))
    }

    /// The value of this name.
    pub fn named(&self, name: &str) -> Option<&Value<'a>> {
        self.values.get(name)
    }

    /// The images as an input, after all layers so far.
    ///
    /// # Errors
    /// A message if the input is something else, or the images before the last layer.
    pub fn images(&self, node: Node<'a>, index: usize) -> Result<Images, String> {
        match self.value(node, index)? {
            Value::Images(images) => self.newest(images),
            Value::Part(_) => Err("computes a part of the channels; only convolutions of all parts are read".into()),
            _ => Err(format!("takes a constant as its input number {}, where images are expected", index + 1)),
        }
    }

    /// The images, if no layer came after them.
    ///
    /// # Errors
    /// A message if one did: the graph is no chain.
    pub fn newest(&self, images: Images) -> Result<Images, String> {
        self.check_newest(images.layers)?;
        Ok(images)
    }

    /// Fails if layers came after the first `layers`.
    ///
    /// # Errors
    /// A message.
    pub fn check_newest(&self, layers: usize) -> Result<(), String> {
        if layers == self.chain.len() {
            return Ok(());
        }
        Err("branches off before the last layer; only networks without branches are read".into())
    }

    /// A constant input.
    ///
    /// # Errors
    /// A message if it is something else.
    pub fn floats(&self, node: Node<'a>, index: usize) -> Result<Floats<'a>, String> {
        match self.value(node, index)? {
            Value::Floats(floats) => Ok(floats),
            _ => Err(format!("computes its input number {}; weights must be constants", index + 1)),
        }
    }

    /// The values of a constant input of this number of axes.
    ///
    /// # Errors
    /// A message if it is something else.
    pub fn array(&self, node: Node<'a>, index: usize, axes: usize) -> Result<ArrayD<f32>, String> {
        let floats = self.floats(node, index)?;
        if floats.shape.len() != axes {
            return Err(format!("has the shape {:?} in its input number {}", floats.shape, index + 1));
        }
        self.store.array(&floats)
    }

    /// The values of a constant.
    ///
    /// # Errors
    /// A message for values that are missing or too many.
    pub fn values_of(&self, floats: &Floats) -> Result<ArrayD<f32>, String> {
        self.store.array(floats)
    }

    /// The only value of a constant, if it has one.
    ///
    /// # Errors
    /// A message for values that are missing.
    pub fn scalar(&self, floats: &Floats) -> Result<Option<f32>, String> {
        self.store.scalar(floats)
    }

    /// Whole numbers as an input, if it is given.
    ///
    /// # Errors
    /// A message if it is something else, or depends on the number of images.
    pub fn numbers(&self, node: Node<'a>, index: usize) -> Result<Option<Vec<i64>>, String> {
        if node.input(index).is_none() {
            return Ok(None);
        }
        let Value::Lengths(lengths) = self.value(node, index)? else {
            return Err(format!("takes no whole numbers as its input number {}", index + 1));
        };
        let numbers = lengths.iter().map(|length| match length {
            Length::Number(number) => Some(*number),
            Length::Batch => None,
        });
        let numbers: Option<Vec<i64>> = numbers.collect();
        numbers.map(Some).ok_or_else(|| "depends on the number of images".into())
    }

    /// Adds a layer and gives the images after it.
    ///
    /// # Errors
    /// A message if the layer does not fit.
    pub fn layer(
        &mut self,
        node: Node<'a>,
        before: &Images,
        kind: LayerKind,
        tensors: Vec<(&'static str, ArrayD<f32>)>,
    ) -> Result<Option<Value<'a>>, String> {
        if before.pads.is_some() {
            return Err("follows a Pad; only convolutions and pools take padding".into());
        }
        self.layer_over_pads(node, before, kind, tensors)
    }

    /// Like [`layer`](Self::layer), for a layer that has taken the pads into itself.
    ///
    /// # Errors
    /// A message if the layer does not fit.
    pub fn layer_over_pads(
        &mut self,
        node: Node<'a>,
        before: &Images,
        kind: LayerKind,
        tensors: Vec<(&'static str, ArrayD<f32>)>,
    ) -> Result<Option<Value<'a>>, String> {
        let keeps_shape = self.chain.values();
        self.chain.push_with(&node.0.name, kind, tensors)?;
        let values = self.chain.values();
        let dims = match values {
            _ if values == keeps_shape => before.dims.clone(),
            Values::Map([height, width, channels]) if before.channels_last => vec![height, width, channels],
            Values::Map([height, width, channels]) => vec![channels, height, width],
            Values::Row(len) => vec![len],
        };
        let channels_last = before.channels_last && matches!(values, Values::Map(_));
        Ok(Some(Value::Images(Images { layers: self.chain.len(), dims, channels_last, pads: None })))
    }

    /// If, whose condition follows from lengths: the nodes of its branch.
    fn branch(&mut self, node: Node<'a>) -> Result<Value<'a>, String> {
        let condition = self.numbers(node, 0)?.ok_or("lacks its condition")?;
        let name = if condition == [0] { "else_branch" } else { "then_branch" };
        let branch = node.graph(name).ok_or_else(|| format!("lacks its {name}"))?;
        self.initialize(branch)?;
        for inner in &branch.node {
            self.read(Node(inner))?;
        }
        let output = branch.output.first().and_then(|output| self.values.get(output.name.as_str()));
        output.cloned().ok_or_else(|| format!("has a {name} that gives nothing"))
    }

    fn constant_of_shape(&self, node: Node<'a>) -> Result<Value<'a>, String> {
        let dims = self.numbers(node, 0)?.ok_or("lacks its shape")?;
        let shape = shape(&dims)?;
        let Some(tensor) = node.tensor("value") else {
            return Ok(Value::Floats(Floats { shape, source: Source::Fill(0.0) }));
        };
        match constant(tensor)? {
            Value::Floats(value) => {
                let value = self.scalar(&value)?.ok_or("has more than one value to fill with")?;
                Ok(Value::Floats(Floats { shape, source: Source::Fill(value) }))
            }
            Value::Lengths(value) => {
                let count: usize = shape.iter().product();
                match value.as_slice() {
                    [value] if count <= 64 => Ok(Value::Lengths(vec![*value; count])),
                    _ => Err(format!("makes {count} whole numbers; weights are no integers")),
                }
            }
            _ => Err("has no value to fill with".into()),
        }
    }
}

/// The value of a tensor in the file.
fn constant(tensor: &TensorProto) -> Result<Value<'_>, String> {
    if size_of_type(tensor.data_type).is_some() {
        let shape = shape(&tensor.dims)?;
        return Ok(Value::Floats(Floats { shape, source: Source::Tensor(tensor) }));
    }
    if matches!(tensor.data_type, data_type::I64 | data_type::I32) && tensor.data_location == 0 {
        return Ok(Value::Lengths(integers(tensor)?.into_iter().map(Length::Number).collect()));
    }
    Err(format!("has {:?} of the type {}; f16, bf16, f32, f64, i32 and i64 are read", tensor.name, tensor.data_type))
}

/// The value of a node Constant.
fn constants(node: Node<'_>) -> Result<Value<'_>, String> {
    let floats = |values: &[f32], shape: &[usize]| {
        let array = ArrayD::from_shape_vec(shape, values.to_vec()).map_err(|error| error.to_string())?;
        Ok(Value::Floats(Floats { shape: shape.to_vec(), source: Source::Array(array.into()) }))
    };
    if let Some(tensor) = node.tensor("value") {
        return constant(tensor);
    }
    if let Some(value) = node.optional_float("value_float") {
        return floats(&[value], &[]);
    }
    if let Some(values) = node.floats("value_floats") {
        return floats(values, &[values.len()]);
    }
    if let Some(value) = node.optional_int("value_int") {
        return Ok(Value::Lengths(vec![Length::Number(value)]));
    }
    match node.ints("value_ints") {
        Some(values) => Ok(Value::Lengths(values.iter().copied().map(Length::Number).collect())),
        None => Err("has no value that is read".into()),
    }
}
