//! What each layer makes of its input: shapes, parameters, work.

use std::collections::HashSet;

use super::name;
use super::parameter::{Layout, ParameterSpec};
use super::{BatchNorm, Conv, LayerKind, LayerSpec, Learned, Linear, Model, Units};
use crate::Result;
use crate::init::Init;

/// The most values of one parameter, or of one layer's output for one image: 256 GiB as f32. What is larger is a
/// slip in the file.
const MOST_VALUES: usize = 1 << 36;

/// One layer in numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerShape {
    /// The layer's name.
    pub name: String,
    /// The layer's kind as in a model file.
    pub kind: &'static str,
    /// What it gets for one image: `[height, width, channels]` or `[values]`.
    pub input: Vec<usize>,
    /// What it gives for one image: `[height, width, channels]` or `[values]`.
    pub output: Vec<usize>,
    /// Its parameters.
    pub parameters: Vec<ParameterSpec>,
    /// Multiply-accumulates for one image, forward, of convolutions and matrix products.
    pub macs: u64,
}

impl LayerShape {
    /// Values of all its parameters, running statistics included.
    pub fn parameter_count(&self) -> u64 {
        self.parameters.iter().map(|parameter| parameter.len() as u64).sum()
    }

    /// Values of its output for one image.
    pub fn output_len(&self) -> usize {
        self.output.iter().product()
    }
}

/// What flows between layers: a shape, and the map it was flattened from, if it was.
struct Flow {
    shape: Vec<usize>,
    map: Option<[usize; 3]>,
}

/// A layer's effect, or what is wrong with it in words.
type Effect = std::result::Result<(Flow, Vec<ParameterSpec>, u64), String>;

impl Model {
    /// Each layer's shapes, parameters and work, in order.
    ///
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) that names the first layer that does not fit what comes before it.
    pub fn shapes(&self) -> Result<Vec<LayerShape>> {
        let crop = self.input.crop;
        let mut flow = Flow { shape: vec![crop, crop, 3], map: None };
        let mut shapes = Vec::with_capacity(self.layers.len());
        for (i, layer) in self.layers.iter().enumerate() {
            let at = |what: String| self.error(Some(&layer.name), what);
            if layer.kind == LayerKind::Softmax && i + 1 != self.layers.len() {
                return Err(at("softmax must be the last layer".into()));
            }
            let (after, parameters, macs) = self.effect(layer, &flow).map_err(at)?;
            shapes.push(LayerShape {
                name: layer.name.clone(),
                kind: layer.kind.name(),
                input: flow.shape,
                output: after.shape.clone(),
                parameters,
                macs,
            });
            flow = after;
        }
        Ok(shapes)
    }

    /// All parameters, in the order of the layers; a layer's weight before its bias.
    ///
    /// # Errors
    /// As [`shapes`](Self::shapes).
    pub fn parameters(&self) -> Result<Vec<ParameterSpec>> {
        Ok(self.shapes()?.into_iter().flat_map(|shape| shape.parameters).collect())
    }

    /// Checks what no layer alone can: names, the output.
    pub(super) fn check(&self) -> Result<()> {
        if !name::is_network(&self.name) {
            return Err(self.error(None, format!("\"name\" must be {}, got {:?}", name::NETWORKS, self.name)));
        }
        let mut names = HashSet::new();
        if let Some(layer) = self.layers.iter().find(|layer| !names.insert(layer.name.as_str())) {
            return Err(self.error(Some(&layer.name), "another layer has this name; give each its own".into()));
        }
        let shapes = self.shapes()?;
        let mut names = HashSet::new();
        for shape in &shapes {
            if let Some(p) = shape.parameters.iter().find(|p| !names.insert(p.export.as_str())) {
                let what = format!("another layer exports {:?} too; give each its own \"export\"", p.export);
                return Err(self.error(Some(&shape.name), what));
            }
        }
        match shapes.last() {
            Some(last) if last.output == [self.classes] => Ok(()),
            Some(last) => {
                let what = format!("the output must be {} values, one a class, got {:?}", self.classes, last.output);
                Err(self.error(Some(&last.name), what))
            }
            None => Err(self.error(None, "there are no layers".into())),
        }
    }

    fn effect(&self, layer: &LayerSpec, flow: &Flow) -> Effect {
        let same = || Flow { shape: flow.shape.clone(), map: flow.map };
        match &layer.kind {
            LayerKind::Conv(conv) => convolve(layer, conv, as_map(flow)?, false),
            LayerKind::Local(conv) => convolve(layer, conv, as_map(flow)?, true),
            LayerKind::Linear(linear) => self.connect(layer, linear, flow),
            LayerKind::Pool(pool) => {
                let [h, w, c] = as_map(flow)?;
                let g = pool.operation([h, w]).geometry(&[1, h, w, c]).map_err(|e| e.to_string())?;
                Ok((flow_of(&[g.output[0], g.output[1], c])?, vec![], 0))
            }
            LayerKind::Lrn(_) => as_map(flow).map(|_| (same(), vec![], 0)),
            LayerKind::BatchNorm(norm) => Ok((same(), batch_norm(layer, norm, flow)?, 0)),
            LayerKind::Flatten => {
                Ok((Flow { shape: vec![flow.shape.iter().product()], map: flattened(flow) }, vec![], 0))
            }
            LayerKind::Activation(_) | LayerKind::Dropout(_) | LayerKind::Softmax => Ok((same(), vec![], 0)),
        }
    }

    fn connect(&self, layer: &LayerSpec, linear: &Linear, flow: &Flow) -> Effect {
        let inputs: usize = flow.shape.iter().product();
        let units = match linear.units {
            Units::Classes => self.classes,
            Units::Number(n) => n,
        };
        let layout = match flattened(flow) {
            Some([height, width, channels]) => Layout::LinearAfterFlatten { height, width, channels },
            None => Layout::Linear,
        };
        let weight = (vec![units, inputs], layout);
        let parameters = learned(layer, &linear.learned, weight, vec![units], [inputs, units])?;
        Ok((flow_of(&[units])?, parameters, product(&[units, inputs])? as u64))
    }
}

/// The map that a flat flow comes from; a map itself is flattened by whoever needs it flat.
fn flattened(flow: &Flow) -> Option<[usize; 3]> {
    flow.map.or_else(|| flow.shape.as_slice().try_into().ok())
}

fn as_map(flow: &Flow) -> std::result::Result<[usize; 3], String> {
    flow.shape.as_slice().try_into().map_err(|_| {
        format!("needs a map [height, width, channels], got {:?}; put it before flatten and linear", flow.shape)
    })
}

fn flow_of(shape: &[usize]) -> std::result::Result<Flow, String> {
    product(shape)?;
    Ok(Flow { shape: shape.to_vec(), map: None })
}

/// The number of values of a shape that is not absurd.
fn product(shape: &[usize]) -> std::result::Result<usize, String> {
    let n = shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis)).filter(|&n| n <= MOST_VALUES);
    n.ok_or_else(|| format!("{shape:?} is too large: more than 2^36 values"))
}

fn convolve(layer: &LayerSpec, conv: &Conv, [h, w, c]: [usize; 3], local: bool) -> Effect {
    let [kh, kw] = conv.kernel;
    let kernel = vec![conv.filters, kh, kw, c / conv.groups.max(1)];
    let g = conv.operation([h, w]).geometry(&[1, h, w, c], &kernel).map_err(|e| e.to_string())?;
    let flow = flow_of(&g.output)?;
    let patch = product(&kernel[1..])?;
    let fans = [patch, product(&[kh, kw, conv.filters])?];
    let (weight, bias) = if local {
        let mut shape = vec![product(&g.output[..2])?];
        shape.extend(kernel);
        ((shape, Layout::Local), g.output.to_vec())
    } else {
        ((kernel, Layout::Conv), vec![conv.filters])
    };
    let parameters = learned(layer, &conv.learned, weight, bias, fans)?;
    let macs = g.output.iter().try_fold(patch as u64, |n, &axis| n.checked_mul(axis as u64));
    Ok((flow, parameters, macs.ok_or("more multiply-accumulates than 64 bits count")?))
}

fn batch_norm(layer: &LayerSpec, norm: &BatchNorm, flow: &Flow) -> std::result::Result<Vec<ParameterSpec>, String> {
    if flow.map.is_some() {
        return Err("must not follow flatten, since it normalises channels; put it before".into());
    }
    let channels = flow.shape.last().copied().unwrap_or(1);
    let parameter = |suffix: &str, init: f64, trained: bool| ParameterSpec {
        rate: if trained { norm.rate } else { 0.0 },
        decay: if trained { norm.decay } else { 0.0 },
        trained,
        ..named(layer, suffix, vec![channels], Layout::Vector, Init::Constant(init), [1, 1])
    };
    Ok(vec![
        parameter("weight", 1.0, true),
        parameter("bias", 0.0, true),
        parameter("running_mean", 0.0, false),
        parameter("running_var", 1.0, false),
    ])
}

fn learned(
    layer: &LayerSpec,
    learned: &Learned,
    (shape, layout): (Vec<usize>, Layout),
    bias_shape: Vec<usize>,
    fans: [usize; 2],
) -> std::result::Result<Vec<ParameterSpec>, String> {
    product(&shape)?;
    let mut parameters = vec![ParameterSpec {
        rate: learned.weight_rate,
        decay: learned.weight_decay,
        ..named(layer, "weight", shape, layout, learned.init, fans)
    }];
    if let Some(init) = learned.bias {
        let bias = named(layer, "bias", bias_shape, Layout::Vector, init, fans);
        parameters.push(ParameterSpec { rate: learned.bias_rate, decay: learned.bias_decay, ..bias });
    }
    Ok(parameters)
}

fn named(
    layer: &LayerSpec,
    suffix: &str,
    shape: Vec<usize>,
    layout: Layout,
    init: Init,
    fans: [usize; 2],
) -> ParameterSpec {
    let name = format!("{}.{suffix}", layer.name);
    let export = layer.export.as_ref().map_or_else(|| name.clone(), |export| format!("{export}.{suffix}"));
    ParameterSpec { name, export, shape, layout, init, fans, rate: 1.0, decay: 1.0, trained: true }
}
