//! Reads a [`Model`] from TOML.

use serde::{Deserialize, Deserializer};
use toml::{Table, Value};

use super::reader::{Invalid, TableReader};
use super::settings::{count, text, value};
use super::{Input, LayerKind, LayerSpec, Model, name};
use crate::{Error, Result};

/// The most layers of a network: each has random streams of its own.
const MAX_LAYERS: usize = 10_000;

/// The keys of `[train]`: tables of settings, and the list of their changes in the course of a run.
const TRAIN_KEYS: &[&str] = &["change", "data", "optim", "run"];

/// The keys of a file but `layer`. Tables are read one by one, so that errors can name them.
#[derive(Deserialize)]
struct Header {
    #[serde(default, deserialize_with = "optional_text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    about: String,
    #[serde(default = "default_classes", deserialize_with = "count")]
    classes: usize,
    #[serde(deserialize_with = "input_table")]
    input: Table,
    #[serde(default, deserialize_with = "train_table")]
    train: Table,
}

/// The key `layer`, read separately so that errors come in the order of the file.
#[derive(Deserialize)]
struct Layers {
    #[serde(deserialize_with = "layer_tables")]
    layer: Vec<Table>,
}

/// A layer's name, read first so that errors can name the layer.
#[derive(Deserialize)]
struct LayerName {
    #[serde(deserialize_with = "layer_name")]
    name: String,
}

/// The other keys that every layer has.
#[derive(Deserialize)]
struct LayerHeader {
    #[serde(deserialize_with = "kind")]
    kind: String,
    #[serde(default, deserialize_with = "export")]
    export: Option<String>,
}

impl Model {
    /// Reads a network from TOML. `origin` is the file or preset in error messages.
    ///
    /// # Errors
    /// [`Error::Model`] for text that is not TOML, an unknown kind or key, a setting out of range, or layers that do
    /// not fit each other.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        let invalid = |what: String| Error::Model { origin: origin.into(), layer: None, what };
        let table: Table = text.parse().map_err(|error| invalid(syntax_error(text, &error)))?;
        let mut reader = TableReader::new(&table);
        let header = reader.read::<Header>();
        let layers = reader.read::<Layers>();
        // A misspelt key explains a missing one.
        reader.finish().map_err(|error| invalid(error.to_string()))?;
        let header = header.map_err(|error| invalid(error.to_string()))?;
        let input = Input::read(&mut TableReader::new(&header.input));
        let input = input.map_err(|error| invalid(format!("[input]: {error}")))?;
        let layers = layers.map_err(|error| invalid(error.to_string()))?.layer;
        if layers.len() > MAX_LAYERS {
            return Err(invalid(format!("{} layers are too many; the most is {MAX_LAYERS}", layers.len())));
        }
        let layers = layers.iter().enumerate().map(|(i, table)| read_layer(table, i, origin)).collect::<Result<_>>()?;
        check_train(&header.train).map_err(|error| invalid(format!("[train]: {error}")))?;
        let model = Self {
            name: header.name.unwrap_or_else(|| name::of_origin(origin)),
            about: header.about.trim().to_owned(),
            input,
            classes: header.classes,
            layers,
            train: header.train,
        };
        model.check().map_err(|error| match error {
            Error::Model { layer, what, .. } => Error::Model { origin: origin.into(), layer, what },
            other => other,
        })?;
        Ok(model)
    }
}

fn syntax_error(text: &str, error: &toml::de::Error) -> String {
    let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
    let line = line.map(|n| format!("line {n}: ")).unwrap_or_default();
    format!("{line}not TOML: {}", error.message())
}

/// Checks the sections of `[train]`, whose keys are the trainer's.
fn check_train(table: &Table) -> std::result::Result<(), Invalid> {
    for (key, section) in table {
        if !TRAIN_KEYS.contains(&key.as_str()) {
            return Err(Invalid::unknown_key(key, TRAIN_KEYS));
        }
        if key == "change" {
            let is_list = section.as_array().is_some_and(|changes| changes.iter().all(Value::is_table));
            if !is_list {
                return Err(Invalid::expected("tables, each as [[train.change]]").at(key, section));
            }
        } else if !section.is_table() {
            return Err(Invalid::expected("a table of settings").at(key, section));
        }
    }
    Ok(())
}

fn read_layer(table: &Table, index: usize, origin: &str) -> Result<LayerSpec> {
    let error = |layer: &str, invalid: Invalid| Error::Model {
        origin: origin.into(),
        layer: Some(layer.into()),
        what: invalid.to_string(),
    };
    let mut reader = TableReader::new(table);
    let LayerName { name } = reader.read().map_err(|invalid| error(&format!("#{}", index + 1), invalid))?;
    read_settings(&name, reader).map_err(|invalid| error(&name, invalid))
}

fn read_settings(name: &str, mut reader: TableReader) -> std::result::Result<LayerSpec, Invalid> {
    let LayerHeader { kind, export } = reader.read()?;
    Ok(LayerSpec { name: name.into(), export, kind: LayerKind::read(&kind, &mut reader)? })
}

fn default_classes() -> usize {
    1000
}

fn optional_text<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<String>, D::Error> {
    text(deserializer).map(Some)
}

fn input_table<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Table, D::Error> {
    value(deserializer, "a table [input]", |value| value.as_table().cloned())
}

fn train_table<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Table, D::Error> {
    value(deserializer, "a table [train]", |value| value.as_table().cloned())
}

fn layer_tables<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<Table>, D::Error> {
    value(deserializer, "a list of tables [[layer]], at least one", |value| {
        value.as_array()?.iter().map(|layer| layer.as_table().cloned()).collect()
    })
}

fn layer_name<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<String, D::Error> {
    value(deserializer, "a text of 1 to 64 letters, digits, '_' and '-'", |value| identifier(value, "_-"))
}

fn export<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<String>, D::Error> {
    let expected = "a text of 1 to 64 letters, digits, '_', '-', '.' and '/'";
    value(deserializer, expected, |value| identifier(value, "_-./").map(Some))
}

fn kind<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<String, D::Error> {
    let expected = format!("one of {}", LayerKind::names().join(", "));
    value(deserializer, &expected, |value| value.as_str().map(str::to_owned))
}

/// A text of 1 to 64 ASCII letters, digits and `marks`.
fn identifier(value: &Value, marks: &str) -> Option<String> {
    let text = value.as_str()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
    ((1..=64).contains(&text.len()) && text.chars().all(fits)).then(|| text.to_owned())
}
