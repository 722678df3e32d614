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
use tensor::{Error, Result};

pub use chart::{Series, curve};
pub use kernels::kernels;
pub use predictions::{PredictionRow, predictions};
pub use samples::{Sample, samples};

/// Writes `image` as PNG to `path`, whatever the name ends in; an old file is replaced whole or not at all.
///
/// # Errors
/// [`Error::File`] with the path where it cannot be written or the image has no pixels.
pub fn save_png(image: &RgbImage, path: &Path) -> Result<()> {
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png).map_err(|error| Error::File {
        path: path.to_path_buf(),
        what: "cannot be encoded as PNG; nothing was replaced",
        source: std::io::Error::other(error),
    })?;
    tensor::file::replace_bytes(path, png.get_ref())
}

#[cfg(test)]
mod tests;
