//! From a pack to batches of floats, ready for a network.
//!
//! The order of an epoch follows from (seed, epoch), and what is drawn for a picture from (seed, epoch, index in the
//! pack): the same for any number of threads and any batch size, and for an epoch begun in the middle.

mod augment;
mod batches;
mod input;
mod order;
mod view;

use std::sync::Arc;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::Pack;
use crate::error::{Error, Result};
use batches::Spare;
use tensor::ops::View;

pub use augment::{Augment, Colour, ColourRule};
pub use batches::{Batch, Batches, RawBatch};
pub use input::{Input, Mean, Views};
pub use view::{Preparation, views};

/// How batches are made.
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// Pictures a batch, at least 1. The last batch of an epoch may be shorter.
    pub batch: usize,
    /// Seed of the order and of all draws.
    pub seed: u64,
    /// A new random order each epoch; otherwise that of the pack.
    pub shuffle: bool,
    /// Leave out a last batch that would be short.
    pub drop_last: bool,
    /// Threads, at least 1.
    pub threads: usize,
    /// About how many bytes of batches are made ahead; at least one batch is.
    pub prefetch_bytes: usize,
    /// How pictures are varied, for training.
    pub augment: Option<Augment>,
    /// What is cut from a picture without [`Augment::random_crop`].
    pub views: Views,
}

impl Default for LoaderOptions {
    /// Batches of 128 (paper, section 5) in the pack's order, one centre crop each, on all cores, 512 MiB ahead.
    fn default() -> Self {
        Self {
            batch: 128,
            seed: 0,
            shuffle: false,
            drop_last: false,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            prefetch_bytes: 512 << 20,
            augment: None,
            views: Views::Centre,
        }
    }
}

/// Makes batches of a pack.
#[derive(Debug)]
pub struct Loader {
    work: Arc<Work>,
}

/// What the threads share.
#[derive(Debug)]
struct Work {
    pack: Arc<Pack>,
    preparation: Preparation,
    options: LoaderOptions,
    /// By draw of a standard normal, the shift of R, G and B (0 to 255).
    colour: [[f32; 3]; 3],
    pool: ThreadPool,
    spare: Arc<Spare<f32>>,
    spare_bytes: Arc<Spare<u8>>,
}

impl Loader {
    /// A loader of `pack` for networks that expect `input`.
    ///
    /// # Errors
    /// [`Error::Option`] if an option is out of range or the crop or mean image does not fit the pictures.
    pub fn new(pack: Arc<Pack>, input: Input, options: LoaderOptions) -> Result<Self> {
        let at_least_1 = |name, value| match value {
            0 => Err(Error::option(name, "at least 1", value)),
            _ => Ok(()),
        };
        at_least_1("batch", options.batch)?;
        at_least_1("threads", options.threads)?;
        if options.views == Views::Ten && options.augment.is_some() {
            return Err(Error::option("views", "one crop where pictures are augmented", "ten"));
        }
        if u32::try_from(pack.len()).is_err() {
            return Err(Error::option("pack", "at most 2^32 - 1 pictures", pack.len()));
        }
        let colour = match options.augment.as_ref().and_then(|a| a.colour.as_ref()) {
            Some(colour) => colour.shifts(pack.statistics())?,
            None => [[0.0; 3]; 3],
        };
        let preparation = Preparation::new(&input, pack.size())?;
        let pool = ThreadPoolBuilder::new().num_threads(options.threads).thread_name(|i| format!("load-{i}")).build();
        let pool = pool.map_err(|e| Error::Worker { what: format!("no threads to load with: {e}") })?;
        let (spare, spare_bytes) = (Arc::default(), Arc::default());
        Ok(Self { work: Arc::new(Work { pack, preparation, options, colour, pool, spare, spare_bytes }) })
    }

    /// The pack.
    pub fn pack(&self) -> &Arc<Pack> {
        &self.work.pack
    }

    /// Batches in an epoch.
    pub fn batches_per_epoch(&self) -> usize {
        let (pictures, batch) = (self.work.pack.len(), self.work.options.batch);
        if self.work.options.drop_last { pictures / batch } else { pictures.div_ceil(batch) }
    }

    /// What turns a [`RawBatch`] into the network's input.
    pub fn preparation(&self) -> &Preparation {
        &self.work.preparation
    }

    /// The batches of epoch `epoch` from number `first_batch` on, made ahead on other threads. Dropping the iterator
    /// ends that.
    pub fn batches(&self, epoch: u64, first_batch: usize) -> Batches {
        let picture = self.work.options.views.count() * self.work.preparation.values() * size_of::<f32>();
        self.begin(epoch, first_batch, picture, Work::batch)
    }

    /// The same pictures, draws and order as [`batches`](Self::batches), for devices that cut, vary and normalise
    /// pictures themselves: a batch holds what is stored, and a list of what is to be cut from it.
    pub fn raw_batches(&self, epoch: u64, first_batch: usize) -> Batches<RawBatch> {
        self.begin(epoch, first_batch, self.work.picture_bytes(), Work::raw_batch)
    }

    /// `picture`: bytes that a picture takes in a batch.
    fn begin<T: Send + 'static>(
        &self,
        epoch: u64,
        first_batch: usize,
        picture: usize,
        make: fn(&Work, Vec<u64>, u64) -> Result<T>,
    ) -> Batches<T> {
        let work = Arc::clone(&self.work);
        let order = order::Order::new(&work.options, work.pack.len(), epoch);
        let bytes = work.options.batch.min(work.pack.len()).saturating_mul(picture);
        let ahead = (work.options.prefetch_bytes / bytes.max(1)).max(1);
        let make = move |number: usize| make(&work, order.batch(number), epoch);
        Batches::begin(first_batch..self.batches_per_epoch(), ahead, make)
    }
}

impl Work {
    fn picture_bytes(&self) -> usize {
        self.pack.size() * self.pack.size() * 3
    }

    /// Makes one batch of the pictures `indices`.
    fn batch(&self, indices: Vec<u64>, epoch: u64) -> Result<Batch> {
        let (views, values) = (self.options.views.count(), self.preparation.values());
        let mut buffer = self.spare.take(indices.len() * views * values);
        self.each(&indices, &mut buffer, |index, place| {
            let pixels = self.pack.pixels(index as usize)?;
            self.preparation.apply(&pixels, &self.views(0, index, epoch), place);
            Ok(())
        })?;
        let crop = self.preparation.prepare.crop;
        let shape = [indices.len() * views, crop, crop, 3];
        Batch::new(shape, buffer, self.labels(&indices), indices, &self.spare)
    }

    /// The same as they are stored.
    fn raw_batch(&self, indices: Vec<u64>, epoch: u64) -> Result<RawBatch> {
        let mut pixels = self.spare_bytes.take(indices.len() * self.picture_bytes());
        self.each(&indices, &mut pixels, |index, place| {
            place.copy_from_slice(&self.pack.pixels(index as usize)?);
            Ok(())
        })?;
        let views = (0..).zip(&indices).flat_map(|(place, &index)| self.views(place, index, epoch)).collect();
        let (size, labels, spare) = (self.pack.size(), self.labels(&indices), Arc::clone(&self.spare_bytes));
        Ok(RawBatch { size, pixels, views, labels, indices, spare })
    }

    /// Fills the part of `buffer` that belongs to each picture, on all threads.
    fn each<T: Send>(
        &self,
        indices: &[u64],
        buffer: &mut [T],
        fill: impl Fn(u64, &mut [T]) -> Result<()> + Sync,
    ) -> Result<()> {
        indices.iter().for_each(|&index| self.pack.prefetch(index as usize));
        let part = (buffer.len() / indices.len().max(1)).max(1);
        self.pool.install(|| {
            let places = buffer.par_chunks_exact_mut(part);
            indices.par_iter().zip(places).try_for_each(|(&index, place)| fill(index, place))
        })
    }

    /// What is cut from picture `index` of the pack, which stands at `place` in its batch.
    fn views(&self, place: u32, index: u64, epoch: u64) -> Vec<View> {
        match &self.options.augment {
            Some(augment) => {
                let margin = self.preparation.margin();
                let draw = augment.draw(self.options.seed, epoch, index, margin, &self.colour);
                vec![View { picture: place, ..draw }]
            }
            None => self.preparation.views(self.options.views, place),
        }
    }

    fn labels(&self, indices: &[u64]) -> Vec<u32> {
        indices.iter().map(|&index| self.pack.label(index as usize)).collect()
    }
}
