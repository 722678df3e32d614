//! Writes `.keras` and `.weights.h5` files that Keras 3 loads.

mod config;
mod hdf5_file;
mod training;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use layers::weights::{AxisOrder, Weights};
use layers::{LayerKind, Model, ParameterSpec};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{MEAN_IMAGE, OWN_METADATA};
use crate::zip_output::ZipOutput;
use crate::{Error, Format, OptimizerState, Result};
use hdf5_file::{LayerVariables, write_weights};

/// Saves weights for Keras 3: [`Format::KerasArchive`] with the network, which `keras.models.load_model` reads, else
/// [`Format::KerasHdf5`], which the `load_weights` of a model of the same layers reads. With the state of an optimizer,
/// Keras goes on with it. Returns notes on what Keras does not have.
///
/// # Errors
/// [`Error::Refused`] for weights without a network, and for a `.keras` of a network with layers that Keras lacks, which
/// it names; [`Error::File`] and [`Error::Refused`] if the file cannot be written. An old file is then kept.
pub fn save(path: &Path, weights: &Weights, optimizer: Option<&OptimizerState>, format: Format) -> Result<Vec<String>> {
    let model = weights.model.as_ref();
    let model =
        model.ok_or_else(|| Error::refused(path, "the weights do not say what network they are for; name it"))?;
    let refused = |what: String| Error::refused(path, what);
    let layers = layers_of(path, model)?;
    let content = Content { path, weights, optimizer, layers };
    let mut notes = training::rate_notes(model, &content.layers);
    if let Some(state) = optimizer {
        notes.extend(training::other_rules(model, state, &content.layers));
    }
    if format != Format::KerasArchive {
        files::replace(path, |temporary| content.write_and_check(temporary))?;
        notes.extend(left_out(weights));
        return Ok(notes);
    }
    let (mut config, more) = config::of(model, weights).map_err(refused)?;
    if let Some(state) = optimizer {
        config["compile_config"] = training::compile_config(model, state);
    }
    files::replace(path, |temporary| content.write_archive(temporary, &config))?;
    notes.extend(more);
    Ok(notes)
}

/// A note on what a `.weights.h5` has no place for.
fn left_out(weights: &Weights) -> Option<String> {
    let has_means = weights.mean_rgb.is_some() || weights.mean_image.is_some();
    let what = match (weights.classes.is_empty(), has_means) {
        (true, false) => return None,
        (false, false) => "the names of the classes are",
        (true, true) => "the mean is",
        (false, true) => "the names of the classes and the mean are",
    };
    Some(format!("{what} left out, for which .weights.h5 has no place; .keras keeps them"))
}

/// The layers with parameters, under the names that Keras gives their groups.
fn layers_of<'a>(path: &Path, model: &'a Model) -> Result<Vec<LayerVariables<'a>>> {
    let mut layers = Vec::new();
    let mut used: BTreeMap<&str, usize> = BTreeMap::new();
    for (layer, shape) in model.layers.iter().zip(model.shapes()?) {
        let class = match layer.kind {
            LayerKind::Conv(_) => "conv2d",
            LayerKind::Linear(_) => "dense",
            LayerKind::BatchNorm(_) => "batch_normalization",
            _ if shape.parameters.is_empty() => continue,
            _ => {
                let kind = layer.kind.name();
                let what =
                    format!("layer {:?}: Keras has no layer of the kind {kind}; save as safetensors", layer.name);
                return Err(Error::refused(path, what));
            }
        };
        let number = used.entry(class).and_modify(|number| *number += 1).or_insert(0);
        let key = if *number == 0 { class.to_string() } else { format!("{class}_{number}") };
        layers.push(LayerVariables { name: &layer.name, key, parameters: shape.parameters });
    }
    Ok(layers)
}

/// The parts of a file.
struct Content<'a> {
    path: &'a Path,
    weights: &'a Weights,
    optimizer: Option<&'a OptimizerState>,
    layers: Vec<LayerVariables<'a>>,
}

impl Content<'_> {
    /// Writes the weights, reads them back and compares.
    fn write_and_check(&self, temporary: &Path) -> Result<()> {
        let cannot = |what: String| Error::refused(self.path, format!("cannot be written: {what}"));
        write_weights(temporary, self.weights, self.optimizer, &self.layers).map_err(cannot)?;
        self.check(temporary)
    }

    /// Fails unless the file holds these weights and this state.
    fn check(&self, temporary: &Path) -> Result<()> {
        let different = |what: &str| {
            let kept = files::if_there(self.path, "; the old file is kept", "");
            Error::refused(self.path, format!("cannot be written: read back, {what} is not what was written{kept}"))
        };
        let written =
            super::read_for(temporary, self.weights.model.as_ref()).map_err(|error| different(&error.to_string()))?;
        let mut found = written.tensors.iter().map(|tensor| (tensor.name.as_str(), &tensor.values)).collect();
        let specs = self.layers.iter().flat_map(|layer| &layer.parameters);
        for spec in specs {
            let expected = self.weights.tensor(&spec.name);
            self.compare(&mut found, spec, expected.map(|values| values.view())).map_err(different)?;
        }
        let slots = self.optimizer.map(|state| state.slots.as_slice()).unwrap_or_default();
        let written = written.optimizer.map(|state| state.slots).unwrap_or_default();
        for ((_, expected), (_, tensors)) in slots.iter().zip(&written) {
            let mut found = tensors.iter().map(|tensor| (tensor.name.as_str(), &tensor.values)).collect();
            for spec in self.layers.iter().flat_map(LayerVariables::with_slots) {
                if let Some(expected) = expected.iter().find(|tensor| tensor.name == spec.name) {
                    self.compare(&mut found, spec, Some(expected.values.view())).map_err(different)?;
                }
            }
        }
        Ok(())
    }

    /// Compares a tensor bit by bit with what was read; the error is its name.
    fn compare<'s>(
        &self,
        found: &mut BTreeMap<&str, &ndarray::ArrayD<f32>>,
        spec: &'s ParameterSpec,
        expected: Option<ndarray::ArrayViewD<'_, f32>>,
    ) -> std::result::Result<(), &'s str> {
        let expected = expected.and_then(|values| AxisOrder::Keras.from_own(spec, values).ok());
        let name = spec.name.as_str();
        let found = found.remove(name).or_else(|| found.remove(spec.export.as_str()));
        let Some(expected) = expected else { return Err(name) };
        let Some(found) = found else { return Err(name) };
        let is_same = expected.iter().zip(found.iter()).all(|(a, b)| a.to_bits() == b.to_bits());
        if is_same && expected.shape() == found.shape() { Ok(()) } else { Err(name) }
    }

    fn write_archive(&self, temporary: &Path, config: &Value) -> Result<()> {
        let system = Error::file(self.path);
        let weights = files::TemporaryFile::create_beside(temporary).map_err(&system)?;
        let cannot = |what: String| Error::refused(self.path, format!("cannot be written: {what}"));
        write_weights(weights.path(), self.weights, self.optimizer, &self.layers).map_err(cannot)?;
        let mut archive = ZipWriter::new(ZipOutput::new(File::create(temporary).map_err(&system)?));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
        let zipped = |error: zip::result::ZipError| system(error.into());
        for (name, value) in [("metadata.json", self.metadata()), ("config.json", config.clone())] {
            archive.start_file(name, options).map_err(zipped)?;
            archive.write_all(value.to_string().as_bytes()).map_err(&system)?;
        }
        if let Some(image) = &self.weights.mean_image {
            archive.start_file(MEAN_IMAGE, options).map_err(zipped)?;
            let bytes: Vec<u8> = image.iter().flat_map(|value| value.to_le_bytes()).collect();
            archive.write_all(&bytes).map_err(&system)?;
        }
        archive.start_file("model.weights.h5", options).map_err(zipped)?;
        let mut file = File::open(weights.path()).map_err(&system)?;
        std::io::copy(&mut file, &mut archive).map_err(&system)?;
        archive.finish().map_err(zipped)?;
        self.check(temporary)
    }

    /// Keras' version, and what Keras has no place for.
    fn metadata(&self) -> Value {
        let network = self.weights.model.as_ref().map(Model::to_toml);
        let mean_rgb = self.weights.mean_rgb;
        let mean_image = self.weights.mean_image.as_ref().map(|image| image.shape().to_vec());
        let exif_orientation = self.weights.exif_orientation;
        json!({
            "keras_version": "3.0.0",
            "date_saved": "1980-01-01@00:00:00",
            OWN_METADATA: {
                "network": network,
                "classes": self.weights.classes,
                "mean_rgb": mean_rgb,
                "mean_image": mean_image,
                "exif_orientation": exif_orientation,
            },
        })
    }
}
