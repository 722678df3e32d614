//! Making one batch on all threads.

use std::ops::Range;
use std::sync::Arc;

use ndarray::Array3;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tensor::HostImages;
use tensor::ops::{CropAndNormalize, CropParams};

use super::augment::{Augment, CropRect, MixedLabel, SampleKey, mix_into, resize_rect_into};
use super::batch::{Batch, StoredImages};
use super::buffer_pool::BufferPool;
use super::options::LoaderOptions;
use super::{crop, input};
use crate::error::{Error, Result};
use crate::{Pack, Storage};

/// State shared by the loader's threads.
#[derive(Debug)]
pub(super) struct BatchMaker {
    pub pack: Arc<Pack>,
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
}

/// The images of a batch.
#[derive(Debug)]
pub(super) struct BatchIndices {
    /// Indices in the pack.
    pub indices: Vec<u64>,
    pub epoch: u64,
    /// Position of the first image in the epoch.
    pub start: usize,
}

impl BatchMaker {
    pub fn new(pack: Arc<Pack>, input: CropAndNormalize, options: LoaderOptions) -> Result<Self> {
        let colour_shifts = match options.augment.as_ref().and_then(|a| a.colour_noise.as_ref()) {
            Some(noise) => noise.shifts(pack.statistics())?,
            None => [[0.0; 3]; 3],
        };
        let mean_colour = pack.statistics().mean_rgb.map(|v| v.round() as u8);
        let threads =
            ThreadPoolBuilder::new().num_threads(options.threads).thread_name(|i| format!("load-{i}")).build();
        let threads = threads.map_err(|e| Error::Worker { what: format!("cannot start loading threads: {e}") })?;
        let mean_image = input.normalized_mean_image();
        let buffers = Arc::default();
        Ok(Self { pack, input, options, mean_image, colour_shifts, mean_colour, threads, buffers })
    }

    /// The augmentation, if it modifies pixels.
    fn pixel_augment(&self) -> Option<&Augment> {
        self.options.augment.as_ref().filter(|augment| augment.modifies_pixels())
    }

    /// Whether batches consist of records of the mapped pack.
    pub fn reads_the_map(&self) -> bool {
        self.pack.storage() == Storage::Raw && self.pixel_augment().is_none()
    }

    /// Makes a batch. Raw images stay in the mapped pack: they are brought into memory and their checksums are
    /// verified. JPEGs are decoded, within their crops.
    pub fn batch(&self, batch: &BatchIndices) -> Result<Batch> {
        let mut crops = self.crops(batch);
        let mut mixed = Vec::new();
        let decoded = if self.reads_the_map() {
            self.threads.install(|| batch.indices.par_iter().try_for_each(|&index| self.pack.load(index as usize)))?;
            None
        } else {
            let mut images = self.buffers.take(batch.indices.len() * self.pack.image_bytes());
            match self.pixel_augment() {
                Some(augment) => mixed = self.augment_batch(augment, batch, &mut crops, &mut images)?,
                None => self.decode_batch(batch, &crops, &mut images)?,
            }
            Some(images)
        };
        let indices = batch.indices.clone();
        let labels = self.labels(batch);
        let images = StoredImages { pack: Arc::clone(&self.pack), indices: indices.clone(), decoded };
        Ok(Batch { images: Arc::new(images), crops, labels, indices, mixed })
    }

    /// Crops and normalizes the images of a batch into `out`, `[crops, crop, crop, 3]`.
    pub fn write_crops(&self, batch: &Batch, out: &mut [f32]) -> Result<()> {
        let size = self.pack.size();
        let mean = self.mean_image.as_ref();
        batch.images.check_unchanged()?;
        self.threads.install(|| {
            out.par_chunks_exact_mut(self.input.crop_len()).zip(&batch.crops).for_each(|(out, crop)| {
                let image = batch.images.image(crop.image as usize);
                input::write_crops(&self.input, mean, size, image, std::slice::from_ref(crop), out);
            });
        });
        batch.images.check_unchanged()
    }

    /// Decodes the images within their crops to `out`, `[n, size, size, 3]`.
    fn decode_batch(&self, batch: &BatchIndices, crops: &[CropParams], out: &mut [u8]) -> Result<()> {
        let count = self.options.views.count();
        self.par_each(batch, out, |position, out| {
            let (rows, columns) = self.visible_region(&crops[position * count..(position + 1) * count]);
            self.pack.read_region_into(batch.indices[position] as usize, rows, columns, out)
        })
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
        let image_bytes = self.pack.image_bytes();
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
            crop::crop(image, self.crop_rect(&drawn[position]), drawn[position].mirror, crop);
            Ok(())
        })?;
        let side = self.input.crop;
        let centre = (self.margin() / 2) as u32;
        let crop = |position: usize| &own[position * values..(position + 1) * values];
        let previous = |position: usize| (position + n - 1) % n;
        let mix_of =
            |position: usize| mix.draw(Augment::stream(self.options.seed, batch.epoch, batch.indices[position]), side);
        self.par_each(batch, out, |position, out| {
            let to = CropRect { size: self.pack.size(), left: centre as usize, top: centre as usize, side };
            mix_into(mix_of(position), crop(position), crop(previous(position)), to, out);
            Ok(())
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
        let stream = Augment::stream(self.options.seed, batch.epoch, index);
        let crop_rect = self.crop_rect(params);
        match &augment.resized_crop {
            Some(resized_crop) => {
                let image = self.pack.pixels(index as usize)?;
                resize_rect_into(&image, resized_crop.draw(stream, self.pack.size()), crop_rect, out)?;
            }
            None => self.pack.read_pixels_into(index as usize, out)?,
        }
        if let Some(jitter) = &augment.jitter {
            jitter.apply(stream, crop_rect, out);
        }
        if let Some(random_erasing) = &augment.random_erasing {
            random_erasing.apply(stream, crop_rect, self.mean_colour, out);
        }
        Ok(())
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
        CropRect { size: self.pack.size(), left: crop.left as usize, top: crop.top as usize, side }
    }

    /// Difference between the side lengths of image and crop.
    fn margin(&self) -> usize {
        self.pack.size() - self.input.crop
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
    fn crops(&self, batch: &BatchIndices) -> Vec<CropParams> {
        let mut crops = Vec::with_capacity(batch.indices.len() * self.options.views.count());
        for (position, &index) in batch.indices.iter().enumerate() {
            let image = position as u32;
            match &self.options.augment {
                Some(augment) => {
                    let seed = self.options.seed;
                    let key = SampleKey { seed, epoch: batch.epoch, index, position: batch.start + position };
                    crops.push(CropParams { image, ..augment.draw(key, self.margin(), &self.colour_shifts) });
                }
                None => crops.extend(self.options.views.crops(self.pack.size(), self.input.crop, image)),
            }
        }
        crops
    }

    fn labels(&self, batch: &BatchIndices) -> Vec<u32> {
        batch.indices.iter().map(|&index| self.pack.label(index as usize)).collect()
    }
}
