//! The network that a file's configuration describes.

use layers::model::{Linear, ParameterSettings, Units};
use layers::toml::{Table, Value as Toml};
use layers::{LayerKind, LayerSpec, Model};
use serde_json::Value;

use super::network::{LayerVariables, NetworkBuilder, Statistics, image_size};
use super::optimizer::{Kind, unread};
use super::settings::{LayerConfig, Text, name_of, number};

/// The note on a network without a last layer.
pub(super) const HEADLESS: &str =
    "its network has no last layer of classes (include_top=False): train a network that has one with it (--model)";

/// A network, and where its parameters are in the file.
#[derive(Debug)]
pub(super) struct Architecture {
    pub model: Model,
    /// The variables of each layer that has some, in order.
    pub variables: Vec<LayerVariables>,
    /// Whether the network has no last layer, which `model` has nevertheless: one of Keras with `include_top=False`.
    pub is_headless: bool,
    /// Its optimizer.
    pub optimizer: Kind,
    pub notes: Vec<String>,
}

/// The network of a configuration. `compile` is the configuration of its training, `origin` the file's name in messages.
///
/// # Errors
/// A message that names the layer and the setting that are not read.
pub(super) fn read(
    model: &Value,
    layers: &[LayerConfig],
    compile: Option<&Value>,
    statistics: &Statistics,
    origin: &str,
) -> Text<Architecture> {
    let mut builder = NetworkBuilder::default();
    for layer in layers {
        builder.add(layer, statistics)?;
    }
    let crop = crop(&builder, model)?;
    let (input, note) = builder.preprocessing.input(crop);
    let mut notes = std::mem::take(&mut builder.notes);
    let about = match &note {
        Some(note) => format!("A network of Keras; {note}."),
        None => "A network of Keras.".to_string(),
    };
    notes.extend(note);
    let last = builder.layers.iter_mut().rev().find_map(|layer| match &mut layer.kind {
        LayerKind::Linear(linear) => Some(&mut linear.units),
        _ => None,
    });
    if let Some(units) = last.filter(|units| **units == Units::Number(builder.outputs)) {
        *units = Units::Classes;
    }
    let (optimizer, train) = training(compile, &mut notes);
    let model = Model {
        name: network_name(&model["config"]),
        about,
        input,
        classes: builder.outputs.max(1),
        layers: builder.layers,
        train,
    };
    // Reading checks everything: names, shapes, layers that do not fit each other.
    let (model, is_headless) = match Model::parse(&model.to_toml(), origin) {
        Ok(model) => (model, false),
        Err(error) => match with_head(&model, origin) {
            Some(model) => (model, true),
            None => {
                let text = error.to_string();
                return Err(text.strip_prefix(&format!("{origin}: ")).map_or(text.clone(), str::to_string));
            }
        },
    };
    if is_headless {
        notes.push(HEADLESS.to_string());
    }
    Ok(Architecture { model, variables: builder.variables, is_headless, optimizer, notes })
}

/// The network with a last layer, if it is one with it.
fn with_head(model: &Model, origin: &str) -> Option<Model> {
    let linear = Linear { units: Units::Classes, parameters: ParameterSettings::default() };
    let head = LayerSpec { name: "top".into(), export: None, kind: LayerKind::Linear(linear) };
    let layers = model.layers.iter().cloned().chain([head]).collect();
    Model::parse(&Model { layers, ..model.clone() }.to_toml(), origin).ok()
}

/// The side of square images.
fn crop(builder: &NetworkBuilder, model: &Value) -> Text<usize> {
    let built = ["build_input_shape", "batch_input_shape"].iter().map(|key| &model["config"][key]);
    let built = built.chain([&model["build_config"]["input_shape"]]).find_map(|shape| image_size(shape)?);
    match builder.size.or(built) {
        Some([height, width]) if height == width => Ok(height),
        Some([height, width]) => Err(format!("its images are {height} x {width}; networks of square images are read")),
        None => {
            Err("does not say how large its images are: begin with Input((height, width, 3)), and save again".into())
        }
    }
}

/// A name that networks may have.
fn network_name(config: &Value) -> String {
    let name = config["name"].as_str().unwrap_or("keras");
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let name: String = name.chars().map(|c| if fits(c) { c } else { '-' }).take(60).collect();
    let name = name.trim_start_matches('-');
    if name.is_empty() { "keras".into() } else { name.into() }
}

/// The optimizer's kind, and its settings as `[train]`.
fn training(compile: Option<&Value>, notes: &mut Vec<String>) -> (Kind, Table) {
    let Some(compile) = compile else { return (Kind::Unknown, Table::new()) };
    let optimizer = match (&compile["optimizer"], &compile["optimizer_config"]) {
        (Value::Null, Value::Null) => return (Kind::Unknown, Table::new()),
        (Value::Null, older) => older,
        (newer, _) => newer,
    };
    let class = name_of(optimizer).filter(|_| optimizer.is_string()).or(optimizer["class_name"].as_str());
    let class = class.unwrap_or_default();
    let config = &optimizer["config"];
    let Some(mut settings) = rule(class, config) else {
        notes.push(format!("the optimizer is left out: {}", unread(class)));
        return (Kind::Other, Table::new());
    };
    let kind = settings["kind"].as_str().unwrap_or_default().to_string();
    settings.insert("schedule".into(), Toml::String("constant".into()));
    if config["learning_rate"].is_object() {
        notes.push("the learning rate follows a schedule of Keras, which is not read".into());
    } else {
        let default = if kind == "sgd" { 0.01 } else { 0.001 };
        settings.insert("lr".into(), float(config, "learning_rate", default));
    }
    note_unread(class, &kind, config, notes);
    let section = Table::from_iter([("optim".to_string(), Toml::Table(settings))]);
    (Kind::Known(kind), section)
}

/// The kind and the settings of an optimizer's rule; none for one that is not here.
fn rule(class: &str, config: &Value) -> Option<Table> {
    let mut settings = Table::new();
    let mut set = |key: &str, value: Toml| settings.insert(key.to_string(), value);
    let decay = match class.to_ascii_lowercase().as_str() {
        "adamw" => float(config, "weight_decay", 0.004),
        _ => float(config, "weight_decay", 0.0),
    };
    match class.to_ascii_lowercase().as_str() {
        "adam" | "adamw" => {
            set("beta1", float(config, "beta_1", 0.9));
            set("beta2", float(config, "beta_2", 0.999));
            set("epsilon", float(config, "epsilon", 1e-7));
            set("epsilon_hat", Toml::Boolean(true));
            // Keras' Adam with weight decay is AdamW.
            let is_decoupled = decay.as_float() != Some(0.0);
            set("kind", Toml::String(if is_decoupled { "adamw" } else { "adam" }.into()));
            set("weight_decay", decay);
        }
        "sgd" => {
            let momentum = float(config, "momentum", 0.0);
            if config["nesterov"].as_bool() == Some(true) && momentum.as_float() > Some(0.0) {
                set("nesterov", Toml::Boolean(true));
            }
            set("momentum", momentum);
            set("kind", Toml::String("sgd".into()));
            set("weight_decay", Toml::Float(0.0));
        }
        _ => return None,
    }
    Some(settings)
}

/// A number of an optimizer's configuration.
fn float(config: &Value, key: &str, default: f64) -> Toml {
    Toml::Float(shortest(number(&config[key]).unwrap_or(default)))
}

/// Notes on settings of the optimizer that are not read.
fn note_unread(class: &str, kind: &str, config: &Value, notes: &mut Vec<String>) {
    let keys = ["weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "amsgrad", "use_ema"];
    let is_set = |value: &Value| match value {
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        _ => false,
    };
    let is_read = |key: &str| key == "weight_decay" && kind == "adamw";
    for key in keys.iter().filter(|key| is_set(&config[**key]) && !is_read(key)) {
        notes.push(format!("the optimizer {class}: its {key} is left out"));
    }
}

/// Keras writes settings that it held as f32 with the digits of f64: 0.0010000000474974513.
fn shortest(number: f64) -> f64 {
    let single = number as f32;
    if f64::from(single) != number {
        return number;
    }
    single.to_string().parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_was_f32_is_short() {
        assert_eq!(shortest(0.0010000000474974513), 0.001);
        assert_eq!(shortest(1e-7), 1e-7);
        assert_eq!(shortest(0.25), 0.25);
    }
}
