//! Convolutions, pools and the padding before them.

use layers::LayerKind;
use layers::model::{Conv, Pad, ParameterSettings, Pool};
use layers::tensor::ops::{Activation, Padding, PoolKind, RoundMode};
use ndarray::ArrayD;

use super::graph::Graph;
use super::node::Node;
use super::value::{Images, Part, PartConv, Value};
use super::{groups, normalisation};

type Read<'a> = Result<Option<Value<'a>>, String>;

/// Conv.
pub(super) fn conv<'a>(graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
    let weight = graph.array(node, 1, 4)?;
    let bias = if node.input(2).is_some() { Some(graph.array(node, 2, 1)?) } else { None };
    let mut settings = settings(node, &weight)?;
    if bias.is_none() {
        settings = settings.without_bias();
    }
    match graph.value(node, 0)? {
        Value::Part(part) => {
            let name = node.0.name.clone();
            let conv = PartConv { settings, weight, bias, relu: false, name };
            let part = groups::convolve(*part, conv)?;
            Ok(Some(Value::Part(Box::new(part))))
        }
        Value::Images(images) => {
            let images = graph.newest(images)?;
            check_map(&images)?;
            settings.padding = padded(settings.padding, images.pads, |value| value == 0.0)?;
            let [_, per_group, _, _] = shape4(&weight);
            if Some(&(per_group * settings.groups)) != images.dims.first() {
                let what = format!("{} channels in {} groups", per_group * settings.groups, settings.groups);
                return Err(format!("takes {what}, and the maps before it have {}", images.dims[0]));
            }
            let tensors = [("weight", Some(weight)), ("bias", bias)];
            let tensors = tensors.into_iter().filter_map(|(name, values)| Some((name, values?))).collect();
            graph.layer_over_pads(node, &images, LayerKind::Conv(settings), tensors)
        }
        _ => Err("convolves a constant".into()),
    }
}

/// The settings of a convolution with these kernels.
fn settings(node: Node, weight: &ArrayD<f32>) -> Result<Conv, String> {
    node.check_ones("dilations")?;
    let [filters, _, height, width] = shape4(weight);
    let kernel = [height, width];
    if node.pair("kernel_shape", kernel)? != kernel {
        return Err(format!("has a kernel_shape other than that of its weights, {kernel:?}"));
    }
    let groups = usize::try_from(node.int("group", 1)).ok().filter(|&groups| groups > 0);
    let groups = groups.ok_or_else(|| format!("has {} groups", node.int("group", 1)))?;
    if filters == 0 || filters % groups != 0 {
        return Err(format!("has {filters} filters in {groups} groups"));
    }
    let stride = node.pair("strides", [1, 1])?;
    Ok(Conv { filters, kernel, stride, padding: padding(node)?, groups, parameters: ParameterSettings::default() })
}

fn shape4(weight: &ArrayD<f32>) -> [usize; 4] {
    weight.shape().try_into().unwrap_or([0; 4])
}

/// Fails unless the images are maps with channels first.
fn check_map(images: &Images) -> Result<(), String> {
    match (images.dims.len(), images.channels_last) {
        (3, false) => Ok(()),
        (3, true) => Err("takes maps whose channels are last; a Transpose belongs before it".into()),
        _ => Err(format!("takes maps of channels, rows and columns, and gets {:?}", images.dims)),
    }
}

/// Padding by `pads` or `auto_pad`.
fn padding(node: Node) -> Result<Pad, String> {
    match node.text("auto_pad") {
        "" | "NOTSET" => {
            let pads = node.ints("pads").unwrap_or(&[]);
            sides(if pads.is_empty() { &[0; 4] } else { pads })
        }
        "VALID" => Ok(Pad::default()),
        "SAME_UPPER" => Ok(Pad::Same),
        other => Err(format!("has auto_pad {other:?}; NOTSET, VALID and SAME_UPPER are read")),
    }
}

/// Padding of rows above, columns on the left, rows below, columns on the right.
fn sides(pads: &[i64]) -> Result<Pad, String> {
    let lengths: Option<Vec<usize>> = pads.iter().map(|&n| usize::try_from(n).ok().filter(|&n| n <= 1 << 20)).collect();
    match lengths.as_deref() {
        Some(&[top, left, bottom, right]) => Ok(Pad::Sides(Padding { top, bottom, left, right })),
        _ => Err(format!("has pads {pads:?}; four numbers from 0 are read")),
    }
}

/// Padding with that of a Pad before the layer, whose value must be one that the layer's own has.
fn padded(own: Pad, before: Option<([usize; 4], f32)>, fits: impl Fn(f32) -> bool) -> Result<Pad, String> {
    let Some(([top, left, bottom, right], value)) = before else { return Ok(own) };
    if !fits(value) {
        return Err(format!("follows a Pad with {value}, which its own padding cannot have"));
    }
    match own {
        Pad::Sides(own) => Ok(Pad::Sides(Padding {
            top: own.top + top,
            bottom: own.bottom + bottom,
            left: own.left + left,
            right: own.right + right,
        })),
        Pad::Same => Err("has auto_pad SAME_UPPER after a Pad".into()),
    }
}

/// MaxPool and AveragePool.
pub(super) fn pool<'a>(graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
    node.check_ones("dilations")?;
    if let Value::Squares(squares) = graph.value(node, 0)? {
        return normalisation::average(node, squares).map(Value::Squares).map(Some);
    }
    let images = graph.images(node, 0)?;
    check_map(&images)?;
    if node.ints("kernel_shape").is_none() {
        return Err("has no kernel_shape".into());
    }
    let kernel = node.pair("kernel_shape", [1, 1])?;
    let stride = node.pair("strides", [1, 1])?;
    let round_mode = if node.int("ceil_mode", 0) == 0 { RoundMode::Floor } else { RoundMode::Ceil };
    let own = padding(node)?;
    let pool = if node.0.op_type == "MaxPool" {
        let after_relu = graph.chain.last().is_some_and(|link| is_never_negative(&link.kind));
        let fits = |value: f32| value <= -1e30 || (value == 0.0 && after_relu);
        Pool { kind: PoolKind::Max, kernel, stride, padding: padded(own, images.pads, fits)?, round_mode }
    } else {
        average(node, &images, Pool { kind: PoolKind::Average, kernel, stride, padding: own, round_mode })?
    };
    // torch writes an adaptive average pooling that changes nothing as windows of one value.
    if kernel == [1, 1] && stride == [1, 1] && pool.padding == Pad::default() {
        return Ok(Some(Value::Images(images)));
    }
    graph.layer_over_pads(node, &images, LayerKind::Pool(pool), Vec::new())
}

fn is_never_negative(kind: &LayerKind) -> bool {
    matches!(kind, LayerKind::Activation(Activation::Relu | Activation::Logistic))
}

/// An average pooling. Padding by a Pad counts as zeros, its own by `count_include_pad`.
fn average(node: Node, images: &Images, own: Pool) -> Result<Pool, String> {
    let counts = node.int("count_include_pad", 0) != 0;
    let has_own = own.padding != Pad::default();
    let kind = if counts && has_own { PoolKind::AverageWithPadding } else { PoolKind::Average };
    let Some((before @ [top, left, bottom, right], value)) = images.pads else { return Ok(Pool { kind, ..own }) };
    if !has_own || counts {
        let padding = padded(own.padding, images.pads, |value| value == 0.0)?;
        return Ok(Pool { kind: PoolKind::AverageWithPadding, padding, ..own });
    }
    // Zeros around the image, and windows that go on after them, as rounding up gives.
    let [_, height, width] = *images.dims.as_slice() else { return Err("takes maps".into()) };
    let padding = Pad::Sides(Padding { top, left, bottom, right });
    let pool = Pool { kind: PoolKind::AverageWithPadding, padding, round_mode: RoundMode::Ceil, ..own };
    let output = |pool: &Pool, [height, width]: [usize; 2]| {
        pool.operation([height, width]).geometry(&[1, height, width, 1]).map(|geometry| geometry.output).ok()
    };
    let whole = [height + before[0] + before[2], width + before[1] + before[3]];
    if value == 0.0 && output(&pool, [height, width]) == output(&own, whole) {
        return Ok(pool);
    }
    Err("follows a Pad whose zeros it counts beside its own padding, which it does not".into())
}

/// Pad: kept until the layer after it takes it.
pub(super) fn pad<'a>(graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
    if !matches!(node.text("mode"), "" | "constant") {
        return Err(format!("has the mode {:?}; constant is read", node.text("mode")));
    }
    if node.input(3).is_some() {
        return Err("names its axes, which is not read".into());
    }
    let pads = match graph.numbers(node, 1)? {
        Some(pads) => pads,
        None => node.ints("pads").unwrap_or_default().to_vec(),
    };
    let value = match node.input(2) {
        Some(_) => graph.scalar(&graph.floats(node, 2)?)?.ok_or("pads with more than one value")?,
        None => node.optional_float("value").unwrap_or(0.0),
    };
    let lengths: Option<Vec<usize>> = pads.iter().map(|&n| usize::try_from(n).ok().filter(|&n| n <= 1 << 20)).collect();
    let lengths = lengths.ok_or_else(|| format!("has pads {pads:?}; numbers from 0 are read"))?;
    let (before, after) = lengths.split_at(lengths.len() / 2);
    match graph.value(node, 0)? {
        Value::Squares(squares) => normalisation::pad(squares, before, after, value).map(Value::Squares).map(Some),
        Value::Images(images) => {
            let mut images = graph.newest(images)?;
            let spatial = if images.channels_last { [1, 2] } else { [2, 3] };
            let elsewhere = (0..before.len()).any(|axis| !spatial.contains(&axis) && before[axis] + after[axis] > 0);
            if lengths.len() != 8 || elsewhere || images.pads.is_some() || images.dims.len() != 3 {
                return Err(format!("has pads {pads:?}; only rows and columns of maps are padded here, once"));
            }
            let [rows, columns] = spatial;
            images.pads = Some(([before[rows], before[columns], after[rows], after[columns]], value));
            Ok(Some(Value::Images(images)))
        }
        _ => Err("pads a constant or a part of the channels, which is not read".into()),
    }
}

/// GlobalAveragePool, and ReduceMean over rows and columns.
pub(super) fn global_average<'a>(graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
    let images = graph.images(node, 0)?;
    if images.dims.len() != 3 {
        return Err(format!("takes maps, and gets {:?}", images.dims));
    }
    let rows_and_columns: [i64; 2] = if images.channels_last { [1, 2] } else { [2, 3] };
    let mut keeps_axes = true;
    if node.0.op_type == "ReduceMean" {
        keeps_axes = node.int("keepdims", 1) != 0;
        let axes = match graph.numbers(node, 1)? {
            Some(axes) => axes,
            None => node.ints("axes").unwrap_or_default().to_vec(),
        };
        let mut positive: Vec<i64> = axes.iter().map(|&axis| if axis < 0 { axis + 4 } else { axis }).collect();
        positive.sort_unstable();
        if positive != rows_and_columns {
            return Err(format!("averages the axes {axes:?}; rows and columns are averaged here"));
        }
    } else if images.channels_last {
        return Err("takes maps whose channels are last".into());
    }
    let channels = if images.channels_last { images.dims[2] } else { images.dims[0] };
    let after = graph.layer(node, &images, LayerKind::GlobalAveragePool, Vec::new())?;
    let dims = match (keeps_axes, images.channels_last) {
        (false, _) => vec![channels],
        (true, false) => vec![channels, 1, 1],
        (true, true) => vec![1, 1, channels],
    };
    Ok(after.map(|value| match value {
        Value::Images(images) => Value::Images(Images { dims, ..images }),
        other => other,
    }))
}

impl Part {
    /// The channels of the images that a part leaves out before it.
    pub fn end(&self) -> usize {
        self.start + self.len
    }
}
