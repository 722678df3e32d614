//! Response normalisation, as LRN and written out, and batch normalisation.

use layers::LayerKind;
use layers::model::BatchNorm;
use layers::tensor::ops::{AlphaScaling, Lrn, Region};

use super::graph::Graph;
use super::node::Node;
use super::value::{Images, Squares, Value, Window};
use crate::chain::Values;

type Read<'a> = Result<Option<Value<'a>>, String>;

/// LRN: alpha multiplies the mean of the squares.
pub(super) fn lrn<'a>(graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
    let images = graph.images(node, 0)?;
    let size = usize::try_from(node.int("size", 0)).ok().filter(|&size| size > 0).ok_or("has no size")?;
    let across = images.dims.len() == 3 && !images.channels_last;
    // The windows of an even size lie one channel further on than here.
    if !across || (size % 2 == 0 && size > 1) {
        return Err(format!("has size {size} on {:?}; odd sizes are read, on maps with channels first", images.dims));
    }
    let layer = Lrn {
        size,
        alpha: node.float("alpha", 1e-4),
        beta: node.float("beta", 0.75),
        k: node.float("bias", 1.0),
        region: Region::AcrossChannels,
        alpha_scaling: AlphaScaling::Mean,
    };
    check(&layer)?;
    graph.layer(node, &images, LayerKind::Lrn(layer), Vec::new())
}

fn check(lrn: &Lrn) -> Result<(), String> {
    let fits = lrn.size <= 1 << 20 && lrn.alpha >= 0.0 && lrn.alpha.is_finite() && lrn.beta >= 0.0;
    if fits && lrn.beta.is_finite() && lrn.k > 0.0 && lrn.k.is_finite() {
        return Ok(());
    }
    Err(format!("has alpha {}, beta {}, k {}; k must be above 0, the others at least 0", lrn.alpha, lrn.beta, lrn.k))
}

/// The squares of images, from which a normalisation that is written out begins.
pub(super) fn squares(images: Images) -> Result<Squares, String> {
    if images.pads.is_some() || images.dims.len() != 3 || images.channels_last {
        return Err("multiplies the images by themselves, which is read only in a response normalisation".into());
    }
    let pads = vec![[0, 0]; images.dims.len()];
    Ok(Squares { layers: images.layers, dims: images.dims, pads, window: None, alpha: 1.0, k: 0.0, beta: 1.0 })
}

/// Pad of squares, over all axes from the first.
pub(super) fn pad(mut squares: Squares, before: &[usize], after: &[usize], value: f32) -> Result<Squares, String> {
    let fits = before.len() == squares.dims.len() + 1 && after.len() == before.len();
    if !fits || value != 0.0 || before[0] + after[0] > 0 || squares.window.is_some() {
        return Err("pads squares as no response normalisation does".into());
    }
    for (axis, pads) in squares.pads.iter_mut().enumerate() {
        pads[0] += before[axis + 1];
        pads[1] += after[axis + 1];
    }
    Ok(squares)
}

/// AveragePool of squares over adjacent channels or pixels.
pub(super) fn average(node: Node, mut squares: Squares) -> Result<Squares, String> {
    let kernel = node.ints("kernel_shape").unwrap_or_default();
    let refused = || format!("averages squares over {kernel:?} as no response normalisation does");
    let own = node.ints("pads").unwrap_or_default();
    let rank = squares.dims.len();
    let strides = node.ints("strides").unwrap_or_default();
    let has_own = own.iter().any(|&pad| pad != 0);
    let counts = !has_own || node.int("count_include_pad", 0) != 0;
    let is_plain =
        matches!(node.text("auto_pad"), "" | "NOTSET" | "VALID") && strides.iter().all(|&stride| stride == 1);
    if node.0.op_type != "AveragePool" || squares.window.is_some() || !counts || !is_plain || kernel.len() + 1 != rank {
        return Err(refused());
    }
    for (axis, pads) in squares.pads.iter_mut().enumerate().skip(1) {
        let at = |i: usize| own.get(i).map_or(Some(0), |&pad| usize::try_from(pad).ok().filter(|&pad| pad < 1 << 20));
        pads[0] += at(axis - 1).ok_or_else(refused)?;
        pads[1] += at(axis - 1 + kernel.len()).ok_or_else(refused)?;
    }
    // [1, channels, height, width] averaged over channels, or [channels, height, width] over height and width.
    let window = match (rank, kernel) {
        (4, &[size, 1, 1]) => Window::Channels(usize::try_from(size).map_err(|_| refused())?),
        (3, &[rows, columns]) if rows == columns => Window::Pixels(usize::try_from(rows).map_err(|_| refused())?),
        _ => return Err(refused()),
    };
    let (Window::Channels(size) | Window::Pixels(size)) = window;
    if size == 0 {
        return Err(refused());
    }
    let centred = [size / 2, (size - 1) / 2];
    let expected = match window {
        Window::Channels(_) => vec![[0, 0], centred, [0, 0], [0, 0]],
        Window::Pixels(_) => vec![[0, 0], centred, centred],
    };
    if squares.pads != expected {
        return Err(refused());
    }
    squares.window = Some(window);
    squares.pads = vec![[0, 0]; rank];
    Ok(squares)
}

/// Div of images by the divisor: the normalisation.
pub(super) fn divide<'a>(graph: &mut Graph<'a>, node: Node<'a>, images: &Images, by: Squares) -> Read<'a> {
    let (size, region) = match by.window {
        Some(Window::Channels(size)) => (size, Region::AcrossChannels),
        Some(Window::Pixels(size)) => (size, Region::WithinChannel),
        None => return Err("divides by squares that are not averaged".into()),
    };
    if by.layers != images.layers || by.dims != images.dims {
        return Err("divides by the squares of other values".into());
    }
    let Squares { alpha, beta, k, .. } = by;
    let layer = Lrn { size, alpha, beta, k, region, alpha_scaling: AlphaScaling::Mean };
    check(&layer)?;
    graph.layer(node, images, LayerKind::Lrn(layer), Vec::new())
}

/// BatchNormalization in its test form.
pub(super) fn batch_norm<'a>(graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
    let images = graph.images(node, 0)?;
    let is_map = images.dims.len() == 3 && !images.channels_last;
    let is_row = images.dims.len() == 1 && matches!(graph.chain.values(), Values::Row(_));
    if !(is_map || is_row) || node.int("spatial", 1) != 1 {
        return Err(format!("normalises {:?}; maps with channels first and rows are normalised here", images.dims));
    }
    let epsilon = node.float("epsilon", 1e-5);
    // The share of the new batch, whose f32 has seven digits.
    let momentum = ((1.0 - node.float("momentum", 0.9)) * 1e7).round() / 1e7;
    if !(epsilon > 0.0 && epsilon.is_finite() && (0.0..=1.0).contains(&momentum)) {
        let momentum = 1.0 - momentum;
        return Err(format!("has epsilon {epsilon} and momentum {momentum}; above 0, and from 0 to 1, are read"));
    }
    let mut tensors = Vec::with_capacity(4);
    for (index, name) in ["weight", "bias", "running_mean", "running_var"].into_iter().enumerate() {
        tensors.push((name, graph.array(node, index + 1, 1)?));
    }
    if tensors.iter().any(|(_, values)| Some(&values.len()) != images.dims.first()) {
        return Err(format!("has parameters for other channels than the {} of its input", images.dims[0]));
    }
    let layer = BatchNorm { epsilon, momentum, ..BatchNorm::default() };
    graph.layer(node, &images, LayerKind::BatchNorm(layer), tensors)
}
