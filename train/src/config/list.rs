//! Settings that are lists of texts.

use std::fmt::{self, Formatter};
use std::ops::Deref;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// A list of texts. It may also be given as one text with commas: `conv1, conv2`.
///
/// ```
/// use alexnet_train::Config;
///
/// let config = Config::parse("mine.toml", "model.weights = 'w.h5'\nmodel.reinit = 'fc7, fc8'")?;
/// assert_eq!(config.model.reinit.to_vec(), ["fc7", "fc8"]);
/// # Ok::<(), alexnet_train::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct List(Vec<String>);

impl Deref for List {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl From<Vec<String>> for List {
    fn from(items: Vec<String>) -> Self {
        Self(items)
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = List;

    fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or a list of texts like [\"one\", \"two\"]")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<List, E> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        Ok(List(items.map(str::to_string).collect()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<String>()? {
            list.push(item);
        }
        Ok(List(list))
    }
}
