//! Add, Sub, Mul, Div and Pow: biases, factors, lengths, and response normalisations that are written out.

use layers::LayerKind;
use layers::tensor::ops::{Dropout, DropoutScale};
use ndarray::{ArrayD, IxDyn};

use super::graph::Graph;
use super::node::{Node, decimal};
use super::tensor::Floats;
use super::value::{Images, Length, Part, Squares, Value};
use super::{linear, normalisation};
use crate::chain::Link;

type Read<'a> = Result<Option<Value<'a>>, String>;

/// A node with two inputs.
pub(super) fn read<'a>(graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
    let operator = node.0.op_type.as_str();
    let first = graph.value(node, 0)?;
    let second = graph.value(node, 1)?;
    match (first, second) {
        (Value::Lengths(a), Value::Lengths(b)) => lengths(operator, &a, &b).map(Value::Lengths).map(Some),
        (Value::Images(a), Value::Images(b)) if operator == "Mul" && a == b => {
            let images = graph.newest(a)?;
            normalisation::squares(images).map(Value::Squares).map(Some)
        }
        (Value::Images(images), Value::Squares(squares)) if operator == "Div" => {
            let images = graph.newest(images)?;
            normalisation::divide(graph, node, &images, squares)
        }
        (Value::Images(images), Value::Lengths(power)) if is_square(operator, &power) => {
            let images = graph.newest(images)?;
            normalisation::squares(images).map(Value::Squares).map(Some)
        }
        (Value::Images(images), Value::Floats(floats)) => with_constant(graph, node, images, &floats, 1),
        (Value::Floats(floats), Value::Images(images)) if matches!(operator, "Add" | "Mul") => {
            with_constant(graph, node, images, &floats, 0)
        }
        (Value::Squares(squares), Value::Floats(floats)) => of_squares(graph, operator, squares, &floats),
        (Value::Floats(floats), Value::Squares(squares)) if matches!(operator, "Add" | "Mul") => {
            of_squares(graph, operator, squares, &floats)
        }
        (Value::Part(part), Value::Floats(floats)) if operator == "Add" => part_bias(graph, *part, &floats),
        (Value::Floats(floats), Value::Part(part)) if operator == "Add" => part_bias(graph, *part, &floats),
        (Value::Images(_), Value::Images(_)) => Err("joins branches; only networks without branches are read".into()),
        _ => Err("computes something that no layer here does".into()),
    }
}

fn is_square(operator: &str, power: &[Length]) -> bool {
    operator == "Pow" && power == [Length::Number(2)]
}

fn lengths(operator: &str, a: &[Length], b: &[Length]) -> Result<Vec<Length>, String> {
    let apply = |a: i64, b: i64| match operator {
        "Add" => a.checked_add(b),
        "Sub" => a.checked_sub(b),
        "Mul" => a.checked_mul(b),
        "Div" => a.checked_div(b),
        _ => None,
    };
    let one = |a: &Length, b: &Length| match (a, b) {
        (Length::Number(a), Length::Number(b)) => apply(*a, *b).map(Length::Number),
        (Length::Batch, Length::Number(1)) if matches!(operator, "Mul" | "Div") => Some(Length::Batch),
        _ => None,
    };
    let results: Option<Vec<Length>> = match (a, b) {
        (a, [b]) => a.iter().map(|a| one(a, b)).collect(),
        (a, b) if a.len() == b.len() => a.iter().zip(b).map(|(a, b)| one(a, b)).collect(),
        _ => None,
    };
    results.ok_or_else(|| "computes with lengths that depend on the number of images".into())
}

/// Images and a constant, which is input number `index`.
fn with_constant<'a>(
    graph: &mut Graph<'a>,
    node: Node<'a>,
    images: Images,
    floats: &Floats<'a>,
    index: usize,
) -> Read<'a> {
    let images = graph.newest(images)?;
    if graph.chain.len() == 0 && images.pads.is_none() {
        return prepare(graph, node, images, floats);
    }
    let scalar = graph.scalar(floats)?;
    match (node.0.op_type.as_str(), scalar) {
        ("Pow", Some(2.0)) => normalisation::squares(images).map(Value::Squares).map(Some),
        ("Mul" | "Div", Some(1.0)) | ("Add" | "Sub", Some(0.0)) => Ok(Some(Value::Images(images))),
        ("Mul", Some(factor)) => scaled(graph, node, &images, decimal(factor)),
        ("Div", Some(divisor)) => scaled(graph, node, &images, 1.0 / decimal(divisor)),
        ("Add", _) => bias(graph, node, images, floats, index),
        (operator, _) => {
            Err(format!("is {operator} with a constant of shape {:?}; no layer here does this", floats.shape))
        }
    }
}

/// A step of the preparation of images, before the first layer.
fn prepare<'a>(graph: &mut Graph<'a>, node: Node<'a>, images: Images, floats: &Floats<'a>) -> Read<'a> {
    let refused = || format!("changes images by a constant of shape {:?} as no [input] does", floats.shape);
    if images.dims.len() != 3 {
        return Err(refused());
    }
    // Axes from the last: the constant may lack those in front.
    let from_end = if images.channels_last { 1 } else { 3 };
    let values = graph.values_of(floats)?;
    let is_colour =
        |(at, &length): (usize, &usize)| length == 1 || (floats.shape.len() - at == from_end && length == 3);
    let numbers: Vec<f64> = values.iter().map(|&value| decimal(value)).collect();
    let numbers = match *numbers.as_slice() {
        [all] => [all; 3],
        [red, green, blue] if floats.shape.iter().enumerate().all(is_colour) => [red, green, blue],
        _ => return Err(refused()),
    };
    let before = graph.preparation.unwrap_or_default();
    graph.preparation = Some(before.then(&node.0.op_type, numbers).ok_or_else(refused)?);
    Ok(Some(Value::Images(images)))
}

/// A factor from 0 to 1, as dropout has it in a test if it does not scale in training.
fn scaled<'a>(graph: &mut Graph<'a>, node: Node<'a>, images: &Images, factor: f64) -> Read<'a> {
    if !(factor > 0.0 && factor < 1.0) {
        return Err(format!("multiplies the images by {factor}; factors from 0 to 1 are read, as dropout's"));
    }
    let p = ((1.0 - factor) * 1e9).round() / 1e9;
    let dropout = Dropout { p, scale: DropoutScale::AtTest };
    graph.layer(node, images, LayerKind::Dropout(dropout), Vec::new())
}

/// A bias after a convolution or a linear layer, added to its own.
fn bias<'a>(graph: &mut Graph<'a>, node: Node<'a>, images: Images, floats: &Floats<'a>, index: usize) -> Read<'a> {
    let channel =
        if images.dims.len() == 3 && !images.channels_last { images.dims.first() } else { images.dims.last() };
    let channels = channel.copied().unwrap_or(0);
    let values = if images.dims.len() == 3 && !images.channels_last {
        of_channels(graph, floats, channels)?
    } else {
        linear::row(graph, node, index, channels)?
    };
    let last = graph.chain.last_mut().filter(|_| images.pads.is_none());
    let Some(Link { kind, tensors, .. }) = last else { return Err("adds a constant to the images".into()) };
    let parameters = match kind {
        LayerKind::Conv(conv) => &mut conv.parameters,
        LayerKind::Linear(linear) => &mut linear.parameters,
        _ => return Err("adds a constant after a layer that has no bias".into()),
    };
    if parameters.bias.is_none() {
        parameters.bias = layers::model::ParameterSettings::default().bias;
        tensors.push(("bias", values));
    } else if let Some((_, own)) = tensors.iter_mut().find(|(name, _)| *name == "bias") {
        *own += &values;
    }
    Ok(Some(Value::Images(images)))
}

/// A constant for each channel: `[c, 1, 1]`, `[1, c, 1, 1]`, or one value for all.
fn of_channels<'a>(graph: &Graph<'a>, floats: &Floats<'a>, channels: usize) -> Result<ArrayD<f32>, String> {
    let refused = || format!("adds {:?} to maps of {channels} channels", floats.shape);
    let values = graph.values_of(floats)?;
    let one = || values.iter().copied().next().unwrap_or(0.0);
    match floats.shape.as_slice() {
        [c, 1, 1] | [1, c, 1, 1] if *c == channels => {
            values.into_shape_with_order(IxDyn(&[channels])).map_err(|_| refused())
        }
        _ if floats.len() == 1 => Ok(ArrayD::from_elem(IxDyn(&[channels]), one())),
        _ => Err(refused()),
    }
}

/// A bias after the convolution of a part.
fn part_bias<'a>(graph: &Graph<'a>, mut part: Part, floats: &Floats<'a>) -> Read<'a> {
    let conv = part.conv.as_mut().filter(|conv| conv.bias.is_none() && !conv.relu);
    let conv = conv.ok_or("adds a constant to a part that is not just convolved")?;
    let values = of_channels(graph, floats, conv.settings.filters)?;
    conv.settings.parameters.bias = layers::model::ParameterSettings::default().bias;
    conv.bias = Some(values);
    Ok(Some(Value::Part(Box::new(part))))
}

/// The steps from averaged squares to the divisor: times alpha, plus k, to the power of beta.
fn of_squares<'a>(graph: &Graph<'a>, operator: &str, mut squares: Squares, floats: &Floats<'a>) -> Read<'a> {
    let number = graph.scalar(floats)?.map(decimal).ok_or("computes with squares and more than one number")?;
    let before_power = squares.beta == 1.0 && squares.window.is_some();
    match operator {
        "Mul" if before_power && squares.k == 0.0 => squares.alpha *= number,
        "Div" if before_power && squares.k == 0.0 && number != 0.0 => squares.alpha /= number,
        "Add" if before_power => squares.k += number,
        "Pow" if before_power => squares.beta = number,
        _ => return Err("computes with squares as no response normalisation does".into()),
    }
    Ok(Some(Value::Squares(squares)))
}
