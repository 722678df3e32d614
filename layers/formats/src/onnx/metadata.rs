//! Network, classes and means beside the graph of a file of this crate, in `metadata_props`.
//!
//! | key | value |
//! |---|---|
//! | `alexnet.model` | the network's TOML, with `[input]` and the training's settings |
//! | `alexnet.input` | JSON: `size`, `crop`, `channels`, `scale`, `mean`, `deviation` of `[input]` |
//! | `alexnet.classes` | JSON: the names of the classes in order |
//! | `alexnet.mean_rgb` | JSON: the mean colour, 0 to 255 |
//! | `alexnet.mean_image` | the mean image, 0 to 255: Base64 of little-endian f32 |
//! | `alexnet.mean_image.shape` | JSON: `[height, width, 3]` |
//! | `alexnet.exif_orientation` | `true` if images are turned as their EXIF orientation says |

use layers::Model;
use layers::weights::Weights;
use ndarray::Array3;
use serde::de::DeserializeOwned;

use super::base64;
use super::proto::StringStringEntryProto;

const MODEL: &str = "alexnet.model";
const INPUT: &str = "alexnet.input";
const CLASSES: &str = "alexnet.classes";
const MEAN_RGB: &str = "alexnet.mean_rgb";
const MEAN_IMAGE: &str = "alexnet.mean_image";
const MEAN_IMAGE_SHAPE: &str = "alexnet.mean_image.shape";
const EXIF_ORIENTATION: &str = "alexnet.exif_orientation";

/// The longest text of a network that is read, in bytes.
const MAX_MODEL: usize = 4 << 20;

/// The metadata.
#[derive(Default)]
pub(super) struct Metadata {
    pub model: Option<Model>,
    pub classes: Vec<String>,
    pub mean_rgb: Option<[f32; 3]>,
    pub mean_image: Option<Array3<f32>>,
    pub exif_orientation: bool,
}

impl Metadata {
    /// The entries that are known. What cannot be read is left out, with a note.
    pub fn read(entries: &[StringStringEntryProto], notes: &mut Vec<String>) -> Self {
        let mut metadata = Self::default();
        let text = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
        let mut unread = |key: &str| notes.push(format!("the metadata {key} cannot be read and is left out"));
        if let Some(text) = text(MODEL) {
            metadata.model =
                Some(text).filter(|text| text.len() <= MAX_MODEL).and_then(|t| Model::parse(t, MODEL).ok());
            if metadata.model.is_none() {
                unread(MODEL);
            }
        }
        metadata.classes = json(text(CLASSES), CLASSES, &mut unread).unwrap_or_default();
        metadata.mean_rgb = json(text(MEAN_RGB), MEAN_RGB, &mut unread);
        if let Some(encoded) = text(MEAN_IMAGE) {
            metadata.mean_image = text(MEAN_IMAGE_SHAPE).and_then(|shape| image(encoded, shape));
            if metadata.mean_image.is_none() {
                unread(MEAN_IMAGE);
            }
        }
        metadata.exif_orientation = text(EXIF_ORIENTATION) == Some("true");
        metadata
    }

    /// The entries for a file with these weights.
    pub fn entries(weights: &Weights, model: &Model) -> Vec<StringStringEntryProto> {
        let mut entries = Vec::new();
        let mut add = |key: &str, value: String| entries.push(StringStringEntryProto { key: key.into(), value });
        add(MODEL, model.to_toml());
        add(INPUT, serde_json::to_string(&model.input).unwrap_or_default());
        if !weights.classes.is_empty() {
            add(CLASSES, serde_json::to_string(&weights.classes).unwrap_or_default());
        }
        if let Some(rgb) = weights.mean_rgb {
            add(MEAN_RGB, serde_json::to_string(&rgb).unwrap_or_default());
        }
        if let Some(image) = &weights.mean_image {
            let bytes: Vec<u8> = image.iter().flat_map(|value| value.to_le_bytes()).collect();
            add(MEAN_IMAGE, base64::encode(&bytes));
            add(MEAN_IMAGE_SHAPE, serde_json::to_string(image.shape()).unwrap_or_default());
        }
        if weights.exif_orientation {
            add(EXIF_ORIENTATION, "true".into());
        }
        entries
    }
}

fn json<T: DeserializeOwned>(text: Option<&str>, key: &str, unread: &mut impl FnMut(&str)) -> Option<T> {
    let value = serde_json::from_str(text?).ok();
    if value.is_none() {
        unread(key);
    }
    value
}

fn image(encoded: &str, shape: &str) -> Option<Array3<f32>> {
    let [height, width, colours]: [usize; 3] = serde_json::from_str(shape).ok()?;
    let bytes = base64::decode(encoded)?;
    let (values, rest) = bytes.as_chunks::<4>();
    let values = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let fits = colours == 3 && rest.is_empty();
    Array3::from_shape_vec((height, width, colours), values).ok().filter(|_| fits)
}
