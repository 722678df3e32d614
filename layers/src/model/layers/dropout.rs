//! Dropout (paper, section 4.2).

use serde::{Deserialize, Deserializer, Serialize};
use tensor::ops::{Dropout, DropoutScale};
use tensor::random::{Stream, purpose};

use super::{KerasLayer, Layer, LayerPosition, ReadLayer};
use crate::model::reader::{Invalid, TableReader};
use crate::model::settings::number;
use crate::model::shape::{Activations, LayerContext, LayerOutput};
use crate::model::writer::TableWriter;
use crate::network::Mode;
use crate::ops::Stage;

/// The keys of [`Dropout`].
#[derive(Serialize, Deserialize)]
#[serde(remote = "Dropout", default = "default_dropout")]
struct DropoutSettings {
    #[serde(deserialize_with = "probability")]
    p: f64,
    #[serde(with = "DropoutScaleName")]
    scale: DropoutScale,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "DropoutScale", rename_all = "kebab-case")]
enum DropoutScaleName {
    AtTest,
    InTraining,
}

fn default_dropout() -> Dropout {
    Dropout { p: 0.5, scale: DropoutScale::InTraining }
}

fn probability<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    number(deserializer, "of at least 0 and below 1", |p| (0.0..1.0).contains(&p))
}

impl Layer for Dropout {
    fn kind(&self) -> &'static str {
        Self::KINDS[0]
    }

    fn shape(&self, input: &Activations, _: &LayerContext) -> Result<LayerOutput, String> {
        Ok(LayerOutput::without_parameters(input.clone()))
    }

    fn stage(&self, position: &LayerPosition) -> Option<Stage> {
        match position.mode {
            Mode::Train { seed, step } if self.p > 0.0 => {
                let stream = Stream::new(seed, purpose::DROPOUT + position.number as u32, step);
                Some(Stage::Dropout(*self, stream))
            }
            Mode::Test if self.test_factor() != 1.0 => Some(Stage::Scale(self.test_factor())),
            _ => None,
        }
    }

    fn write(&self, table: &mut TableWriter) {
        table.write_with(|serializer| DropoutSettings::serialize(self, serializer));
    }

    fn keras(&self) -> KerasLayer {
        KerasLayer::plain("Dropout")
    }
}

impl ReadLayer for Dropout {
    const KINDS: &'static [&'static str] = &["dropout"];

    fn read(_: &str, table: &mut TableReader) -> Result<Self, Invalid> {
        table.read_with(|fields| DropoutSettings::deserialize(fields))
    }
}
