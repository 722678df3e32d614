//! Images with features, of which the nearest to an image are shown.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use data::{Dataset, ilsvrc2012};
use image::RgbImage;
use layers::Model;
use ndarray::Array2;
use serde::Serialize;
use similarity::NeighbourSearch;
use train::features::{FeatureLayer, FeaturesReader};

use crate::draw;
use crate::explain;

/// Bytes of features that are kept in memory; of larger files, all are read for each search.
const KEPT_BYTES: usize = 1 << 30;
/// Bytes of features that are read at once.
const BLOCK_BYTES: usize = 64 << 20;

/// Images with features by a layer of a network, such as those of the training: a file of [`train::features`], and the
/// images themselves, if they are there to be shown.
pub struct Gallery {
    file: FeaturesReader,
    images: Option<Arc<dyn Dataset>>,
    layer: FeatureLayer,
    /// All features, if they are few.
    kept: Option<Array2<f32>>,
}

/// An image of a gallery that is near to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct NearImage {
    name: String,
    /// The name of its class, if it has a label.
    class: Option<String>,
    /// The words of a class of ILSVRC 2012.
    words: Option<&'static str>,
    /// Euclidean distance of the features.
    distance: f64,
    /// The image as a `data:` URI of a PNG, if it is there.
    image: Option<String>,
}

impl Debug for Gallery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gallery").field("file", &self.file).field("layer", &self.layer).finish_non_exhaustive()
    }
}

impl Gallery {
    /// The images of a file of features by a layer of this network. `images` are the same, in the same order.
    ///
    /// # Errors
    /// [`train::Error::Setting`] if the network has no such layer, or there is another number of images; errors of
    /// reading.
    pub fn new(file: FeaturesReader, images: Option<Arc<dyn Dataset>>, model: &Model) -> train::Result<Self> {
        let described = file.description();
        let layer = FeatureLayer::of(model, Some(&described.layer))?;
        let wrong = |what: String| train::Error::setting("features", format!("{}: {what}", file.path().display()));
        if layer.length != described.length {
            let what = format!("it has {} values of {} for an image", described.length, described.layer);
            return Err(wrong(format!("{what}, the network {} gives {}", model.name, layer.length)));
        }
        if let Some(images) = images.as_ref().filter(|images| images.len() != described.images) {
            return Err(wrong(format!("it is of {} images, there are {}", described.images, images.len())));
        }
        let bytes = described.images.saturating_mul(described.length).saturating_mul(4);
        let kept = (bytes <= KEPT_BYTES).then(|| file.read(0..described.images)).transpose()?;
        Ok(Self { file, images, layer, kept })
    }

    /// The layer whose activations the features are.
    pub(crate) fn layer(&self) -> &FeatureLayer {
        &self.layer
    }

    /// The images nearest to one with these features, `[1, length]`, the nearest first.
    pub(crate) fn nearest(&self, features: Array2<f32>, count: usize) -> explain::Result<Vec<NearImage>> {
        let mut search = NeighbourSearch::new(features, count)?;
        match &self.kept {
            Some(all) => search.add(all.view())?,
            None => {
                let total = self.file.description().images;
                let rows = (BLOCK_BYTES / 4 / self.layer.length.max(1)).max(1);
                for first in (0..total).step_by(rows) {
                    search.add(self.file.read(first..total.min(first + rows))?.view())?;
                }
            }
        }
        let found = search.finish().into_iter().flatten();
        found.map(|neighbour| self.describe(neighbour.index, neighbour.distance)).collect()
    }

    fn describe(&self, index: usize, distance: f64) -> explain::Result<NearImage> {
        let classes = &self.file.description().classes;
        let class = self.file.label(index).and_then(|label| classes.get(label as usize)).cloned();
        let drawn = self.images.as_deref().and_then(|images| square(images, index));
        let image = drawn.as_ref().map(draw::png_uri).transpose()?;
        let words = class.as_deref().and_then(ilsvrc2012::words);
        Ok(NearImage { name: self.file.name(index)?, class, words, distance, image })
    }
}

/// An image of a data set as a square of its size; `None` if it cannot be read, which does not concern a request.
fn square(images: &dyn Dataset, index: usize) -> Option<RgbImage> {
    let size = images.size();
    let mut pixels = vec![0; size * size * 3];
    images.read_region(index, 0..size, 0..size, &mut pixels).ok()?;
    RgbImage::from_raw(size as u32, size as u32, pixels)
}
