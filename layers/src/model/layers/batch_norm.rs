//! Batch normalisation (Ioffe and Szegedy, 2015).

use serde::{Deserialize, Deserializer, Serialize};
use tensor::Backend;

use super::{ForwardContext, KerasLayer, Layer, ReadLayer};
use crate::init::Init;
use crate::model::parameter::ParameterSpec;
use crate::model::reader::{Invalid, TableReader};
use crate::model::settings::{non_negative, number, positive, value};
use crate::model::shape::{Activations, LayerContext, LayerOutput};
use crate::model::writer::TableWriter;
use crate::{Error, Var, nn};

/// Batch normalisation of each channel, like PyTorch's `BatchNorm2d`, with the same defaults. Its settings; with
/// parameters it is [`nn::BatchNorm`].
///
/// ```
/// use alexnet_layers::model::BatchNorm;
///
/// let slower = BatchNorm { momentum: 0.01, ..BatchNorm::default() };
/// assert_eq!(slower.epsilon, 1e-5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BatchNorm {
    /// Added to the variance; 1e-5 unless given.
    #[serde(deserialize_with = "positive")]
    pub epsilon: f64,
    /// Weight of the new batch in the running statistics, 0.1 unless given. This is PyTorch's definition; Keras'
    /// momentum is 1 minus this.
    #[serde(deserialize_with = "fraction")]
    pub momentum: f64,
    /// Multiplies the learning rate of scale and shift; 1 unless given.
    #[serde(deserialize_with = "non_negative")]
    pub rate: f64,
    /// Multiplies the decay of scale and shift; 1 unless given.
    #[serde(deserialize_with = "non_negative")]
    pub decay: f64,
    /// Whether training changes neither scale and shift nor the running statistics, and normalises by the latter, as
    /// torchvision's `FrozenBatchNorm2d`; false unless given.
    #[serde(deserialize_with = "flag", skip_serializing_if = "is_false")]
    pub frozen: bool,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self { epsilon: 1e-5, momentum: 0.1, rate: 1.0, decay: 1.0, frozen: false }
    }
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    value(deserializer, "true or false", toml::Value::as_bool)
}

/// Files of networks without a frozen layer stay readable for versions that know none.
fn is_false(flag: &bool) -> bool {
    !flag
}

fn fraction<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    number(deserializer, "from 0 to 1", |n| (0.0..=1.0).contains(&n))
}

impl BatchNorm {
    /// Scale, shift and running statistics of this many channels.
    pub(crate) fn specs(&self, channels: usize) -> [ParameterSpec; 4] {
        let vector = |name: &str, value: f64| ParameterSpec::new(name, &[channels]).init(Init::Constant(value));
        let rate = if self.frozen { 0.0 } else { self.rate };
        [
            vector("weight", 1.0).multipliers(rate, self.decay),
            vector("bias", 0.0).multipliers(rate, self.decay),
            vector("running_mean", 0.0).statistic(),
            vector("running_var", 1.0).statistic(),
        ]
    }
}

impl Layer for BatchNorm {
    fn kind(&self) -> &'static str {
        Self::KINDS[0]
    }

    fn shape(&self, input: &Activations, _: &LayerContext) -> Result<LayerOutput, String> {
        if input.is_flattened() {
            return Err("must not follow flatten, since it normalises channels; put it before".into());
        }
        let parameters = self.specs(input.channels()).to_vec();
        Ok(LayerOutput { activations: input.clone(), parameters, macs: 0 })
    }

    fn forward<B: Backend>(&self, x: &Var<B>, context: &mut ForwardContext<'_, B>) -> crate::Result<Var<B>> {
        let [gamma, beta, mean, variance] = context.parameters else {
            return Err(Error::tape("batch norm", "the layer's parameters are missing"));
        };
        nn::batch_norm::compute(self, [gamma, beta, mean, variance], x, context.pass)
    }

    fn write(&self, table: &mut TableWriter) {
        table.write(self);
    }

    fn keras(&self) -> KerasLayer {
        KerasLayer::plain("BatchNormalization")
    }
}

impl ReadLayer for BatchNorm {
    const KINDS: &'static [&'static str] = &["batch-norm"];

    fn read(_: &str, table: &mut TableReader) -> Result<Self, Invalid> {
        table.read()
    }
}
