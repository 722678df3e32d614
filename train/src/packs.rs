//! The packs of a run.

use std::path::Path;
use std::sync::Arc;

use data::Pack;
use layers::weights::Weights;
use ndarray::Array3;

use crate::Result;

/// The packs of a run.
///
/// ```no_run
/// use alexnet_train::Packs;
///
/// let packs = Packs::open("train.pack")?.with_val("val.pack")?;
/// assert_eq!(packs.train.classes(), packs.val.unwrap().classes());
/// # Ok::<(), alexnet_train::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Packs {
    /// Training images.
    pub train: Arc<Pack>,
    /// Validation images.
    pub val: Option<Arc<Pack>>,
}

impl Packs {
    /// Training images only.
    pub fn new(train: Arc<Pack>) -> Self {
        Self { train, val: None }
    }

    /// Opens the pack of the training images.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) that names the file and what is wrong with it.
    pub fn open(train: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::new(Arc::new(Pack::open(train.as_ref())?)))
    }

    /// The same, and the pack of the validation images.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn with_val(self, val: impl AsRef<Path>) -> Result<Self> {
        let val = Some(Arc::new(Pack::open(val.as_ref())?));
        Ok(Self { val, ..self })
    }

    /// The same, and validation images of an open pack; `None`: none.
    pub fn with_open_val(self, val: Option<Arc<Pack>>) -> Self {
        Self { val, ..self }
    }
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

    /// The means that weights have.
    pub fn of_weights(weights: &Weights) -> Self {
        Self { rgb: weights.mean_rgb, image: weights.mean_image.clone() }
    }
}
