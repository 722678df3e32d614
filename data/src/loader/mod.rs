//! Loading of batches from a pack.
//!
//! The order of an epoch is determined by (seed, epoch), and the random draws for an image by (seed, epoch, index in
//! the pack), so both are the same for any number of threads, any batch size, and an epoch resumed midway. (Exceptions:
//! images of a crop group share draws by position in the epoch, and an image is mixed with the previous one of its
//! batch.)

mod augment;
mod batch;
mod batch_maker;
mod buffer_pool;
mod crop;
mod input;
mod options;
mod sampler;

use std::sync::Arc;

use ndarray::Array4;
use tensor::ops::CropAndNormalize;

use crate::error::{Error, Result};
use crate::{Pack, Prefetch};
use batch_maker::{BatchIndices, BatchMaker};
use sampler::Sampler;

pub use augment::{
    Augment, ColourJitter, ColourNoise, ColourRule, MixedLabel, MixupCutmix, RandomErasing, ResizedCrop,
};
pub use batch::{Batch, StoredImages};
pub use input::{Views, crop_image};
pub use options::{LoaderOptions, Shuffle};

/// A loader that makes batches of a pack. Cloning is cheap: the clones share threads and buffers.
#[derive(Clone, Debug)]
pub struct Loader {
    maker: Arc<BatchMaker>,
}

impl Loader {
    /// Creates a loader of `pack` for networks with this input.
    ///
    /// # Errors
    /// [`Error::Option`] if an option is out of range or the crop or mean image does not fit the images.
    pub fn new(pack: Arc<Pack>, input: CropAndNormalize, options: LoaderOptions) -> Result<Self> {
        let at_least_1 = |name, value| match value {
            0 => Err(Error::option(name, "at least 1", value)),
            _ => Ok(()),
        };
        at_least_1("batch", options.batch)?;
        at_least_1("threads", options.threads)?;
        if options.views == Views::Ten && options.augment.is_some() {
            return Err(Error::option("views", "one crop where images are augmented", "ten"));
        }
        if u32::try_from(pack.len()).is_err() {
            return Err(Error::option("pack", "at most 2^32 - 1 images", pack.len()));
        }
        if let Some(augment) = &options.augment {
            augment.check()?;
        }
        input::check(&input, pack.size())?;
        Ok(Self { maker: Arc::new(BatchMaker::new(pack, input, options)?) })
    }

    /// The pack being loaded.
    pub fn pack(&self) -> &Arc<Pack> {
        &self.maker.pack
    }

    /// Number of batches per epoch.
    pub fn batches_per_epoch(&self) -> usize {
        let images = self.maker.pack.len();
        let batch = self.maker.options.batch;
        if self.maker.options.drop_last { images / batch } else { images.div_ceil(batch) }
    }

    /// The input that the crops are made for.
    pub fn input(&self) -> &CropAndNormalize {
        &self.maker.input
    }

    /// Whether the images of batches are records of the mapped pack, not copies: raw images without pixel augmentation.
    pub fn reads_the_map(&self) -> bool {
        self.maker.reads_the_map()
    }

    /// Batches of an epoch from number `first_batch` on, prefetched by other threads until the iterator is dropped.
    pub fn batches(&self, epoch: u64, first_batch: usize) -> Prefetch<Batch> {
        let maker = Arc::clone(&self.maker);
        let sampler = Sampler::new(&maker.options, &maker.pack, epoch);
        let batch_bytes = maker.options.batch.min(maker.pack.len()).saturating_mul(maker.pack.image_bytes());
        let ahead = (maker.options.prefetch_bytes / batch_bytes.max(1)).max(1);
        let make = move |number: usize| {
            if let Some(images) = sampler.images_to_prefetch(number, number == first_batch) {
                images.iter().for_each(|&index| maker.pack.prefetch(index as usize));
            }
            let indices = sampler.batch(number);
            if maker.options.shuffle != Shuffle::None {
                indices.iter().for_each(|&index| maker.pack.prefetch(index as usize));
            }
            let batch_indices = BatchIndices { indices, epoch, start: sampler.positions(number).start };
            let batch = maker.batch(&batch_indices)?;
            maker.pack.check_unchanged(&batch_indices.indices)?;
            Ok(batch)
        };
        Prefetch::spawn("load", ahead, (first_batch..self.batches_per_epoch()).map(make))
    }

    /// Crops and normalizes the images of a batch of this loader, on its threads: `[n * views, crop, crop, 3]`, the
    /// views of an image consecutive.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Changed`] if a file of the pack was modified.
    pub fn crops(&self, batch: &Batch) -> Result<Array4<f32>> {
        let mut values = vec![0.0; batch.crops.len() * self.maker.input.crop_len()];
        self.write_crops(batch, &mut values)?;
        input::to_array(batch.crops.len(), self.maker.input.crop, values)
    }

    /// Like [`crops`](Self::crops), into a buffer of that many values.
    ///
    /// # Errors
    /// Those of [`crops`](Self::crops); [`Error::Option`] if `out` has another length.
    pub fn write_crops(&self, batch: &Batch, out: &mut [f32]) -> Result<()> {
        let expected = batch.crops.len() * self.maker.input.crop_len();
        if out.len() != expected {
            return Err(Error::option("out", format!("{expected} values"), out.len()));
        }
        self.maker.write_crops(batch, out)
    }

    /// Checks that the files of these images were not modified since the pack was opened, if batches read the mapped
    /// pack. Called after the images of a batch were used, it confirms that they were valid.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Changed`].
    pub fn check_unchanged(&self, indices: &[u64]) -> Result<()> {
        if self.reads_the_map() { self.maker.pack.check_unchanged(indices) } else { Ok(()) }
    }
}
