//! Loading of batches from a data set.
//!
//! The order of an epoch is determined by (seed, epoch), and the random draws for an image by (seed, epoch, index in
//! the data set), so both are the same for any number of threads, any batch size, and an epoch resumed midway. (Exceptions:
//! images of a crop group share draws by position in the epoch, and an image is mixed with the previous one of its
//! batch.)

mod augment;
mod batch;
mod batch_maker;
mod buffer_pool;
mod byte_crop;
mod crop_batch;
mod input;
mod options;
mod sampler;
mod stage_times;

use std::fmt::{Debug, Formatter};
use std::sync::Arc;

use crop::CropAndNormalize;
use ndarray::Array4;

use crate::Prefetch;
use crate::dataset::{Dataset, check_labels};
use crate::decode::check_square;
use crate::error::{Error, Result};
use batch_maker::{BatchIndices, BatchMaker};
use crop_batch::ArrayPool;
use sampler::Sampler;

pub use augment::{
    Augment, ColourJitter, ColourNoise, ColourRule, MixedLabel, MixupCutmix, PixelAugmentation, RandomErasing,
    ResizedCrop, SampleRng,
};
pub use batch::{Batch, StoredImages};
pub use crop_batch::CropBatch;
pub use input::{Views, crop_image, crop_images};
pub use options::{Layout, LoaderOptions, Shuffle};
pub use stage_times::StageTimes;

/// A loader that makes batches of a data set. Cloning is cheap: the clones share threads and buffers.
///
/// ```no_run
/// use alexnet_data::{CropAndNormalize, Loader, LoaderOptions, Shuffle, SourceImages, SourceSettings};
///
/// let images = SourceImages::open("photographs/train", 256, SourceSettings::default())?;
/// let options = LoaderOptions { batch: 64, seed: 1, shuffle: Shuffle::Full, ..LoaderOptions::default() };
/// let loader = Loader::new(images, CropAndNormalize::crop_only(224), options)?;
/// // The third epoch from its fifth batch on.
/// for batch in loader.batches(2, 4) {
///     let batch = batch?;
///     let mut values = vec![0.0; batch.crops.len() * loader.input().crop_len()];
///     loader.write_crops(&batch, &mut values)?;
///     println!("{} values, labels {:?}", values.len(), batch.labels);
/// }
/// # Ok::<(), alexnet_data::Error>(())
/// ```
#[derive(Clone)]
pub struct Loader {
    maker: Arc<BatchMaker>,
    arrays: Arc<ArrayPool>,
}

impl Loader {
    /// Creates a loader of `dataset` for networks with this input: an `Arc<Pack>`, an own [`Dataset`] or an
    /// `Arc<dyn Dataset>`.
    ///
    /// # Errors
    /// [`Error::Option`] if an option is out of range, the crop or mean image does not fit the images, a label is no index
    /// into the classes, or an augmentation needs statistics that the data set does not have.
    pub fn new(dataset: impl Dataset + 'static, input: CropAndNormalize, options: LoaderOptions) -> Result<Self> {
        let dataset: Arc<dyn Dataset> = Arc::new(dataset);
        let at_least_1 = |name, value| match value {
            0 => Err(Error::option(name, "at least 1", value)),
            _ => Ok(()),
        };
        at_least_1("batch", options.batch)?;
        at_least_1("threads", options.threads)?;
        if options.views.count() > 1 && options.augment.is_some() {
            return Err(Error::option("views", "one crop where images are augmented", "ten"));
        }
        if u32::try_from(dataset.len()).is_err() {
            return Err(Error::option("data set", "at most 2^32 - 1 images", dataset.len()));
        }
        if let Some(augment) = &options.augment {
            augment.check()?;
        }
        input::check(&input, dataset.size())?;
        check_square(dataset.size())?;
        check_labels(&*dataset)?;
        Ok(Self { maker: Arc::new(BatchMaker::new(dataset, input, options)?), arrays: Arc::default() })
    }

    /// The data set being loaded.
    pub fn dataset(&self) -> &Arc<dyn Dataset> {
        &self.maker.dataset
    }

    /// Number of batches per epoch.
    pub fn batches_per_epoch(&self) -> usize {
        let images = self.maker.dataset.len();
        let batch = self.maker.options.batch;
        if self.maker.options.drop_last { images / batch } else { images.div_ceil(batch) }
    }

    /// The input that the crops are made for.
    pub fn input(&self) -> &CropAndNormalize {
        &self.maker.input
    }

    /// The time that the threads have spent in each stage so far, in this loader and its clones.
    ///
    /// ```no_run
    /// # use alexnet_data::{CropAndNormalize, Loader, LoaderOptions, SourceImages, SourceSettings};
    /// let images = SourceImages::open("photographs/train", 256, SourceSettings::default())?;
    /// let loader = Loader::new(images, CropAndNormalize::crop_only(224), LoaderOptions::default())?;
    /// loader.batches(0, 0).take(10).try_for_each(|batch| batch.map(|_| ()))?;
    /// println!("{:?} in decoding", loader.stage_times().decode);
    /// # Ok::<(), alexnet_data::Error>(())
    /// ```
    pub fn stage_times(&self) -> StageTimes {
        self.maker.clock.times()
    }

    /// Whether the images of batches are not copied: images that the data set has in memory, such as raw records of a
    /// mapped pack, without pixel augmentation.
    pub fn reads_the_map(&self) -> bool {
        self.maker.reads_the_map()
    }

    /// Batches of an epoch from number `first_batch` on, prefetched by other threads until the iterator is dropped.
    pub fn batches(&self, epoch: u64, first_batch: usize) -> Prefetch<Batch> {
        self.prefetch(epoch, first_batch, self.maker.image_bytes(), BatchMaker::batch)
    }

    /// Like [`batches`](Self::batches), with the crops made too: for frameworks that take floats. An image is cropped
    /// while it is in a processor's cache, so this is faster than [`crops`](Self::crops) of [`batches`](Self::batches)
    /// where images are decoded.
    ///
    /// ```no_run
    /// use alexnet_data::{CropAndNormalize, Layout, Loader, LoaderOptions, SourceImages, SourceSettings};
    ///
    /// let images = SourceImages::open("photographs/train", 256, SourceSettings::default())?;
    /// let options = LoaderOptions { layout: Layout::Nchw, ..LoaderOptions::default() };
    /// let loader = Loader::new(images, CropAndNormalize::crop_only(224), options)?;
    /// for batch in loader.crop_batches(0, 0) {
    ///     let batch = batch?;
    ///     assert_eq!(batch.images.shape(), [batch.labels.len(), 3, 224, 224]);
    ///     let floats: Option<&[f32]> = batch.images.as_slice();
    /// }
    /// # Ok::<(), alexnet_data::Error>(())
    /// ```
    pub fn crop_batches(&self, epoch: u64, first_batch: usize) -> Prefetch<CropBatch> {
        let arrays = Arc::clone(&self.arrays);
        let crops = self.maker.options.views.count() * self.maker.input.crop_len();
        let make = move |maker: &BatchMaker, batch: &BatchIndices| maker.crop_batch(batch, &arrays);
        self.prefetch(epoch, first_batch, crops * size_of::<f32>(), make)
    }

    /// Starts the making of batches of an epoch, ahead by as many as the options allow for `bytes` an image.
    fn prefetch<T: Send + 'static>(
        &self,
        epoch: u64,
        first_batch: usize,
        bytes: usize,
        make_batch: impl Fn(&BatchMaker, &BatchIndices) -> Result<T> + Send + 'static,
    ) -> Prefetch<T> {
        let maker = Arc::clone(&self.maker);
        let sampler = Sampler::new(&maker.options, &*maker.dataset, epoch);
        let batch_bytes = maker.options.batch.min(maker.dataset.len()).saturating_mul(bytes);
        let ahead = (maker.options.prefetch_bytes / batch_bytes.max(1)).max(1);
        let make = move |number: usize| {
            if let Some(images) = sampler.images_to_prefetch(number, number == first_batch) {
                images.iter().for_each(|&index| maker.dataset.prefetch(index as usize));
            }
            let indices = sampler.batch(number);
            if maker.options.shuffle != Shuffle::None {
                indices.iter().for_each(|&index| maker.dataset.prefetch(index as usize));
            }
            let batch_indices = BatchIndices { indices, epoch, start: sampler.positions(number).start };
            let batch = make_batch(&maker, &batch_indices)?;
            maker.dataset.check_unchanged(&batch_indices.indices)?;
            Ok(batch)
        };
        Prefetch::spawn("load", ahead, (first_batch..self.batches_per_epoch()).map(make))
    }

    /// Crops and normalizes the images of a batch of this loader, on its threads: `[n * views, crop, crop, 3]`, or
    /// `[n * views, 3, crop, crop]` with [`Layout::Nchw`], the views of an image consecutive. The array is in standard
    /// layout, so `as_slice` gives the plain values.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Changed`] if a file of the pack was modified.
    pub fn crops(&self, batch: &Batch) -> Result<Array4<f32>> {
        let mut values = vec![0.0; batch.crops.len() * self.maker.input.crop_len()];
        self.write_crops(batch, &mut values)?;
        input::to_array(self.maker.options.layout.shape(batch.crops.len(), self.maker.input.crop), values)
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

    /// Checks that these images were not modified since the data set was opened, if batches read them in its memory. Called after the images of a batch were used, it confirms that they were valid.
    ///
    /// # Errors
    /// [`Error::Truncated`] or [`Error::Changed`].
    pub fn check_unchanged(&self, indices: &[u64]) -> Result<()> {
        if self.reads_the_map() { self.maker.dataset.check_unchanged(indices) } else { Ok(()) }
    }
}

impl Debug for Loader {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader")
            .field("images", &self.maker.dataset.len())
            .field("input", &self.maker.input)
            .field("options", &self.maker.options)
            .finish_non_exhaustive()
    }
}
