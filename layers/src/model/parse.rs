//! From TOML to a [`Model`].

use tensor::ops::{Activation, AlphaRule, Dropout, DropoutScale, Edge, Lrn, Padding, PoolKind, Region};
use toml::{Table, Value};

use super::name;
use super::reader::{MOST, Reader, as_count, suggestion};
use super::{
    BatchNorm, ChannelOrder, Conv, Input, LayerKind, LayerSpec, Learned, Linear, Mean, Model, Pad, Pool, Units,
};
use crate::init::Init;
use crate::{Error, Result};

/// The most layers of a network: each has random streams of its own.
const MOST_LAYERS: usize = 10_000;

const MODEL_KEYS: &[&str] = &["name", "about", "classes", "input", "layer", "train"];
const INPUT_KEYS: &[&str] = &["size", "crop", "channels", "scale", "mean", "deviation"];
const TRAIN_SECTIONS: &[&str] = &["data", "optim", "run"];
const CONV_KEYS: &[&str] = &["filters", "kernel", "stride", "padding", "groups"];
const LEARNED_KEYS: &[&str] = &["init", "bias", "weight_rate", "bias_rate", "weight_decay", "bias_decay"];
const LRN_KEYS: &[&str] = &["size", "alpha", "beta", "k", "region", "alpha_rule"];
const POOL_KEYS: &[&str] = &["kernel", "stride", "padding", "edge"];

pub(super) const EDGES: &[(&str, Edge)] = &[("floor", Edge::Floor), ("ceil", Edge::Ceil)];
pub(super) const REGIONS: &[(&str, Region)] =
    &[("across-channels", Region::AcrossChannels), ("within-map", Region::WithinMap)];
pub(super) const ALPHA_RULES: &[(&str, AlphaRule)] = &[("sum", AlphaRule::Sum), ("mean", AlphaRule::Mean)];
pub(super) const DROPOUT_SCALES: &[(&str, DropoutScale)] =
    &[("at-test", DropoutScale::AtTest), ("in-training", DropoutScale::InTraining)];
pub(super) const CHANNEL_ORDERS: &[(&str, ChannelOrder)] = &[("rgb", ChannelOrder::Rgb), ("bgr", ChannelOrder::Bgr)];

impl Model {
    /// Reads a network from TOML; `origin` is where the text came from, for messages.
    ///
    /// # Errors
    /// [`Error::Model`] for text that is not TOML, an unknown kind or key, a setting out of range, or layers that do
    /// not fit each other.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let table: Table = text.parse().map_err(|e: toml::de::Error| syntax_error(text, origin, &e))?;
        let file = Reader::new(&table, origin, None, "", MODEL_KEYS)?;
        let classes = file.count("classes", 1)?.unwrap_or(1000);
        let model = Self {
            name: file.text("name")?.map_or_else(|| name::of_origin(origin), str::to_owned),
            about: file.text("about")?.unwrap_or_default().trim().to_owned(),
            input: parse_input(&file)?,
            classes,
            layers: parse_layers(&file, origin)?,
            train: parse_train(&file)?,
        };
        model.check().map_err(|error| match error {
            Error::Model { layer, what, .. } => Error::Model { origin: origin.into(), layer, what },
            other => other,
        })?;
        Ok(model)
    }
}

fn syntax_error(text: &str, origin: &str, error: &toml::de::Error) -> Error {
    let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
    let line = line.map(|n| format!("line {n}: ")).unwrap_or_default();
    Error::Model { origin: origin.into(), layer: None, what: format!("{line}not TOML: {}", error.message()) }
}

fn parse_input(file: &Reader) -> Result<Input> {
    let table = file.get("input").and_then(Value::as_table).ok_or_else(|| file.expected("input", "a table [input]"))?;
    let input = file.inner(table, "[input]", INPUT_KEYS)?;
    let positive = |n: f64| n > 0.0;
    let crop = input.count("crop", 1)?.ok_or_else(|| input.expected("crop", "the network's input size in pixels"))?;
    let size = input.count("size", 1)?.unwrap_or(crop);
    if crop > size {
        return Err(input.error(format!("\"crop\" must not be larger than \"size\", got {crop} and {size}")));
    }
    Ok(Input {
        size,
        crop,
        channels: input.choice("channels", CHANNEL_ORDERS)?.unwrap_or(ChannelOrder::Rgb),
        scale: input.number("scale", "above 0", positive)?.unwrap_or(1.0),
        mean: parse_mean(&input)?,
        deviation: input.colour("deviation", "three numbers above 0 [red, green, blue]", positive)?,
    })
}

fn parse_mean(input: &Reader) -> Result<Mean> {
    match input.get("mean") {
        None => Ok(Mean::None),
        Some(Value::String(word)) => match word.as_str() {
            "none" => Ok(Mean::None),
            "pack-image" => Ok(Mean::PackImage),
            "pack-rgb" => Ok(Mean::PackRgb),
            _ => Err(input.expected("mean", MEANS)),
        },
        Some(_) => Ok(input.colour("mean", MEANS, |_| true)?.map_or(Mean::None, Mean::Rgb)),
    }
}

const MEANS: &str = "\"none\", \"pack-image\", \"pack-rgb\" or three numbers [red, green, blue]";

fn parse_train(file: &Reader) -> Result<Table> {
    let Some(value) = file.get("train") else { return Ok(Table::new()) };
    let table = value.as_table().ok_or_else(|| file.expected("train", "a table [train]"))?;
    let train = file.inner(table, "[train]", TRAIN_SECTIONS)?;
    match table.iter().find(|(_, section)| !section.is_table()) {
        Some((key, _)) => Err(train.expected(key, "a table of settings")),
        None => Ok(table.clone()),
    }
}

fn parse_layers(file: &Reader, origin: &str) -> Result<Vec<LayerSpec>> {
    let expected = || file.expected("layer", "a list of tables [[layer]], at least one");
    let values = file.get("layer").and_then(Value::as_array).ok_or_else(expected)?;
    if values.len() > MOST_LAYERS {
        return Err(file.error(format!("{} layers are too many; the most is {MOST_LAYERS}", values.len())));
    }
    values.iter().enumerate().map(|(i, value)| parse_layer(value.as_table().ok_or_else(expected)?, i, origin)).collect()
}

fn parse_layer(table: &Table, index: usize, origin: &str) -> Result<LayerSpec> {
    let number = format!("#{}", index + 1);
    let at = |what: String| Error::Model { origin: origin.into(), layer: Some(number.clone()), what };
    let name = match table.get("name").and_then(Value::as_str) {
        Some(name) if is_name(name, "_-") => name,
        _ => return Err(at("\"name\" must be a text of 1 to 64 letters, digits, '_' and '-'".into())),
    };
    let at = |what: String| Error::Model { origin: origin.into(), layer: Some(name.into()), what };
    let Some(kind) = table.get("kind").and_then(Value::as_str) else {
        return Err(at(format!("\"kind\" is missing; the kinds are {}", LayerKind::NAMES.join(", "))));
    };
    let Some(own_keys) = keys_of(kind) else {
        let near = suggestion(kind, LayerKind::NAMES);
        return Err(at(format!("unknown kind {kind:?}{near}; the kinds are {}", LayerKind::NAMES.join(", "))));
    };
    let keys: Vec<&str> =
        ["name", "kind", "export"].iter().chain(own_keys.iter().copied().flatten()).copied().collect();
    let layer = Reader::new(table, origin, Some(name), "", &keys)?;
    let export = layer.text("export")?;
    if export.is_some_and(|export| !is_name(export, "_-./")) {
        return Err(layer.expected("export", "a text of 1 to 64 letters, digits, '_', '-', '.' and '/'"));
    }
    Ok(LayerSpec { name: name.into(), export: export.map(str::to_owned), kind: parse_kind(kind, &layer)? })
}

fn is_name(name: &str, marks: &str) -> bool {
    (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || marks.contains(c))
}

/// The keys of a layer of this kind, beside those of every layer; none for an unknown kind.
fn keys_of(kind: &str) -> Option<&'static [&'static [&'static str]]> {
    Some(match kind {
        "conv" | "local" => &[CONV_KEYS, LEARNED_KEYS],
        "linear" => &[&["units"], LEARNED_KEYS],
        "lrn" => &[LRN_KEYS],
        "max-pool" => &[POOL_KEYS],
        "average-pool" => &[POOL_KEYS, &["count_padding"]],
        "dropout" => &[&["p", "scale"]],
        "batch-norm" => &[&["epsilon", "momentum", "rate", "decay"]],
        "relu" | "tanh" | "logistic" | "flatten" | "softmax" => &[],
        _ => return None,
    })
}

fn parse_kind(kind: &str, layer: &Reader) -> Result<LayerKind> {
    Ok(match kind {
        "conv" => LayerKind::Conv(parse_conv(layer)?),
        "local" => LayerKind::Local(parse_conv(layer)?),
        "linear" => LayerKind::Linear(Linear { units: parse_units(layer)?, learned: parse_learned(layer)? }),
        "relu" => LayerKind::Activation(Activation::Relu),
        "tanh" => LayerKind::Activation(Activation::Tanh),
        "logistic" => LayerKind::Activation(Activation::Logistic),
        "lrn" => LayerKind::Lrn(parse_lrn(layer)?),
        "max-pool" => LayerKind::Pool(parse_pool(layer, PoolKind::Max)?),
        "average-pool" => LayerKind::Pool(parse_pool(layer, parse_average(layer)?)?),
        "dropout" => LayerKind::Dropout(parse_dropout(layer)?),
        "batch-norm" => LayerKind::BatchNorm(parse_batch_norm(layer)?),
        "flatten" => LayerKind::Flatten,
        _ => LayerKind::Softmax,
    })
}

fn parse_conv(layer: &Reader) -> Result<Conv> {
    Ok(Conv {
        filters: layer
            .count("filters", 1)?
            .ok_or_else(|| layer.expected("filters", "the number of output channels"))?,
        kernel: layer.pair("kernel")?.ok_or_else(|| layer.expected("kernel", "its height and width in pixels"))?,
        stride: layer.pair("stride")?.unwrap_or([1, 1]),
        padding: parse_padding(layer)?,
        groups: layer.count("groups", 1)?.unwrap_or(1),
        learned: parse_learned(layer)?,
    })
}

fn parse_units(layer: &Reader) -> Result<Units> {
    let expected = || layer.expected("units", &format!("a whole number from 1 to {MOST}, or \"classes\""));
    match layer.get("units") {
        Some(Value::String(word)) if word == "classes" => Ok(Units::Classes),
        Some(value) => as_count(value, 1).map(Units::Number).ok_or_else(expected),
        None => Err(expected()),
    }
}

fn parse_padding(layer: &Reader) -> Result<Pad> {
    let sides = |value: &Value| match value {
        Value::String(word) if word == "same" => Some(Pad::Same),
        Value::Array(values) => {
            let sides: Option<Vec<usize>> = values.iter().map(|v| as_count(v, 0)).collect();
            let [top, bottom, left, right] = sides?.try_into().ok()?;
            Some(Pad::Sides(Padding { top, bottom, left, right }))
        }
        value => as_count(value, 0).map(|n| Pad::Sides(Padding::all(n))),
    };
    match layer.get("padding") {
        None => Ok(Pad::Sides(Padding::default())),
        Some(value) => sides(value).ok_or_else(|| {
            let expected = "a whole number, four of them [top, bottom, left, right], or \"same\"";
            layer.expected("padding", expected)
        }),
    }
}

fn parse_learned(layer: &Reader) -> Result<Learned> {
    let bias = match layer.get("bias") {
        None => Some(Init::Constant(0.0)),
        Some(Value::Boolean(false)) => None,
        Some(Value::Table(_)) => Some(parse_init(layer, "bias")?),
        Some(_) => {
            let value =
                layer.number("bias", "or a table like { kind = \"uniform\", ... }, or false for none", |_| true)?;
            value.map(Init::Constant)
        }
    };
    Ok(Learned {
        init: if layer.get("init").is_some() { parse_init(layer, "init")? } else { Init::TorchDefault },
        bias,
        weight_rate: layer.factor("weight_rate")?.unwrap_or(1.0),
        bias_rate: layer.factor("bias_rate")?.unwrap_or(1.0),
        weight_decay: layer.factor("weight_decay")?.unwrap_or(1.0),
        bias_decay: layer.factor("bias_decay")?.unwrap_or(1.0),
    })
}

fn parse_init(layer: &Reader, key: &'static str) -> Result<Init> {
    let expected = || layer.expected(key, "a table like { kind = \"normal\", std = 0.01 }");
    let table = layer.get(key).and_then(Value::as_table).ok_or_else(expected)?;
    let kind = table.get("kind").and_then(Value::as_str).ok_or_else(expected)?;
    let keys: &[&str] = match kind {
        "constant" => &["kind", "value"],
        "normal" => &["kind", "mean", "std"],
        "uniform" => &["kind", "low", "high"],
        _ => &["kind"],
    };
    let init = layer.inner(table, key, keys)?;
    let any = |key| init.number(key, "that is finite", |_| true);
    let needed = |key| any(key)?.ok_or_else(|| init.expected(key, "a number"));
    Ok(match kind {
        "constant" => Init::Constant(needed("value")?),
        "normal" => {
            let std = init.factor("std")?.ok_or_else(|| init.expected("std", "a standard deviation"))?;
            Init::Normal { mean: any("mean")?.unwrap_or(0.0), std }
        }
        "uniform" => match (needed("low")?, needed("high")?) {
            (low, high) if low <= high => Init::Uniform { low, high },
            (low, high) => return Err(init.error(format!("\"low\" must not be above \"high\", got {low} and {high}"))),
        },
        "glorot-uniform" | "xavier-uniform" => Init::GlorotUniform,
        "glorot-normal" | "xavier-normal" => Init::GlorotNormal,
        "he-uniform" | "kaiming-uniform" => Init::HeUniform,
        "he-normal" | "kaiming-normal" => Init::HeNormal,
        "torch-default" => Init::TorchDefault,
        _ => {
            let near = suggestion(kind, Init::KINDS);
            return Err(init.error(format!("unknown kind {kind:?}{near}; the kinds are {}", Init::KINDS.join(", "))));
        }
    })
}

/// The paper's constants stand where the file is silent.
fn parse_lrn(layer: &Reader) -> Result<Lrn> {
    let paper = Lrn::paper();
    Ok(Lrn {
        size: layer.count("size", 1)?.unwrap_or(paper.size),
        alpha: layer.factor("alpha")?.unwrap_or(paper.alpha),
        beta: layer.factor("beta")?.unwrap_or(paper.beta),
        k: layer.number("k", "above 0", |n| n > 0.0)?.unwrap_or(paper.k),
        region: layer.choice("region", REGIONS)?.unwrap_or(paper.region),
        alpha_rule: layer.choice("alpha_rule", ALPHA_RULES)?.unwrap_or(paper.alpha_rule),
    })
}

fn parse_pool(layer: &Reader, kind: PoolKind) -> Result<Pool> {
    let kernel = layer.pair("kernel")?.ok_or_else(|| layer.expected("kernel", "its height and width in pixels"))?;
    Ok(Pool {
        kind,
        kernel,
        stride: layer.pair("stride")?.unwrap_or(kernel),
        padding: parse_padding(layer)?,
        edge: layer.choice("edge", EDGES)?.unwrap_or_default(),
    })
}

fn parse_average(layer: &Reader) -> Result<PoolKind> {
    match layer.get("count_padding") {
        None | Some(Value::Boolean(false)) => Ok(PoolKind::Average),
        Some(Value::Boolean(true)) => Ok(PoolKind::AverageWithPadding),
        Some(_) => Err(layer.expected("count_padding", "true or false")),
    }
}

fn parse_dropout(layer: &Reader) -> Result<Dropout> {
    let p = layer.number("p", "of at least 0 and below 1", |p| (0.0..1.0).contains(&p))?;
    let scale = layer.choice("scale", DROPOUT_SCALES)?;
    Ok(Dropout { p: p.unwrap_or(0.5), scale: scale.unwrap_or(DropoutScale::InTraining) })
}

/// PyTorch's defaults stand where the file is silent.
fn parse_batch_norm(layer: &Reader) -> Result<BatchNorm> {
    Ok(BatchNorm {
        epsilon: layer.number("epsilon", "above 0", |n| n > 0.0)?.unwrap_or(1e-5),
        momentum: layer.number("momentum", "from 0 to 1", |n| (0.0..=1.0).contains(&n))?.unwrap_or(0.1),
        rate: layer.factor("rate")?.unwrap_or(1.0),
        decay: layer.factor("decay")?.unwrap_or(1.0),
    })
}
