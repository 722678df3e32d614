//! Types of settings that several layers share, as functions for `serde`'s `deserialize_with`, `serialize_with` and
//! `with`: counts, numbers of a range, pairs, paddings, biases.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tensor::ops::Padding;
use toml::Value;

use super::parameter::{Layout, ParameterSpec};
use super::shape::{LayerContext, value_count};
use crate::init::Init;

/// The largest count of anything: pixels, channels, units, steps. Products of a few stay far from overflow.
pub(crate) const MAX_COUNT: usize = 1 << 20;

/// Zeros around a layer's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pad {
    /// A number for each side.
    Sides(Padding),
    /// TensorFlow's `same`: as many as make the output `ceil(input / stride)`.
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

/// Initial values of a layer's weights and bias, and their multipliers in training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ParameterSettings {
    /// Initial weights; PyTorch's default unless given.
    pub init: Init,
    /// Initial biases, 0 unless given; `None` for a layer without a bias.
    #[serde(with = "bias")]
    pub bias: Option<Init>,
    /// Multiplies the learning rate of the weights; 1 unless given.
    #[serde(deserialize_with = "non_negative")]
    pub weight_rate: f64,
    /// Multiplies the learning rate of the bias; 1 unless given.
    #[serde(deserialize_with = "non_negative")]
    pub bias_rate: f64,
    /// Multiplies the decay of the weights; 1 unless given.
    #[serde(deserialize_with = "non_negative")]
    pub weight_decay: f64,
    /// Multiplies the decay of the bias; 1 unless given.
    #[serde(deserialize_with = "non_negative")]
    pub bias_decay: f64,
}

impl Default for ParameterSettings {
    fn default() -> Self {
        Self {
            init: Init::TorchDefault,
            bias: Some(Init::Constant(0.0)),
            weight_rate: 1.0,
            bias_rate: 1.0,
            weight_decay: 1.0,
            bias_decay: 1.0,
        }
    }
}

impl ParameterSettings {
    /// A weight of this shape, and a bias if the layer has one.
    ///
    /// # Errors
    /// A message if there are too many values.
    pub(super) fn specs(
        &self,
        context: &LayerContext,
        weight_shape: &[usize],
        layout: Layout,
        bias_shape: &[usize],
        fans: [usize; 2],
    ) -> Result<Vec<ParameterSpec>, String> {
        value_count(weight_shape)?;
        let weight = context.parameter("weight", weight_shape, layout, self.init, fans);
        let mut specs = vec![ParameterSpec { rate: self.weight_rate, decay: self.weight_decay, ..weight }];
        if let Some(init) = self.bias {
            let bias = context.parameter("bias", bias_shape, Layout::Vector, init, fans);
            specs.push(ParameterSpec { rate: self.bias_rate, decay: self.bias_decay, ..bias });
        }
        Ok(specs)
    }
}

/// Reads a value that `convert` accepts; `expected` says in words which it does.
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

/// A finite number that `fits`; `range` says in words which do.
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

/// A number, a table of a distribution, or false for no bias.
mod bias {
    use super::*;

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Init>, D::Error> {
        deserializer.deserialize_any(BiasVisitor)
    }

    pub fn serialize<S: Serializer>(bias: &Option<Init>, serializer: S) -> Result<S::Ok, S::Error> {
        match bias {
            None => false.serialize(serializer),
            Some(Init::Constant(value)) => value.serialize(serializer),
            Some(init) => init.serialize(serializer),
        }
    }

    struct BiasVisitor;

    impl<'de> Visitor<'de> for BiasVisitor {
        type Value = Option<Init>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a number or a table like { kind = \"uniform\", ... }, or false for none")
        }

        fn visit_bool<E: de::Error>(self, has_bias: bool) -> Result<Option<Init>, E> {
            if has_bias { Err(E::invalid_value(Unexpected::Bool(true), &self)) } else { Ok(None) }
        }

        fn visit_i64<E: de::Error>(self, n: i64) -> Result<Option<Init>, E> {
            self.visit_f64(n as f64)
        }

        fn visit_u64<E: de::Error>(self, n: u64) -> Result<Option<Init>, E> {
            self.visit_f64(n as f64)
        }

        fn visit_f64<E: de::Error>(self, n: f64) -> Result<Option<Init>, E> {
            if n.is_finite() { Ok(Some(Init::Constant(n))) } else { Err(E::invalid_value(Unexpected::Float(n), &self)) }
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<Init>, A::Error> {
            Init::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
}
