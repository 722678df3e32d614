//! Files of features, read in blocks.

use std::ops::Range;
use std::path::{Path, PathBuf};

use files::printable::hdf5_reason;
use hdf5::types::VarLenUnicode;
use ndarray::{Array2, s};

use super::FeatureDescription;
use crate::{Error, Result};

/// A file of features as [`FeaturesFile`](super::FeaturesFile) writes it as HDF5. Features and names are read when they
/// are asked for; of labels there are 4 bytes an image in memory.
#[derive(Debug)]
pub struct FeaturesReader {
    path: PathBuf,
    features: hdf5::Dataset,
    names: hdf5::Dataset,
    labels: Vec<u32>,
    description: FeatureDescription,
}

impl FeaturesReader {
    /// Opens a file.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read or holds no features.
    pub fn open(path: &Path) -> Result<Self> {
        hdf5::silence_errors(true);
        files::regular_file::check(path).map_err(|error| Error::file(path, format!("cannot be read: {error}")))?;
        let fail = |error: hdf5::Error| {
            let reason = hdf5_reason(&error.to_string());
            Error::file(path, format!("no features, as `alexnet features` writes to a .h5: {reason}"))
        };
        let file = hdf5::File::open(path).map_err(fail)?;
        let features = file.dataset("features").map_err(fail)?;
        let names = file.dataset("names").map_err(fail)?;
        let &[images, length] = features.shape().as_slice() else {
            let what = format!("features of shape {:?}; expected a matrix, a row an image", features.shape());
            return Err(Error::file(path, what));
        };
        let attribute = |name: &str| -> hdf5::Result<String> {
            Ok(features.attr(name)?.read_scalar::<VarLenUnicode>()?.to_string())
        };
        let [layer, network, weights, data] =
            ["layer", "network", "weights", "data"].map(|name| attribute(name).unwrap_or_default());
        let mut classes = Vec::new();
        let mut labels = Vec::new();
        if file.link_exists("labels") {
            labels = file.dataset("labels").and_then(|labels| labels.read_raw::<u32>()).map_err(fail)?;
            let words = file.dataset("classes").and_then(|words| words.read_raw::<VarLenUnicode>()).map_err(fail)?;
            classes = words.iter().map(ToString::to_string).collect();
        }
        let description = FeatureDescription { images, length, layer, network, weights, data, classes };
        let reader = Self { path: path.to_path_buf(), features, names, labels, description };
        reader.check()?;
        Ok(reader)
    }

    /// Checks that there are a name and a label for each image.
    fn check(&self) -> Result<()> {
        let FeatureDescription { images, length, classes, .. } = &self.description;
        let counts = [self.names.size(), if classes.is_empty() { *images } else { self.labels.len() }];
        if counts != [*images; 2] || *length == 0 {
            let what = format!("{images} features of {length} values, {} names, {} labels", counts[0], counts[1]);
            return Err(Error::file(&self.path, format!("{what}: damaged; write it again")));
        }
        match self.labels.iter().find(|&&label| label as usize >= classes.len()) {
            Some(label) => Err(Error::file(&self.path, format!("a label {label} of {} classes", classes.len()))),
            None => Ok(()),
        }
    }

    /// The contents, but for the features.
    pub fn description(&self) -> &FeatureDescription {
        &self.description
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The label of an image; None without labels.
    pub fn label(&self, image: usize) -> Option<u32> {
        self.labels.get(image).copied()
    }

    /// The name of an image.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read.
    pub fn name(&self, image: usize) -> Result<String> {
        let names = self.names.read_slice_1d::<VarLenUnicode, _>(s![image..image + 1]);
        let names = names.map_err(|error| self.unreadable(&error))?;
        Ok(names.first().map(ToString::to_string).unwrap_or_default())
    }

    /// The features of some images, `[images, length]`.
    ///
    /// # Errors
    /// [`Error::File`] if they cannot be read.
    pub fn read(&self, images: Range<usize>) -> Result<Array2<f32>> {
        self.features.read_slice_2d::<f32, _>(s![images, ..]).map_err(|error| self.unreadable(&error))
    }

    fn unreadable(&self, error: &hdf5::Error) -> Error {
        Error::file(&self.path, format!("cannot be read: {}", hdf5_reason(&error.to_string())))
    }
}
