//! Layers without parameters that keep shapes: activation functions, dropout, softmax.

use layers::LayerKind;
use layers::tensor::ops::{Activation, Dropout, DropoutScale};

use super::graph::Graph;
use super::node::{Node, decimal};
use super::value::Value;
use crate::chain::Values;

type Read<'a> = Result<Option<Value<'a>>, String>;

/// Relu, Tanh, Sigmoid.
pub(super) fn activation<'a>(graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
    let kind = match node.0.op_type.as_str() {
        "Relu" => Activation::Relu,
        "Tanh" => Activation::Tanh,
        _ => Activation::Logistic,
    };
    if let (Value::Part(mut part), Activation::Relu) = (graph.value(node, 0)?, kind) {
        let conv = part.conv.as_mut().ok_or("follows a part that is not convolved yet")?;
        conv.relu = true;
        return Ok(Some(Value::Part(part)));
    }
    let images = graph.images(node, 0)?;
    graph.layer(node, &images, LayerKind::Activation(kind), Vec::new())
}

/// Dropout, whose ratio is an attribute up to version 11 and then an input. In a test it passes all values.
pub(super) fn dropout<'a>(graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
    let images = graph.images(node, 0)?;
    let ratio = match node.input(1) {
        Some(_) => graph.scalar(&graph.floats(node, 1)?)?.map(decimal),
        None => Some(node.float("ratio", 0.5)),
    };
    let p = ratio.filter(|p| (0.0..1.0).contains(p)).ok_or("has a ratio that is not from 0 to 1")?;
    if p == 0.0 {
        return Ok(Some(Value::Images(images)));
    }
    let dropout = Dropout { p, scale: DropoutScale::InTraining };
    graph.layer(node, &images, LayerKind::Dropout(dropout), Vec::new())
}

/// Softmax at the end. LogSoftmax gives the same order of the classes.
pub(super) fn softmax<'a>(graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
    let images = graph.images(node, 0)?;
    let axis = node.int("axis", if graph.opset < 13 { 1 } else { -1 });
    let axis = if axis < 0 { axis + images.dims.len() as i64 + 1 } else { axis };
    let others = || images.dims.iter().enumerate().filter(|(i, _)| *i as i64 + 1 != axis).map(|(_, &len)| len);
    // Before version 13 the axes from this one on are one row.
    let is_over_classes = if graph.opset < 13 { axis == 1 } else { axis > 0 && others().all(|len| len == 1) };
    if !is_over_classes {
        return Err(format!("normalises the axis {axis} of {:?}; classes are normalised here", images.dims));
    }
    if node.0.op_type == "LogSoftmax" {
        graph
            .notes
            .push("LogSoftmax is read as the softmax: predictions are probabilities, not their logarithms".into());
    }
    if matches!(graph.chain.values(), Values::Map(_)) {
        graph.chain.push("", LayerKind::Flatten)?;
    }
    let layers = graph.chain.len();
    graph.layer(node, &super::value::Images { layers, ..images }, LayerKind::Softmax, Vec::new())
}
