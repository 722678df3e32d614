//! Images with features: from a file of features, or computed by a network.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use data::{Dataset, DecodeOptions, ilsvrc2012};
use image::RgbImage;
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use tensor::Backend;
use train::features::{FeatureDescription, FeaturesReader};

use super::data_set;
use super::features::Extractor;
use super::image_files::ImageFiles;
use super::selected::Selected;
use super::trained::LoadedModels;
use crate::args::FeatureArgs;
use crate::console::note;
use crate::failure::{Failure, Result};

/// Bytes of features that are read from a file at once.
const BLOCK_BYTES: usize = 64 << 20;

/// A network that computes features, on any device.
pub trait Compute {
    /// The layer and the network.
    fn description(&self) -> FeatureDescription;
    /// Calls `visit` with the features of each batch of images.
    fn batches(
        &self,
        label: &'static str,
        images: &Arc<dyn Dataset>,
        visit: &mut dyn FnMut(ArrayView2<f32>) -> train::Result<()>,
    ) -> Result<()>;
}

/// An extractor with the size of its batches.
pub struct BatchExtractor<B: Backend> {
    pub extractor: Extractor<B>,
    pub batch: usize,
}

impl<B: Backend<Scalar = f32>> Compute for BatchExtractor<B> {
    fn description(&self) -> FeatureDescription {
        self.extractor.description()
    }

    fn batches(
        &self,
        label: &'static str,
        images: &Arc<dyn Dataset>,
        visit: &mut dyn FnMut(ArrayView2<f32>) -> train::Result<()>,
    ) -> Result<()> {
        self.extractor.extract(label, images, self.batch, |batch| visit(batch.values.view()))
    }
}

/// Images with features.
pub struct FeatureSource {
    /// The file of the features; none if they are to be computed.
    file: Option<FeaturesReader>,
    /// The images, if they are there.
    images: Option<Arc<dyn Dataset>>,
}

impl FeatureSource {
    /// The images of a file of features, which `data` or else the file itself says where to find. If they cannot be
    /// opened, a note says why: they are needed for plots only.
    pub fn of_file(file: FeaturesReader, data: Option<&Path>) -> Self {
        let named = PathBuf::from(&file.description().data);
        let images = match data_set::open_to_draw(data.unwrap_or(&named)) {
            Ok(images) if is_of(&file, &*images) => Some(images),
            Ok(_) => {
                let path = data.unwrap_or(&named).display();
                note(&format!(
                    "note: {}: {path} holds other images than this file; none are drawn",
                    file.path().display()
                ));
                None
            }
            Err(error) => {
                note(&format!("note: {}: no images are drawn: {}", file.path().display(), error.message()));
                None
            }
        };
        Self { file: Some(file), images }
    }

    /// Images whose features are computed: packs, sources, folders, lists or files.
    pub fn of_images(paths: &[PathBuf], args: &FeatureArgs, models: &LoadedModels) -> Result<Self> {
        let labels = args.labels.as_deref();
        let images = match paths {
            [one] => data_set::open_any(one, args.from, labels, models)?,
            _ => {
                let decode = DecodeOptions { apply_orientation: models.exif_orientation(), ..DecodeOptions::default() };
                Arc::new(ImageFiles::of_all(paths, models.image_size()?, decode)?)
            }
        };
        Ok(Self { file: None, images: Some(images) })
    }

    /// The file of features, if it is one, and its images, if they are there.
    pub fn into_file(self) -> Option<(FeaturesReader, Option<Arc<dyn Dataset>>)> {
        Some((self.file?, self.images))
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        let of_images = || self.images.as_ref().map_or(0, |images| images.len());
        self.file.as_ref().map_or_else(of_images, |file| file.description().images)
    }

    /// The layer and the network that the features are of.
    pub fn description(&self, compute: Option<&dyn Compute>) -> FeatureDescription {
        let computed = || compute.map(Compute::description).unwrap_or_default();
        let description = self.file.as_ref().map_or_else(computed, |file| file.description().clone());
        FeatureDescription { images: self.len(), ..description }
    }

    /// The name of an image.
    pub fn name(&self, image: usize) -> Result<String> {
        match (&self.file, &self.images) {
            (Some(file), _) => Ok(file.name(image)?),
            (None, Some(images)) => Ok(images.name(image)),
            (None, None) => Ok(image.to_string()),
        }
    }

    /// The class of an image, in short words; None without labels.
    pub fn class(&self, image: usize) -> Option<&str> {
        let name = match (&self.file, &self.images) {
            (Some(file), _) => file.description().classes.get(file.label(image)? as usize),
            (None, images) => {
                let images = images.as_ref()?;
                images.classes().get(images.label(image) as usize)
            }
        };
        name.map(|name| ilsvrc2012::short_name(name))
    }

    /// The image; None if it is not there.
    pub fn image(&self, image: usize) -> Result<Option<RgbImage>> {
        self.images.as_ref().map(|images| draw(&**images, image)).transpose()
    }

    /// Whether images can be drawn.
    pub fn has_images(&self) -> bool {
        self.images.is_some()
    }

    /// The features of some images, `[images, length]`.
    pub fn rows(&self, selected: &[usize], compute: Option<&dyn Compute>) -> Result<Array2<f32>> {
        if let Some(file) = &self.file {
            let mut rows = Array2::zeros((selected.len(), file.description().length));
            for (mut row, &image) in rows.rows_mut().into_iter().zip(selected) {
                row.assign(&file.read(image..image + 1)?.row(0));
            }
            return Ok(rows);
        }
        let mut parts = Vec::new();
        let whole = self.images.clone().zip(compute);
        if let Some((images, compute)) = whole {
            let images: Arc<dyn Dataset> = Arc::new(Selected::new(images, selected.to_vec()));
            compute.batches("features", &images, &mut |batch| {
                parts.push(batch.to_owned());
                Ok(())
            })?;
        }
        let views: Vec<ArrayView2<f32>> = parts.iter().map(|part: &Array2<f32>| part.view()).collect();
        concatenate(Axis(0), &views).map_err(|error| Failure::Failed(format!("no features: {error}")))
    }

    /// Calls `visit` with the features of all images, block by block.
    pub fn blocks(
        &self,
        compute: Option<&dyn Compute>,
        visit: &mut dyn FnMut(ArrayView2<f32>) -> train::Result<()>,
    ) -> Result<()> {
        if let Some(file) = &self.file {
            let FeatureDescription { images, length, .. } = *file.description();
            let rows = (BLOCK_BYTES / 4 / length.max(1)).max(1);
            for first in (0..images).step_by(rows) {
                visit(file.read(first..(first + rows).min(images))?.view())?;
            }
            return Ok(());
        }
        match (&self.images, compute) {
            (Some(images), Some(compute)) => compute.batches("search", images, visit),
            _ => Ok(()),
        }
    }
}

/// Fails unless the features of two files, or of a file and a network, can be compared.
pub fn check_same(one: &FeatureDescription, other: &FeatureDescription) -> Result<()> {
    if (one.length, &one.layer) != (other.length, &other.layer) {
        let of = |d: &FeatureDescription| format!("{} values of {} of {}", d.length, d.layer, d.network);
        let what = format!("features of different layers cannot be compared: {}, {}", of(one), of(other));
        return Err(Failure::Usage(what));
    }
    if one.weights != other.weights {
        note(&format!("note: features by different weights: {}, {}", one.weights, other.weights));
    }
    Ok(())
}

/// The file of features at a path; None if something else is there.
pub fn features_file(path: &Path) -> Result<Option<FeaturesReader>> {
    let ending = path.extension().unwrap_or_default();
    let is_hdf5 = ending.eq_ignore_ascii_case("h5") || ending.eq_ignore_ascii_case("hdf5");
    if is_hdf5 && path.is_file() { Ok(Some(FeaturesReader::open(path)?)) } else { Ok(None) }
}

/// Whether a data set holds the images of a file of features, by their number and some names.
fn is_of(file: &FeaturesReader, images: &dyn Dataset) -> bool {
    let count = file.description().images;
    let is_same = |image: usize| file.name(image).is_ok_and(|name| name == images.name(image));
    count == images.len()
        && [0, count / 2, count.saturating_sub(1)].into_iter().all(|image| count == 0 || is_same(image))
}

/// An image of a data set, as a square of its size.
pub fn draw(images: &dyn Dataset, image: usize) -> Result<RgbImage> {
    let size = images.size();
    let mut pixels = vec![0; size * size * 3];
    images.read_region(image, 0..size, 0..size, &mut pixels)?;
    let wrong = || Failure::Failed(format!("image {image}: its size does not fit its pixels"));
    RgbImage::from_raw(size as u32, size as u32, pixels).ok_or_else(wrong)
}
