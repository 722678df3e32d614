//! One look at every image.

use data::{BadImage, Dataset, Image, ImageContent, Statistics, StatisticsBuilder, decode_image, resize_and_crop};
use rayon::prelude::*;
use similarity::Fingerprint;

use crate::console::Bar;
use crate::failure::{Failure, Result};

/// Images that are decoded before their colours are added up.
const CHUNK: usize = 256;

/// The results of a look at every image of a data set.
pub struct Scanned {
    /// Of each image; none of those that cannot be read.
    pub fingerprints: Vec<Option<Fingerprint>>,
    /// Width and height of each image as it was found; empty for a pack, whose images all have one size.
    pub sizes: Vec<[u32; 2]>,
    /// Images that cannot be read, with the reasons.
    pub unreadable: Vec<(usize, String)>,
    /// Colours; none without a readable image.
    pub statistics: Option<Statistics>,
}

/// An image as a square, with the size that it had.
struct Look {
    square: Image,
    size: [u32; 2],
    fingerprint: Fingerprint,
}

/// Looks at every image, under a progress bar of this name.
pub fn scan(name: &'static str, images: &dyn Dataset) -> Result<Scanned> {
    let mut known = images.known_statistics().cloned();
    // A pack knows its colours, and its images have lost their sizes.
    let is_pack = known.is_some();
    let mut builder = StatisticsBuilder::new(images.size())?;
    let mut scanned = Scanned { fingerprints: Vec::new(), sizes: Vec::new(), unreadable: Vec::new(), statistics: None };
    let bar = Bar::new(name, "images", images.len() as u64);
    for first in (0..images.len()).step_by(CHUNK) {
        let chunk = first..(first + CHUNK).min(images.len());
        let looks: Vec<_> = chunk.into_par_iter().map(|index| (index, look(images, index))).collect();
        for (index, look) in looks {
            match look {
                Ok(Look { square, size, fingerprint }) => {
                    scanned.fingerprints.push(Some(fingerprint));
                    if !is_pack {
                        scanned.sizes.push(size);
                        builder.push(square.pixels())?;
                    }
                }
                Err(BadImage::Unreadable(error)) => {
                    return Err(Failure::Failed(format!("{}: cannot be read: {error}", images.name(index))));
                }
                Err(reason) => {
                    scanned.fingerprints.push(None);
                    scanned.unreadable.push((index, reason.to_string()));
                }
            }
        }
        bar.set_with_rate(scanned.fingerprints.len() as u64, "images");
    }
    bar.finish();
    scanned.statistics = known.take().or_else(|| builder.finish());
    Ok(scanned)
}

fn look(images: &dyn Dataset, index: usize) -> std::result::Result<Look, BadImage> {
    let image = match images.read(index)? {
        ImageContent::Encoded(bytes) => decode_image(bytes, &images.decode_options())?,
        ImageContent::Pixels(image) => image,
        _ => return Err(BadImage::Unsupported("content of another kind".into())),
    };
    let size = [image.width() as u32, image.height() as u32];
    let damaged = |error: &dyn std::fmt::Display| BadImage::Damaged(error.to_string());
    let side = images.size();
    let square = if image.width() == side && image.height() == side {
        image
    } else {
        resize_and_crop(&image, side).map_err(|error| damaged(&error))?
    };
    let fingerprint = Fingerprint::new(square.pixels(), side, side).map_err(|error| damaged(&error))?;
    Ok(Look { square, size, fingerprint })
}

/// An image as a square of `side`, for comparisons.
pub fn small(images: &dyn Dataset, index: usize, side: usize) -> std::result::Result<Image, BadImage> {
    let square = images.read(index)?.into_square(images.size(), &images.decode_options())?;
    resize_and_crop(&square, side).map_err(|error| BadImage::Damaged(error.to_string()))
}
