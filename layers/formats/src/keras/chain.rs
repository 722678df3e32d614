//! The layers of a configuration, in the order of the computation.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::settings::{LayerConfig, Text, short};

/// The most models within models.
const MAX_DEPTH: usize = 8;
/// The most layers.
const MAX_LAYERS: usize = 10_000;

/// The layers of a model's configuration; models within it are unfolded.
///
/// # Errors
/// A message for a model that is no chain of layers.
pub(super) fn layers(model: &Value) -> Text<Vec<LayerConfig>> {
    let mut layers = Vec::new();
    unfold(model, "", 0, &mut layers)?;
    if layers.len() > MAX_LAYERS {
        return Err(format!("{} layers are too many; the most is {MAX_LAYERS}", layers.len()));
    }
    Ok(layers)
}

fn unfold(model: &Value, prefix: &str, depth: usize, unfolded: &mut Vec<LayerConfig>) -> Text<()> {
    if depth > MAX_DEPTH {
        return Err("its models are nested too deep".into());
    }
    let tables = match model["class_name"].as_str() {
        Some("Sequential") => sequential(&model["config"])?,
        Some("Functional" | "Model") => functional(&model["config"])?,
        Some(other) => {
            return Err(format!(
                "its model is of the class {other}; Sequential, and Functional of one layer after another, are read"
            ));
        }
        None => return Err(format!("expected the configuration of a model, got {}", short(model))),
    };
    let mut used = BTreeMap::new();
    for table in tables {
        let layer = layer(table, prefix, &mut used)?;
        match layer.class.as_str() {
            "Sequential" | "Functional" | "Model" => unfold(table, &layer.key, depth + 1, unfolded)?,
            _ => unfolded.push(layer),
        }
    }
    Ok(())
}

/// A layer, with the key that Keras gives it: its class in snake case, with a number from the second on.
fn layer(table: &Value, prefix: &str, used: &mut BTreeMap<String, usize>) -> Text<LayerConfig> {
    let class = table["class_name"].as_str().ok_or_else(|| format!("a layer without a class: {}", short(table)))?;
    let settings = match &table["config"] {
        Value::Object(settings) => settings.clone(),
        // Keras 2.0's Sequential in a Sequential.
        Value::Array(_) => Map::new(),
        _ => return Err(format!("a layer of the class {class} without settings")),
    };
    let name = settings.get("name").and_then(Value::as_str).unwrap_or(class).to_string();
    let snake = snake_case(class);
    let number = used.entry(snake.clone()).and_modify(|number| *number += 1).or_insert(0);
    let key = if *number == 0 { snake } else { format!("{snake}_{number}") };
    let key = if prefix.is_empty() { format!("layers/{key}") } else { format!("{prefix}/layers/{key}") };
    Ok(LayerConfig { name, class: class.to_string(), key, settings })
}

/// The layers of a Sequential; Keras before 2.2.3 wrote the list alone.
fn sequential(config: &Value) -> Text<Vec<&Value>> {
    let layers = if config.is_array() { config } else { &config["layers"] };
    let layers = layers.as_array().ok_or("a Sequential without a list of layers")?;
    Ok(layers.iter().collect())
}

/// The layers of a functional model, each of which must follow from the one before it alone.
fn functional(config: &Value) -> Text<Vec<&Value>> {
    let layers = config["layers"].as_array().ok_or("a functional model without a list of layers")?;
    let mut followers: BTreeMap<&str, &Value> = BTreeMap::new();
    let mut start = None;
    for layer in layers {
        match origin(layer)? {
            None if start.is_some() => return Err("has several inputs; networks of one input are read".into()),
            None => start = Some(layer),
            Some(origin) => {
                if let Some(other) = followers.insert(origin, layer) {
                    let names = [name(other)?, name(layer)?];
                    return Err(format!(
                        "layers {:?} and {:?} both follow {origin:?}; networks of one layer after another are read",
                        names[0], names[1]
                    ));
                }
            }
        }
    }
    let mut chain = vec![start.ok_or("a functional model without an input layer")?];
    while let Some(next) = followers.remove(name(chain[chain.len() - 1])?) {
        chain.push(next);
    }
    match followers.values().next() {
        Some(left) => Err(format!("layer {:?} does not follow from the input; it is not read", name(left)?)),
        None => Ok(chain),
    }
}

fn name(layer: &Value) -> Text<&str> {
    let name = layer["name"].as_str().or_else(|| layer["config"]["name"].as_str());
    name.ok_or_else(|| format!("a layer without a name: {}", short(layer)))
}

/// The name of the layer whose output a layer takes; none for an input.
fn origin(layer: &Value) -> Text<Option<&str>> {
    let several = || {
        let name = name(layer).unwrap_or_default();
        format!("layer {name:?} is used more than once, or takes several inputs; not read")
    };
    let nodes = layer["inbound_nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let node = match nodes {
        [] => return Ok(None),
        [node] => node,
        _ => return Err(several()),
    };
    let origin = match &node["args"] {
        // Keras 3: the tensor's history. Keras 2: lists of layer, node, tensor and arguments.
        Value::Array(args) if args.len() == 1 => &args[0]["config"]["keras_history"][0],
        Value::Array(_) => return Err(several()),
        _ if node.as_array().is_some_and(|inputs| inputs.len() == 1) => &node[0][0],
        _ => return Err(several()),
    };
    origin.as_str().map(Some).ok_or_else(several)
}

/// Keras' `to_snake_case`: an underline before a capital and small letters, and between a small letter and a capital.
pub(super) fn snake_case(class: &str) -> String {
    let letters: Vec<char> = class.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut snake = String::new();
    for (i, &letter) in letters.iter().enumerate() {
        let next_is_small = letters.get(i + 1).is_some_and(char::is_ascii_lowercase);
        let follows_small = i > 0 && letters[i - 1].is_ascii_lowercase();
        if i > 0 && letter.is_ascii_uppercase() && (next_is_small || follows_small) {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_written_as_keras_writes_them() {
        let known = [
            ("Conv2D", "conv2d"),
            ("MaxPooling2D", "max_pooling2d"),
            ("BatchNormalization", "batch_normalization"),
            ("ReLU", "re_lu"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
            ("ZeroPadding2D", "zero_padding2d"),
            ("InputLayer", "input_layer"),
        ];
        for (class, snake) in known {
            assert_eq!(snake_case(class), snake);
        }
    }
}
