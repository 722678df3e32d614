//! Flatten, Reshape, Squeeze, Unsqueeze and Transpose: another view of the same values.

use ndarray::IxDyn;

use super::graph::Graph;
use super::lengths;
use super::node::Node;
use super::tensor::{Floats, Source};
use super::value::{Images, Length, Squares, Value};
use crate::chain::Values;

type Read<'a> = Result<Option<Value<'a>>, String>;

/// A node that changes the view.
pub(super) fn read<'a>(graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
    match graph.value(node, 0)? {
        Value::Lengths(lengths) => lengths::view(graph, node, lengths),
        Value::Table(rows) => lengths::table(node, &rows),
        Value::Floats(floats) => constant(graph, node, &floats).map(Value::Floats).map(Some),
        Value::Images(images) => {
            let images = graph.newest(images)?;
            if images.pads.is_some() {
                return Err("follows a Pad, which only convolutions and pools take".into());
            }
            view(graph, node, images).map(Value::Images).map(Some)
        }
        Value::Squares(squares) => {
            let dims = new_dims(graph, node, &squares.dims)?;
            squares_as(squares, dims).map(Value::Squares).map(Some)
        }
        _ => Err("changes the view of a part of the channels".into()),
    }
}

/// Another view of the images: rows, or maps with channels first or last.
fn view(graph: &Graph, node: Node, images: Images) -> Result<Images, String> {
    if node.0.op_type == "Transpose" {
        return transpose(node, images);
    }
    let dims = new_dims(graph, node, &images.dims)?;
    let len: usize = images.dims.iter().product();
    let without_ones = |dims: &[usize]| dims.iter().copied().filter(|&axis| axis != 1).collect::<Vec<_>>();
    let is_row = dims == [len];
    let same = without_ones(&dims) == without_ones(&images.dims);
    let is_map = dims.len() == 3 && matches!(graph.chain.values(), Values::Map(_));
    if dims == images.dims || is_row || (same && !is_map) {
        return Ok(Images { dims, ..images });
    }
    // Back to maps, from rows of the same values.
    if let Values::Map([height, width, channels]) = graph.chain.values() {
        let whole = if images.channels_last { [height, width, channels] } else { [channels, height, width] };
        if dims == whole {
            return Ok(Images { dims, ..images });
        }
    }
    Err(format!("makes {:?} of {:?}; rows are made of maps here", dims, images.dims))
}

fn transpose(node: Node, images: Images) -> Result<Images, String> {
    let order = node.ints("perm").unwrap_or_default();
    let [a, b, c] = *images.dims.as_slice() else {
        return Err(format!("turns {:?}; maps are turned here", images.dims));
    };
    match (order, images.channels_last) {
        (&[0, 3, 1, 2], true) => Ok(Images { dims: vec![c, a, b], channels_last: false, ..images }),
        (&[0, 2, 3, 1], false) => Ok(Images { dims: vec![b, c, a], channels_last: true, ..images }),
        (&[0, 1, 2, 3], _) => Ok(images),
        _ => Err(format!("turns the axes by {order:?}; channels are moved to the end or to the front here")),
    }
}

/// The lengths of the axes after the first, after a node other than Transpose.
fn new_dims(graph: &Graph, node: Node, dims: &[usize]) -> Result<Vec<usize>, String> {
    match node.0.op_type.as_str() {
        "Flatten" => {
            let axis = node.int("axis", 1);
            let axis = if axis < 0 { axis + dims.len() as i64 + 1 } else { axis };
            if axis != 1 {
                return Err(format!("flattens from axis {axis}; rows begin at axis 1 here"));
            }
            Ok(vec![dims.iter().product()])
        }
        "Reshape" => {
            let target = target(graph, node)?;
            resolve(dims, graph.batch, &target, node.int("allowzero", 0) != 0)
        }
        "Squeeze" => squeezed(&axes(graph, node)?, dims, graph.batch),
        "Unsqueeze" => unsqueezed(&axes(graph, node)?, dims),
        _ => Err("turns squares".into()),
    }
}

fn target(graph: &Graph, node: Node) -> Result<Vec<Length>, String> {
    let name = node.input(1).ok_or("lacks its shape")?;
    match graph.named(name) {
        Some(Value::Lengths(lengths)) => Ok(lengths.clone()),
        _ => Err(format!("takes its shape from {name:?}, which is not made of lengths")),
    }
}

fn axes(graph: &Graph, node: Node) -> Result<Vec<i64>, String> {
    match graph.numbers(node, 1)? {
        Some(axes) => Ok(axes),
        None => Ok(node.ints("axes").unwrap_or_default().to_vec()),
    }
}

/// The lengths that a Reshape to `target` gives, without the first, which must stay the number of images.
fn resolve(dims: &[usize], batch: Option<i64>, target: &[Length], zero_is_zero: bool) -> Result<Vec<usize>, String> {
    let refused = || {
        let target = lengths::shown(target);
        format!("makes {target} of {dims:?}, which does not keep the images apart")
    };
    let (first, rest) = target.split_first().ok_or_else(refused)?;
    let total: usize = dims.iter().product();
    let mut lengths = Vec::with_capacity(rest.len());
    let mut open = None;
    for (at, length) in rest.iter().enumerate() {
        match length {
            Length::Number(-1) if open.is_none() => {
                open = Some(at);
                lengths.push(1);
            }
            Length::Number(0) if !zero_is_zero => lengths.push(*dims.get(at).ok_or_else(refused)?),
            Length::Number(n) if *n > 0 => lengths.push(usize::try_from(*n).map_err(|_| refused())?),
            _ => return Err(refused()),
        }
    }
    let known = lengths.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis)).ok_or_else(refused)?;
    if let Some(at) = open {
        lengths[at] = total / known;
    }
    let product = lengths.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis));
    let keeps_images = match first {
        Length::Batch => true,
        Length::Number(0) => !zero_is_zero,
        Length::Number(-1) => open.is_none(),
        Length::Number(n) => Some(*n) == batch,
    };
    if product != Some(total) || !keeps_images {
        return Err(refused());
    }
    Ok(lengths)
}

fn squeezed(axes: &[i64], dims: &[usize], batch: Option<i64>) -> Result<Vec<usize>, String> {
    let rank = dims.len() as i64 + 1;
    if axes.is_empty() && batch == Some(1) {
        return Err("names no axes, and would take the one of the images away".into());
    }
    let chosen = |axis: i64| axes.is_empty() || axes.contains(&axis) || axes.contains(&(axis - rank));
    let mut kept = Vec::new();
    for (at, &length) in dims.iter().enumerate() {
        let is_chosen = chosen(at as i64 + 1);
        if is_chosen && length != 1 && !axes.is_empty() {
            return Err(format!("takes an axis of length {length} away"));
        }
        if !is_chosen || length != 1 {
            kept.push(length);
        }
    }
    if !axes.is_empty() && chosen(0) { Err("takes the axis of the images away".into()) } else { Ok(kept) }
}

fn unsqueezed(axes: &[i64], dims: &[usize]) -> Result<Vec<usize>, String> {
    let rank = (dims.len() + axes.len() + 1) as i64;
    let mut positive: Vec<i64> = axes.iter().map(|&axis| if axis < 0 { axis + rank } else { axis }).collect();
    positive.sort_unstable();
    let mut longer = dims.to_vec();
    for axis in positive {
        let at = usize::try_from(axis - 1).ok().filter(|&at| at <= longer.len() && longer.len() < 8);
        longer.insert(at.ok_or_else(|| format!("adds the axis {axis} to {dims:?}"))?, 1);
    }
    Ok(longer)
}

/// Squares with axes of length 1 more or less.
fn squares_as(squares: Squares, dims: Vec<usize>) -> Result<Squares, String> {
    if dims == squares.dims {
        return Ok(squares);
    }
    if squares.pads.iter().any(|pads| *pads != [0, 0]) {
        return Err("changes the view of padded squares".into());
    }
    let without_ones = |dims: &[usize]| dims.iter().copied().filter(|&axis| axis != 1).collect::<Vec<_>>();
    if without_ones(&dims) != without_ones(&squares.dims) {
        return Err(format!("makes {dims:?} of squares {:?}", squares.dims));
    }
    let pads = vec![[0, 0]; dims.len()];
    Ok(Squares { dims, pads, ..squares })
}

/// Another view of a constant.
fn constant<'a>(graph: &Graph<'a>, node: Node<'a>, floats: &Floats<'a>) -> Result<Floats<'a>, String> {
    let order = if node.0.op_type == "Transpose" { Some(order(floats.shape.len(), node.ints("perm"))?) } else { None };
    let shape: Vec<usize> = match &order {
        Some(order) => order.iter().map(|&axis| floats.shape[axis]).collect(),
        // All axes are alike here, so the first is no number of images.
        None => constant_dims(graph, node, &floats.shape)?,
    };
    // One value, repeated, takes no memory until it is used.
    if let Source::Fill(value) = floats.source {
        return Ok(Floats { shape, source: Source::Fill(value) });
    }
    let array = graph.values_of(floats)?;
    let array = match order {
        Some(order) => array.permuted_axes(IxDyn(&order)).as_standard_layout().into_owned(),
        None => array.into_shape_with_order(IxDyn(&shape)).map_err(|error| error.to_string())?,
    };
    Ok(Floats { shape, source: Source::Array(array.into()) })
}

/// The order of a Transpose of this number of axes: without one, the axes are reversed.
fn order(rank: usize, order: Option<&[i64]>) -> Result<Vec<usize>, String> {
    let order: Vec<usize> = match order {
        None => (0..rank).rev().collect(),
        Some(order) => order.iter().map(|&axis| usize::try_from(axis).unwrap_or(rank)).collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted != (0..rank).collect::<Vec<_>>() {
        return Err(format!("turns {rank} axes by {order:?}"));
    }
    Ok(order)
}

fn constant_dims(graph: &Graph, node: Node, shape: &[usize]) -> Result<Vec<usize>, String> {
    // As if there were one image of this shape.
    match node.0.op_type.as_str() {
        "Reshape" => {
            let target = target(graph, node)?;
            let with_image = [&[Length::Number(1)], &*target].concat();
            resolve(shape, Some(1), &with_image, node.int("allowzero", 0) != 0)
        }
        "Flatten" => {
            let axis = usize::try_from(node.int("axis", 1)).ok().filter(|&axis| axis <= shape.len());
            let (rows, columns) = shape.split_at(axis.ok_or("flattens from an axis that is not there")?);
            Ok(vec![rows.iter().product(), columns.iter().product()])
        }
        "Squeeze" => squeezed(&after_image(&axes(graph, node)?), shape, None),
        _ => unsqueezed(&after_image(&axes(graph, node)?), shape),
    }
}

/// Axes of a constant, counted with one of an image in front.
fn after_image(axes: &[i64]) -> Vec<i64> {
    axes.iter().map(|&axis| if axis < 0 { axis } else { axis + 1 }).collect()
}
