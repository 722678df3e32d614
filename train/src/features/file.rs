//! Files of features, written batch by batch.

use std::path::Path;

use files::Replacement;
use files::printable::hdf5_reason;
use formats::NpyRows;
use hdf5::types::VarLenUnicode;
use ndarray::{Array2, s};

use crate::{Error, Result};

/// The contents of a file of features, but for the features.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureDescription {
    /// Number of images.
    pub images: usize,
    /// Number of values for an image.
    pub length: usize,
    /// The layer, for instance `fc7`.
    pub layer: String,
    /// The name of the network.
    pub network: String,
    /// The file of the weights.
    pub weights: String,
    /// The data set, as it was named.
    pub data: String,
    /// Class names; none for images without labels.
    pub classes: Vec<String>,
}

/// A file of features that is being written. It gets its name when it is complete; an old file is kept until then.
///
/// | format | content |
/// |---|---|
/// | `.h5` | `features` (f32, images x length), with the attributes `layer`, `network`, `weights` and `data`; `names` |
/// | | (texts); for images with labels `labels` (u32) and `classes` (texts) |
/// | `.npy` | the features only |
pub struct FeaturesFile {
    kind: Kind,
    rows: usize,
}

enum Kind {
    Npy(NpyRows),
    Hdf5(Replacement, Box<Hdf5Features>),
}

struct Hdf5Features {
    file: hdf5::File,
    features: hdf5::Dataset,
    /// None for images without labels.
    labels: Option<hdf5::Dataset>,
    names: hdf5::Dataset,
}

/// Whether a file's name ends in that of HDF5, and not in that of numpy.
fn is_hdf5(path: &Path) -> Result<bool> {
    match path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase().as_str() {
        "h5" | "hdf5" => Ok(true),
        "npy" => Ok(false),
        _ => Err(Error::file(path, "expected a name that ends in .h5 or .npy, for features")),
    }
}

impl FeaturesFile {
    /// Checks the name of a file.
    ///
    /// # Errors
    /// [`Error::File`] unless it ends in `.h5` or `.npy`.
    pub fn check_name(path: &Path) -> Result<()> {
        is_hdf5(path).map(drop)
    }

    /// Begins a file.
    ///
    /// # Errors
    /// [`Error::File`] for another name than [`check_name`](Self::check_name) takes; [`Error::Write`].
    pub fn create(path: &Path, description: &FeatureDescription) -> Result<Self> {
        let kind = if is_hdf5(path)? {
            hdf5::silence_errors(true);
            let replacement = Replacement::begin(path)?;
            let file = Hdf5Features::create(replacement.temporary(), description).map_err(cannot(path))?;
            Kind::Hdf5(replacement, Box::new(file))
        } else {
            Kind::Npy(NpyRows::create(path, description.images, description.length)?)
        };
        Ok(Self { kind, rows: 0 })
    }

    /// Appends the features of images, with their names and labels.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Write`] if they cannot be written.
    pub fn append(&mut self, names: &[String], labels: &[u32], values: &Array2<f32>) -> Result<()> {
        match &mut self.kind {
            Kind::Npy(rows) => rows.append(values.as_standard_layout().as_slice().unwrap_or_default())?,
            Kind::Hdf5(replacement, file) => {
                let written = file.append(self.rows, names, labels, values);
                written.map_err(cannot(replacement.path()))?;
            }
        }
        self.rows += values.nrows();
        Ok(())
    }

    /// Gives the complete file its name.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Write`] if it cannot be written; an old file is kept.
    pub fn finish(self) -> Result<()> {
        match self.kind {
            Kind::Npy(rows) => Ok(rows.finish()?),
            Kind::Hdf5(replacement, file) => {
                // All that is open of the file, before it gets its name.
                let Hdf5Features { file, features, labels, names } = *file;
                drop((features, labels, names));
                let closed = file.flush().and_then(|()| file.close());
                closed.map_err(cannot(replacement.path()))?;
                Ok(replacement.commit()?)
            }
        }
    }
}

fn cannot(path: &Path) -> impl FnOnce(hdf5::Error) -> Error + '_ {
    move |error| Error::file(path, format!("cannot be written: {}", hdf5_reason(&error.to_string())))
}

impl Hdf5Features {
    fn create(path: &Path, description: &FeatureDescription) -> hdf5::Result<Self> {
        let FeatureDescription { images, length, layer, network, weights, data, classes } = description;
        let file = hdf5::File::create(path)?;
        let features = file.new_dataset::<f32>().shape((*images, *length)).create("features")?;
        for (name, value) in [("layer", layer), ("network", network), ("weights", weights), ("data", data)] {
            features.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&text(value))?;
        }
        let mut labels = None;
        if !classes.is_empty() {
            let words: Vec<VarLenUnicode> = classes.iter().map(|name| text(name)).collect();
            file.new_dataset_builder().with_data(&words).create("classes")?;
            labels = Some(file.new_dataset::<u32>().shape(*images).create("labels")?);
        }
        let names = file.new_dataset::<VarLenUnicode>().shape(*images).create("names")?;
        Ok(Self { file, features, labels, names })
    }

    fn append(&mut self, first: usize, names: &[String], labels: &[u32], values: &Array2<f32>) -> hdf5::Result<()> {
        let rows = first..first + values.nrows();
        self.features.write_slice(values, s![rows.clone(), ..])?;
        if let Some(file) = &self.labels {
            file.write_slice(labels, s![rows.clone()])?;
        }
        let names: Vec<VarLenUnicode> = names.iter().map(|name| text(name)).collect();
        self.names.write_slice(&names, s![rows])
    }
}

/// A text for HDF5, which ends texts with a zero.
fn text(text: &str) -> VarLenUnicode {
    text.replace('\0', "\u{fffd}").parse().unwrap_or_default()
}
