//! A network's input: crop and normalisation of stored images.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::reader::{Invalid, TableReader};
use super::settings::{as_colour, count, optional_count, positive, value};

/// Crop and normalisation of stored images: value = (pixel * scale - mean) / deviation.
///
/// ```
/// use alexnet_layers::Model;
/// use alexnet_layers::model::Mean;
///
/// let input = Model::preset("paper")?.input;
/// assert_eq!((input.size, input.crop, input.mean), (256, 224, Mean::PackImage));
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Height and width of stored images, in pixels; as `crop` unless given.
    #[serde(skip_deserializing)]
    pub size: usize,
    /// Height and width of the network's input, in pixels: a part of the stored image.
    #[serde(deserialize_with = "count")]
    pub crop: usize,
    /// The order of the colours; RGB unless given.
    #[serde(default)]
    pub channels: ChannelOrder,
    /// Multiplies pixel values, which are 0 to 255; 1 unless given.
    #[serde(default = "unit_scale", deserialize_with = "positive")]
    pub scale: f64,
    /// Subtracted from scaled values; nothing unless given.
    #[serde(default)]
    pub mean: Mean,
    /// Divides the differences: red, green, blue. Nothing unless given.
    #[serde(default, deserialize_with = "deviation", skip_serializing_if = "Option::is_none")]
    pub deviation: Option<[f64; 3]>,
}

/// The key of [`Input`] whose default is another.
#[derive(Deserialize)]
struct StoredSize {
    #[serde(default, deserialize_with = "optional_count")]
    size: Option<usize>,
}

/// The order of the colours in a network's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelOrder {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first, as OpenCV and so Caffe read images.
    Bgr,
}

/// Values to subtract from scaled pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Mean {
    /// Nothing.
    #[default]
    None,
    /// The training set's mean image, times scale (paper, section 2).
    PackImage,
    /// The training set's mean colour, times scale.
    PackRgb,
    /// Fixed values: red, green, blue, for both orders of the channels.
    Rgb([f64; 3]),
}

impl Input {
    pub(super) fn read(table: &mut TableReader) -> Result<Self, Invalid> {
        let input = table.read::<Self>();
        let stored = table.read::<StoredSize>();
        table.finish()?;
        let input = input?;
        let size = stored?.size.unwrap_or(input.crop);
        if input.crop > size {
            let message = format!("\"crop\" must not be larger than \"size\", got {} and {size}", input.crop);
            return Err(Invalid::Message(message));
        }
        Ok(Self { size, ..input })
    }
}

fn unit_scale() -> f64 {
    1.0
}

fn deviation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[f64; 3]>, D::Error> {
    let expected = "three numbers above 0 [red, green, blue]";
    value(deserializer, expected, |value| as_colour(value, |n| n > 0.0).map(Some))
}

impl<'de> Deserialize<'de> for Mean {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "\"none\", \"pack-image\", \"pack-rgb\" or three numbers [red, green, blue]";
        value(deserializer, expected, |value| match value.as_str() {
            Some("none") => Some(Self::None),
            Some("pack-image") => Some(Self::PackImage),
            Some("pack-rgb") => Some(Self::PackRgb),
            Some(_) => None,
            None => as_colour(value, |_| true).map(Self::Rgb),
        })
    }
}

impl Serialize for Mean {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => "none".serialize(serializer),
            Self::PackImage => "pack-image".serialize(serializer),
            Self::PackRgb => "pack-rgb".serialize(serializer),
            Self::Rgb(colour) => colour.serialize(serializer),
        }
    }
}
