//! The settings of weights and biases, which every layer that has them shares.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::parameter::{Layout, ParameterSpec};
use super::settings::non_negative;
use super::shape::value_count;
use crate::init::Init;

/// Initial values of a layer's weights and bias, and their multipliers in training.
///
/// ```
/// use alexnet_layers::Init;
/// use alexnet_layers::model::ParameterSettings;
///
/// let paper = ParameterSettings {
///     init: Init::Normal { mean: 0.0, std: 0.01 },
///     bias: Some(Init::Constant(1.0)),
///     ..ParameterSettings::default()
/// };
/// assert_eq!(paper.weight_rate, 1.0);
/// ```
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
    /// `weight` of this shape, and `bias` if the layer has one.
    ///
    /// # Errors
    /// A message if there are too many values.
    pub(crate) fn specs(
        &self,
        weight_shape: &[usize],
        layout: Layout,
        bias_shape: &[usize],
        fans: [usize; 2],
    ) -> Result<Vec<ParameterSpec>, String> {
        value_count(weight_shape)?;
        let weight = ParameterSpec::new("weight", weight_shape).layout(layout).init(self.init).fans(fans);
        let mut specs = vec![weight.multipliers(self.weight_rate, self.weight_decay)];
        if let Some(init) = self.bias {
            let bias = ParameterSpec::new("bias", bias_shape).init(init).fans(fans);
            specs.push(bias.multipliers(self.bias_rate, self.bias_decay));
        }
        Ok(specs)
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
