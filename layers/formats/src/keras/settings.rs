//! A layer's settings in Keras' JSON.

use serde_json::{Map, Value};

/// The result of reading a configuration; the error is a message.
pub(super) type Text<T> = Result<T, String>;

/// A layer of a configuration.
#[derive(Clone, Debug)]
pub(super) struct LayerConfig {
    /// Its name in Keras.
    pub name: String,
    /// Its class, such as `Conv2D`.
    pub class: String,
    /// The group of its variables in a `.weights.h5`, without `vars`: `layers/conv2d_1`.
    pub key: String,
    /// Its settings.
    pub settings: Map<String, Value>,
}

impl LayerConfig {
    /// An error that names the layer.
    pub fn error<T>(&self, what: impl std::fmt::Display) -> Text<T> {
        Err(self.message(what))
    }

    /// A message that names the layer.
    pub fn message(&self, what: impl std::fmt::Display) -> String {
        format!("layer {:?} ({}): {what}", self.name, self.class)
    }

    /// A setting; none if it is missing or null.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.settings.get(key).filter(|value| !value.is_null())
    }

    /// A flag.
    pub fn flag(&self, key: &str, default: bool) -> Text<bool> {
        self.read(key, default, "true or false", Value::as_bool)
    }

    /// A number.
    pub fn number(&self, key: &str, default: f64) -> Text<f64> {
        self.read(key, default, "a number", number)
    }

    /// A count.
    pub fn count(&self, key: &str) -> Text<usize> {
        let value = self.get(key).ok_or_else(|| self.message(format!("{key} is missing")))?;
        count(value).map_or_else(|| self.unexpected(key, "a whole number above 0"), Ok)
    }

    /// Vertical and horizontal counts; one number is both.
    pub fn pair(&self, key: &str, default: [usize; 2]) -> Text<[usize; 2]> {
        self.read(key, default, "one or two whole numbers above 0", |value| match value.as_array() {
            Some(pair) => Some([count(pair.first()?)?, count(pair.get(1)?)?]),
            None => count(value).map(|n| [n; 2]),
        })
    }

    /// A word.
    pub fn word<'a>(&'a self, key: &str, default: &'a str) -> Text<&'a str> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_str().map_or_else(|| self.unexpected(key, "a word"), Ok),
        }
    }

    /// A setting, or a default where it is missing.
    pub fn read<T>(&self, key: &str, default: T, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Text<T> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => read(value).map_or_else(|| self.unexpected(key, expected), Ok),
        }
    }

    /// An error of a setting that is not read.
    pub fn unexpected<T>(&self, key: &str, expected: &str) -> Text<T> {
        let found = self.settings.get(key).map(short).unwrap_or_default();
        self.error(format!("{key} is {found}, which is not read; expected {expected}"))
    }
}

/// A JSON value in a message.
pub(super) fn short(value: &Value) -> String {
    let text: String = value.to_string();
    let cut: String = text.chars().take(80).collect();
    if cut.len() < text.len() { format!("{cut}..") } else { cut }
}

/// A finite number.
pub(super) fn number(value: &Value) -> Option<f64> {
    value.as_f64().filter(|number| number.is_finite())
}

/// A whole number from 1 to 2^20.
pub(super) fn count(value: &Value) -> Option<usize> {
    value.as_u64().filter(|n| (1..=1 << 20).contains(n)).map(|n| n as usize)
}

/// A word: the value itself, or the name of a function or the class of an object that Keras wrote as a table.
pub(super) fn name_of(value: &Value) -> Option<&str> {
    match value {
        Value::String(word) => Some(word),
        Value::Object(table) => match table.get("config") {
            Some(Value::String(word)) => Some(word),
            _ => table.get("class_name")?.as_str(),
        },
        _ => None,
    }
}
