//! Writes a [`Model`] as TOML with `serde`.

use serde::Serialize;
use toml_edit::ser::{Error, ValueSerializer};
use toml_edit::visit_mut::VisitMut;
use toml_edit::{ArrayOfTables, DocumentMut, Formatted, Item, Table, Value};

use super::{LayerSpec, Model};

/// A table that structs are written to, one key per line.
#[derive(Default)]
pub(crate) struct TableWriter(Table);

impl TableWriter {
    /// Adds a key.
    pub fn entry(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key, Item::Value(value.into()));
    }

    /// Adds a struct's fields.
    pub fn write<T: Serialize>(&mut self, settings: &T) {
        self.write_with(|serializer| settings.serialize(serializer));
    }

    /// Like [`write`](Self::write), with a function in place of the trait: for `#[serde(remote = ..)]`.
    pub fn write_with(&mut self, serialize: impl FnOnce(ValueSerializer) -> Result<Value, Error>) {
        // Fails only for counts above i64::MAX, which no checked model has.
        if let Ok(Value::InlineTable(fields)) = serialize(ValueSerializer::new()) {
            self.0.extend(fields);
        }
    }
}

#[cfg(test)]
impl std::fmt::Display for TableWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Model {
    /// The network as text that [`parse`](Self::parse) reads back as the same network. Every setting is written, so
    /// that the settings of a run stay readable when defaults change.
    pub fn to_toml(&self) -> String {
        let mut file = TableWriter::default();
        file.entry("name", &self.name);
        file.entry("about", &self.about);
        file.entry("classes", self.classes as i64);
        let mut input = TableWriter::default();
        input.write(&self.input);
        file.0.insert("input", Item::Table(input.0));
        let layers: ArrayOfTables = self.layers.iter().map(layer).collect();
        file.0.insert("layer", Item::ArrayOfTables(layers));
        let mut document = DocumentMut::from(file.0);
        ShortFloats.visit_document_mut(&mut document);
        let mut text = document.to_string();
        if !self.train.is_empty() {
            let train = toml::Table::from_iter([("train".to_owned(), toml::Value::Table(self.train.clone()))]);
            text.push('\n');
            text.push_str(&train.to_string());
        }
        text
    }
}

/// Writes very small and large numbers with an exponent, as Rust does: `1e-5`.
struct ShortFloats;

impl VisitMut for ShortFloats {
    fn visit_float_mut(&mut self, number: &mut Formatted<f64>) {
        if let Ok(Value::Float(mut short)) = format!("{:?}", number.value()).parse() {
            *short.decor_mut() = number.decor().clone();
            *number = short;
        }
    }
}

fn layer(spec: &LayerSpec) -> Table {
    let mut table = TableWriter::default();
    table.entry("name", &spec.name);
    table.entry("kind", spec.kind.name());
    if let Some(export) = &spec.export {
        table.entry("export", export);
    }
    spec.kind.as_layer().write(&mut table);
    table.0
}
