//! The data set of the demo: images of ten classes, drawn and written as class folders of JPEG files.
//!
//! Each image depends only on the seed, its class and its number, not on the number of threads. Position, scale,
//! rotation, colours, lighting, clutter and noise are random: a single pixel says almost nothing about the class, which
//! makes the set hard for a linear classifier.

mod canvas;
mod dice;
mod kinds;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;
use tensor::random::{Stream, purpose};

use dice::Dice;
pub use kinds::Kind;

/// Side of the demo's images, larger than the crops of 32 pixels so that these can move.
pub const SIZE: u32 = 40;
/// JPEG quality of the files.
const QUALITY: u8 = 90;
/// Maximum image size of [`draw_dataset`].
const MAX_SIZE: u32 = 1024;

/// Error of drawing the data set.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// The image size is out of range.
    #[error("size {size}: images are drawn with sides of 8 to {MAX_SIZE} pixels; choose one of these")]
    Size {
        /// The size given.
        size: u32,
    },
    /// The folder for the images exists already.
    #[error("{}: exists already; remove it or choose another folder, so that old and new images do not mix", .0.display())]
    Occupied(PathBuf),
    /// Stopped on request.
    #[error("{}: stopped before all images were drawn", .0.display())]
    Stopped(PathBuf),
    /// A file or folder could not be written.
    #[error("{}: cannot write: {source}; check the folder's permissions and free space", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Result of [`draw_dataset`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The folder of class folders to train on.
    pub train: PathBuf,
    /// The folder of class folders to validate on.
    pub val: PathBuf,
    /// Number of images in both.
    pub images: usize,
}

/// The two parts of the data set. The number separates their random streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Training.
    Train = 0,
    /// Validation.
    Val = 1,
}

/// Draws `size` x `size` images of each [`Kind`] into `folder/train/<kind>/NNNN.jpg` and `folder/val/<kind>/NNNN.jpg`.
///
/// # Errors
/// A size outside 8 to 1024, an existing `train` or `val` in `folder`, a failed write, or `is_stopped` returning true,
/// which is called before each image.
pub fn draw_dataset(
    folder: &Path,
    seed: u64,
    per_class_train: usize,
    per_class_val: usize,
    size: u32,
    is_stopped: &(dyn Fn() -> bool + Sync),
) -> Result<Drawn, DrawError> {
    if !(8..=MAX_SIZE).contains(&size) {
        return Err(DrawError::Size { size });
    }
    let parts = [(Split::Train, "train", per_class_train), (Split::Val, "val", per_class_val)];
    for (_, name, _) in parts {
        let path = folder.join(name);
        match path.symlink_metadata() {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(DrawError::Write { path, source }),
            Ok(_) => return Err(DrawError::Occupied(path)),
        }
    }
    for (split, name, count) in parts {
        for kind in Kind::ALL {
            let class = Class { seed, split, kind, size };
            class.draw(&folder.join(name).join(kind.name()), count, is_stopped)?;
        }
    }
    Ok(Drawn {
        train: folder.join("train"),
        val: folder.join("val"),
        images: (per_class_train + per_class_val) * Kind::ALL.len(),
    })
}

/// The images of one class in one part of the data set.
struct Class {
    seed: u64,
    split: Split,
    kind: Kind,
    size: u32,
}

impl Class {
    /// Draws `count` images into `folder`.
    fn draw(&self, folder: &Path, count: usize, is_stopped: &(dyn Fn() -> bool + Sync)) -> Result<(), DrawError> {
        let write = |path: &Path| {
            let path = path.to_path_buf();
            move |source| DrawError::Write { path, source }
        };
        fs::create_dir_all(folder).map_err(write(folder))?;
        (0..count).into_par_iter().try_for_each(|number| {
            if is_stopped() {
                return Err(DrawError::Stopped(folder.to_path_buf()));
            }
            let path = folder.join(format!("{number:04}.jpg"));
            let drawn = image(self.seed, self.split, self.kind, number as u64, self.size);
            let bytes = encode(&drawn).map_err(write(&path))?;
            fs::write(&path, bytes).map_err(write(&path))
        })
    }
}

/// Image `number` of a class, `size` x `size`.
pub fn image(seed: u64, split: Split, kind: Kind, number: u64, size: u32) -> RgbImage {
    let sequence = purpose::USER + 16 * split as u32 + kind as u32;
    let mut dice = Dice::new(Stream::new(seed, sequence, number));
    canvas::draw(kind, &mut dice, size)
}

fn encode(image: &RgbImage) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    image.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, QUALITY)).map_err(|error| match error {
        image::ImageError::IoError(error) => error,
        other => std::io::Error::other(other),
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
