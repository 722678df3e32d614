//! The packs of a run.

use std::sync::Arc;

use data::Pack;
use ndarray::Array3;

/// The packs of a run.
#[derive(Clone, Debug)]
pub struct Packs {
    /// Training images.
    pub train: Arc<Pack>,
    /// Validation images.
    pub val: Option<Arc<Pack>>,
}

/// Means of the pack that a network was trained on, for pixels of 0 to 255.
#[derive(Clone, Debug, Default)]
pub struct PackMeans {
    /// Mean colour.
    pub rgb: Option<[f32; 3]>,
    /// Mean image, `[size, size, 3]`.
    pub image: Option<Array3<f32>>,
}

impl PackMeans {
    /// Reads the means of a pack.
    pub fn of(pack: &Pack) -> Self {
        let statistics = pack.statistics();
        Self { rgb: Some(statistics.mean_rgb), image: Some(statistics.mean_image.clone()) }
    }
}
