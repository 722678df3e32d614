//! Reads the tables of a model file with `serde`.
//!
//! `toml`'s own deserializer reports errors as text. This one keeps their parts, so that each can name the key, what
//! was expected, what was found and a known name that was probably meant. It also lets several structs share the keys
//! of one table.

use std::fmt::{self, Display};

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{self, Deserialize, Deserializer, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use toml::{Table, Value};

use super::spelling::suggestion;

/// Reads structs from one table. Each takes the keys that are its fields; [`finish`](Self::finish) refuses the rest.
pub(crate) struct TableReader<'de> {
    table: &'de Table,
    known: Vec<&'static str>,
}

impl<'de> TableReader<'de> {
    pub fn new(table: &'de Table) -> Self {
        Self { table, known: Vec::new() }
    }

    /// Reads a struct from the keys that are its fields.
    pub fn read<T: Deserialize<'de>>(&mut self) -> Result<T, Invalid> {
        self.read_with(|fields| T::deserialize(fields))
    }

    /// Like [`read`](Self::read), with a function in place of the trait: for `#[serde(remote = ..)]`.
    pub fn read_with<T>(&mut self, deserialize: impl Fn(Fields<'de, '_>) -> Result<T, Invalid>) -> Result<T, Invalid> {
        match deserialize(Fields { reader: self, absent: None }) {
            // A second time with a placeholder: the error then describes the values that the field accepts.
            Err(Invalid::Missing { key, .. }) => deserialize(Fields { reader: self, absent: Some(key) }),
            result => result,
        }
    }

    /// Refuses keys that no struct has read.
    pub fn finish(&self) -> Result<(), Invalid> {
        match self.table.keys().find(|key| !self.known.contains(&key.as_str())) {
            Some(key) => Err(Invalid::unknown_key(key, &self.known)),
            None => Ok(()),
        }
    }
}

/// The deserializer of one struct of a [`TableReader`].
pub(crate) struct Fields<'de, 'r> {
    reader: &'r mut TableReader<'de>,
    /// A missing key, to be given as a placeholder.
    absent: Option<&'static str>,
}

impl<'de> Deserializer<'de> for Fields<'de, '_> {
    type Error = Invalid;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        for field in fields {
            if !self.reader.known.contains(field) {
                self.reader.known.push(field);
            }
        }
        let entries = self.reader.table.iter().filter(|(key, _)| fields.contains(&key.as_str())).map(entry);
        let absent = self.absent.map(|key| (key, Setting { key, value: None }));
        visitor.visit_map(MapDeserializer::new(entries.chain(absent)))
    }

    /// A struct without settings.
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Invalid> {
        visitor.visit_unit()
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        visitor.visit_map(MapDeserializer::new(self.reader.table.iter().map(entry)))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The value of a key, or a placeholder for one that is missing.
struct Setting<'de> {
    key: &'de str,
    value: Option<&'de Value>,
}

fn entry<'de>((key, value): (&'de String, &'de Value)) -> (&'de str, Setting<'de>) {
    (key, Setting { key, value: Some(value) })
}

impl Setting<'_> {
    fn missing(&self, expected: impl Display) -> Invalid {
        Invalid::Message(format!("{:?} is missing; it must be {expected}", self.key))
    }
}

impl<'de> IntoDeserializer<'de, Invalid> for Setting<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Setting<'de> {
    type Error = Invalid;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        let Some(value) = self.value else {
            let expected: &dyn Expected = &visitor;
            return Err(self.missing(expected));
        };
        let result = match value {
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Integer(n) => visitor.visit_i64(*n),
            Value::Float(n) => visitor.visit_f64(*n),
            Value::Boolean(flag) => visitor.visit_bool(*flag),
            Value::Datetime(_) => Err(de::Error::invalid_type(Unexpected::Other("date"), &visitor)),
            Value::Array(values) => {
                let elements = values.iter().map(|value| Setting { key: self.key, value: Some(value) });
                visitor.visit_seq(SeqDeserializer::new(elements))
            }
            Value::Table(table) => visitor.visit_map(MapDeserializer::new(table.iter().map(entry))),
        };
        result.map_err(|error: Invalid| error.at(self.key, value))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Invalid> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Invalid> {
        let Some(value) = self.value else { return Err(self.missing(one_of(variants))) };
        let result = match value {
            Value::String(variant) => visitor.visit_enum(StrDeserializer::new(variant)),
            _ => Err(Invalid::expected(one_of(variants))),
        };
        result.map_err(|error: Invalid| error.at(self.key, value))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// Why a table is not the struct that was to be read from it.
#[derive(Debug)]
pub(crate) enum Invalid {
    /// A key that has no default is not there.
    Missing { key: &'static str },
    /// A value, whose key is not known yet, has the wrong type or range.
    Unexpected { expected: String, suggestion: String },
    /// Any other error, and those whose key is known, in words.
    Message(String),
}

impl Invalid {
    /// An unknown key, with the nearest known one.
    pub fn unknown_key(key: &str, known: &[&str]) -> Self {
        Self::Message(format!("unknown key {key:?}{}; the keys are {}", suggestion(key, known), known.join(", ")))
    }

    /// A value of the wrong type or range.
    pub fn expected(expected: impl Display) -> Self {
        Self::Unexpected { expected: expected.to_string(), suggestion: String::new() }
    }

    /// The error of the value of `key`.
    pub fn at(self, key: &str, value: &Value) -> Self {
        Self::Message(match self {
            Self::Unexpected { expected, suggestion } => {
                format!("{key:?} must be {expected}, got {}{suggestion}", abbreviated(value))
            }
            inner => format!("{key}: {inner}"),
        })
    }
}

impl Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Missing { key } => write!(f, "{key:?} is missing"),
            Self::Unexpected { expected, suggestion } => write!(f, "must be {expected}{suggestion}"),
            Self::Message(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Invalid {}

impl de::Error for Invalid {
    fn custom<T: Display>(message: T) -> Self {
        Self::Message(message.to_string())
    }

    fn invalid_type(_: Unexpected, expected: &dyn Expected) -> Self {
        Self::expected(expected)
    }

    fn invalid_value(_: Unexpected, expected: &dyn Expected) -> Self {
        Self::expected(expected)
    }

    fn unknown_variant(variant: &str, variants: &'static [&'static str]) -> Self {
        Self::Unexpected { expected: one_of(variants), suggestion: suggestion(variant, variants) }
    }

    fn unknown_field(field: &str, fields: &'static [&'static str]) -> Self {
        Self::unknown_key(field, fields)
    }

    fn missing_field(key: &'static str) -> Self {
        Self::Missing { key }
    }
}

/// The names, quoted, as alternatives.
fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    match quoted.len() {
        0..=3 => quoted.join(" or "),
        _ => format!("one of {}", quoted.join(", ")),
    }
}

/// A value as text in one line, cut to a length that fits in a message.
fn abbreviated(value: &Value) -> String {
    const LENGTH: usize = 60;
    let text = match value {
        Value::String(text) => format!("{text:?}"),
        value => value.to_string().replace(char::is_control, " "),
    };
    if text.chars().count() <= LENGTH {
        return text;
    }
    text.chars().take(LENGTH).chain("...".chars()).collect()
}
