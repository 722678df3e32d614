//! Keras: `.keras`, `.weights.h5` and `.h5` files.
//!
//! | file | network | weights |
//! |---|---|---|
//! | `.keras` (Keras 3) | `config.json` in a zip | `model.weights.h5` in it |
//! | `.weights.h5` (Keras 3) | none: name it | groups by class and number: `layers/conv2d_1/vars/0` |
//! | `.h5` (Keras 2 and 3) | attribute `model_config` | groups by the layers' names |
//!
//! Kernels are `[height, width, in, out]`, dense ones `[in, out]`, and rows of flattened maps run over height, width,
//! channels as here. A network is a Sequential, or a functional model of one layer after another, of the layers that
//! this workspace has. Activation functions in layers become layers of their own: `conv2d` and `conv2d_relu`.

mod architecture;
mod archive;
mod arrange;
mod chain;
mod initializer;
mod network;
mod optimizer;
mod preprocessing;
mod settings;
mod stored;
mod write;

use std::collections::BTreeMap;
use std::path::Path;

use files::regular_file;
use layers::weights::{AxisOrder, narrow};
use layers::{Model, ParameterSpec};
use ndarray::{Array3, ArrayD, IxDyn};
use serde_json::Value;

use crate::error::Fault;
use crate::hdf5_tree::{SIGNATURE, Source, Tree};
use crate::{Error, ForeignFile, ForeignTensor, Format, Result};
use architecture::Architecture;
use archive::Archive;
use arrange::UndescribedLayer;
use network::Statistics;
use optimizer::{Kind, Trained};
use stored::{Layout, StoredLayer};

pub use write::save;

/// The entry of an archive's metadata in which this workspace keeps what Keras has no place for.
const OWN_METADATA: &str = "alexnet";
/// The part of an archive that is the mean image: f32 values, little-endian.
const MEAN_IMAGE: &str = "alexnet_mean_image.f32";

/// The attribute of a layer's group, `"false"` for one that is frozen: a `.weights.h5` of this workspace says so itself.
const TRAINABLE: &str = "trainable";

/// Reads a file.
///
/// # Errors
/// [`Error::File`] if it cannot be read; [`Error::Refused`] if it is damaged or holds something that is not read.
pub fn read(path: &Path) -> Result<ForeignFile> {
    read_for(path, None)
}

/// Reads a file; the layers of one that describes no network are then in the order of `model`.
pub(crate) fn read_for(path: &Path, model: Option<&Model>) -> Result<ForeignFile> {
    KerasFile::open(path)?.into_foreign(path, model)
}

/// Whether Keras trains a layer: it freezes all of its parameters or none.
fn is_trained(parameters: &[ParameterSpec]) -> bool {
    parameters.iter().any(ParameterSpec::is_trainable)
}

/// The network that a file describes.
///
/// # Errors
/// Those of [`read`]; [`Error::Refused`] also for a `.weights.h5`, which holds no network.
pub fn model(path: &Path) -> Result<Model> {
    let mut file = KerasFile::open(path)?;
    let stored = file.stored(path)?;
    match file.architecture(path, &stored)? {
        Some(architecture) if architecture.is_headless => Err(Error::refused(path, architecture::HEADLESS)),
        Some(architecture) => Ok(Own::of(&file.own, &architecture.model).map_or(architecture.model, |own| own.model)),
        None => Err(Error::refused(path, "holds weights but no network; save the whole model (model.save)")),
    }
}

/// Whether an HDF5 file is one of Keras. A file that is not readable is not.
pub(crate) fn is_hdf5(path: &Path) -> bool {
    let Ok(file) = regular_file::open(path) else { return false };
    let Ok(length) = file.metadata().map(|metadata| metadata.len()) else { return false };
    let source = Source::new(file, 0, length);
    let Ok(attributes) = Tree::root_attributes(&source) else { return false };
    let has = |name: &str| attributes.iter().any(|attribute| attribute.name == name);
    let names = ["keras_version", "model_config", "layer_names", "layer_names0"];
    // A file of this workspace has a mark of its own.
    names.into_iter().any(has) || !has("format") && Tree::read(source).is_ok_and(|tree| is_layout(&tree))
}

fn is_layout(tree: &Tree) -> bool {
    matches!(Layout::of(tree), Ok(Some(_)))
}

/// An opened file.
struct KerasFile {
    format: Format,
    /// The configuration of the model.
    config: Option<Value>,
    /// The configuration of its training.
    compile: Option<Value>,
    /// The entry of this workspace, if it wrote the file.
    own: Option<Value>,
    /// The mean image that this workspace wrote.
    mean_image: Vec<u8>,
    tree: Tree,
    layout: Layout,
}

/// The error of a file's content, or of the system.
fn failed(path: &Path) -> impl Fn(Fault) -> Error + '_ {
    move |fault| fault.of(path)
}

impl KerasFile {
    fn open(path: &Path) -> Result<Self> {
        let mut start = [0; 8];
        let mut file = regular_file::open(path).map_err(Error::file(path))?;
        let length = file.metadata().map_err(Error::file(path))?.len();
        let is_hdf5 = std::io::Read::read_exact(&mut file, &mut start).is_ok() && start == SIGNATURE;
        let failed = failed(path);
        let (format, tree, config, compile, own, mean_image) = if is_hdf5 {
            let tree = Tree::read(Source::new(file, 0, length)).map_err(&failed)?;
            let json = |attribute: &str| match tree.text("", attribute).map_err(&failed)? {
                Some(text) => archive::parse_config(path, text.as_bytes()).map(Some),
                None => Ok(None),
            };
            let config = json("model_config")?;
            let compile = json("training_config")?;
            (Format::KerasHdf5, tree, config, compile, None, Vec::new())
        } else {
            let Archive { config, own, mean_image, weights } = Archive::open(path)?;
            let compile = config.get("compile_config").cloned();
            let tree = Tree::read(weights).map_err(&failed)?;
            (Format::KerasArchive, tree, Some(config), compile, own, mean_image)
        };
        match Layout::of(&tree).map_err(&failed)? {
            Some(layout) => Ok(Self { format, config, compile, own, mean_image, tree, layout }),
            None => Err(Error::refused(path, "HDF5, but neither weights of Keras nor of this program")),
        }
    }

    fn stored(&self, path: &Path) -> Result<Vec<StoredLayer>> {
        self.layout.layers(&self.tree).map_err(failed(path))
    }

    /// The network of the configuration, if there is one.
    fn architecture(&mut self, path: &Path, stored: &[StoredLayer]) -> Result<Option<Architecture>> {
        let Some(config) = &self.config else { return Ok(None) };
        let refused = |what: String| Error::refused(path, what);
        let layers = chain::layers(config).map_err(refused)?;
        let mut statistics = Statistics::new();
        for layer in layers.iter().filter(|layer| layer.class == "Normalization") {
            let Some([mean, variance, ..]) = self.find(stored, &layer.key, &layer.name).map(Vec::as_slice) else {
                continue;
            };
            let mut of = |path_in: &str| {
                let values = self.tree.floats(path_in).map_err(failed(path))?;
                Ok::<_, Error>(values.iter().map(|&value| f64::from(value)).collect())
            };
            statistics.insert(layer.key.clone(), [of(mean)?, of(variance)?]);
        }
        let origin = path.display().to_string();
        let compile = self.compile.as_ref().filter(|compile| !compile.is_null());
        architecture::read(config, &layers, compile, &statistics, &origin).map(Some).map_err(refused)
    }

    /// The variables of a layer.
    fn find<'a>(&self, stored: &'a [StoredLayer], key: &str, name: &str) -> Option<&'a Vec<String>> {
        let by_key = |key: &str| stored.iter().find(|layer| layer.key == key);
        let found = match self.layout {
            Layout::Numbered => by_key(key),
            Layout::Named(_) => stored.iter().find(|layer| layer.name == name).or_else(|| by_key(name)),
        };
        found.map(|layer| &layer.variables)
    }

    fn into_foreign(mut self, path: &Path, model: Option<&Model>) -> Result<ForeignFile> {
        let stored = self.stored(path)?;
        let architecture = self.architecture(path, &stored)?;
        let kind = architecture.as_ref().map_or(Kind::Unknown, |architecture| architecture.optimizer.clone());
        let mut notes = Vec::new();
        let (tensors, trained) = match &architecture {
            Some(architecture) => {
                let (tensors, trained) = self.described(path, &stored, architecture)?;
                (tensors, vec![trained])
            }
            None => self.undescribed(path, &stored, model)?,
        };
        let state = optimizer::read(&mut self.tree, self.layout, kind, &trained, &mut notes);
        let mut optimizer = state.map_err(failed(path))?;
        if let (None, Some(model), Some(state)) = (&architecture, model, &mut optimizer) {
            optimizer::name_after(state, model);
        }
        let file = ForeignFile { tensors, optimizer, notes, ..ForeignFile::new(self.format, AxisOrder::Keras) };
        let Some(architecture) = architecture else { return Ok(file) };
        if let Some(own) = Own::of(&self.own, &architecture.model) {
            return Ok(own.complete(file, &self.mean_image));
        }
        let notes = architecture.notes.into_iter().chain(file.notes).collect();
        let model = (!architecture.is_headless).then_some(architecture.model);
        Ok(ForeignFile { model, notes, ..file })
    }

    /// The tensors of the network that the file describes, and those that its optimizer trains.
    fn described(
        &mut self,
        path: &Path,
        stored: &[StoredLayer],
        architecture: &Architecture,
    ) -> Result<(Vec<ForeignTensor>, Vec<Trained>)> {
        let mut tensors = Vec::new();
        let mut trained = Vec::new();
        for layer in &architecture.variables {
            let found = self.find(stored, &layer.key, &layer.name);
            let found = found.ok_or_else(|| {
                Error::refused(path, format!("the weights of layer {:?} are missing; save the model again", layer.name))
            })?;
            if found.len() != layer.tensors.len() {
                let what = format!("layer {:?} has {} tensors", layer.name, found.len());
                return Err(Error::refused(path, format!("{what}, expected {}; it is damaged", layer.tensors.len())));
            }
            for (variable, (name, is_trained)) in found.iter().zip(&layer.tensors) {
                let values = self.tree.floats(variable).map_err(failed(path))?;
                if *is_trained {
                    trained.push((name.clone(), values.shape().to_vec()));
                }
                tensors.push(ForeignTensor { name: name.clone(), values });
            }
        }
        add_constants(&mut tensors, &architecture.model)?;
        Ok((tensors, trained))
    }

    /// The tensors of a file without a network, under names that follow from their shapes, and the lists of those that its
    /// optimizer may train, the likeliest first.
    fn undescribed(
        &mut self,
        path: &Path,
        stored: &[StoredLayer],
        model: Option<&Model>,
    ) -> Result<(Vec<ForeignTensor>, Vec<Vec<Trained>>)> {
        let mut layers = Vec::new();
        for layer in stored {
            let tensors = self.named_by_shape(path, layer)?;
            let group = format!("{}/vars", layer.key);
            let mark = self.tree.text(&group, TRAINABLE).map_err(failed(path))?;
            layers.push(UndescribedLayer { tensors, is_frozen: mark.as_deref() == Some("false") });
        }
        let mut trained = Vec::new();
        if let Some(order) = model.and_then(|model| arrange::order(&layers, model)) {
            let mut sorted: Vec<_> = order.iter().zip(layers).collect();
            sorted.sort_by_key(|(place, _)| place.number);
            trained.push(arrange::trained(sorted.iter().filter(|(place, _)| place.is_trained).map(|(_, layer)| layer)));
            layers = sorted.into_iter().map(|(_, layer)| layer).collect();
        }
        trained.insert(0, arrange::trained(layers.iter().filter(|layer| !layer.is_frozen)));
        trained.push(arrange::trained(layers.iter()));
        Ok((layers.into_iter().flat_map(|layer| layer.tensors).collect(), trained))
    }

    fn named_by_shape(&mut self, path: &Path, layer: &StoredLayer) -> Result<Vec<ForeignTensor>> {
        let rank = |variable: &String| self.tree.dataset(variable).map_or(0, |dataset| dataset.shape.len());
        let parts: &[&str] = match (layer.variables.first().map(rank), layer.variables.len()) {
            (Some(1), 4) => &["weight", "bias", "running_mean", "running_var"],
            _ => &["weight", "bias"],
        };
        let mut tensors = Vec::new();
        for (number, variable) in layer.variables.iter().enumerate() {
            let part = parts.get(number).map_or_else(|| format!("variable{number}"), |part| part.to_string());
            let name = format!("{}.{part}", layer.name);
            tensors.push(ForeignTensor { name, values: self.tree.floats(variable).map_err(failed(path))? });
        }
        Ok(tensors)
    }
}

/// Adds the scales and shifts that batch normalisations of Keras may lack.
fn add_constants(tensors: &mut Vec<ForeignTensor>, model: &Model) -> Result<()> {
    let known: BTreeMap<String, Vec<usize>> =
        tensors.iter().map(|tensor| (tensor.name.clone(), tensor.values.shape().to_vec())).collect();
    for spec in model.parameters()?.into_iter().filter(|spec| !known.contains_key(&spec.export)) {
        let Some((layer, part)) = spec.export.rsplit_once('.') else { continue };
        let value = if part == "weight" { 1.0 } else { 0.0 };
        // The file must have as many values of another kind.
        if known.get(&format!("{layer}.running_mean")) == Some(&spec.shape) {
            tensors.push(ForeignTensor { name: spec.export, values: ArrayD::from_elem(IxDyn(&spec.shape), value) });
        }
    }
    Ok(())
}

/// The parts of an archive that this workspace wrote beside Keras' own.
struct Own {
    model: Model,
    classes: Vec<String>,
    mean_rgb: Option<[f32; 3]>,
    /// The shape of the mean image.
    mean_shape: Option<[usize; 3]>,
    exif_orientation: bool,
}

impl Own {
    /// None unless the network is there and has the parameters of the one that the archive describes.
    fn of(metadata: &Option<Value>, described: &Model) -> Option<Self> {
        let metadata = metadata.as_ref()?;
        let model = Model::parse(metadata["network"].as_str()?, "metadata.json").ok()?;
        let shapes = |model: &Model| {
            let specs = model.parameters().ok()?;
            Some(specs.into_iter().map(|spec| (spec.name, spec.shape)).collect::<Vec<_>>())
        };
        if shapes(&model)? != shapes(described)? {
            return None;
        }
        let names = metadata["classes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let classes: Option<Vec<String>> = names.iter().map(|name| name.as_str().map(str::to_string)).collect();
        let classes = classes.unwrap_or_default();
        let numbers = metadata["mean_rgb"].as_array().map(Vec::as_slice).unwrap_or_default();
        let numbers: Vec<f32> = numbers.iter().filter_map(|number| narrow(number.as_f64()?).ok()).collect();
        let axes = metadata["mean_image"].as_array().map(Vec::as_slice).unwrap_or_default();
        let axes: Vec<usize> = axes.iter().filter_map(|axis| usize::try_from(axis.as_u64()?).ok()).collect();
        let exif_orientation = metadata["exif_orientation"].as_bool().unwrap_or(false);
        let mean_shape = axes.try_into().ok();
        Some(Self { model, classes, mean_rgb: numbers.try_into().ok(), mean_shape, exif_orientation })
    }

    /// The file with the network, under whose names the tensors then are.
    fn complete(self, mut file: ForeignFile, mean_image: &[u8]) -> ForeignFile {
        let specs = self.model.parameters().unwrap_or_default();
        let slots = file.optimizer.iter_mut().flat_map(|state| &mut state.slots).flat_map(|(_, tensors)| tensors);
        for tensor in file.tensors.iter_mut().chain(slots) {
            if let Some(spec) = specs.iter().find(|spec| spec.name == tensor.name) {
                tensor.name.clone_from(&spec.export);
            }
        }
        let values = mean_image.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let image = self.mean_shape.and_then(|shape| Array3::from_shape_vec(shape, values).ok());
        ForeignFile {
            model: Some(self.model),
            classes: self.classes,
            mean_image: image.filter(|image| image.dim().2 == 3),
            mean_rgb: self.mean_rgb,
            exif_orientation: self.exif_orientation,
            ..file
        }
    }
}
