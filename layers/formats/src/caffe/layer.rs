//! One layer of Caffe as one of ours.

use layers::model::{BatchNorm, Conv, Linear, Pad, ParameterSettings, Pool, Units};
use layers::tensor::ops::{Activation, AlphaScaling, Dropout, DropoutScale, Lrn, Padding, PoolKind, Region, RoundMode};
use layers::{Init, LayerKind};
use ndarray::{ArrayD, IxDyn};

use super::blob::into_array;
use super::proto::{ConvolutionParameter, FillerParameter, LayerParameter, PoolingParameter};
use crate::chain::Chain;

/// The parameters of a layer by name.
type Tensors = Vec<(&'static str, ArrayD<f32>)>;

/// The longest kernel, stride and padding.
const MAX_SIDE: u32 = 1 << 20;

/// Adds a layer to those before it.
///
/// # Errors
/// A message that begins after the layer's name.
pub(super) fn add(chain: &mut Chain, layer: &LayerParameter) -> Result<(), String> {
    let name = layer.name.as_deref().unwrap_or_default();
    let kind = layer.kind.as_deref().unwrap_or_default();
    let (kind, tensors) = match kind {
        "Convolution" => convolution(chain, layer)?,
        "InnerProduct" => inner_product(chain, layer)?,
        "ReLU" => (relu(layer)?, Vec::new()),
        "TanH" => (LayerKind::Activation(Activation::Tanh), Vec::new()),
        "Sigmoid" => (LayerKind::Activation(Activation::Logistic), Vec::new()),
        "LRN" => (lrn(layer), Vec::new()),
        "Pooling" => (pooling(chain, layer)?, Vec::new()),
        "Dropout" => (dropout(layer)?, Vec::new()),
        "BatchNorm" => batch_norm(layer)?,
        "Scale" => return scale(chain, layer),
        // Maps are flattened where a row is needed.
        "Flatten" => return Ok(()),
        "Softmax" => {
            if chain.values().map().is_ok() {
                chain.push("", LayerKind::Flatten)?;
            }
            (LayerKind::Softmax, Vec::new())
        }
        other => return Err(format!("is of the kind {other:?}, which no layer here computes")),
    };
    chain.push_with(name, kind, tensors)
}

fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

fn convolution(chain: &Chain, layer: &LayerParameter) -> Result<(LayerKind, Tensors), String> {
    let settings = layer.convolution_param.as_ref().ok_or("has no convolution_param")?;
    if settings.dilation.iter().any(|&n| n > 1) {
        return Err("has a dilation, which convolutions here have not".into());
    }
    let [_, _, channels] = chain.values().map()?;
    let filters = settings.num_output() as usize;
    let groups = settings.group() as usize;
    let kernel = sides(&settings.kernel_size, settings.kernel_h, settings.kernel_w, None)
        .ok_or("has no kernel_size that is read")?;
    let stride =
        sides(&settings.stride, settings.stride_h, settings.stride_w, Some(1)).ok_or("has no stride that is read")?;
    if groups == 0 || !channels.is_multiple_of(groups) || filters == 0 || !filters.is_multiple_of(groups) {
        return Err(format!("has {filters} filters in {groups} groups on {channels} channels"));
    }
    let shape = [filters, channels / groups, kernel[0], kernel[1]];
    let fan_in = shape[1..].iter().fold(1usize, |n, &axis| n.saturating_mul(axis));
    let fillers = [&settings.weight_filler, &settings.bias_filler];
    let parameters = parameters(layer, settings.bias_term(), fillers, fan_in);
    let tensors = weights(layer, &shape, settings.bias_term())?;
    let padding = conv_padding(settings).ok_or("has no padding that is read")?;
    Ok((LayerKind::Conv(Conv { filters, kernel, stride, padding, groups, parameters }), tensors))
}

fn conv_padding(settings: &ConvolutionParameter) -> Option<Pad> {
    sides(&settings.pad, settings.pad_h, settings.pad_w, Some(0)).map(around)
}

/// The same padding on opposite sides.
fn around([rows, columns]: [usize; 2]) -> Pad {
    Pad::Sides(Padding { top: rows, bottom: rows, left: columns, right: columns })
}

/// Height and width: of two fields, else of a list of one or two.
fn sides(list: &[u32], height: Option<u32>, width: Option<u32>, default: Option<u32>) -> Option<[usize; 2]> {
    let pair = match (height, width, list) {
        (None, None, []) => [default?; 2],
        (None, None, &[both]) => [both; 2],
        (None, None, &[height, width]) => [height, width],
        (None, None, _) => return None,
        (height, width, _) => [height.or(default)?, width.or(default)?],
    };
    pair.iter().all(|&n| n <= MAX_SIDE).then(|| pair.map(|n| n as usize))
}

fn inner_product(chain: &Chain, layer: &LayerParameter) -> Result<(LayerKind, Tensors), String> {
    let settings = layer.inner_product_param.as_ref().ok_or("has no inner_product_param")?;
    if settings.axis() != 1 {
        return Err(format!("multiplies from the axis {}; 1 is read", settings.axis()));
    }
    let units = settings.num_output() as usize;
    let inputs = chain.values().len();
    let shape = if settings.transpose() { [inputs, units] } else { [units, inputs] };
    let mut tensors = weights(layer, &shape, settings.bias_term())?;
    if settings.transpose() {
        for (_, values) in tensors.iter_mut().take(1) {
            *values = values.view().reversed_axes().as_standard_layout().into_owned();
        }
    }
    let fillers = [&settings.weight_filler, &settings.bias_filler];
    let parameters = parameters(layer, settings.bias_term(), fillers, inputs);
    Ok((LayerKind::Linear(Linear { units: Units::Number(units), parameters }), tensors))
}

/// Weights of this shape and a bias of its first length, unless it is the second that counts outputs.
fn weights(layer: &LayerParameter, shape: &[usize], bias: bool) -> Result<Tensors, String> {
    let mut tensors = vec![("weight", parameter(layer, 0, shape)?)];
    if bias {
        let len = layer.blobs.get(1).map(|blob| blob.data.len().max(blob.double_data.len()));
        tensors.push(("bias", parameter(layer, 1, &[len.unwrap_or(0)])?));
    }
    Ok(tensors)
}

/// A blob in this shape. Old files have four axes for all.
fn parameter(layer: &LayerParameter, index: usize, shape: &[usize]) -> Result<ArrayD<f32>, String> {
    let blob = layer
        .blobs
        .get(index)
        .ok_or_else(|| format!("has {} blobs; its weights are not in the file", layer.blobs.len()))?;
    let array = into_array(blob.clone())?;
    let found = array.shape().to_vec();
    let kept = |shape: &[usize]| shape.iter().copied().filter(|&axis| axis != 1).collect::<Vec<_>>();
    if kept(&found) != kept(shape) {
        return Err(format!("has a blob of shape {found:?}, and its input takes {shape:?}"));
    }
    array.into_shape_with_order(IxDyn(shape)).map_err(|error| error.to_string())
}

/// Initial values and multipliers of rate and decay.
fn parameters(
    layer: &LayerParameter,
    bias: bool,
    [weight_filler, bias_filler]: [&Option<FillerParameter>; 2],
    fan_in: usize,
) -> ParameterSettings {
    let of = |i: usize| layer.param.get(i).copied().unwrap_or_default();
    let init = |filler: &Option<FillerParameter>| filler.as_ref().map(|filler| distribution(filler, fan_in));
    let defaults = ParameterSettings::default();
    let multiplier = |value: f32| decimal(value.max(0.0));
    ParameterSettings {
        init: init(weight_filler).unwrap_or(defaults.init),
        bias: bias.then(|| init(bias_filler).unwrap_or(Init::Constant(0.0))),
        weight_rate: multiplier(of(0).lr_mult()),
        bias_rate: multiplier(of(1).lr_mult()),
        weight_decay: multiplier(of(0).decay_mult()),
        bias_decay: multiplier(of(1).decay_mult()),
    }
}

/// The distribution of a filler, with finite settings.
fn distribution(filler: &FillerParameter, fan_in: usize) -> Init {
    let number = |value: f32| if value.is_finite() { decimal(value) } else { 0.0 };
    match filler.kind() {
        "gaussian" => Init::Normal { mean: number(filler.mean()), std: number(filler.std()).abs() },
        "uniform" if filler.min() < filler.max() => {
            Init::Uniform { low: number(filler.min()), high: number(filler.max()) }
        }
        "xavier" => {
            let bound = (3.0 / fan_in.max(1) as f64).sqrt();
            Init::Uniform { low: -bound, high: bound }
        }
        "msra" => Init::HeNormal,
        _ => Init::Constant(number(filler.value())),
    }
}

fn relu(layer: &LayerParameter) -> Result<LayerKind, String> {
    let slope = layer.relu_param.and_then(|relu| relu.negative_slope).unwrap_or(0.0);
    if slope != 0.0 {
        return Err(format!("has the negative_slope {slope}; ReLU here has 0"));
    }
    Ok(LayerKind::Activation(Activation::Relu))
}

/// Within a channel Caffe leaves `k` at 1.
fn lrn(layer: &LayerParameter) -> LayerKind {
    let settings = layer.lrn_param.unwrap_or_default();
    let within = settings.norm_region.unwrap_or(0) == 1;
    LayerKind::Lrn(Lrn {
        size: settings.local_size() as usize,
        alpha: decimal(settings.alpha()),
        beta: decimal(settings.beta()),
        k: if within { 1.0 } else { decimal(settings.k()) },
        region: if within { Region::WithinChannel } else { Region::AcrossChannels },
        alpha_scaling: AlphaScaling::Mean,
    })
}

fn pooling(chain: &Chain, layer: &LayerParameter) -> Result<LayerKind, String> {
    let settings: PoolingParameter = layer.pooling_param.ok_or("has no pooling_param")?;
    let kind = match settings.pool.unwrap_or(0) {
        0 => PoolKind::Max,
        1 => PoolKind::AverageWithPadding,
        _ => return Err("pools at random, which no layer here does".into()),
    };
    let [height, width, _] = chain.values().map()?;
    if settings.global_pooling() {
        if kind != PoolKind::Max {
            return Ok(LayerKind::GlobalAveragePool);
        }
        let kernel = [height, width];
        let round_mode = RoundMode::Floor;
        return Ok(LayerKind::Pool(Pool { kind, kernel, stride: [1, 1], padding: Pad::default(), round_mode }));
    }
    let of = |field: Option<u32>| field.into_iter().collect::<Vec<_>>();
    let kernel = sides(&of(settings.kernel_size), settings.kernel_h, settings.kernel_w, None);
    let stride = sides(&of(settings.stride), settings.stride_h, settings.stride_w, Some(1));
    let padding = sides(&of(settings.pad), settings.pad_h, settings.pad_w, Some(0)).map(around);
    let round_mode = if settings.round_mode.unwrap_or(0) == 0 { RoundMode::Ceil } else { RoundMode::Floor };
    let (Some(kernel), Some(stride), Some(padding)) = (kernel, stride, padding) else {
        return Err("has no kernel_size, stride or padding that is read".into());
    };
    Ok(LayerKind::Pool(Pool { kind, kernel, stride, padding, round_mode }))
}

fn dropout(layer: &LayerParameter) -> Result<LayerKind, String> {
    let p = decimal(layer.dropout_param.unwrap_or_default().dropout_ratio());
    if !(0.0..1.0).contains(&p) {
        return Err(format!("has the dropout_ratio {p}"));
    }
    Ok(LayerKind::Dropout(Dropout { p, scale: DropoutScale::InTraining }))
}

/// Batch normalisation without scale and shift. Mean and variance are sums: the third blob is their number.
fn batch_norm(layer: &LayerParameter) -> Result<(LayerKind, Tensors), String> {
    let settings = layer.batch_norm_param.unwrap_or_default();
    let channels = layer.blobs.first().map_or(0, |blob| blob.data.len().max(blob.double_data.len()));
    let factor = parameter(layer, 2, &[1])?[[0]];
    let factor = if factor == 0.0 { 0.0 } else { 1.0 / factor };
    let mean = parameter(layer, 0, &[channels])?.mapv(|value| value * factor);
    let variance = parameter(layer, 1, &[channels])?.mapv(|value| value * factor);
    let one = ArrayD::from_elem(IxDyn(&[channels]), 1.0);
    let zero = ArrayD::zeros(IxDyn(&[channels]));
    let tensors = vec![("weight", one), ("bias", zero), ("running_mean", mean), ("running_var", variance)];
    let momentum = ((1.0 - decimal(settings.moving_average_fraction())) * 1e7).round() / 1e7;
    let epsilon = decimal(settings.eps());
    if !(epsilon > 0.0 && (0.0..=1.0).contains(&momentum)) {
        return Err(format!("has eps {epsilon} and moving_average_fraction {}", settings.moving_average_fraction()));
    }
    Ok((LayerKind::BatchNorm(BatchNorm { epsilon, momentum, ..BatchNorm::default() }), tensors))
}

/// Scale and shift of the batch normalisation before it.
fn scale(chain: &mut Chain, layer: &LayerParameter) -> Result<(), String> {
    let last = chain.last_mut().filter(|link| matches!(link.kind, LayerKind::BatchNorm(_)));
    let link = last.ok_or("scales something other than a batch normalisation, which no layer here does")?;
    for (index, (_, values)) in link.tensors.iter_mut().take(layer.blobs.len().min(2)).enumerate() {
        let shape = values.shape().to_vec();
        *values = parameter(layer, index, &shape)?;
    }
    Ok(())
}
