//! Initial values of parameters.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use tensor::random::Stream;
use tensor::{Backend, Tensor};

use crate::Result;
use crate::model::settings::{finite, non_negative};

/// The distribution of a parameter's initial values.
///
/// In a model file it is a table like `{ kind = "normal", std = 0.01 }`.
///
/// ```
/// use alexnet_layers::Init;
/// use alexnet_layers::tensor::{Cpu, random::Stream};
///
/// assert_eq!(Init::HeNormal.resolve([50, 7]), Init::Normal { mean: 0.0, std: 0.2 });
/// let weights = Init::HeNormal.tensor(&Cpu::<f32>::new(1)?, &[7, 50], [50, 7], Stream::new(1, 0, 0))?;
/// assert_eq!(weights.shape(), [7, 50]);
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(into = "InitTable")]
#[non_exhaustive]
pub enum Init {
    /// All values the same.
    Constant(f64),
    /// The normal distribution (paper, section 5: mean 0, deviation 0.01).
    Normal {
        /// Its mean.
        mean: f64,
        /// Its standard deviation.
        std: f64,
    },
    /// The uniform distribution on `[low, high)`.
    Uniform {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// Uniform within +-sqrt(6 / (fan in + fan out)) (Glorot and Bengio, 2010), also called Xavier; Keras' default.
    GlorotUniform,
    /// Normal with deviation sqrt(2 / (fan in + fan out)).
    GlorotNormal,
    /// Uniform within +-sqrt(6 / fan in) (He et al., 2015), also called Kaiming.
    HeUniform,
    /// Normal with deviation sqrt(2 / fan in).
    HeNormal,
    /// Uniform within +-1 / sqrt(fan in): PyTorch's default for weights and biases of convolutions and linear layers.
    TorchDefault,
}

impl Init {
    /// The same distribution as [`Constant`](Self::Constant), [`Normal`](Self::Normal) or [`Uniform`](Self::Uniform),
    /// for a layer each of whose outputs sums `fan_in` inputs and each of whose inputs goes into `fan_out` outputs.
    pub fn resolve(self, [fan_in, fan_out]: [usize; 2]) -> Self {
        let fan_in = fan_in.max(1) as f64;
        let fan_out = fan_out.max(1) as f64;
        let within = |bound: f64| Self::Uniform { low: -bound, high: bound };
        let around_zero = |variance: f64| Self::Normal { mean: 0.0, std: variance.sqrt() };
        match self {
            Self::GlorotUniform => within((6.0 / (fan_in + fan_out)).sqrt()),
            Self::GlorotNormal => around_zero(2.0 / (fan_in + fan_out)),
            Self::HeUniform => within((6.0 / fan_in).sqrt()),
            Self::HeNormal => around_zero(2.0 / fan_in),
            Self::TorchDefault => within(1.0 / fan_in.sqrt()),
            plain => plain,
        }
    }

    /// A tensor of `shape`, drawn on the device: value i is draw i of `stream`, so it does not depend on the device.
    ///
    /// # Errors
    /// Those of [`Tensor::normal`]: a shape of too many values, or no memory.
    pub fn tensor<B: Backend>(
        self,
        device: &B,
        shape: &[usize],
        fans: [usize; 2],
        stream: Stream,
    ) -> Result<Tensor<B>> {
        Ok(match self.resolve(fans) {
            Self::Constant(value) => Tensor::full(device, shape, value)?,
            Self::Normal { mean, std } => Tensor::normal(device, shape, mean, std, stream)?,
            Self::Uniform { low, high } => Tensor::uniform(device, shape, low, high, stream)?,
            _ => unreachable!("resolve leaves these three"),
        })
    }
}

/// An [`Init`] in a model file.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InitTable {
    kind: Option<InitKind>,
    #[serde(default, deserialize_with = "optional", skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    #[serde(default, deserialize_with = "optional", skip_serializing_if = "Option::is_none")]
    mean: Option<f64>,
    #[serde(default, deserialize_with = "optional_std", skip_serializing_if = "Option::is_none")]
    std: Option<f64>,
    #[serde(default, deserialize_with = "optional", skip_serializing_if = "Option::is_none")]
    low: Option<f64>,
    #[serde(default, deserialize_with = "optional", skip_serializing_if = "Option::is_none")]
    high: Option<f64>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum InitKind {
    Constant,
    Normal,
    Uniform,
    #[serde(alias = "xavier-uniform")]
    GlorotUniform,
    #[serde(alias = "xavier-normal")]
    GlorotNormal,
    #[serde(alias = "kaiming-uniform")]
    HeUniform,
    #[serde(alias = "kaiming-normal")]
    HeNormal,
    TorchDefault,
}

fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<f64>, D::Error> {
    finite(deserializer).map(Some)
}

fn optional_std<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<f64>, D::Error> {
    non_negative(deserializer).map(Some)
}

impl InitTable {
    const fn of(kind: InitKind) -> Self {
        Self { kind: Some(kind), value: None, mean: None, std: None, low: None, high: None }
    }

    /// The keys that have values.
    fn keys(&self) -> Vec<&'static str> {
        let numbers =
            [("value", self.value), ("mean", self.mean), ("std", self.std), ("low", self.low), ("high", self.high)];
        let given = numbers.iter().filter(|(_, number)| number.is_some()).map(|(key, _)| *key);
        std::iter::once("kind").chain(given).collect()
    }
}

impl InitTable {
    /// The distribution.
    ///
    /// # Errors
    /// A message that names the missing key or the wrong range.
    fn init(&self, kind: InitKind) -> std::result::Result<Init, String> {
        let required = |key: &str, value: Option<f64>, expected: &str| {
            value.ok_or_else(|| format!("{key:?} is missing; it must be {expected}"))
        };
        Ok(match kind {
            InitKind::Constant => Init::Constant(required("value", self.value, "a number")?),
            InitKind::Normal => {
                let std = required("std", self.std, "a standard deviation of at least 0")?;
                Init::Normal { mean: self.mean.unwrap_or(0.0), std }
            }
            InitKind::Uniform => {
                let low = required("low", self.low, "a number")?;
                let high = required("high", self.high, "a number")?;
                if low > high {
                    return Err(format!("\"low\" must not be above \"high\", got {low} and {high}"));
                }
                Init::Uniform { low, high }
            }
            InitKind::GlorotUniform => Init::GlorotUniform,
            InitKind::GlorotNormal => Init::GlorotNormal,
            InitKind::HeUniform => Init::HeUniform,
            InitKind::HeNormal => Init::HeNormal,
            InitKind::TorchDefault => Init::TorchDefault,
        })
    }
}

impl From<Init> for InitTable {
    fn from(init: Init) -> Self {
        match init {
            Init::Constant(value) => Self { value: Some(value), ..Self::of(InitKind::Constant) },
            Init::Normal { mean, std } => Self { mean: Some(mean), std: Some(std), ..Self::of(InitKind::Normal) },
            Init::Uniform { low, high } => Self { low: Some(low), high: Some(high), ..Self::of(InitKind::Uniform) },
            Init::GlorotUniform => Self::of(InitKind::GlorotUniform),
            Init::GlorotNormal => Self::of(InitKind::GlorotNormal),
            Init::HeUniform => Self::of(InitKind::HeUniform),
            Init::HeNormal => Self::of(InitKind::HeNormal),
            Init::TorchDefault => Self::of(InitKind::TorchDefault),
        }
    }
}

impl<'de> Deserialize<'de> for Init {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(InitVisitor)
    }
}

struct InitVisitor;

impl<'de> Visitor<'de> for InitVisitor {
    type Value = Init;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a table like { kind = \"normal\", std = 0.01 }")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Init, A::Error> {
        let table = InitTable::deserialize(MapAccessDeserializer::new(map))?;
        let kind = table.kind.ok_or_else(|| A::Error::invalid_value(Unexpected::Map, &self))?;
        let init = table.init(kind).map_err(A::Error::custom)?;
        // The distribution's own table has the keys that this one may have.
        let known = InitTable::from(init).keys();
        match table.keys().iter().find(|key| !known.contains(key)) {
            Some(key) => Err(A::Error::custom(format!("unknown key {key:?}; the keys are {}", known.join(", ")))),
            None => Ok(init),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_follow_from_the_fans() {
        // PyTorch's nn.Linear(100, 50): bound 0.1. Keras' Dense(50) on 100: sqrt(6 / 150) = 0.2.
        assert_eq!(Init::TorchDefault.resolve([100, 50]), Init::Uniform { low: -0.1, high: 0.1 });
        assert_eq!(Init::GlorotUniform.resolve([100, 50]), Init::Uniform { low: -0.2, high: 0.2 });
        assert_eq!(Init::HeNormal.resolve([50, 7]), Init::Normal { mean: 0.0, std: 0.2 });
        assert_eq!(Init::GlorotNormal.resolve([150, 50]), Init::Normal { mean: 0.0, std: 0.1 });
        assert_eq!(Init::HeUniform.resolve([24, 1]), Init::Uniform { low: -0.5, high: 0.5 });
        assert_eq!(Init::Constant(1.0).resolve([3, 3]), Init::Constant(1.0));
    }
}
