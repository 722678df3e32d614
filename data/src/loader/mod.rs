//! Loading of batches from a pack.
//!
//! The order of an epoch is determined by (seed, epoch), and the random draws for an image by (seed, epoch, index in
//! the pack), so both are the same for any number of threads, any batch size, and an epoch resumed midway. (Exceptions:
//! images of a crop group share draws by position in the epoch, and an image is mixed with the previous one of its
//! batch.)

mod augment;
mod batch;
mod batch_maker;
mod batches;
mod buffer_pool;
mod crop;
mod input;
mod options;
mod preparation;
mod sampler;

use std::sync::Arc;

use crate::Pack;
use crate::error::{Error, Result};
use batch_maker::{BatchIndices, BatchMaker};
use sampler::Sampler;

pub use augment::{
    Augment, ColourJitter, ColourNoise, ColourRule, MixedLabel, MixupCutmix, RandomErasing, ResizedCrop,
};
pub use batch::{Batch, CropBatch, RawBatch};
pub use batches::Batches;
pub use input::{Input, Mean, Views};
pub use options::{LoaderOptions, Shuffle};
pub use preparation::{Preparation, views};

/// A loader that makes batches of a pack.
#[derive(Debug)]
pub struct Loader {
    maker: Arc<BatchMaker>,
}

impl Loader {
    /// Creates a loader of `pack` for networks with the given input format.
    ///
    /// # Errors
    /// [`Error::Option`] if an option is out of range or the crop or mean image does not fit the images.
    pub fn new(pack: Arc<Pack>, input: Input, options: LoaderOptions) -> Result<Self> {
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
        let preparation = Preparation::new(&input, pack.size())?;
        Ok(Self { maker: Arc::new(BatchMaker::new(pack, preparation, options)?) })
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

    /// The transform from a [`RawBatch`] to the network's input.
    pub fn preparation(&self) -> &Preparation {
        &self.maker.preparation
    }

    /// Batches of an epoch from number `first_batch` on, prefetched by other threads until the iterator is dropped.
    pub fn batches(&self, epoch: u64, first_batch: usize) -> Batches {
        let image_bytes = self.maker.options.views.count() * self.maker.preparation.values() * size_of::<f32>();
        self.spawn(epoch, first_batch, image_bytes, BatchMaker::batch)
    }

    /// Like [`batches`](Self::batches), with the same images, draws and order, for devices that crop and normalize
    /// images themselves: each batch holds the stored images and the views to cut from them.
    pub fn raw_batches(&self, epoch: u64, first_batch: usize) -> Batches<RawBatch> {
        self.spawn(epoch, first_batch, self.maker.image_bytes(), BatchMaker::raw_batch)
    }

    /// Like [`batches`](Self::batches), as 8-bit crops, mirrored but not normalized, for callers that do the rest
    /// themselves.
    pub fn crop_batches(&self, epoch: u64, first_batch: usize) -> Batches<CropBatch> {
        let image_bytes = self.maker.options.views.count() * self.maker.preparation.values();
        self.spawn(epoch, first_batch, image_bytes, BatchMaker::crop_batch)
    }

    /// Starts prefetching; `image_bytes` is the size of an image in a batch.
    fn spawn<T: Send + 'static>(
        &self,
        epoch: u64,
        first_batch: usize,
        image_bytes: usize,
        make: fn(&BatchMaker, &BatchIndices) -> Result<T>,
    ) -> Batches<T> {
        let maker = Arc::clone(&self.maker);
        let sampler = Sampler::new(&maker.options, &maker.pack, epoch);
        let bytes = maker.options.batch.min(maker.pack.len()).saturating_mul(image_bytes);
        let ahead = (maker.options.prefetch_bytes / bytes.max(1)).max(1);
        let make = move |number: usize| {
            if let Some(images) = sampler.images_to_prefetch(number, number == first_batch) {
                images.iter().for_each(|&index| maker.pack.prefetch(index as usize));
            }
            let indices = sampler.batch(number);
            if maker.options.shuffle != Shuffle::None {
                indices.iter().for_each(|&index| maker.pack.prefetch(index as usize));
            }
            let batch_indices = BatchIndices { indices, epoch, start: sampler.positions(number).start };
            let batch = make(&maker, &batch_indices)?;
            maker.pack.check_unchanged(&batch_indices.indices)?;
            Ok(batch)
        };
        Batches::spawn(first_batch..self.batches_per_epoch(), ahead, make)
    }
}
