//! Making one batch on all threads.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tensor::ops::View;

use super::augment::{Augment, CropRect, MixedLabel, SampleKey, mix_into, resize_rect_into};
use super::batch::{Batch, CropBatch, RawBatch};
use super::buffer_pool::BufferPool;
use super::options::LoaderOptions;
use super::{Preparation, crop};
use crate::Pack;
use crate::error::{Error, Result};

thread_local! {
    /// Buffer of each thread for a decoded image.
    static DECODED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// State shared by the loader's threads.
#[derive(Debug)]
pub(super) struct BatchMaker {
    pub pack: Arc<Pack>,
    pub preparation: Preparation,
    pub options: LoaderOptions,
    /// Shift of R, G and B (0 to 255) per component and standard normal draw.
    colour_shifts: [[f32; 3]; 3],
    /// Colour of erased pixels.
    mean_colour: [u8; 3],
    pool: ThreadPool,
    float_pool: Arc<BufferPool<f32>>,
    byte_pool: Arc<BufferPool<u8>>,
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
    pub fn new(pack: Arc<Pack>, preparation: Preparation, options: LoaderOptions) -> Result<Self> {
        let colour_shifts = match options.augment.as_ref().and_then(|a| a.colour_noise.as_ref()) {
            Some(noise) => noise.shifts(pack.statistics())?,
            None => [[0.0; 3]; 3],
        };
        let mean_colour = pack.statistics().mean_rgb.map(|v| v.round() as u8);
        let pool = ThreadPoolBuilder::new().num_threads(options.threads).thread_name(|i| format!("load-{i}")).build();
        let pool = pool.map_err(|e| Error::Worker { what: format!("cannot start loading threads: {e}") })?;
        let float_pool = Arc::default();
        let byte_pool = Arc::default();
        Ok(Self { pack, preparation, options, colour_shifts, mean_colour, pool, float_pool, byte_pool })
    }

    /// Size of a decoded image in bytes.
    pub fn image_bytes(&self) -> usize {
        self.pack.size() * self.pack.size() * 3
    }

    /// The augmentation, if it modifies pixels.
    fn pixel_augment(&self) -> Option<&Augment> {
        self.options.augment.as_ref().filter(|augment| augment.modifies_pixels())
    }

    /// Makes a batch of normalized floats.
    pub fn batch(&self, batch: &BatchIndices) -> Result<Batch> {
        let count = self.options.views.count();
        let mut buffer = self.float_pool.take(batch.indices.len() * count * self.preparation.values());
        let (_, mixed) = self.par_each_image(batch, &mut buffer, |pixels, views, out| {
            self.preparation.apply(pixels, views, out);
        })?;
        let crop = self.preparation.prepare.crop;
        let shape = [batch.indices.len() * count, crop, crop, 3];
        let labels = self.labels(batch);
        let indices = batch.indices.clone();
        Batch::new(shape, buffer, labels, indices, mixed, &self.float_pool)
    }

    /// Makes a batch of 8-bit crops.
    pub fn crop_batch(&self, batch: &BatchIndices) -> Result<CropBatch> {
        let crop = self.preparation.prepare.crop;
        let values = self.preparation.values();
        let mut pixels = self.byte_pool.take(batch.indices.len() * self.options.views.count() * values);
        let (views, mixed) = self.par_each_image(batch, &mut pixels, |image, views, out| {
            for (view, out) in views.iter().zip(out.chunks_exact_mut(values)) {
                crop::crop(image, self.crop_rect(view), view.mirror, out);
            }
        })?;
        let labels = self.labels(batch);
        let indices = batch.indices.clone();
        Ok(CropBatch { crop, pixels, views, labels, indices, mixed, pool: Arc::clone(&self.byte_pool) })
    }

    /// Makes a batch of stored images, with pixel augmentation applied.
    pub fn raw_batch(&self, batch: &BatchIndices) -> Result<RawBatch> {
        let mut pixels = self.byte_pool.take(batch.indices.len() * self.image_bytes());
        let mut views = self.views(batch);
        let mixed = match self.pixel_augment() {
            Some(augment) => self.augment_batch(augment, batch, &mut views, &mut pixels)?,
            None => {
                self.par_each(batch, &mut pixels, |position, out| {
                    self.pack.read_pixels_into(batch.indices[position] as usize, out)
                })?;
                Vec::new()
            }
        };
        let size = self.pack.size();
        let labels = self.labels(batch);
        let pool = Arc::clone(&self.byte_pool);
        Ok(RawBatch { size, pixels, views, labels, indices: batch.indices.clone(), mixed, pool })
    }

    /// Calls `make` in parallel with each image, its views and its part of `out`.
    fn par_each_image<T: Send>(
        &self,
        batch: &BatchIndices,
        out: &mut [T],
        make: impl Fn(&[u8], &[View], &mut [T]) + Sync,
    ) -> Result<(Vec<View>, Vec<MixedLabel>)> {
        let mut views = self.views(batch);
        let count = self.options.views.count();
        let Some(augment) = self.pixel_augment() else {
            self.par_each(batch, out, |position, out| {
                let views = &views[position * count..(position + 1) * count];
                let (rows, columns) = self.visible_region(views);
                DECODED.with_borrow_mut(|buffer| {
                    make(self.pack.read_region(batch.indices[position] as usize, rows, columns, buffer)?, views, out);
                    Ok(())
                })
            })?;
            return Ok((views, Vec::new()));
        };
        let mut images = self.byte_pool.take(batch.indices.len() * self.image_bytes());
        let mixed = self.augment_batch(augment, batch, &mut views, &mut images)?;
        let made = self.par_each(batch, out, |position, out| {
            make(&images[position * self.image_bytes()..][..self.image_bytes()], &views[position..=position], out);
            Ok(())
        });
        self.byte_pool.put(images);
        made.map(|()| (views, mixed))
    }

    /// Writes the images, augmented within their views, to `out`, `[n, size, size, 3]`, and updates the views'
    /// positions.
    fn augment_batch(
        &self,
        augment: &Augment,
        batch: &BatchIndices,
        views: &mut [View],
        out: &mut [u8],
    ) -> Result<Vec<MixedLabel>> {
        let n = batch.indices.len();
        let values = self.preparation.values();
        let drawn = &*views;
        self.par_each(batch, out, |position, out| self.augment_image(augment, batch, position, &drawn[position], out))?;
        let Some(mix) = augment.mix.filter(|_| n > 1) else {
            return Ok(augment.mix.map_or_else(Vec::new, |_| vec![MixedLabel::default(); n]));
        };
        // All crops are copied before mixing, because each is mixed with an unmixed one.
        let mut own = self.byte_pool.take(n * values);
        let images = &*out;
        self.par_each(batch, &mut own, |position, crop| {
            let image = &images[position * self.image_bytes()..][..self.image_bytes()];
            crop::crop(image, self.crop_rect(&drawn[position]), drawn[position].mirror, crop);
            Ok(())
        })?;
        let side = self.preparation.prepare.crop;
        let centre = (self.preparation.margin() / 2) as u32;
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
        for view in views {
            view.left = centre;
            view.top = centre;
            view.mirror = false;
        }
        self.byte_pool.put(own);
        Ok(mixed)
    }

    /// Writes one image with its own augmentation, before mixing.
    fn augment_image(
        &self,
        augment: &Augment,
        batch: &BatchIndices,
        position: usize,
        view: &View,
        out: &mut [u8],
    ) -> Result<()> {
        let index = batch.indices[position];
        let stream = Augment::stream(self.options.seed, batch.epoch, index);
        let crop_rect = self.crop_rect(view);
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

    /// Rows and columns of a stored image that are visible in some view.
    fn visible_region(&self, views: &[View]) -> (Range<usize>, Range<usize>) {
        let crop = self.preparation.prepare.crop;
        let span = |of: fn(&View) -> u32| {
            let starts = views.iter().map(of);
            let first = starts.clone().min().unwrap_or(0);
            let last = starts.max().unwrap_or(0);
            first as usize..last as usize + crop
        };
        (span(|view| view.top), span(|view| view.left))
    }

    /// Rectangle of a stored image that a view shows.
    fn crop_rect(&self, view: &View) -> CropRect {
        let side = self.preparation.prepare.crop;
        CropRect { size: self.pack.size(), left: view.left as usize, top: view.top as usize, side }
    }

    /// Fills each image's part of `buffer` in parallel.
    fn par_each<T: Send>(
        &self,
        batch: &BatchIndices,
        buffer: &mut [T],
        fill: impl Fn(usize, &mut [T]) -> Result<()> + Sync,
    ) -> Result<()> {
        let chunk = (buffer.len() / batch.indices.len().max(1)).max(1);
        self.pool.install(|| {
            buffer.par_chunks_exact_mut(chunk).enumerate().try_for_each(|(position, out)| fill(position, out))
        })
    }

    /// Views of all images: all views of the first, then of the next.
    fn views(&self, batch: &BatchIndices) -> Vec<View> {
        let margin = self.preparation.margin();
        let mut views = Vec::with_capacity(batch.indices.len() * self.options.views.count());
        for (position, &index) in batch.indices.iter().enumerate() {
            match &self.options.augment {
                Some(augment) => {
                    let seed = self.options.seed;
                    let key = SampleKey { seed, epoch: batch.epoch, index, position: batch.start + position };
                    views.push(View { image: position as u32, ..augment.draw(key, margin, &self.colour_shifts) });
                }
                None => views.extend(self.preparation.views(self.options.views, position as u32)),
            }
        }
        views
    }

    fn labels(&self, batch: &BatchIndices) -> Vec<u32> {
        batch.indices.iter().map(|&index| self.pack.label(index as usize)).collect()
    }
}
