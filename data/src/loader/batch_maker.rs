//! Making one batch on all threads.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crop::{CropAndNormalize, CropParams};
use ndarray::Array3;
use random::Stream;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::augment::{Augment, CropRect, MixedLabel, SampleKey, mix_into, resize_rect_into};
use super::batch::{Batch, StoredImages};
use super::buffer_pool::BufferPool;
use super::byte_crop;
use super::input::CropWriter;
use super::options::{LoaderOptions, Shuffle};
use super::stage_times::{Stage, StageClock};
use crate::dataset::Dataset;
use crate::error::{BadImage, Error, Result};

/// State shared by the loader's threads.
pub(super) struct BatchMaker {
    pub dataset: Arc<dyn Dataset>,
    pub input: CropAndNormalize,
    pub options: LoaderOptions,
    /// The input's mean image divided by the deviations.
    mean_image: Option<Array3<f32>>,
    /// Shift of R, G and B (0 to 255) per component and standard normal draw.
    colour_shifts: [[f32; 3]; 3],
    /// Colour of erased pixels.
    mean_colour: [u8; 3],
    threads: ThreadPool,
    buffers: Arc<BufferPool>,
    pub clock: StageClock,
}

/// The images of a batch.
#[derive(Debug)]
pub(super) struct BatchIndices {
    /// Indices in the data set.
    pub indices: Vec<u64>,
    pub epoch: u64,
    /// Position of the first image in the epoch.
    pub start: usize,
}

impl BatchMaker {
    pub fn new(dataset: Arc<dyn Dataset>, input: CropAndNormalize, options: LoaderOptions) -> Result<Self> {
        let statistics = dataset.known_statistics();
        let colour_shifts = match options.augment.as_ref().and_then(|a| a.colour_noise.as_ref()) {
            Some(noise) => noise.shifts(statistics)?,
            None => [[0.0; 3]; 3],
        };
        let erases = options.augment.as_ref().is_some_and(|augment| augment.random_erasing.is_some());
        let mean_colour = match statistics {
            Some(statistics) => statistics.mean_rgb.map(|v| v.round() as u8),
            None if erases => {
                let expected = "a data set with statistics, whose mean colour it takes";
                return Err(Error::option("random erasing", expected, "one without"));
            }
            None => [0; 3],
        };
        let threads =
            ThreadPoolBuilder::new().num_threads(options.threads).thread_name(|i| format!("load-{i}")).build();
        let threads = threads.map_err(|e| Error::Worker { what: format!("cannot start loading threads: {e}") })?;
        let mean_image = input.normalized_mean_image();
        let buffers = Arc::default();
        Ok(Self {
            dataset,
            input,
            options,
            mean_image,
            colour_shifts,
            mean_colour,
            threads,
            buffers,
            clock: StageClock::default(),
        })
    }

    /// The augmentation, if it modifies pixels.
    fn pixel_augment(&self) -> Option<&Augment> {
        self.options.augment.as_ref().filter(|augment| augment.modifies_pixels())
    }

    /// Whether batches consist of images that the data set has in memory.
    pub fn reads_the_map(&self) -> bool {
        self.dataset.is_in_memory() && self.pixel_augment().is_none()
    }

    /// Size of a decoded image in bytes.
    pub fn image_bytes(&self) -> usize {
        self.dataset.size() * self.dataset.size() * 3
    }

    /// Makes a batch. Images that the data set has in memory stay there, such as raw ones in a mapped pack, whose
    /// checksums are verified. Others are decoded, JPEGs of packs within their crops only.
    pub fn batch(&self, batch: &BatchIndices) -> Result<Batch> {
        let mut crops = self.crops(batch);
        let mut mixed = Vec::new();
        let decoded = if self.reads_the_map() {
            self.threads.install(|| batch.indices.par_iter().try_for_each(|&index| self.load(index as usize)))?;
            None
        } else {
            let mut images = self.buffers.take(batch.indices.len() * self.image_bytes());
            match self.pixel_augment() {
                Some(augment) => mixed = self.augment_batch(augment, batch, &mut crops, &mut images)?,
                None => self.decode_batch(batch, &crops, &mut images)?,
            }
            Some(images)
        };
        let indices = batch.indices.clone();
        let labels = self.labels(batch);
        let images = StoredImages { dataset: Arc::clone(&self.dataset), indices: indices.clone(), decoded };
        Ok(Batch { images: Arc::new(images), crops, labels, indices, mixed })
    }

    /// Brings an image of the data set's memory into the caches of the system, and checks it.
    fn load(&self, index: usize) -> Result<()> {
        self.clock.time(Stage::Storage, || self.dataset.load(index))?;
        let found = self.dataset.pixels_in_memory(index).len();
        if found != self.image_bytes() {
            let reason = BadImage::Damaged(format!("{found} bytes in memory, expected {}", self.image_bytes()));
            return Err(Error::Image { path: self.dataset.name(index).into(), reason });
        }
        Ok(())
    }

    /// Crops and normalizes the images of a batch into `out`, in the options' layout.
    pub fn write_crops(&self, batch: &Batch, out: &mut [f32]) -> Result<()> {
        let writer = CropWriter { input: &self.input, mean: self.mean_image(), layout: self.options.layout };
        batch.images.check_unchanged()?;
        self.threads.install(|| writer.write_batch(&*batch.images, batch.images.size(), &batch.crops, out));
        batch.images.check_unchanged()
    }

    /// Whether images are mixed with others of their batch.
    pub fn mixes(&self) -> bool {
        self.options.augment.as_ref().is_some_and(|augment| augment.mix.is_some())
    }

    /// The input's mean image divided by the deviations.
    pub fn mean_image(&self) -> Option<&Array3<f32>> {
        self.mean_image.as_ref()
    }

    /// Runs `work` on the loader's threads.
    pub fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.threads.install(work)
    }

    /// Decodes the images within their crops to `out`, `[n, size, size, 3]`.
    fn decode_batch(&self, batch: &BatchIndices, crops: &[CropParams], out: &mut [u8]) -> Result<()> {
        let count = self.options.views.count();
        self.par_each(batch, out, |position, out| {
            self.write_image(batch, position, &crops[position * count..(position + 1) * count], out)
        })
    }

    /// Writes one image within its crops to `out`, `[size, size, 3]`, with its own augmentation.
    pub fn write_image(
        &self,
        batch: &BatchIndices,
        position: usize,
        crops: &[CropParams],
        out: &mut [u8],
    ) -> Result<()> {
        match self.pixel_augment() {
            Some(augment) => self.augment_image(augment, batch, position, &crops[0], out),
            None => {
                let (rows, columns) = self.visible_region(crops);
                self.read_region(batch.indices[position] as usize, rows, columns, out)
            }
        }
    }

    /// Writes the images, augmented within their crops, to `out`, `[n, size, size, 3]`, and updates the crops'
    /// positions.
    fn augment_batch(
        &self,
        augment: &Augment,
        batch: &BatchIndices,
        crops: &mut [CropParams],
        out: &mut [u8],
    ) -> Result<Vec<MixedLabel>> {
        let n = batch.indices.len();
        let values = self.input.crop_len();
        let image_bytes = self.image_bytes();
        let drawn = &*crops;
        self.par_each(batch, out, |position, out| self.augment_image(augment, batch, position, &drawn[position], out))?;
        let Some(mix) = augment.mix.filter(|_| n > 1) else {
            return Ok(augment.mix.map_or_else(Vec::new, |_| vec![MixedLabel::default(); n]));
        };
        // All crops are copied before mixing, because each is mixed with an unmixed one.
        let mut own = self.buffers.take(n * values);
        let images = &*out;
        self.par_each(batch, &mut own, |position, crop| {
            let image = &images[position * image_bytes..][..image_bytes];
            byte_crop::crop(image, self.crop_rect(&drawn[position]), drawn[position].mirror, crop);
            Ok(())
        })?;
        let side = self.input.crop;
        let centre = (self.margin() / 2) as u32;
        let crop = |position: usize| &own[position * values..(position + 1) * values];
        let previous = |position: usize| (position + n - 1) % n;
        let mix_of = |position: usize| mix.draw(self.stream(batch, position), side);
        self.par_each(batch, out, |position, out| {
            let to = CropRect { size: self.dataset.size(), left: centre as usize, top: centre as usize, side };
            self.clock.time(Stage::Augment, || {
                mix_into(mix_of(position), crop(position), crop(previous(position)), to, out);
                Ok(())
            })
        })?;
        let labels = self.labels(batch);
        let mixed = (0..n)
            .map(|position| MixedLabel { label: labels[previous(position)], share: mix_of(position).weight(side) });
        let mixed = mixed.collect();
        for crop in crops {
            crop.left = centre;
            crop.top = centre;
            crop.mirror = false;
        }
        Ok(mixed)
    }

    /// Writes one image with its own augmentation, before mixing.
    fn augment_image(
        &self,
        augment: &Augment,
        batch: &BatchIndices,
        position: usize,
        params: &CropParams,
        out: &mut [u8],
    ) -> Result<()> {
        let index = batch.indices[position];
        let stream = self.stream(batch, position);
        let crop_rect = self.crop_rect(params);
        match &augment.resized_crop {
            Some(resized_crop) => {
                let image = self.pixels(index as usize)?;
                let from = resized_crop.draw(stream, self.dataset.size());
                self.clock.time(Stage::Augment, || resize_rect_into(&image, from, crop_rect, out))?;
            }
            None => self.read_region(index as usize, 0..self.dataset.size(), 0..self.dataset.size(), out)?,
        }
        self.clock.time(Stage::Augment, || self.change_pixels(augment, batch, position, crop_rect, out))
    }

    /// Jitters, erases and otherwise changes an image within its crop.
    fn change_pixels(
        &self,
        augment: &Augment,
        batch: &BatchIndices,
        position: usize,
        crop_rect: CropRect,
        out: &mut [u8],
    ) -> Result<()> {
        let stream = self.stream(batch, position);
        if let Some(jitter) = &augment.jitter {
            jitter.apply(stream, crop_rect, out);
        }
        augment.apply_own(self.key(batch, position), crop_rect, out)?;
        if let Some(random_erasing) = &augment.random_erasing {
            random_erasing.apply(stream, crop_rect, self.mean_colour, out);
        }
        Ok(())
    }

    /// All pixels of an image, borrowed if the data set has them in memory.
    fn pixels(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        if self.dataset.is_in_memory() {
            self.load(index)?;
            return Ok(Cow::Borrowed(self.dataset.pixels_in_memory(index)));
        }
        let size = self.dataset.size();
        let mut pixels = vec![0; self.image_bytes()];
        self.read_region(index, 0..size, 0..size, &mut pixels)?;
        Ok(Cow::Owned(pixels))
    }

    /// The stream of the augmentation of an image.
    fn stream(&self, batch: &BatchIndices, position: usize) -> Stream {
        let key = self.key(batch, position);
        Augment::stream(key.seed, key.epoch, key.index)
    }

    /// Reads a region of a stored image.
    fn read_region(&self, index: usize, rows: Range<usize>, columns: Range<usize>, out: &mut [u8]) -> Result<()> {
        let stage = if self.dataset.is_in_memory() { Stage::Storage } else { Stage::Decode };
        self.clock.time(stage, || self.dataset.read_region(index, rows, columns, out))
    }

    fn key(&self, batch: &BatchIndices, position: usize) -> SampleKey {
        let index = match self.options.shuffle {
            // An image may occur several times in an epoch, and is to differ each time.
            Shuffle::Balanced => (batch.start + position) as u64,
            _ => batch.indices[position],
        };
        SampleKey { seed: self.options.seed, epoch: batch.epoch, index, position: batch.start + position }
    }

    /// Rows and columns of a stored image that are visible in some crop.
    fn visible_region(&self, crops: &[CropParams]) -> (Range<usize>, Range<usize>) {
        let span = |position: fn(&CropParams) -> u32| {
            let positions = crops.iter().map(position);
            let first = positions.clone().min().unwrap_or(0);
            let last = positions.max().unwrap_or(0);
            first as usize..last as usize + self.input.crop
        };
        (span(|crop| crop.top), span(|crop| crop.left))
    }

    /// Rectangle of a stored image that a crop shows.
    fn crop_rect(&self, crop: &CropParams) -> CropRect {
        let side = self.input.crop;
        CropRect { size: self.dataset.size(), left: crop.left as usize, top: crop.top as usize, side }
    }

    /// Difference between the side lengths of image and crop.
    fn margin(&self) -> usize {
        self.dataset.size() - self.input.crop
    }

    /// Fills each image's part of `buffer` in parallel.
    fn par_each<T: Send>(
        &self,
        batch: &BatchIndices,
        buffer: &mut [T],
        fill: impl Fn(usize, &mut [T]) -> Result<()> + Sync,
    ) -> Result<()> {
        let chunk = (buffer.len() / batch.indices.len().max(1)).max(1);
        self.threads.install(|| {
            buffer.par_chunks_exact_mut(chunk).enumerate().try_for_each(|(position, out)| fill(position, out))
        })
    }

    /// Crops of all images: all crops of the first, then of the next.
    pub fn crops(&self, batch: &BatchIndices) -> Vec<CropParams> {
        let mut crops = Vec::with_capacity(batch.indices.len() * self.options.views.count());
        for position in 0..batch.indices.len() {
            let image = position as u32;
            match &self.options.augment {
                Some(augment) => {
                    let draw = augment.draw(self.key(batch, position), self.margin(), &self.colour_shifts);
                    crops.push(CropParams { image, ..draw });
                }
                None => crops.extend(self.options.views.crops(self.dataset.size(), self.input.crop, image)),
            }
        }
        crops
    }

    pub fn labels(&self, batch: &BatchIndices) -> Vec<u32> {
        batch.indices.iter().map(|&index| self.dataset.label(index as usize)).collect()
    }
}
