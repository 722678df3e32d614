//! Making one batch, on all threads.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tensor::ops::View;

use super::augment::{Augment, Place};
use super::batch::{Batch, CropBatch, RawBatch, Spare};
use super::options::LoaderOptions;
use super::vary::{Mixed, Square, mix_into, resize};
use super::{Preparation, crops};
use crate::Pack;
use crate::error::{Error, Result};

thread_local! {
    /// The image that a thread decodes.
    static DECODED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What the threads share.
#[derive(Debug)]
pub(super) struct Work {
    pub pack: Arc<Pack>,
    pub preparation: Preparation,
    pub options: LoaderOptions,
    /// By draw of a standard normal, the shift of R, G and B (0 to 255).
    colour: [[f32; 3]; 3],
    /// What erased pixels take.
    mean: [u8; 3],
    pool: ThreadPool,
    spare: Arc<Spare<f32>>,
    spare_bytes: Arc<Spare<u8>>,
}

/// The images of a batch.
#[derive(Debug)]
pub(super) struct Places {
    /// In the pack.
    pub indices: Vec<u64>,
    pub epoch: u64,
    /// The first one's place in the epoch.
    pub start: usize,
}

impl Work {
    pub fn new(pack: Arc<Pack>, preparation: Preparation, options: LoaderOptions) -> Result<Self> {
        let colour = match options.augment.as_ref().and_then(|a| a.colour.as_ref()) {
            Some(colour) => colour.shifts(pack.statistics())?,
            None => [[0.0; 3]; 3],
        };
        let mean = pack.statistics().mean_rgb.map(|v| v.round() as u8);
        let pool = ThreadPoolBuilder::new().num_threads(options.threads).thread_name(|i| format!("load-{i}")).build();
        let pool = pool.map_err(|e| Error::Worker { what: format!("no threads to load with: {e}") })?;
        let spare = Arc::default();
        let spare_bytes = Arc::default();
        Ok(Self { pack, preparation, options, colour, mean, pool, spare, spare_bytes })
    }

    /// Bytes of a stored image, decoded.
    pub fn image_bytes(&self) -> usize {
        self.pack.size() * self.pack.size() * 3
    }

    /// The augmentation, if it changes pixels.
    fn changes(&self) -> Option<&Augment> {
        self.options.augment.as_ref().filter(|augment| augment.changes_pixels())
    }

    /// Floats.
    pub fn batch(&self, places: &Places) -> Result<Batch> {
        let count = self.options.views.count();
        let mut buffer = self.spare.take(places.indices.len() * count * self.preparation.values());
        let (_, mixed) = self.each_image(places, &mut buffer, |pixels, views, out| {
            self.preparation.apply(pixels, views, out);
        })?;
        let crop = self.preparation.prepare.crop;
        let shape = [places.indices.len() * count, crop, crop, 3];
        let labels = self.labels(places);
        let indices = places.indices.clone();
        Batch::new(shape, buffer, labels, indices, mixed, &self.spare)
    }

    /// Crops of bytes.
    pub fn crop_batch(&self, places: &Places) -> Result<CropBatch> {
        let crop = self.preparation.prepare.crop;
        let values = self.preparation.values();
        let mut pixels = self.spare_bytes.take(places.indices.len() * self.options.views.count() * values);
        let (views, mixed) = self.each_image(places, &mut pixels, |image, views, out| {
            for (view, out) in views.iter().zip(out.chunks_exact_mut(values)) {
                crops::cut(image, self.square(view), view.mirror, out);
            }
        })?;
        let labels = self.labels(places);
        let indices = places.indices.clone();
        Ok(CropBatch { crop, pixels, views, labels, indices, mixed, spare: Arc::clone(&self.spare_bytes) })
    }

    /// Images as they are stored, but for changes of pixels.
    pub fn raw_batch(&self, places: &Places) -> Result<RawBatch> {
        let mut pixels = self.spare_bytes.take(places.indices.len() * self.image_bytes());
        let mut views = self.views(places);
        let mixed = match self.changes() {
            Some(augment) => self.vary(augment, places, &mut views, &mut pixels)?,
            None => {
                self.each(places, &mut pixels, |place, out| self.pack.read_into(places.indices[place] as usize, out))?;
                Vec::new()
            }
        };
        let size = self.pack.size();
        let labels = self.labels(places);
        let spare = Arc::clone(&self.spare_bytes);
        Ok(RawBatch { size, pixels, views, labels, indices: places.indices.clone(), mixed, spare })
    }

    /// Calls `make` with each image, its views and the part of `out` that belongs to it.
    fn each_image<T: Send>(
        &self,
        places: &Places,
        out: &mut [T],
        make: impl Fn(&[u8], &[View], &mut [T]) + Sync,
    ) -> Result<(Vec<View>, Vec<Mixed>)> {
        let mut views = self.views(places);
        let count = self.options.views.count();
        let Some(augment) = self.changes() else {
            self.each(places, out, |place, out| {
                let views = &views[place * count..(place + 1) * count];
                let (rows, columns) = self.shown(views);
                DECODED.with_borrow_mut(|buffer| {
                    make(self.pack.part(places.indices[place] as usize, rows, columns, buffer)?, views, out);
                    Ok(())
                })
            })?;
            return Ok((views, Vec::new()));
        };
        let mut images = self.spare_bytes.take(places.indices.len() * self.image_bytes());
        let mixed = self.vary(augment, places, &mut views, &mut images)?;
        let made = self.each(places, out, |place, out| {
            make(&images[place * self.image_bytes()..][..self.image_bytes()], &views[place..=place], out);
            Ok(())
        });
        self.spare_bytes.put(images);
        made.map(|()| (views, mixed))
    }

    /// Fills `out` `[n, size, size, 3]` with the images, their views changed as drawn, and the views with where that
    /// is.
    fn vary(&self, augment: &Augment, places: &Places, views: &mut [View], out: &mut [u8]) -> Result<Vec<Mixed>> {
        let n = places.indices.len();
        let values = self.preparation.values();
        let drawn = &*views;
        self.each(places, out, |place, out| self.vary_one(augment, places, place, &drawn[place], out))?;
        let Some(mix) = augment.mix.filter(|_| n > 1) else {
            return Ok(augment.mix.map_or_else(Vec::new, |_| vec![Mixed::default(); n]));
        };
        // Each one's crop by itself, and then the mixes.
        let mut own = self.spare_bytes.take(n * values);
        let images = &*out;
        self.each(places, &mut own, |place, crop| {
            let image = &images[place * self.image_bytes()..][..self.image_bytes()];
            crops::cut(image, self.square(&drawn[place]), drawn[place].mirror, crop);
            Ok(())
        })?;
        let side = self.preparation.prepare.crop;
        let centre = (self.preparation.margin() / 2) as u32;
        let crop = |place: usize| &own[place * values..(place + 1) * values];
        let before = |place: usize| (place + n - 1) % n;
        let mixing =
            |place: usize| mix.draw(Augment::stream(self.options.seed, places.epoch, places.indices[place]), side);
        self.each(places, out, |place, out| {
            let to = Square { size: self.pack.size(), left: centre as usize, top: centre as usize, side };
            mix_into(mixing(place), crop(place), crop(before(place)), to, out);
            Ok(())
        })?;
        let labels = self.labels(places);
        let mixed = (0..n).map(|place| Mixed { label: labels[before(place)], share: mixing(place).share(side) });
        let mixed = mixed.collect();
        for view in views {
            (view.left, view.top, view.mirror) = (centre, centre, false);
        }
        self.spare_bytes.put(own);
        Ok(mixed)
    }

    /// One image with the changes of its own.
    fn vary_one(&self, augment: &Augment, places: &Places, place: usize, view: &View, out: &mut [u8]) -> Result<()> {
        let index = places.indices[place];
        let stream = Augment::stream(self.options.seed, places.epoch, index);
        let square = self.square(view);
        match &augment.resized_crop {
            Some(part) => {
                let image = self.pack.pixels(index as usize)?;
                resize(&image, part.draw(stream, self.pack.size()), square, out)?;
            }
            None => self.pack.read_into(index as usize, out)?,
        }
        if let Some(jitter) = &augment.jitter {
            jitter.apply(stream, square, out);
        }
        if let Some(erase) = &augment.erase {
            erase.apply(stream, square, self.mean, out);
        }
        Ok(())
    }

    /// The rows and columns of a stored image that some view shows.
    fn shown(&self, views: &[View]) -> (Range<usize>, Range<usize>) {
        let crop = self.preparation.prepare.crop;
        let span = |of: fn(&View) -> u32| {
            let starts = views.iter().map(of);
            let first = starts.clone().min().unwrap_or(0);
            let last = starts.max().unwrap_or(0);
            first as usize..last as usize + crop
        };
        (span(|view| view.top), span(|view| view.left))
    }

    /// The part of a stored image that a view shows.
    fn square(&self, view: &View) -> Square {
        let side = self.preparation.prepare.crop;
        Square { size: self.pack.size(), left: view.left as usize, top: view.top as usize, side }
    }

    /// Fills the part of `buffer` that belongs to each image, on all threads.
    fn each<T: Send>(
        &self,
        places: &Places,
        buffer: &mut [T],
        fill: impl Fn(usize, &mut [T]) -> Result<()> + Sync,
    ) -> Result<()> {
        let part = (buffer.len() / places.indices.len().max(1)).max(1);
        self.pool
            .install(|| buffer.par_chunks_exact_mut(part).enumerate().try_for_each(|(place, out)| fill(place, out)))
    }

    /// What is cut from each image: all views of the first, then of the next.
    fn views(&self, places: &Places) -> Vec<View> {
        let margin = self.preparation.margin();
        let of = |(place, &index): (usize, &u64)| match &self.options.augment {
            Some(augment) => {
                let seed = self.options.seed;
                let epoch = places.epoch;
                let at = Place { seed, epoch, index, place: places.start + place };
                vec![View { image: place as u32, ..augment.draw(at, margin, &self.colour) }]
            }
            None => self.preparation.views(self.options.views, place as u32),
        };
        places.indices.iter().enumerate().flat_map(of).collect()
    }

    fn labels(&self, places: &Places) -> Vec<u32> {
        places.indices.iter().map(|&index| self.pack.label(index as usize)).collect()
    }
}
