//! Images of what a network is shown, what it has learnt and how: samples of a pack, first kernels, predictions, and
//! curves of a run.

mod chart;
mod kernels;
mod paint;
mod predictions;
mod samples;
mod text;

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, RgbImage};

use crate::{Error, Result};

pub use chart::{Series, curve};
pub use kernels::kernels;
pub use predictions::{PredictionRow, predictions};
pub use samples::{Sample, samples};

/// Fails unless `path` is a name for what [`save_png`] writes.
///
/// # Errors
/// [`Error::File`] for a name that does not end in `.png`.
pub fn check_png_name(path: &Path) -> Result<()> {
    let ending = path.extension().unwrap_or_default();
    if ending.eq_ignore_ascii_case("png") {
        return Ok(());
    }
    Err(Error::file(path, "expected a name that ends in .png: the image is written as PNG"))
}

/// Writes `image` as PNG to `path`; an old file is replaced whole or not at all.
///
/// # Errors
/// [`Error::Write`] if it cannot be written; [`Error::File`] for a name that does not end in `.png` and an image without
/// pixels.
pub fn save_png(image: &RgbImage, path: &Path) -> Result<()> {
    check_png_name(path)?;
    let mut png = Cursor::new(Vec::new());
    image
        .write_to(&mut png, ImageFormat::Png)
        .map_err(|error| Error::file(path, format!("cannot be encoded as PNG; nothing was replaced: {error}")))?;
    Ok(files::replace_bytes(path, png.get_ref())?)
}

#[cfg(test)]
mod tests;
