//! Types of settings that several layers share, as functions for `serde`'s `deserialize_with`, `serialize_with` and
//! `with`: counts, numbers of a range, pairs, paddings.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tensor::ops::Padding;
use toml::Value;

/// The largest count of anything: pixels, channels, units, steps. Products of a few stay far from overflow.
pub(crate) const MAX_COUNT: usize = 1 << 20;

/// Zeros around a layer's input.
///
/// ```
/// use alexnet_layers::model::{Conv, Pad};
///
/// let conv = Conv { padding: Pad::Same, ..Conv::new(8, 5) };
/// assert_eq!(conv.operation([32, 32]).padding.top, 2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pad {
    /// A number for each side.
    Sides(Padding),
    /// TensorFlow's `same`: the padding whose output has length `ceil(input / stride)`.
    Same,
}

impl Default for Pad {
    fn default() -> Self {
        Self::Sides(Padding::default())
    }
}

impl Pad {
    /// The padding of an input of this height and width.
    pub(super) fn resolve(self, input: [usize; 2], kernel: [usize; 2], stride: [usize; 2]) -> Padding {
        match self {
            Self::Sides(padding) => padding,
            Self::Same => Padding::same(input, kernel, stride),
        }
    }
}

/// Reads a value that `convert` accepts. Error messages describe the accepted values as `expected`.
pub(crate) fn value<'de, D, T>(
    deserializer: D,
    expected: &str,
    convert: impl Fn(&Value) -> Option<T>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(ValueVisitor { expected, convert })
}

struct ValueVisitor<'e, F> {
    expected: &'e str,
    convert: F,
}

impl<'e, F> ValueVisitor<'e, F> {
    fn convert<T, E: de::Error>(&self, value: Value) -> Result<T, E>
    where
        F: Fn(&Value) -> Option<T>,
    {
        (self.convert)(&value).ok_or_else(|| E::invalid_value(Unexpected::Other(&value.to_string()), &self.expected))
    }
}

impl<'de, T, F: Fn(&Value) -> Option<T>> Visitor<'de> for ValueVisitor<'_, F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<T, E> {
        self.convert(Value::Boolean(flag))
    }

    fn visit_i64<E: de::Error>(self, n: i64) -> Result<T, E> {
        self.convert(Value::Integer(n))
    }

    fn visit_u64<E: de::Error>(self, n: u64) -> Result<T, E> {
        let n = i64::try_from(n).map_err(|_| E::invalid_value(Unexpected::Unsigned(n), &self))?;
        self.convert(Value::Integer(n))
    }

    fn visit_f64<E: de::Error>(self, n: f64) -> Result<T, E> {
        self.convert(Value::Float(n))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        self.convert(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<T, A::Error> {
        self.convert(Value::deserialize(SeqAccessDeserializer::new(seq))?)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        self.convert(Value::deserialize(MapAccessDeserializer::new(map))?)
    }
}

/// A whole number from `min` to [`MAX_COUNT`].
pub(crate) fn as_count(value: &Value, min: usize) -> Option<usize> {
    value.as_integer().and_then(|n| usize::try_from(n).ok()).filter(|n| (min..=MAX_COUNT).contains(n))
}

/// A finite number.
pub(crate) fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(n) => Some(*n as f64),
        Value::Float(n) => Some(*n).filter(|n| n.is_finite()),
        _ => None,
    }
}

/// A text.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    value(deserializer, "a text in quotes", |value| value.as_str().map(str::to_owned))
}

/// A whole number from 1 to [`MAX_COUNT`].
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    value(deserializer, &format!("a whole number from 1 to {MAX_COUNT}"), |value| as_count(value, 1))
}

/// Like [`count`], for a setting whose default depends on another.
pub(crate) fn optional_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    count(deserializer).map(Some)
}

/// A finite number.
pub(crate) fn finite<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    number(deserializer, "that is finite", |_| true)
}

/// A number of at least 0.
pub(crate) fn non_negative<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    number(deserializer, "of at least 0", |n| n >= 0.0)
}

/// A number above 0.
pub(crate) fn positive<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    number(deserializer, "above 0", |n| n > 0.0)
}

/// A finite number that `fits`. Error messages describe the accepted numbers as `range`.
pub(crate) fn number<'de, D: Deserializer<'de>>(
    deserializer: D,
    range: &str,
    fits: impl Fn(f64) -> bool,
) -> Result<f64, D::Error> {
    value(deserializer, &format!("a number {range}"), |value| as_number(value).filter(|&n| fits(n)))
}

/// Three finite numbers that `fit`: red, green, blue.
pub(crate) fn as_colour(value: &Value, fit: impl Fn(f64) -> bool) -> Option<[f64; 3]> {
    let numbers: Option<Vec<f64>> =
        value.as_array()?.iter().map(|value| as_number(value).filter(|&n| fit(n))).collect();
    numbers?.try_into().ok()
}

/// A count for both directions, or two counts: vertical, horizontal.
pub(crate) mod pair {
    use super::*;

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[usize; 2], D::Error> {
        let expected = format!("a whole number from 1 to {MAX_COUNT}, or two of them [vertical, horizontal]");
        value(deserializer, &expected, |value| match value.as_array().map(Vec::as_slice) {
            Some([vertical, horizontal]) => Some([as_count(vertical, 1)?, as_count(horizontal, 1)?]),
            Some(_) => None,
            None => as_count(value, 1).map(|n| [n; 2]),
        })
    }

    pub fn serialize<S: Serializer>(pair: &[usize; 2], serializer: S) -> Result<S::Ok, S::Error> {
        let [vertical, horizontal] = pair;
        if vertical == horizontal { vertical.serialize(serializer) } else { pair.serialize(serializer) }
    }

    /// A pair whose default depends on another setting.
    pub mod optional {
        use super::*;

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[usize; 2]>, D::Error> {
            super::deserialize(deserializer).map(Some)
        }

        pub fn serialize<S: Serializer>(pair: &Option<[usize; 2]>, serializer: S) -> Result<S::Ok, S::Error> {
            match pair {
                Some(pair) => super::serialize(pair, serializer),
                None => serializer.serialize_none(),
            }
        }
    }
}

/// A number for all sides, four numbers, or "same".
pub(crate) mod padding {
    use super::*;

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Pad, D::Error> {
        let expected = "a whole number, four of them [top, bottom, left, right], or \"same\"";
        value(deserializer, expected, |value| match value {
            Value::String(word) => (word == "same").then_some(Pad::Same),
            Value::Array(values) => {
                let sides: Option<Vec<usize>> = values.iter().map(|side| as_count(side, 0)).collect();
                let [top, bottom, left, right] = sides?.try_into().ok()?;
                Some(Pad::Sides(Padding { top, bottom, left, right }))
            }
            value => as_count(value, 0).map(|n| Pad::Sides(Padding::all(n))),
        })
    }

    pub fn serialize<S: Serializer>(pad: &Pad, serializer: S) -> Result<S::Ok, S::Error> {
        match *pad {
            Pad::Same => "same".serialize(serializer),
            Pad::Sides(padding) if padding == Padding::all(padding.top) => padding.top.serialize(serializer),
            Pad::Sides(Padding { top, bottom, left, right }) => [top, bottom, left, right].serialize(serializer),
        }
    }
}
