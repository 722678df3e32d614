//! From a pack to batches of floats, ready for a network.
//!
//! The order of an epoch follows from (seed, epoch), and what is drawn for an image from (seed, epoch, index in the
//! pack): the same for any number of threads and any batch size, and for an epoch begun in the middle. (Images that
//! share a crop do so by their places in the epoch; a mixed image's partner is the one before it in its batch.)

mod augment;
mod batch;
mod batches;
mod crops;
mod input;
mod options;
mod order;
mod vary;
mod view;
mod work;

use std::sync::Arc;

use crate::Pack;
use crate::error::{Error, Result};
use work::{Places, Work};

pub use augment::{Augment, Colour, ColourRule};
pub use batch::{Batch, CropBatch, RawBatch};
pub use batches::Batches;
pub use input::{Input, Mean, Views};
pub use options::{LoaderOptions, Shuffle};
pub use vary::{Erase, Jitter, Mix, Mixed, ResizedCrop};
pub use view::{Preparation, views};

/// Makes batches of a pack.
#[derive(Debug)]
pub struct Loader {
    work: Arc<Work>,
}

impl Loader {
    /// A loader of `pack` for networks that expect `input`.
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
        Ok(Self { work: Arc::new(Work::new(pack, preparation, options)?) })
    }

    /// The pack.
    pub fn pack(&self) -> &Arc<Pack> {
        &self.work.pack
    }

    /// Batches in an epoch.
    pub fn batches_per_epoch(&self) -> usize {
        let images = self.work.pack.len();
        let batch = self.work.options.batch;
        if self.work.options.drop_last { images / batch } else { images.div_ceil(batch) }
    }

    /// What turns a [`RawBatch`] into the network's input.
    pub fn preparation(&self) -> &Preparation {
        &self.work.preparation
    }

    /// The batches of epoch `epoch` from number `first_batch` on, made ahead on other threads. Dropping the iterator
    /// ends that.
    pub fn batches(&self, epoch: u64, first_batch: usize) -> Batches {
        let image = self.work.options.views.count() * self.work.preparation.values() * size_of::<f32>();
        self.begin(epoch, first_batch, image, Work::batch)
    }

    /// The same images, draws and order as [`batches`](Self::batches), for devices that cut, vary and normalise
    /// images themselves: a batch holds what is stored, and a list of what is to be cut from it.
    pub fn raw_batches(&self, epoch: u64, first_batch: usize) -> Batches<RawBatch> {
        self.begin(epoch, first_batch, self.work.image_bytes(), Work::raw_batch)
    }

    /// The same as [`batches`](Self::batches) as bytes, cropped and mirrored: for whoever colours and normalises by
    /// itself.
    pub fn crop_batches(&self, epoch: u64, first_batch: usize) -> Batches<CropBatch> {
        let image = self.work.options.views.count() * self.work.preparation.values();
        self.begin(epoch, first_batch, image, Work::crop_batch)
    }

    /// `image`: bytes that an image takes in a batch.
    fn begin<T: Send + 'static>(
        &self,
        epoch: u64,
        first_batch: usize,
        image: usize,
        make: fn(&Work, &Places) -> Result<T>,
    ) -> Batches<T> {
        let work = Arc::clone(&self.work);
        let order = order::Order::new(&work.options, &work.pack, epoch);
        let bytes = work.options.batch.min(work.pack.len()).saturating_mul(image);
        let ahead = (work.options.prefetch_bytes / bytes.max(1)).max(1);
        let make = move |number: usize| {
            if let Some(images) = order.to_read(number, number == first_batch) {
                images.iter().for_each(|&index| work.pack.prefetch(index as usize));
            }
            let indices = order.batch(number);
            if work.options.shuffle != Shuffle::None {
                indices.iter().for_each(|&index| work.pack.prefetch(index as usize));
            }
            let places = Places { indices, epoch, start: order.places(number).start };
            let batch = make(&work, &places)?;
            work.pack.check_unchanged(&places.indices)?;
            Ok(batch)
        };
        Batches::begin(first_batch..self.batches_per_epoch(), ahead, make)
    }
}
