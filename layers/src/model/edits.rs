//! Changes of a network: layers removed, added and changed, as experiments need them.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::selection::matches_glob;
use super::{Model, spelling};
use crate::{Error, Result};

/// Keys of a layer that are kept when its kind changes.
const KEPT: [&str; 2] = ["name", "export"];

/// Changes of a network. Layers are named by names or globs (`norm*`), with or without parameters.
///
/// ```
/// use alexnet_layers::{Edits, Model};
///
/// let edits: Edits = toml::from_str("remove = ['norm*']\n[change]\n'relu*' = { kind = 'tanh' }\n")?;
/// let model = Model::preset("paper")?.edited(&edits)?;
/// assert_eq!(model.layers.len(), Model::preset("paper")?.layers.len() - 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edits {
    /// Layers to remove.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// Layers to add.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<AddedLayer>,
    /// Keys of `[input]` to change.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub input: Table,
    /// Keys of layers to change: a table for each name or glob. With another `kind`, a layer keeps only
    /// its name and `export`.
    #[serde(skip_serializing_if = "Table::is_empty")]
    pub change: Table,
}

/// A layer that is added to a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddedLayer {
    /// The name of the layer that it follows.
    pub after: String,
    /// Its keys, as in a network's file.
    pub layer: Table,
}

impl Edits {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Model {
    /// The network with changes: layers are removed, then added, then changed.
    ///
    /// # Errors
    /// [`Error::Model`] for a layer that does not exist, and for a network that is none: those of
    /// [`parse`](Self::parse).
    pub fn edited(&self, edits: &Edits) -> Result<Self> {
        let text = self.to_toml();
        let mut file: Table = text.parse().map_err(|error| self.error(None, format!("{error}")))?;
        let layers = file.remove("layer").and_then(|layers| layers.try_into().ok()).unwrap_or_default();
        let mut layers: Vec<Table> = layers;
        for pattern in &edits.remove {
            let removed = self.named(&layers, "remove", pattern)?;
            layers.retain(|layer| !removed.contains(&name(layer)));
        }
        for added in &edits.add {
            let before = self.named(&layers, "add: after", &added.after)?;
            let place = layers.iter().position(|layer| name(layer) == before[0]).unwrap_or_default();
            layers.insert(place + 1, added.layer.clone());
        }
        for (pattern, keys) in &edits.change {
            let changed = self.named(&layers, "change", pattern)?;
            let keys = keys.as_table().ok_or_else(|| self.error(None, not_a_table(pattern)))?;
            layers.iter_mut().filter(|layer| changed.contains(&name(layer))).for_each(|layer| change(layer, keys));
        }
        if let Some(Value::Table(input)) = file.get_mut("input") {
            input.extend(edits.input.clone());
        }
        file.insert("layer".into(), Value::Array(layers.into_iter().map(Value::Table).collect()));
        Self::parse(&file.to_string(), &self.name)
    }

    /// The names of the layers that a pattern selects.
    fn named(&self, layers: &[Table], key: &str, pattern: &str) -> Result<Vec<String>> {
        let names: Vec<String> = layers.iter().map(name).collect();
        let selected: Vec<String> = names.iter().filter(|name| matches_glob(pattern, name)).cloned().collect();
        if !selected.is_empty() {
            return Ok(selected);
        }
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        let near = spelling::suggestion(pattern, &known);
        let what = format!("{key}: {pattern:?} names no layer{near}; the layers are {}", known.join(", "));
        Err(Error::Model { origin: self.name.clone(), layer: None, what })
    }
}

fn not_a_table(pattern: &str) -> String {
    format!("change: {pattern}: expected a table of the layer's keys, as {{ kernel = 3 }}")
}

fn name(layer: &Table) -> String {
    layer.get("name").and_then(Value::as_str).unwrap_or_default().to_string()
}

fn change(layer: &mut Table, keys: &Table) {
    if keys.get("kind").is_some_and(|kind| layer.get("kind") != Some(kind)) {
        layer.retain(|key, _| KEPT.contains(&key));
    }
    layer.extend(keys.clone());
}
