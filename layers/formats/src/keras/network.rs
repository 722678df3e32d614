//! A chain of Keras' layers as a network.

use std::collections::{BTreeMap, BTreeSet};

use layers::model::{BatchNorm, Conv, Linear, Pad, ParameterSettings, Pool, Units};
use layers::tensor::ops::{Activation, Dropout, DropoutScale, Padding, PoolKind, RoundMode};
use layers::{Init, LayerKind, LayerSpec};
use serde_json::Value;

use super::initializer;
use super::preprocessing::Preprocessing;
use super::settings::{LayerConfig, Text, count, name_of};

/// Mean and variance of `Normalization` layers in the file, by the layer's key.
pub(super) type Statistics = BTreeMap<String, [Vec<f64>; 2]>;

/// A network in the making.
#[derive(Debug, Default)]
pub(super) struct NetworkBuilder {
    /// The layers so far.
    pub layers: Vec<LayerSpec>,
    /// The variables of layers that have some, in order.
    pub variables: Vec<LayerVariables>,
    /// Notes for the user.
    pub notes: Vec<String>,
    /// The preparation of images.
    pub preprocessing: Preprocessing,
    /// Height and width of images.
    pub size: Option<[usize; 2]>,
    /// Outputs of the last layer with weights.
    pub outputs: usize,
    names: BTreeSet<String>,
    /// Zeros that the next layer is to add.
    padding: Option<Padding>,
    is_flat: bool,
    /// Whether no value is below 0: zeros around a map then change no maximum.
    is_non_negative: bool,
}

/// The variables of a layer in Keras' order, as the names of tensors of the network.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LayerVariables {
    /// The layer's name in Keras.
    pub name: String,
    /// Its group in a `.weights.h5`.
    pub key: String,
    /// Names of tensors, and whether the optimizer trains them.
    pub tensors: Vec<(String, bool)>,
}

impl NetworkBuilder {
    /// Adds a layer of Keras.
    pub fn add(&mut self, layer: &LayerConfig, statistics: &Statistics) -> Text<()> {
        check_format(layer)?;
        self.set_size(layer)?;
        let is_front = self.layers.is_empty() && self.padding.is_none();
        match layer.class.as_str() {
            "InputLayer" | "Input" => return Ok(()),
            "Rescaling" if is_front => return self.preprocessing.rescale(layer),
            "Rescaling" => return self.scale_dropout(layer),
            "Normalization" if is_front => return self.preprocessing.normalize(layer, statistics.get(&layer.key)),
            "Resizing" if is_front => return self.resize(layer),
            "ZeroPadding2D" => return self.pad(layer),
            class if class.starts_with("Random") || matches!(class, "GaussianNoise" | "ActivityRegularization") => {
                self.notes.push(layer.message("is left out: it does nothing in predictions"));
                return Ok(());
            }
            _ => {}
        }
        let padding = self.padding.take();
        if padding.is_some() && !matches!(layer.class.as_str(), "Conv2D" | "MaxPooling2D" | "AveragePooling2D") {
            return layer.error("follows ZeroPadding2D, which is read before a convolution or a pool only");
        }
        self.add_plain(layer, padding)
    }

    fn add_plain(&mut self, layer: &LayerConfig, padding: Option<Padding>) -> Text<()> {
        match layer.class.as_str() {
            "Conv2D" => self.conv(layer, padding),
            "Dense" => self.dense(layer),
            "MaxPooling2D" => self.pool(layer, PoolKind::Max, padding),
            "AveragePooling2D" => self.pool(layer, PoolKind::Average, padding),
            "GlobalAveragePooling2D" => self.global_pool(layer),
            "Flatten" => {
                self.is_flat = true;
                self.push(layer, "", LayerKind::Flatten)
            }
            "Dropout" => self.dropout(layer),
            "BatchNormalization" => self.batch_norm(layer),
            "Activation" => self.activation(layer, ""),
            "ReLU" => self.relu(layer),
            "Softmax" => self.softmax(layer),
            _ => layer.error(
                "this class is not read; those that are: Conv2D, Dense, MaxPooling2D, AveragePooling2D, \
                 GlobalAveragePooling2D, Flatten, Dropout, BatchNormalization, Activation, ReLU, Softmax, ZeroPadding2D, \
                 and in front Rescaling, Normalization, Resizing and Random layers",
            ),
        }
    }

    /// Adds a layer of this workspace. A layer that is a part of Keras' has its name and a suffix.
    fn push(&mut self, layer: &LayerConfig, suffix: &str, kind: LayerKind) -> Text<()> {
        self.is_non_negative = match &kind {
            LayerKind::Activation(Activation::Relu | Activation::Logistic) => true,
            LayerKind::Pool(_) | LayerKind::Dropout(_) | LayerKind::Flatten => self.is_non_negative,
            _ => false,
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        let plain: String = layer.name.chars().map(|c| if fits(c) { c } else { '_' }).take(48).collect();
        let plain = if plain.is_empty() { "layer".to_string() } else { plain };
        let wanted = format!("{plain}{suffix}");
        let numbered = (2..).map(|number| format!("{wanted}_{number}"));
        let name = std::iter::once(wanted.clone()).chain(numbered).find(|name| !self.names.contains(name));
        let name = name.unwrap_or(wanted);
        self.names.insert(name.clone());
        self.layers.push(LayerSpec { name, export: None, kind });
        Ok(())
    }

    /// Notes the variables of the layer that was added last.
    fn variables(&mut self, layer: &LayerConfig, tensors: &[(&str, bool)]) -> Text<()> {
        let is_trained = layer.flag("trainable", true)?;
        let name = self.layers.last().map_or("", |layer| layer.name.as_str());
        let tensors = tensors.iter().map(|(tensor, trained)| (format!("{name}.{tensor}"), *trained && is_trained));
        let tensors = tensors.collect();
        self.variables.push(LayerVariables { name: layer.name.clone(), key: layer.key.clone(), tensors });
        Ok(())
    }

    fn conv(&mut self, layer: &LayerConfig, folded: Option<Padding>) -> Text<()> {
        if layer.pair("dilation_rate", [1; 2])? != [1; 2] {
            return layer.unexpected("dilation_rate", "1");
        }
        let filters = layer.count("filters")?;
        let parameters = self.parameters(layer)?;
        let has_bias = parameters.bias.is_some();
        let conv = Conv {
            filters,
            kernel: layer.pair("kernel_size", [1; 2])?,
            stride: layer.pair("strides", [1; 2])?,
            padding: padding(layer, folded)?,
            groups: layer.read("groups", 1, "a whole number above 0", count)?,
            parameters,
        };
        self.outputs = filters;
        self.push(layer, "", LayerKind::Conv(conv))?;
        self.weight_and_bias(layer, has_bias)
    }

    fn dense(&mut self, layer: &LayerConfig) -> Text<()> {
        if !self.is_flat {
            return layer.error("is on a map, at each position of it; put Flatten or GlobalAveragePooling2D before it");
        }
        let units = layer.count("units")?;
        let parameters = self.parameters(layer)?;
        let has_bias = parameters.bias.is_some();
        self.outputs = units;
        self.push(layer, "", LayerKind::Linear(Linear { units: Units::Number(units), parameters }))?;
        self.weight_and_bias(layer, has_bias)
    }

    fn weight_and_bias(&mut self, layer: &LayerConfig, has_bias: bool) -> Text<()> {
        let both = [("weight", true), ("bias", true)];
        self.variables(layer, &both[..if has_bias { 2 } else { 1 }])?;
        self.activation(layer, "_activation")
    }

    /// Initial values and multipliers of weights and bias.
    fn parameters(&mut self, layer: &LayerConfig) -> Text<ParameterSettings> {
        for key in ["kernel_regularizer", "bias_regularizer", "kernel_constraint", "bias_constraint"] {
            if layer.get(key).is_some() {
                self.notes.push(layer.message(format!("{key} is left out; training here goes on without it")));
            }
        }
        let init = initializer::read(layer, "kernel_initializer", Init::GlorotUniform, &mut self.notes);
        let bias = initializer::read(layer, "bias_initializer", Init::Constant(0.0), &mut self.notes);
        let bias = layer.flag("use_bias", true)?.then_some(bias);
        let rate = self.rate(layer)?;
        Ok(ParameterSettings { init, bias, weight_rate: rate, bias_rate: rate, ..ParameterSettings::default() })
    }

    /// The multiplier of a layer's learning rate: 0 for one that Keras does not train.
    fn rate(&mut self, layer: &LayerConfig) -> Text<f64> {
        if layer.flag("trainable", true)? {
            return Ok(1.0);
        }
        self.notes.push(layer.message("is not trained (trainable = false)"));
        Ok(0.0)
    }

    fn pool(&mut self, layer: &LayerConfig, kind: PoolKind, folded: Option<Padding>) -> Text<()> {
        let kernel = layer.pair("pool_size", [2; 2])?;
        if kind == PoolKind::Max && folded.is_some() && !self.is_non_negative {
            return layer
                .error("follows ZeroPadding2D on values that may be below 0, whose zeros count as values; not read");
        }
        let kind = if kind == PoolKind::Average && folded.is_some() { PoolKind::AverageWithPadding } else { kind };
        let pool = Pool {
            kind,
            kernel,
            stride: layer.pair("strides", kernel)?,
            padding: padding(layer, folded)?,
            round_mode: RoundMode::Floor,
        };
        self.push(layer, "", LayerKind::Pool(pool))
    }

    fn global_pool(&mut self, layer: &LayerConfig) -> Text<()> {
        self.is_flat = !layer.flag("keepdims", false)?;
        if !self.is_flat {
            return layer.unexpected("keepdims", "false");
        }
        self.push(layer, "", LayerKind::GlobalAveragePool)
    }

    fn dropout(&mut self, layer: &LayerConfig) -> Text<()> {
        if layer.get("noise_shape").is_some_and(|shape| shape.as_array().is_none_or(|axes| !axes.is_empty())) {
            return layer.unexpected("noise_shape", "null");
        }
        let p = layer.number("rate", 0.5)?;
        if !(0.0..1.0).contains(&p) {
            return layer.unexpected("rate", "at least 0 and below 1");
        }
        self.push(layer, "", LayerKind::Dropout(Dropout { p, scale: DropoutScale::InTraining }))
    }

    /// A `Rescaling` by 1 - p after a `Dropout` undoes Keras' scaling: dropout that scales in predictions.
    fn scale_dropout(&mut self, layer: &LayerConfig) -> Text<()> {
        let scale = layer.number("scale", 1.0)?;
        let offset = layer.number("offset", 0.0)?;
        match self.layers.last_mut().map(|last| &mut last.kind) {
            Some(LayerKind::Dropout(dropout)) if (1.0 - dropout.p - scale).abs() < 1e-9 && offset == 0.0 => {
                dropout.scale = DropoutScale::AtTest;
                Ok(())
            }
            _ => layer.error("is read in front of the network only, or after a Dropout whose scaling it undoes"),
        }
    }

    fn batch_norm(&mut self, layer: &LayerConfig) -> Text<()> {
        let axis = layer.get("axis").map(|axis| axis.get(0).unwrap_or(axis).as_i64());
        if !matches!((axis, self.is_flat), (None | Some(Some(-1)), _) | (Some(Some(3)), false) | (Some(Some(1)), true))
        {
            return layer.unexpected("axis", "the last one, of the channels");
        }
        // Keras' frozen one normalises by its running statistics.
        let frozen = self.rate(layer)? == 0.0;
        let epsilon = layer.number("epsilon", 1e-3)?;
        let momentum = 1.0 - layer.number("momentum", 0.99)?;
        // 1 - 0.99 is 0.010000000000000009.
        let momentum = (momentum * 1e12).round() / 1e12;
        self.push(layer, "", LayerKind::BatchNorm(BatchNorm { epsilon, momentum, frozen, ..BatchNorm::default() }))?;
        let mut tensors = Vec::new();
        if layer.flag("scale", true)? {
            tensors.push(("weight", true));
        }
        if layer.flag("center", true)? {
            tensors.push(("bias", true));
        }
        if tensors.len() < 2 {
            self.notes.push(layer.message("the scale or shift that it lacks is 1 or 0, but trained here"));
        }
        tensors.extend([("running_mean", false), ("running_var", false)]);
        self.variables(layer, &tensors)
    }

    /// The function in the setting `activation`.
    fn activation(&mut self, layer: &LayerConfig, suffix: &str) -> Text<()> {
        let name = match layer.get("activation") {
            None => "linear",
            Some(value) => name_of(value).unwrap_or_default(),
        };
        let kind = match name {
            "linear" => return Ok(()),
            "relu" | "ReLU" => LayerKind::Activation(Activation::Relu),
            "tanh" => LayerKind::Activation(Activation::Tanh),
            "sigmoid" => LayerKind::Activation(Activation::Logistic),
            "softmax" | "Softmax" => LayerKind::Softmax,
            _ => return layer.unexpected("activation", "linear, relu, tanh, sigmoid or softmax"),
        };
        let named = match suffix {
            "" => String::new(),
            _ => format!("_{}", name.to_ascii_lowercase()),
        };
        self.push(layer, &named, kind)
    }

    fn relu(&mut self, layer: &LayerConfig) -> Text<()> {
        for key in ["max_value", "negative_slope", "threshold"] {
            if layer.number(key, 0.0)? != 0.0 {
                return layer.unexpected(key, "none");
            }
        }
        self.push(layer, "", LayerKind::Activation(Activation::Relu))
    }

    fn softmax(&mut self, layer: &LayerConfig) -> Text<()> {
        if layer.get("axis").is_some_and(|axis| axis.as_i64() != Some(-1)) {
            return layer.unexpected("axis", "-1");
        }
        self.push(layer, "", LayerKind::Softmax)
    }

    fn pad(&mut self, layer: &LayerConfig) -> Text<()> {
        let sides = layer.read("padding", Padding::all(1), "numbers of rows and columns", sides)?;
        let before = self.padding.unwrap_or_default();
        self.padding = Some(Padding {
            top: before.top + sides.top,
            bottom: before.bottom + sides.bottom,
            left: before.left + sides.left,
            right: before.right + sides.right,
        });
        Ok(())
    }

    fn resize(&mut self, layer: &LayerConfig) -> Text<()> {
        self.size = Some([layer.count("height")?, layer.count("width")?]);
        self.notes.push(layer.message("is left out: images are resized when they are read"));
        Ok(())
    }

    /// Takes the size of images from the shape of a layer's input, if it is the first to say it.
    fn set_size(&mut self, layer: &LayerConfig) -> Text<()> {
        let shape = ["batch_shape", "batch_input_shape"].iter().find_map(|key| layer.get(key));
        let Some(shape) = shape.filter(|_| self.size.is_none()) else { return Ok(()) };
        self.size = image_size(shape).ok_or_else(|| {
            let found = super::settings::short(shape);
            layer.message(format!("its input is {found}; expected [null, height, width, 3]"))
        })?;
        Ok(())
    }
}

/// Height and width of a shape of images, none if they are open; no result for another shape.
pub(super) fn image_size(shape: &Value) -> Option<Option<[usize; 2]>> {
    match shape.as_array().map(Vec::as_slice) {
        Some([_, height, width, channels]) if channels.as_u64() == Some(3) => {
            if height.is_null() && width.is_null() {
                return Some(None);
            }
            Some(Some([count(height)?, count(width)?]))
        }
        _ => None,
    }
}

/// Fails for a layer whose maps have their channels first.
fn check_format(layer: &LayerConfig) -> Text<()> {
    match layer.word("data_format", "channels_last")? {
        "channels_last" => Ok(()),
        _ => layer
            .unexpected("data_format", "channels_last, whose weights alone are read: build it so, copy the weights"),
    }
}

/// The padding of a convolution or pool, with zeros that a layer before it adds.
fn padding(layer: &LayerConfig, folded: Option<Padding>) -> Text<Pad> {
    match (layer.word("padding", "valid")?, folded) {
        ("valid", folded) => Ok(Pad::Sides(folded.unwrap_or_default())),
        ("same", None) => Ok(Pad::Same),
        ("same", Some(_)) => {
            layer.error("padding \"same\" after ZeroPadding2D is not read; give the sum to ZeroPadding2D")
        }
        _ => layer.unexpected("padding", "valid or same"),
    }
}

/// A number for all sides; two for rows and columns; or two pairs.
fn sides(value: &Value) -> Option<Padding> {
    let small = |value: &Value| value.as_u64().filter(|n| *n <= 1 << 20).map(|n| n as usize);
    if let Some(all) = small(value) {
        return Some(Padding::all(all));
    }
    let pair = |value: &Value| match value.as_array().map(Vec::as_slice) {
        Some([before, after]) => Some([small(before)?, small(after)?]),
        Some(_) => None,
        None => small(value).map(|n| [n; 2]),
    };
    let [rows, columns] = value.as_array()?.as_slice() else { return None };
    let [top, bottom] = pair(rows)?;
    let [left, right] = pair(columns)?;
    Some(Padding { top, bottom, left, right })
}
