//! The nodes of a network.

use std::collections::BTreeSet;

use layers::model::{LayerShape, LayerSpec};
use layers::tensor::ops::{Activation, Dropout, DropoutScale, Lrn, Region};
use layers::{LayerKind, Model};

use super::GraphOutput;
use super::pools;
use crate::onnx::proto::{AttributeProto, NodeProto, attribute_type};

/// A constant that is no parameter of the network.
pub(super) struct Constant {
    pub name: String,
    pub values: ConstantValues,
}

/// The values of a constant.
pub(super) enum ConstantValues {
    /// One number.
    Scalar(f32),
    /// Whole numbers in a row.
    Integers(Vec<i64>),
}

/// The nodes and constants of a graph, written layer by layer.
pub(super) struct GraphWriter {
    pub nodes: Vec<NodeProto>,
    pub constants: Vec<Constant>,
    /// The name of the images.
    pub input: String,
    /// The name of the last value.
    pub output: String,
    /// The value after the last node.
    value: String,
}

impl GraphWriter {
    /// The graph of a network.
    ///
    /// # Errors
    /// A message with the layer that no operator computes.
    pub fn of(model: &Model, output: GraphOutput) -> Result<Self, String> {
        let shapes = model.shapes().map_err(|error| error.to_string())?;
        let names: BTreeSet<&str> = model.layers.iter().map(|layer| layer.name.as_str()).collect();
        let free = |name: &str| {
            let mut name = name.to_string();
            while names.contains(name.as_str()) {
                name.push('_');
            }
            name
        };
        let input = free("images");
        let mut writer =
            Self { nodes: Vec::new(), constants: Vec::new(), value: input.clone(), input, output: String::new() };
        for (index, (layer, shape)) in model.layers.iter().zip(&shapes).enumerate() {
            let flat_later = model.layers[index..].iter().any(|layer| matches!(layer.kind, LayerKind::Linear(_)));
            let written = writer.layer(layer, shape, flat_later);
            written.map_err(|what| format!("the layer {:?} {what}", layer.name))?;
        }
        writer.output = match output {
            GraphOutput::Logits => free("logits"),
            GraphOutput::Probabilities => free("probabilities"),
        };
        writer.end(output);
        Ok(writer)
    }

    fn layer(&mut self, layer: &LayerSpec, shape: &LayerShape, flat_later: bool) -> Result<(), String> {
        let name = layer.name.as_str();
        match &layer.kind {
            LayerKind::Conv(_) => pools::conv(self, layer, shape),
            LayerKind::Pool(pool) => pools::pool(self, name, pool, shape),
            LayerKind::AdaptiveAveragePool(pool) => pools::adaptive(self, name, pool.output, shape),
            LayerKind::GlobalAveragePool => {
                self.node(&format!("{name}.mean"), "GlobalAveragePool", &[], Vec::new());
                self.node(name, "Flatten", &[], vec![int("axis", 1)]);
                Ok(())
            }
            LayerKind::Linear(_) => {
                if shape.input.len() == 3 {
                    self.node(&format!("{name}.flatten"), "Flatten", &[], vec![int("axis", 1)]);
                }
                let inputs = parameters(shape);
                let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                self.node(name, "Gemm", &inputs, vec![int("transB", 1)]);
                Ok(())
            }
            LayerKind::Flatten => {
                // No linear layer takes these values, so their order is seen: channels last.
                if !flat_later && shape.input.len() == 3 {
                    self.node(&format!("{name}.transpose"), "Transpose", &[], vec![ints("perm", &[0, 2, 3, 1])]);
                }
                if shape.input.len() == 3 {
                    self.node(name, "Flatten", &[], vec![int("axis", 1)]);
                }
                Ok(())
            }
            LayerKind::Activation(activation) => {
                let operator = match activation {
                    Activation::Relu => "Relu",
                    Activation::Tanh => "Tanh",
                    Activation::Logistic => "Sigmoid",
                    other => return Err(format!("is {:?}, which is not written", other.name())),
                };
                self.node(name, operator, &[], Vec::new());
                Ok(())
            }
            LayerKind::Lrn(lrn) => {
                self.lrn(name, lrn);
                Ok(())
            }
            LayerKind::Dropout(dropout) => {
                self.dropout(name, dropout);
                Ok(())
            }
            LayerKind::BatchNorm(norm) => {
                let inputs = parameters(shape);
                let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
                let attributes = vec![float("epsilon", norm.epsilon), float("momentum", 1.0 - norm.momentum)];
                self.node(name, "BatchNormalization", &inputs, attributes);
                Ok(())
            }
            // The end of the graph writes it.
            LayerKind::Softmax => Ok(()),
            kind => Err(format!(
                "is of the kind {:?}, which ONNX has no operator for; leave it out of the network, or save the weights as \
                 .h5 or .safetensors",
                kind.name()
            )),
        }
    }

    /// Response normalisation: LRN for odd sizes across channels, else written out.
    fn lrn(&mut self, name: &str, lrn: &Lrn) {
        let size = lrn.size as i64;
        if lrn.region == Region::AcrossChannels && size % 2 == 1 {
            // ONNX divides alpha by the size.
            let alpha = float("alpha", lrn.alpha_of_sum() * lrn.size as f64);
            let attributes = vec![alpha, float("beta", lrn.beta), float("bias", lrn.k), int("size", size)];
            self.node(name, "LRN", &[], attributes);
            return;
        }
        let part = |part: &str| format!("{name}.{part}");
        let images = self.value.clone();
        self.node(&part("square"), "Mul", &[&images], Vec::new());
        let before = size / 2;
        let after = (size - 1) / 2;
        let windows = |kernel: &[i64], pads: &[i64]| {
            let strides = vec![1; kernel.len()];
            let plain = [ints("kernel_shape", kernel), ints("pads", pads), ints("strides", &strides)];
            plain.into_iter().chain([int("count_include_pad", 1)]).collect::<Vec<_>>()
        };
        let window = if lrn.region == Region::AcrossChannels {
            let axis = self.integers(&part("axis"), vec![1]);
            self.node(&part("as_volume"), "Unsqueeze", &[&axis], Vec::new());
            self.node(&part("mean"), "AveragePool", &[], windows(&[size, 1, 1], &[before, 0, 0, after, 0, 0]));
            self.node(&part("as_maps"), "Squeeze", &[&axis], Vec::new());
            lrn.size
        } else {
            self.node(&part("mean"), "AveragePool", &[], windows(&[size, size], &[before, before, after, after]));
            lrn.size * lrn.size
        };
        let steps =
            [("alpha", "Mul", lrn.alpha_of_sum() * window as f64), ("k", "Add", lrn.k), ("beta", "Pow", lrn.beta)];
        for (step, operator, number) in steps {
            let constant = self.scalar(&part(step), number);
            self.node(&part(&format!("times_{step}")), operator, &[&constant], Vec::new());
        }
        let divisor = std::mem::replace(&mut self.value, images);
        self.node(name, "Div", &[&divisor], Vec::new());
    }

    /// Dropout, which passes all values; scaled at test, a factor.
    fn dropout(&mut self, name: &str, dropout: &Dropout) {
        if dropout.p == 0.0 {
            return;
        }
        if dropout.scale == DropoutScale::AtTest {
            let factor = self.scalar(&format!("{name}.factor"), dropout.test_factor());
            self.node(name, "Mul", &[&factor], Vec::new());
        } else {
            let ratio = self.scalar(&format!("{name}.ratio"), dropout.p);
            self.node(name, "Dropout", &[&ratio], Vec::new());
        }
    }

    /// Names the last value, after a softmax if probabilities are wanted.
    fn end(&mut self, output: GraphOutput) {
        if output == GraphOutput::Probabilities {
            let name = format!("{}.softmax", self.output);
            self.node(&name, "Softmax", &[], vec![int("axis", 1)]);
        } else if self.nodes.is_empty() {
            self.node("identity", "Identity", &[], Vec::new());
        }
        let old = std::mem::replace(&mut self.value, self.output.clone());
        for node in &mut self.nodes {
            for name in node.output.iter_mut().chain(&mut node.input).filter(|name| **name == old) {
                name.clone_from(&self.output);
            }
        }
    }

    /// A node that takes the value after the last one, then `others`. Its output has its name.
    pub fn node(&mut self, name: &str, operator: &str, others: &[&str], attributes: Vec<AttributeProto>) {
        let others = others.iter().map(|name| (*name).to_string());
        let input = std::iter::once(self.value.clone()).chain(others).collect();
        self.value = name.to_string();
        self.nodes.push(NodeProto {
            input,
            output: vec![name.to_string()],
            name: name.to_string(),
            op_type: operator.into(),
            attribute: attributes,
            domain: String::new(),
        });
    }

    /// A constant of one number; its name.
    pub fn scalar(&mut self, name: &str, value: f64) -> String {
        self.constant(name, ConstantValues::Scalar(value as f32))
    }

    /// A constant of whole numbers; its name.
    pub fn integers(&mut self, name: &str, values: Vec<i64>) -> String {
        self.constant(name, ConstantValues::Integers(values))
    }

    fn constant(&mut self, name: &str, values: ConstantValues) -> String {
        self.constants.push(Constant { name: name.into(), values });
        name.into()
    }
}

/// The names of a layer's parameters in the file.
pub(super) fn parameters(shape: &LayerShape) -> Vec<String> {
    shape.parameters.iter().map(|spec| spec.export.clone()).collect()
}

/// An attribute of one number.
pub(super) fn float(name: &str, value: f64) -> AttributeProto {
    AttributeProto { f: Some(value as f32), ..attribute(name, attribute_type::FLOAT) }
}

/// An attribute of one whole number.
pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, attribute_type::INT) }
}

/// An attribute of whole numbers.
pub(super) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto { ints: values.to_vec(), ..attribute(name, attribute_type::INTS) }
}

fn attribute(name: &str, kind: i32) -> AttributeProto {
    AttributeProto { name: name.into(), kind, ..AttributeProto::default() }
}
