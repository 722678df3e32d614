//! Fully connected layers: Gemm, and MatMul with an Add after it.

use layers::LayerKind;
use layers::model::{Linear, ParameterSettings, Units};
use layers::weights::narrow;
use ndarray::{ArrayD, Ix2, IxDyn};

use super::graph::Graph;
use super::node::Node;
use super::value::{Images, Value};
use crate::chain::Values;

type Read<'a> = Result<Option<Value<'a>>, String>;

/// Gemm: `alpha * x * B + beta * C`.
pub(super) fn gemm<'a>(graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
    if node.int("transA", 0) != 0 {
        return Err("has transA, which mixes the images".into());
    }
    let images = graph.images(node, 0)?;
    let mut weight = graph.array(node, 1, 2)?;
    if node.int("transB", 0) == 0 {
        weight = weight.reversed_axes();
    }
    scale(&mut weight, node.float("alpha", 1.0))?;
    let bias = if node.input(2).is_some() {
        let mut bias = row(graph, node, 2, weight.shape()[0])?;
        scale(&mut bias, node.float("beta", 1.0))?;
        Some(bias)
    } else {
        None
    };
    layer(graph, node, &images, weight, bias)
}

/// MatMul: rows times a matrix `[in, out]`.
pub(super) fn matmul<'a>(graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
    let images = graph.images(node, 0)?;
    let weight = graph.array(node, 1, 2)?.reversed_axes();
    layer(graph, node, &images, weight, None)
}

/// A linear layer with weights `[out, in]`.
fn layer<'a>(
    graph: &mut Graph<'a>,
    node: Node<'a>,
    images: &Images,
    weight: ArrayD<f32>,
    bias: Option<ArrayD<f32>>,
) -> Read<'a> {
    let &[units, inputs] = weight.shape() else { return Err("has weights that are no matrix".into()) };
    if images.dims != [inputs] {
        return Err(format!("takes rows of {inputs} values, and gets {:?}", images.dims));
    }
    let weight = match graph.chain.values() {
        Values::Map(map) if images.channels_last => channels_first(&weight, map)?,
        _ => weight.as_standard_layout().into_owned(),
    };
    let mut parameters = ParameterSettings::default();
    let mut tensors = vec![("weight", weight)];
    match bias {
        Some(bias) => tensors.push(("bias", bias)),
        None => parameters.bias = None,
    }
    let linear = Linear { units: Units::Number(units), parameters };
    graph.layer(node, images, LayerKind::Linear(linear), tensors)
}

/// Weights whose inputs run over height, width, channels, with inputs over channels, height, width.
fn channels_first(weight: &ArrayD<f32>, [height, width, channels]: [usize; 3]) -> Result<ArrayD<f32>, String> {
    let units = weight.shape()[0];
    let message = |error: ndarray::ShapeError| error.to_string();
    let weight = weight.as_standard_layout();
    let split = weight.view().into_shape_with_order(IxDyn(&[units, height, width, channels])).map_err(message)?;
    let turned = split.permuted_axes(IxDyn(&[0, 3, 1, 2])).as_standard_layout().into_owned();
    let len = height * width * channels;
    let matrix = turned.into_shape_with_order(IxDyn(&[units, len])).map_err(message)?;
    matrix.into_dimensionality::<Ix2>().map(|matrix| matrix.into_dyn()).map_err(message)
}

fn scale(values: &mut ArrayD<f32>, factor: f64) -> Result<(), String> {
    if factor == 1.0 {
        return Ok(());
    }
    if !factor.is_finite() {
        return Err(format!("multiplies its weights by {factor}; a finite number is read"));
    }
    for value in values {
        *value = narrow(f64::from(*value) * factor).map_err(|error| format!("times {factor} {error}"))?;
    }
    Ok(())
}

/// A constant that is added to rows: `[n]`, `[1, n]` or one value for all.
pub(super) fn row<'a>(graph: &Graph<'a>, node: Node<'a>, index: usize, len: usize) -> Result<ArrayD<f32>, String> {
    let floats = graph.floats(node, index)?;
    let values = graph.values_of(&floats)?;
    let all_ones_before = floats.shape.iter().rev().skip(1).all(|&axis| axis == 1);
    match floats.shape.last() {
        Some(&last) if last == len && all_ones_before => {
            values.into_shape_with_order(IxDyn(&[len])).map_err(|error| error.to_string())
        }
        _ if floats.len() == 1 => Ok(ArrayD::from_elem(IxDyn(&[len]), values.iter().copied().next().unwrap_or(0.0))),
        _ => Err(format!("adds {:?} to rows of {len} values", floats.shape)),
    }
}
