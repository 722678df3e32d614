//! Convolutions in groups that are written as Split or Slice, a Conv for each part, and Concat.

use layers::LayerKind;
use layers::model::Conv;
use layers::tensor::ops::Activation;
use ndarray::{ArrayD, Axis, concatenate};

use super::graph::Graph;
use super::lengths;
use super::node::Node;
use super::value::{Images, Length, Part, PartConv, Value};

type Read<'a> = Result<Option<Value<'a>>, String>;

/// Split of channels into parts.
pub(super) fn split<'a>(graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
    let images = graph.images(node, 0)?;
    check_channels(&images, node.int("axis", 0))?;
    let outputs = node.0.output.len();
    let sizes = match graph.numbers(node, 1)? {
        Some(sizes) => sizes,
        None => match node.ints("split") {
            Some(sizes) => sizes.to_vec(),
            None => vec![(images.dims[0] / outputs.max(1)) as i64; outputs],
        },
    };
    let mut start = 0;
    for (index, size) in sizes.iter().take(outputs).enumerate() {
        let len = usize::try_from(*size).ok().filter(|&len| len > 0 && start + len <= images.dims[0]);
        let len = len.ok_or_else(|| format!("splits {} channels into {sizes:?}", images.dims[0]))?;
        let part = Part { layers: images.layers, start, len, conv: None };
        graph.set(node, index, Value::Part(Box::new(part)))?;
        start += len;
    }
    Ok(None)
}

/// Slice of channels, or of lengths.
pub(super) fn slice<'a>(graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
    let list = |graph: &Graph<'a>, input: usize, attribute: &str| match graph.numbers(node, input) {
        Ok(Some(numbers)) => Ok(Some(numbers)),
        Ok(None) => Ok(node.ints(attribute).map(<[i64]>::to_vec)),
        Err(error) => Err(error),
    };
    let starts = list(graph, 1, "starts")?.ok_or("lacks its starts")?;
    let ends = list(graph, 2, "ends")?.ok_or("lacks its ends")?;
    let axes = list(graph, 3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = graph.numbers(node, 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if let (Value::Table(mut rows), &[-1], &[axis], &[-1]) = (graph.value(node, 0)?, &*starts, &*axes, &*steps)
        && axis == 0
        && ends.iter().all(|end| *end < -(rows.len() as i64))
    {
        rows.reverse();
        return Ok(Some(Value::Table(rows)));
    }
    let (&[start], &[end], &[axis], &[1]) = (&*starts, &*ends, &*axes, &*steps) else {
        return Err("cuts several axes or takes steps, which is not read".into());
    };
    let range = |len: usize| {
        let at = |n: i64| if n < 0 { n.saturating_add(len as i64) } else { n }.clamp(0, len as i64) as usize;
        at(start)..at(end).max(at(start))
    };
    match graph.value(node, 0)? {
        Value::Lengths(lengths) if axis == 0 => Ok(Some(Value::Lengths(lengths[range(lengths.len())].to_vec()))),
        Value::Images(images) => {
            let images = graph.newest(images)?;
            check_channels(&images, axis)?;
            let range = range(images.dims[0]);
            let part = Part { layers: images.layers, start: range.start, len: range.len(), conv: None };
            Ok(Some(Value::Part(Box::new(part))))
        }
        _ => Err("cuts something other than channels and lengths".into()),
    }
}

fn check_channels(images: &Images, axis: i64) -> Result<(), String> {
    if images.dims.len() == 3 && !images.channels_last && images.pads.is_none() && (axis == 1 || axis == -3) {
        return Ok(());
    }
    Err(format!("cuts the axis {axis} of {:?}; only the channels of maps are cut here", images.dims))
}

/// The convolution of a part.
pub(super) fn convolve(part: Part, conv: PartConv) -> Result<Part, String> {
    let depth = conv.weight.shape()[1];
    if part.conv.is_some() || conv.settings.groups != 1 || depth != part.len {
        return Err(format!("convolves {depth} channels of a part of {}; one plain convolution is read", part.len));
    }
    Ok(Part { conv: Some(conv), ..part })
}

/// Concat of convolved parts, or of lengths.
pub(super) fn concat<'a>(graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
    let values: Vec<Value> = (0..node.0.input.len()).map(|i| graph.value(node, i)).collect::<Result<_, _>>()?;
    if values.iter().all(|value| matches!(value, Value::Lengths(_))) {
        let all = values.into_iter().filter_map(lengths::of);
        return Ok(Some(Value::Lengths(all.flatten().collect::<Vec<Length>>())));
    }
    let branches = || "joins branches; only the parts of a convolution in groups are joined here".to_string();
    let parts: Option<Vec<Part>> = values.into_iter().map(part).collect();
    let parts = parts.filter(|parts| !parts.is_empty()).ok_or_else(branches)?;
    if ![1, -3].contains(&node.int("axis", 1)) {
        return Err(format!("joins the axis {}; channels are joined here", node.int("axis", 1)));
    }
    graph.check_newest(parts[0].layers)?;
    let channels = graph.chain.values().map()?[2];
    let group = Group::of(parts, channels).ok_or_else(branches)?;
    group.layer(graph, node)
}

fn part(value: Value<'_>) -> Option<Part> {
    match value {
        Value::Part(part) => Some(*part),
        _ => None,
    }
}

/// The parts of one convolution, checked.
struct Group {
    layers: usize,
    settings: Conv,
    weights: Vec<ArrayD<f32>>,
    biases: Vec<ArrayD<f32>>,
    relu: bool,
    name: String,
    channels: usize,
}

impl Group {
    /// None if the parts are not one convolution of all channels in order.
    fn of(parts: Vec<Part>, channels: usize) -> Option<Self> {
        let groups = parts.len();
        let layers = parts[0].layers;
        let in_order = parts.windows(2).all(|two| two[0].end() == two[1].start && two[0].len == two[1].len);
        let whole = parts[0].start == 0 && parts[groups - 1].end() == channels;
        let same_images = parts.iter().all(|part| part.layers == layers);
        let convs: Vec<PartConv> = parts.into_iter().map(|part| part.conv).collect::<Option<_>>()?;
        let first = &convs[0];
        let same = convs.iter().all(|conv| conv.settings == first.settings && conv.relu == first.relu);
        if !(in_order && whole && same_images && same) {
            return None;
        }
        let settings = Conv { filters: first.settings.filters * groups, groups, ..first.settings.clone() };
        let relu = first.relu;
        let name = first.name.clone();
        let mut group = Self { layers, settings, weights: Vec::new(), biases: Vec::new(), relu, name, channels };
        for conv in convs {
            group.weights.push(conv.weight);
            group.biases.extend(conv.bias);
        }
        Some(group)
    }

    /// The convolution, and the ReLU if the parts had one.
    fn layer<'a>(self, graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
        let [height, width, _] = graph.chain.values().map()?;
        let dims = vec![self.channels, height, width];
        let images = Images { layers: self.layers, dims, channels_last: false, pads: None };
        let mut tensors = vec![("weight", joined(&self.weights)?)];
        if !self.biases.is_empty() {
            tensors.push(("bias", joined(&self.biases)?));
        }
        let after = graph.layer(node, &images, LayerKind::Conv(self.settings), tensors)?;
        if let Some(link) = graph.chain.last_mut() {
            link.name = self.name;
        }
        match after {
            Some(Value::Images(images)) if self.relu => {
                graph.layer(node, &images, LayerKind::Activation(Activation::Relu), Vec::new())
            }
            after => Ok(after),
        }
    }
}

fn joined(arrays: &[ArrayD<f32>]) -> Result<ArrayD<f32>, String> {
    let views: Vec<_> = arrays.iter().map(|array| array.view()).collect();
    concatenate(Axis(0), &views).map_err(|_| "joins parts of different shapes".into())
}
