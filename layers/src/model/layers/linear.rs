//! Fully connected layers.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tensor::Backend;

use super::{ForwardContext, KerasLayer, Layer, ReadLayer};
use crate::Var;
use crate::model::parameter::{Layout, ParameterSpec};
use crate::model::parameter_settings::ParameterSettings;
use crate::model::reader::{Invalid, TableReader};
use crate::model::settings::{MAX_COUNT, as_count, value};
use crate::model::shape::{Activations, LayerContext, LayerOutput, value_count};
use crate::model::writer::TableWriter;
use crate::ops::Stage;

/// A fully connected layer, like PyTorch's `Linear`. A map is flattened first. Its settings; with parameters it is
/// [`nn::Linear`](crate::nn::Linear).
///
/// ```
/// use alexnet_layers::LayerKind;
/// use alexnet_layers::model::{Linear, ParameterSettings, Units};
///
/// let last = LayerKind::Linear(Linear { units: Units::Classes, parameters: ParameterSettings::default() });
/// assert_eq!(last.name(), "linear");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// Outputs, PyTorch's `out_features`.
    pub units: Units,
    /// Settings of weights and bias; in a model file they are keys of the same table.
    #[serde(flatten, skip_deserializing)]
    pub parameters: ParameterSettings,
}

/// Outputs of a linear layer: a number, or "classes".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// One for each of the model's classes.
    Classes,
    /// A fixed number.
    Number(usize),
}

impl<'de> Deserialize<'de> for Units {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = format!("a whole number from 1 to {MAX_COUNT}, or \"classes\"");
        value(deserializer, &expected, |value| match value.as_str() {
            Some(word) => (word == "classes").then_some(Self::Classes),
            None => as_count(value, 1).map(Self::Number),
        })
    }
}

impl Serialize for Units {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Classes => "classes".serialize(serializer),
            Self::Number(n) => n.serialize(serializer),
        }
    }
}

/// Weights and bias for `inputs` values, which may be those of a flattened map.
pub(crate) fn specs(
    settings: &ParameterSettings,
    inputs: usize,
    map: Option<[usize; 3]>,
    units: usize,
) -> Result<Vec<ParameterSpec>, String> {
    let layout = match map {
        Some([height, width, channels]) => Layout::LinearAfterFlatten { height, width, channels },
        None => Layout::Linear,
    };
    settings.specs(&[units, inputs], layout, &[units], [inputs, units])
}

impl Layer for Linear {
    fn kind(&self) -> &'static str {
        Self::KINDS[0]
    }

    fn shape(&self, input: &Activations, context: &LayerContext) -> Result<LayerOutput, String> {
        let units = match self.units {
            Units::Classes => context.classes,
            Units::Number(n) => n,
        };
        let inputs = input.len();
        Ok(LayerOutput {
            activations: Activations::new(&[units])?,
            parameters: specs(&self.parameters, inputs, input.flattened_map(), units)?,
            macs: value_count(&[units, inputs])? as u64,
        })
    }

    fn takes(&self, stages: &[Stage], next: &Stage) -> bool {
        next.follows_linear(stages)
    }

    fn forward<B: Backend>(&self, x: &Var<B>, context: &mut ForwardContext<'_, B>) -> crate::Result<Var<B>> {
        let weight = context.weight()?;
        let bias = context.bias();
        let is_flat = x.shape().len() == 2;
        let rows = if is_flat { x.clone() } else { context.pass.tape.flatten(x)? };
        context.pass.tape.linear(&rows, &weight, bias.as_ref(), context.stages)
    }

    fn write(&self, table: &mut TableWriter) {
        table.write(self);
    }

    fn keras(&self) -> KerasLayer {
        KerasLayer { flat_input: true, ..KerasLayer::with_activation("Dense") }
    }
}

impl ReadLayer for Linear {
    const KINDS: &'static [&'static str] = &["linear"];

    fn read(_: &str, table: &mut TableReader) -> Result<Self, Invalid> {
        let linear = table.read::<Self>();
        Ok(Self { parameters: table.read()?, ..linear? })
    }
}
