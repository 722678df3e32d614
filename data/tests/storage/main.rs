//! Data sets in storage of the user's, augmented by the user's code. None needs HDF5: `cargo test -p alexnet-data
//! --no-default-features` runs them too.

mod layout;
mod own_augmentation;
mod own_storage;
mod source_images;

use std::path::PathBuf;

use alexnet_data::{BadImage, Dataset, Image, ImageContent, Result, Statistics};

/// Side length of all images.
const SIZE: usize = 12;

/// How the images are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Store {
    /// Files, in PNM.
    Files,
    /// Pixels that are copied.
    Pixels,
    /// Pixels in memory.
    Memory,
}

const STORES: [Store; 3] = [Store::Files, Store::Pixels, Store::Memory];

/// Images of noise, labelled by their number modulo 3.
#[derive(Debug)]
struct Noise {
    store: Store,
    images: Vec<Vec<u8>>,
    classes: Vec<String>,
    statistics: Option<Statistics>,
    /// An image that cannot be read.
    broken: Option<usize>,
}

impl Noise {
    fn new(store: Store, n: usize) -> Self {
        let byte = |image: usize, at: usize| ((image * 7919 + at * 104_729 + at * at * 31) % 251) as u8;
        let images = (0..n).map(|image| (0..SIZE * SIZE * 3).map(|at| byte(image, at)).collect()).collect();
        let classes = ["a", "b", "c"].map(String::from).to_vec();
        let mut noise = Self { store, images, classes, statistics: None, broken: None };
        noise.statistics = Statistics::of(&noise).ok();
        noise
    }

    fn with_classes(self, classes: &[&str]) -> Self {
        Self { classes: classes.iter().map(|&class| class.into()).collect(), ..self }
    }

    fn without_statistics(self) -> Self {
        Self { statistics: None, ..self }
    }

    fn image(&self, index: usize) -> &[u8] {
        &self.images[index]
    }
}

impl Dataset for Noise {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn size(&self) -> usize {
        SIZE
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> u32 {
        (index % 3) as u32
    }

    fn read(&self, index: usize) -> Result<ImageContent, BadImage> {
        if self.broken == Some(index) {
            return Err(BadImage::Unreadable(std::io::Error::other("the tape is torn")));
        }
        let pixels = self.images[index].clone();
        if self.store == Store::Files {
            let header = format!("P6 {SIZE} {SIZE} 255\n").into_bytes();
            return Ok(ImageContent::Encoded([header, pixels].concat()));
        }
        Image::new(SIZE, SIZE, pixels).map(ImageContent::Pixels).ok_or(BadImage::Empty)
    }

    fn name(&self, index: usize) -> String {
        PathBuf::from("noise").join(index.to_string()).display().to_string()
    }

    fn known_statistics(&self) -> Option<&Statistics> {
        self.statistics.as_ref()
    }

    fn is_in_memory(&self) -> bool {
        self.store == Store::Memory
    }

    fn pixels_in_memory(&self, index: usize) -> &[u8] {
        let image = &self.images[index];
        if self.broken == Some(index) { &image[1..] } else { image }
    }
}
