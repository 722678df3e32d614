//! Plots: samples of a pack, neighbours, kernels of the first layer, predictions, loss curves, confusion and calibration.

mod bars;
mod chart;
mod confusion;
mod heat;
mod image_map;
mod kernel_sheet;
mod kernels;
mod neighbours;
mod paint;
mod pairs;
mod panels;
mod parallel;
mod predictions;
mod reliability;
mod samples;
mod text;

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, RgbImage};

use crate::{Error, Result};

pub use bars::{bars, histogram};
pub use chart::{Decoration, Level, Mark, Series, curve, curve_decorated, curve_over_decades, curve_with_marks};
pub use confusion::confusion;
pub use heat::{brightest, gradient_image, grey_map, heat_key, heat_over};
pub use image_map::{MapPoint, THUMBNAIL, image_map};
pub use kernel_sheet::{KernelOrder, KernelSheet};
pub use kernels::{ColourRange, kernels};
pub use neighbours::{LabelledImage, NeighbourRow, neighbours};
pub use pairs::image_pairs;
pub use panels::{Panel, PanelPage, PanelRow};
pub use parallel::{Dimension, parallel_coordinates};
pub use predictions::{NotedPrediction, PredictionRow, noted_predictions, predictions};
pub use reliability::reliability;
pub use samples::{Sample, samples};

/// Images one below the other, on white.
pub fn stacked(images: &[RgbImage]) -> RgbImage {
    let width = images.iter().map(RgbImage::width).max().unwrap_or(1);
    let height = images.iter().map(RgbImage::height).sum::<u32>().max(1);
    let mut stack = RgbImage::from_pixel(width, height, paint::WHITE);
    let mut top = 0;
    for image in images {
        image::imageops::replace(&mut stack, image, 0, top);
        top += i64::from(image.height());
    }
    stack
}

/// Checks the name of a file for [`save_png`].
///
/// # Errors
/// [`Error::File`] for a name that does not end in `.png`.
pub fn check_png_name(path: &Path) -> Result<()> {
    let extension = path.extension().unwrap_or_default();
    if extension.eq_ignore_ascii_case("png") {
        return Ok(());
    }
    Err(Error::file(path, "expected a name that ends in .png: the image is written as PNG"))
}

/// Writes `image` as PNG to `path`. An existing file is replaced atomically.
///
/// # Errors
/// [`Error::Write`] if it cannot be written; [`Error::File`] for a name that does not end in `.png` and for an empty image.
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
