//! A network as Keras' configuration of a Sequential.

use layers::model::{BatchNorm, Conv, LayerShape, Linear, Mean, Pad, ParameterSettings, Pool, Units};
use layers::tensor::ops::{Activation, Dropout, DropoutScale, Padding, PoolKind, RoundMode};
use layers::weights::Weights;
use layers::{Init, LayerKind, LayerSpec, Model};
use serde_json::{Map, Value, json};

use crate::keras::is_trained;
use crate::keras::settings::Text;

/// The configuration, and notes on what the file does not hold.
///
/// # Errors
/// A message that names the layer that Keras does not have.
pub(super) fn of(model: &Model, weights: &Weights) -> Text<(Value, Vec<String>)> {
    let shape = json!([null, model.input.crop, model.input.crop, 3]);
    let mut writer = ConfigWriter { layers: Vec::new(), notes: Vec::new(), is_non_negative: false };
    writer.push("input_layer", "InputLayer", json!({ "batch_shape": shape, "dtype": "float32" }));
    writer.preprocessing(model, weights);
    let shapes = model.shapes().map_err(|error| error.to_string())?;
    let mut at = 0;
    while at < model.layers.len() {
        let function = model.layers.get(at + 1).and_then(|next| function(&next.kind));
        at += writer.layer(model, &model.layers[at], &shapes[at], function)?;
    }
    let config = json!({
        "module": "keras",
        "class_name": "Sequential",
        "config": {
            "name": model.name,
            "trainable": true,
            "dtype": "float32",
            "layers": writer.layers,
            "build_input_shape": shape,
        },
        "registered_name": null,
        "build_config": { "input_shape": shape },
    });
    Ok((config, writer.notes))
}

struct ConfigWriter {
    layers: Vec<Value>,
    notes: Vec<String>,
    /// Whether no value is below 0: zeros around a map then change no maximum.
    is_non_negative: bool,
}

impl ConfigWriter {
    fn push(&mut self, name: &str, class: &str, settings: Value) {
        let mut config = Map::from_iter([("name".to_string(), json!(name)), ("trainable".to_string(), json!(true))]);
        if let Value::Object(settings) = settings {
            config.extend(settings);
        }
        self.layers.push(json!({
            "module": "keras.layers", "class_name": class, "config": config, "registered_name": null,
        }));
    }

    /// Means and deviations become layers. A scale alone stays outside, as in programs of Keras that divide by 255.
    fn preprocessing(&mut self, model: &Model, weights: &Weights) {
        let input = &model.input;
        let mean = match (&input.mean, weights.mean_rgb) {
            (Mean::Rgb(mean), _) => Some(*mean),
            (Mean::PackRgb, Some(mean)) => Some(mean.map(|mean| f64::from(mean) * input.scale)),
            (Mean::None, _) => Some([0.0; 3]),
            _ => None,
        };
        let deviation = input.deviation.unwrap_or([1.0; 3]);
        let note = match mean {
            None => "the file does not subtract the mean; give it images that are prepared as [input] says".to_string(),
            Some(mean) if mean == [0.0; 3] && deviation == [1.0; 3] => {
                format!("the file does not scale images; give it pixels times {}", input.scale)
            }
            Some(mean) => {
                self.normalization(input.scale, mean, deviation);
                "the file's first layers prepare images; give it red, green, blue from 0 to 255".to_string()
            }
        };
        self.notes.push(note);
    }

    fn normalization(&mut self, scale: f64, mean: [f64; 3], deviation: [f64; 3]) {
        let is_same = |numbers: [f64; 3]| numbers == [numbers[0]; 3];
        if is_same(mean) && is_same(deviation) {
            let settings = json!({ "scale": scale / deviation[0], "offset": -mean[0] / deviation[0] });
            return self.push("rescaling", "Rescaling", settings);
        }
        if scale != 1.0 {
            self.push("rescaling", "Rescaling", json!({ "scale": scale, "offset": 0.0 }));
        }
        let variance = deviation.map(|deviation| deviation * deviation);
        let settings = json!({ "axis": [-1], "invert": false, "mean": mean, "variance": variance });
        self.push("normalization", "Normalization", settings);
    }

    /// Adds a layer, with the activation function that follows it where Keras writes both as one. Returns their number.
    fn layer(
        &mut self,
        model: &Model,
        layer: &LayerSpec,
        shape: &LayerShape,
        function: Option<&'static str>,
    ) -> Text<usize> {
        let name = layer.name.as_str();
        let input = shape.input.as_slice();
        let has_argument = matches!(layer.kind, LayerKind::Conv(_) | LayerKind::Linear(_));
        let argument = function.filter(|_| has_argument);
        match &layer.kind {
            LayerKind::Conv(conv) => self.conv(conv, shape, argument),
            LayerKind::Linear(linear) => self.dense(linear, model.classes, shape, argument),
            LayerKind::Pool(pool) => self.pool(name, pool, input)?,
            LayerKind::Dropout(dropout) => self.dropout(name, dropout),
            LayerKind::BatchNorm(norm) => self.batch_norm(norm, shape),
            LayerKind::GlobalAveragePool => self.push(name, "GlobalAveragePooling2D", json!({})),
            LayerKind::AdaptiveAveragePool(pool) => self.adaptive(name, pool.output, input)?,
            LayerKind::Flatten => self.push(name, "Flatten", json!({})),
            kind => match self::function(kind) {
                Some(function) => self.push(name, "Activation", json!({ "activation": function })),
                None => return Err(unknown(layer)),
            },
        }
        self.follow(&layer.kind, argument);
        Ok(if argument.is_some() { 2 } else { 1 })
    }

    fn follow(&mut self, kind: &LayerKind, argument: Option<&str>) {
        self.is_non_negative = match kind {
            LayerKind::Activation(Activation::Relu | Activation::Logistic) => true,
            LayerKind::Conv(_) | LayerKind::Linear(_) => matches!(argument, Some("relu" | "sigmoid" | "softmax")),
            LayerKind::Pool(_) | LayerKind::Dropout(_) | LayerKind::Flatten => self.is_non_negative,
            _ => false,
        };
    }

    fn conv(&mut self, conv: &Conv, shape: &LayerShape, activation: Option<&str>) {
        let name = shape.name.as_str();
        let padding = match conv.padding {
            Pad::Same => "same",
            Pad::Sides(sides) => {
                self.zero_padding(name, sides);
                "valid"
            }
        };
        let mut settings = json!({
            "filters": conv.filters,
            "kernel_size": conv.kernel,
            "strides": conv.stride,
            "padding": padding,
            "data_format": "channels_last",
            "dilation_rate": [1, 1],
            "groups": conv.groups,
            "activation": activation.unwrap_or("linear"),
        });
        parameters(&mut settings, &conv.parameters, shape);
        self.push(name, "Conv2D", settings);
    }

    /// Zeros around a map, unless there are none.
    fn zero_padding(&mut self, name: &str, sides: Padding) {
        let Padding { top, bottom, left, right } = sides;
        if sides == Padding::default() {
            return;
        }
        let settings = json!({ "padding": [[top, bottom], [left, right]], "data_format": "channels_last" });
        self.push(&format!("{name}_padding"), "ZeroPadding2D", settings);
    }

    fn dense(&mut self, linear: &Linear, classes: usize, shape: &LayerShape, activation: Option<&str>) {
        let name = shape.name.as_str();
        if shape.input.len() > 1 {
            self.push(&format!("{name}_flatten"), "Flatten", json!({}));
        }
        let units = match linear.units {
            Units::Classes => classes,
            Units::Number(units) => units,
        };
        let mut settings = json!({ "units": units, "activation": activation.unwrap_or("linear") });
        parameters(&mut settings, &linear.parameters, shape);
        self.push(name, "Dense", settings);
    }

    fn pool(&mut self, name: &str, pool: &Pool, input: &[usize]) -> Text<()> {
        let refused =
            |what: &str| format!("layer {name:?}: {what}, which Keras' pools cannot; save as ONNX or safetensors");
        let sides = covered(pool, input);
        let is_padded = sides != Padding::default();
        let is_same = pool.padding == Pad::Same || is_padded && sides == same(pool, input);
        let padding = match pool.kind {
            PoolKind::AverageWithPadding if pool.padding == Pad::Same => {
                return Err(refused("it averages the padding of \"same\" too"));
            }
            PoolKind::Max | PoolKind::Average if is_same => "same",
            PoolKind::Max if is_padded && !self.is_non_negative => {
                return Err(refused("it pads values that may be below 0"));
            }
            PoolKind::Average if is_padded => return Err(refused("it averages a padded map without the padding")),
            PoolKind::AverageWithPadding if sides != plain(pool) => {
                return Err(refused("its last windows reach beyond the padding"));
            }
            _ => {
                self.zero_padding(name, sides);
                "valid"
            }
        };
        let class = if pool.kind == PoolKind::Max { "MaxPooling2D" } else { "AveragePooling2D" };
        let settings = json!({
            "pool_size": pool.kernel, "strides": pool.stride, "padding": padding, "data_format": "channels_last",
        });
        self.push(name, class, settings);
        Ok(())
    }

    /// Dropout; where predictions scale, a layer after it undoes Keras' scaling in training and scales in predictions.
    fn dropout(&mut self, name: &str, dropout: &Dropout) {
        self.push(name, "Dropout", json!({ "rate": dropout.p, "seed": null, "noise_shape": null }));
        if dropout.scale == DropoutScale::AtTest && dropout.p > 0.0 {
            let settings = json!({ "scale": 1.0 - dropout.p, "offset": 0.0 });
            self.push(&format!("{name}_scale"), "Rescaling", settings);
        }
    }

    /// Keras' frozen one normalises by its running statistics, as here.
    fn batch_norm(&mut self, norm: &BatchNorm, shape: &LayerShape) {
        let settings = json!({
            "axis": -1,
            "momentum": 1.0 - norm.momentum,
            "epsilon": norm.epsilon,
            "center": true,
            "scale": true,
            "trainable": is_trained(&shape.parameters),
        });
        self.push(&shape.name, "BatchNormalization", settings);
    }

    /// Adaptive pooling is a pool where the lengths divide; of the same lengths it does nothing.
    fn adaptive(&mut self, name: &str, output: [usize; 2], input: &[usize]) -> Text<()> {
        let &[height, width, _] = input else { return Err(format!("layer {name:?}: expected a map")) };
        if [height, width] == output {
            return Ok(());
        }
        if height % output[0] != 0 || width % output[1] != 0 {
            let what = format!("layer {name:?}: pools {height} x {width} to {output:?}, which Keras' pools cannot");
            return Err(format!("{what}; save as ONNX or safetensors"));
        }
        let window = [height / output[0], width / output[1]];
        let settings = json!({
            "pool_size": window, "strides": window, "padding": "valid", "data_format": "channels_last",
        });
        self.push(name, "AveragePooling2D", settings);
        Ok(())
    }
}

/// The padding of a pool with the rows and columns that its last windows reach beyond.
fn covered(pool: &Pool, input: &[usize]) -> Padding {
    let &[height, width, _] = input else { return Padding::default() };
    let operation = pool.operation([height, width]);
    let sides = operation.padding;
    let (RoundMode::Ceil, Ok(geometry)) = (pool.round_mode, operation.geometry(&[1, height, width, 1])) else {
        return sides;
    };
    let reach = |axis: usize| (geometry.output[axis] - 1) * pool.stride[axis] + pool.kernel[axis];
    let below = reach(0).saturating_sub(height + sides.top + sides.bottom);
    let right = reach(1).saturating_sub(width + sides.left + sides.right);
    Padding { bottom: sides.bottom + below, right: sides.right + right, ..sides }
}

/// The padding of a pool that Keras' "same" would have.
fn same(pool: &Pool, input: &[usize]) -> Padding {
    let &[height, width, _] = input else { return Padding::default() };
    Padding::same([height, width], pool.kernel, pool.stride)
}

/// The padding of a pool as its settings have it.
fn plain(pool: &Pool) -> Padding {
    match pool.padding {
        Pad::Sides(sides) => sides,
        Pad::Same => Padding::default(),
    }
}

/// Keras' name of an activation function.
fn function(kind: &LayerKind) -> Option<&'static str> {
    match kind {
        LayerKind::Activation(Activation::Relu) => Some("relu"),
        LayerKind::Activation(Activation::Tanh) => Some("tanh"),
        LayerKind::Activation(Activation::Logistic) => Some("sigmoid"),
        LayerKind::Softmax => Some("softmax"),
        _ => None,
    }
}

fn unknown(layer: &LayerSpec) -> String {
    let kind = layer.kind.name();
    let what = format!("layer {:?}: Keras has no layer of the kind {kind}", layer.name);
    format!("{what}; save as .weights.h5, and load that into a model with a layer of your own, or save as ONNX")
}

/// Initial values, and whether the layer is trained.
fn parameters(settings: &mut Value, parameters: &ParameterSettings, shape: &LayerShape) {
    settings["use_bias"] = json!(parameters.bias.is_some());
    settings["kernel_initializer"] = initializer(parameters.init);
    if let Some(bias) = parameters.bias {
        // Keras' distributions depend on a vector's own length, not on the inputs of the layer.
        let fans = shape.parameters.last().map_or([1, 1], |bias| bias.fans);
        settings["bias_initializer"] = initializer(bias.resolve(fans));
    }
    settings["trainable"] = json!(is_trained(&shape.parameters));
}

fn initializer(init: Init) -> Value {
    let (class, config) = match init {
        Init::Constant(0.0) => ("Zeros", json!({})),
        Init::Constant(value) => ("Constant", json!({ "value": value })),
        Init::Normal { mean, std } => ("RandomNormal", json!({ "mean": mean, "stddev": std, "seed": null })),
        Init::Uniform { low, high } => ("RandomUniform", json!({ "minval": low, "maxval": high, "seed": null })),
        Init::GlorotNormal => return scaled(1.0, "fan_avg", "untruncated_normal"),
        Init::HeUniform => ("HeUniform", json!({ "seed": null })),
        Init::HeNormal => return scaled(2.0, "fan_in", "untruncated_normal"),
        // Uniform within 1 / sqrt(fan in).
        Init::TorchDefault => return scaled(1.0 / 3.0, "fan_in", "uniform"),
        _ => ("GlorotUniform", json!({ "seed": null })),
    };
    json!({ "module": "keras.initializers", "class_name": class, "config": config, "registered_name": null })
}

fn scaled(scale: f64, mode: &str, distribution: &str) -> Value {
    let config = json!({ "scale": scale, "mode": mode, "distribution": distribution, "seed": null });
    json!({
        "module": "keras.initializers", "class_name": "VarianceScaling", "config": config, "registered_name": null,
    })
}
