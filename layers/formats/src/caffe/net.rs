//! A network of Caffe as a chain of layers.

use std::collections::HashMap;

use layers::Model;
use layers::model::{ChannelOrder, Input, Mean};

use super::layer;
use super::proto::{BlobShape, LayerParameter, NetParameter, TransformationParameter};
use super::upgrade::upgrade;
use crate::chain::Chain;
use crate::{ForeignTensor, known};

/// Sizes that are tried for networks that do not say theirs: the presets' first.
const USUAL_SIZES: [usize; 8] = [227, 224, 32, 24, 28, 256, 64, 299];

/// The side of the images that Caffe's tools store.
const STORED: usize = 256;

/// The largest side of images.
const MAX_SIZE: usize = 1 << 14;

/// The network, its parameters and notes for the user.
///
/// # Errors
/// A message with the layer that is not read.
pub(super) fn read(net: NetParameter, stem: &str) -> Result<(Model, Vec<ForeignTensor>, Vec<String>), String> {
    let net = Net::of(net, stem)?;
    net.check_transform()?;
    let (size, chain) = match net.size()? {
        Some(size) => (size, net.chain(size)?),
        None => net.fitting_chain()?,
    };
    let prepared = net.input(size);
    let (mut model, mut tensors) = chain.finish(&net.name, "Read from a network of Caffe.", prepared.clone())?;
    known::adopt_preset(&mut model, &mut tensors);
    let mut notes = Vec::new();
    if net.transform.is_some() {
        model.input = prepared;
    } else {
        notes.push(
            "the file does not say how images are prepared: [input] is as Caffe's tools have it, blue first, 0 to 255, \
             less a mean image"
                .into(),
        );
    }
    Ok((model, tensors, notes))
}

/// A file's layers, in today's messages.
struct Net {
    name: String,
    layers: Vec<LayerParameter>,
    /// The names of blobs that come from outside.
    inputs: Vec<String>,
    /// The shape of the first of them.
    declared: Option<Vec<i64>>,
    /// The preparation of images in the data layer, if there is one.
    transform: Option<TransformationParameter>,
}

impl Net {
    fn of(net: NetParameter, stem: &str) -> Result<Self, String> {
        let name = net.name.filter(|name| !name.is_empty()).unwrap_or_else(|| stem.to_string());
        let mut layers = net.layer;
        for old in net.layers {
            layers.push(upgrade(old)?);
        }
        let mut declared = net.input_shape.first().map(|shape| shape.dim.clone());
        if declared.is_none() && !net.input_dim.is_empty() {
            declared = Some(net.input_dim.iter().take(4).copied().collect());
        }
        let mut inputs = net.input;
        for layer in layers.iter().filter(|layer| is_data(layer)) {
            inputs.extend(layer.top.iter().cloned());
            let shape = layer.input_param.as_ref().and_then(|input| input.shape.first());
            declared = declared.or_else(|| shape.map(|BlobShape { dim }| dim.clone()));
        }
        let data = layers.iter().filter(|layer| is_data(layer) && layer.kind.as_deref() != Some("Input"));
        let transform = data.map(transform).next();
        Ok(Self { name, layers, inputs, declared, transform })
    }

    /// The side of the images, if the file says it.
    fn size(&self) -> Result<Option<usize>, String> {
        if let Some(shape) = &self.declared {
            let &[_, 3, height, width] = shape.as_slice() else {
                return Err(format!("takes blobs of shape {shape:?}; images of three colours are read"));
            };
            let side = usize::try_from(height).ok().filter(|&side| (1..=MAX_SIZE).contains(&side) && height == width);
            return side.map(Some).ok_or_else(|| format!("takes images of {height} x {width}; square ones are read"));
        }
        let crop = self.transform.as_ref().and_then(|transform| transform.crop_size);
        Ok(crop.map(|crop| crop as usize).filter(|crop| (1..=MAX_SIZE).contains(crop)))
    }

    /// Fails for a preparation of images that is none.
    fn check_transform(&self) -> Result<(), String> {
        let Some(transform) = &self.transform else { return Ok(()) };
        let scale = transform.scale();
        if !(scale.is_finite() && scale > 0.0) {
            return Err(format!("has the scale {scale} in its data layer; a number above 0 is read"));
        }
        match transform.mean_value.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(format!("has the mean_value {value} in its data layer; numbers from 0 to 255 are read")),
            None => Ok(()),
        }
    }

    /// How images are prepared: (pixel - mean) * scale in Caffe, pixel * scale - mean here.
    fn input(&self, crop: usize) -> Input {
        let transform = self.transform.clone().unwrap_or_default();
        let scale = decimal(transform.scale());
        let mean = match *transform.mean_value.as_slice() {
            [all] => Mean::Rgb([decimal(all) * scale; 3]),
            [blue, green, red] => Mean::Rgb([red, green, blue].map(|value| decimal(value) * scale)),
            _ if transform.mean_file.is_some() || self.transform.is_none() => Mean::PackImage,
            _ => Mean::None,
        };
        let size = if crop < STORED && crop > STORED / 2 { STORED } else { crop };
        Input { size, crop, channels: ChannelOrder::Bgr, scale, mean, deviation: None }
    }

    /// The layers for the first usual size that they fit.
    fn fitting_chain(&self) -> Result<(usize, Chain), String> {
        let mut first_error = None;
        for size in USUAL_SIZES {
            match self.chain(size) {
                Ok(chain) => return Ok((size, chain)),
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        let error = first_error.unwrap_or_default();
        Err(format!("does not say the size of its images, and for 227 x 227: {error}"))
    }

    /// The layers for images of this size.
    fn chain(&self, size: usize) -> Result<Chain, String> {
        let mut chain = Chain::new(size);
        // The number of layers after which a blob is there; a layer in place gives its input's name another blob.
        let mut blobs: HashMap<&str, usize> = self.inputs.iter().map(|name| (name.as_str(), 0)).collect();
        for layer in self.layers.iter().filter(|layer| !is_data(layer) && !is_judge(layer)) {
            let in_messages =
                |what: String| format!("the layer {:?} {what}", layer.name.as_deref().unwrap_or_default());
            let bottom = layer.bottom.first().map(String::as_str).unwrap_or_default();
            let Some(&after) = blobs.get(bottom) else {
                return Err(in_messages(format!("takes {bottom:?}, which no layer before it gives")));
            };
            if layer.kind.as_deref() == Some("Split") {
                blobs.extend(layer.top.iter().map(|top| (top.as_str(), after)));
                continue;
            }
            if layer.bottom.len() != 1 || layer.top.len() != 1 || after != chain.len() {
                return Err(in_messages("branches off; only networks without branches are read".into()));
            }
            layer::add(&mut chain, layer).map_err(in_messages)?;
            blobs.insert(layer.top[0].as_str(), chain.len());
        }
        Ok(chain)
    }
}

/// The preparation of images in a data layer: of today's field, else of the field of old files.
fn transform(layer: &LayerParameter) -> TransformationParameter {
    let today = layer.transform_param.clone().unwrap_or_default();
    let old = layer.data_param.as_ref().or(layer.image_data_param.as_ref());
    match old {
        Some(old) if today == TransformationParameter::default() => TransformationParameter {
            scale: old.scale,
            crop_size: old.crop_size,
            mean_file: old.mean_file.clone(),
            mean_value: Vec::new(),
        },
        _ => today,
    }
}

fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// Whether a layer gives images.
fn is_data(layer: &LayerParameter) -> bool {
    let kind = layer.kind.as_deref().unwrap_or_default();
    matches!(kind, "Data" | "ImageData" | "HDF5Data" | "MemoryData" | "WindowData" | "DummyData" | "Input")
}

/// Whether a layer only judges the outputs.
fn is_judge(layer: &LayerParameter) -> bool {
    let kind = layer.kind.as_deref().unwrap_or_default();
    kind.contains("Loss") || matches!(kind, "Accuracy" | "Silence" | "ArgMax")
}
