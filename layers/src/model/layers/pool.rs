//! Max and average pooling (paper, section 3.4).

use serde::{Deserialize, Serialize};
use tensor::ops::{Pool2d, PoolKind, RoundMode};

use super::{KerasLayer, Layer, LayerPosition, ReadLayer};
use crate::model::reader::{Invalid, TableReader};
use crate::model::settings::{Pad, padding, pair};
use crate::model::shape::{Activations, LayerContext, LayerOutput};
use crate::model::writer::TableWriter;
use crate::ops::Stage;

/// Max or average pooling of maps `[height, width, channels]` (paper, section 3.4), like PyTorch's `MaxPool2d` and
/// `AvgPool2d`.
///
/// ```
/// use alexnet_layers::model::{Pad, Pool};
/// use alexnet_layers::tensor::ops::{PoolKind, RoundMode};
///
/// let kind = PoolKind::Max;
/// let pool = Pool { kind, kernel: [3; 2], stride: [2; 2], padding: Pad::default(), round_mode: RoundMode::Floor };
/// assert_eq!(pool.operation([55, 55]).stride, [2, 2]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Maximum, or average with or without the padding.
    pub kind: PoolKind,
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride; that of `kernel` unless given.
    pub stride: [usize; 2],
    /// Padding: positions around the image that windows may cover; 0 unless given.
    pub padding: Pad,
    /// Rounding of the number of windows; [`RoundMode::Floor`] unless given.
    pub round_mode: RoundMode,
}

/// The keys of both kinds of pooling.
#[derive(Serialize, Deserialize)]
struct PoolSettings {
    #[serde(with = "pair")]
    kernel: [usize; 2],
    #[serde(default, with = "pair::optional")]
    stride: Option<[usize; 2]>,
    #[serde(default, with = "padding")]
    padding: Pad,
    #[serde(default, rename = "edge", with = "RoundModeName")]
    round_mode: RoundMode,
}

/// The key of average pooling alone.
#[derive(Serialize, Deserialize)]
struct AverageSettings {
    /// Whether padding counts as zeros in the average.
    #[serde(default)]
    count_padding: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RoundMode", rename_all = "kebab-case")]
enum RoundModeName {
    Floor,
    Ceil,
}

impl Pool {
    /// The tensor operation for an input of this height and width.
    pub fn operation(&self, input: [usize; 2]) -> Pool2d {
        let padding = self.padding.resolve(input, self.kernel, self.stride);
        Pool2d { kind: self.kind, kernel: self.kernel, stride: self.stride, padding, round_mode: self.round_mode }
    }
}

impl Layer for Pool {
    fn kind(&self) -> &'static str {
        match self.kind {
            PoolKind::Max => "max-pool",
            _ => "average-pool",
        }
    }

    fn shape(&self, input: &Activations, _: &LayerContext) -> Result<LayerOutput, String> {
        let [height, width, channels] = input.map()?;
        let operation = self.operation([height, width]);
        let geometry = operation.geometry(&[1, height, width, channels]).map_err(|error| error.to_string())?;
        let [height, width] = geometry.output;
        Ok(LayerOutput::without_parameters(Activations::new(&[height, width, channels])?))
    }

    fn stage(&self, position: &LayerPosition) -> Option<Stage> {
        Some(Stage::Pool(self.operation(position.map_size())))
    }

    fn write(&self, table: &mut TableWriter) {
        let Self { kind, kernel, stride, padding, round_mode } = *self;
        table.write(&PoolSettings { kernel, stride: Some(stride), padding, round_mode });
        if kind != PoolKind::Max {
            table.write(&AverageSettings { count_padding: kind == PoolKind::AverageWithPadding });
        }
    }

    fn keras(&self) -> KerasLayer {
        match self.kind {
            PoolKind::Max => KerasLayer::plain("MaxPooling2D"),
            _ => KerasLayer::plain("AveragePooling2D"),
        }
    }
}

impl ReadLayer for Pool {
    const KINDS: &'static [&'static str] = &["max-pool", "average-pool"];

    fn read(kind: &str, table: &mut TableReader) -> Result<Self, Invalid> {
        let settings = table.read::<PoolSettings>();
        let kind = match kind {
            "max-pool" => PoolKind::Max,
            _ if table.read::<AverageSettings>()?.count_padding => PoolKind::AverageWithPadding,
            _ => PoolKind::Average,
        };
        let PoolSettings { kernel, stride, padding, round_mode } = settings?;
        Ok(Self { kind, kernel, stride: stride.unwrap_or(kernel), padding, round_mode })
    }
}
