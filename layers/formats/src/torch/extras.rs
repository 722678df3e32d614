//! Network, classes and means beside the parameters, in records that PyTorch does not look at.

use std::path::Path;

use layers::Model;
use layers::weights::Weights;
use ndarray::Array3;
use serde::{Deserialize, Serialize};

use super::archive::Archive;
use crate::{Error, ForeignFile, Result};

/// The record of the texts and small numbers.
pub const DESCRIPTION: &str = "alexnet.json";

/// The record of the mean image: f32, little-endian, of its rows, columns, and red, green, blue.
pub const MEAN_IMAGE: &str = "alexnet.mean_image";

/// The version of [`DESCRIPTION`] that is written, and the newest that is read.
const VERSION: u32 = 1;

/// The longest description, in bytes.
const MAX_DESCRIPTION: u64 = 16 << 20;

/// The content of [`DESCRIPTION`].
#[derive(Deserialize, Serialize)]
struct Description {
    version: u32,
    /// The network's TOML.
    model: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    classes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mean_rgb: Option<[f32; 3]>,
    /// Height and width of the mean image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mean_image: Option<[usize; 2]>,
    #[serde(default)]
    exif_orientation: bool,
}

/// The records for weights of a network: names and bytes.
pub fn records(path: &Path, model: &Model, weights: &Weights) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let image = weights.mean_image.as_ref();
    let description = Description {
        version: VERSION,
        model: model.to_toml(),
        classes: weights.classes.clone(),
        mean_rgb: weights.mean_rgb,
        mean_image: image.map(|image| [image.dim().0, image.dim().1]),
        exif_orientation: weights.exif_orientation,
    };
    let json = serde_json::to_vec(&description).map_err(|e| Error::refused(path, e.to_string()))?;
    let mut records = vec![(DESCRIPTION, json)];
    if let Some(image) = image {
        records.push((MEAN_IMAGE, image.iter().flat_map(|value| value.to_le_bytes()).collect()));
    }
    Ok(records)
}

/// Adds what the records say to a file.
pub fn read(path: &Path, archive: &mut Archive, file: &mut ForeignFile) -> Result<()> {
    let record = archive.optional_record(DESCRIPTION, MAX_DESCRIPTION).map_err(|fault| fault.of(path))?;
    let Some(json) = record else { return Ok(()) };
    let damaged = |what: String| Error::refused(path, format!("{DESCRIPTION}: {what}; the file is damaged"));
    let description: Description = serde_json::from_slice(&json).map_err(|e| damaged(e.to_string()))?;
    if description.version > VERSION {
        let version = description.version;
        let what =
            format!("written by version {version} of its description, this reads up to {VERSION}; update alexnet");
        return Err(Error::refused(path, what));
    }
    file.model = Some(Model::parse(&description.model, &path.display().to_string())?);
    file.classes = description.classes;
    file.mean_rgb = description.mean_rgb;
    file.exif_orientation = description.exif_orientation;
    if let Some(shape) = description.mean_image {
        let bytes = archive.optional_record(MEAN_IMAGE, u64::MAX).map_err(|fault| fault.of(path))?;
        let image = bytes.and_then(|bytes| image(shape, &bytes));
        file.mean_image = Some(image.ok_or_else(|| damaged(format!("expected a mean image of {shape:?}")))?);
    }
    Ok(())
}

fn image([height, width]: [usize; 2], bytes: &[u8]) -> Option<Array3<f32>> {
    let (values, rest) = bytes.as_chunks::<4>();
    let values = values.iter().map(|&value| f32::from_le_bytes(value)).collect();
    Array3::from_shape_vec((height, width, 3), values).ok().filter(|_| rest.is_empty())
}
