//! Local response normalisation (paper, section 3.3).

use serde::{Deserialize, Serialize};
use tensor::ops::{AlphaScaling, Lrn, Region};

use super::{KerasLayer, Layer, LayerPosition, ReadLayer};
use crate::model::reader::{Invalid, TableReader};
use crate::model::settings::{count, non_negative, positive};
use crate::model::shape::{Activations, LayerContext, LayerOutput};
use crate::model::writer::TableWriter;
use crate::ops::Stage;

/// The keys of [`Lrn`]. The paper's constants are the defaults.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Lrn", default = "Lrn::paper")]
struct LrnSettings {
    #[serde(deserialize_with = "count")]
    size: usize,
    #[serde(deserialize_with = "non_negative")]
    alpha: f64,
    #[serde(deserialize_with = "non_negative")]
    beta: f64,
    #[serde(deserialize_with = "positive")]
    k: f64,
    #[serde(with = "RegionName")]
    region: Region,
    #[serde(rename = "alpha_rule", with = "AlphaScalingName")]
    alpha_scaling: AlphaScaling,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Region", rename_all = "kebab-case")]
enum RegionName {
    AcrossChannels,
    #[serde(rename = "within-map")]
    WithinChannel,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "AlphaScaling", rename_all = "kebab-case")]
enum AlphaScalingName {
    Sum,
    Mean,
}

impl Layer for Lrn {
    fn kind(&self) -> &'static str {
        Self::KINDS[0]
    }

    fn shape(&self, input: &Activations, _: &LayerContext) -> Result<LayerOutput, String> {
        input.map()?;
        Ok(LayerOutput::without_parameters(input.clone()))
    }

    fn stage(&self, _: &LayerPosition) -> Option<Stage> {
        Some(Stage::Lrn(*self))
    }

    fn takes(&self, stages: &[Stage], next: &Stage) -> bool {
        next.follows_lrn(stages)
    }

    fn write(&self, table: &mut TableWriter) {
        table.write_with(|serializer| LrnSettings::serialize(self, serializer));
    }

    /// Keras lacks it; a `Lambda` can compute it.
    fn keras(&self) -> KerasLayer {
        KerasLayer::plain("Lambda")
    }
}

impl ReadLayer for Lrn {
    const KINDS: &'static [&'static str] = &["lrn"];

    fn read(_: &str, table: &mut TableReader) -> Result<Self, Invalid> {
        table.read_with(|fields| LrnSettings::deserialize(fields))
    }
}
