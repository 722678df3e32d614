//! TIFF and BigTIFF: the first image of the file.
//!
//! The `tiff` crate refuses palettes, YCbCr and most depths, ignores the order of bits, and panics on planes in tiles. So
//! strips and tiles are read here; what they are compressed with is undone by libraries.

mod colour;
mod directory;
mod expand;
mod layout;
mod samples;

use std::borrow::Cow;
use std::ops::Range;

use image::metadata::Orientation;

use super::{DecodeOptions, Image, check_size, guard};
use crate::error::BadImage;
use layout::{Compression, Layout};
use samples::Rows;

/// An image, and how it is to be turned: TIFF's tag says which way its rows run, so it is followed always, as Pillow does.
pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<(Image, Orientation), BadImage> {
    guard::guarded(|| {
        let layout = Layout::read(bytes, options)?;
        let pixels = Source { bytes, layout: &layout, options }.pixels()?;
        let wrong = || BadImage::Damaged("another number of pixels than its header says".into());
        let image = Image::new(layout.width, layout.height, pixels).ok_or_else(wrong)?;
        Ok((image, layout.orientation))
    })
}

/// A strip or tile: what of the image it shows.
struct Chunk {
    /// Its place among those of a plane.
    index: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

struct Source<'a> {
    bytes: &'a [u8],
    layout: &'a Layout,
    options: &'a DecodeOptions,
}

impl Source<'_> {
    /// All pixels, RGB.
    fn pixels(&self) -> Result<Vec<u8>, BadImage> {
        let Layout { width, height, chunk_width, chunk_height, .. } = *self.layout;
        let mut pixels = vec![0; width * height * 3];
        let across = self.layout.across();
        for index in 0..across * self.layout.down() {
            let left = index % across * chunk_width;
            let top = index / across * chunk_height;
            let chunk = Chunk {
                index,
                rows: top..(top + chunk_height).min(height),
                columns: left..(left + chunk_width).min(width),
            };
            self.draw(&chunk, &mut pixels)?;
        }
        Ok(pixels)
    }

    /// Puts a chunk's pixels into the image.
    fn draw(&self, chunk: &Chunk, pixels: &mut [u8]) -> Result<(), BadImage> {
        let planes = self.planes(chunk)?;
        let mut rows = Rows::new(self.layout, &planes, chunk.columns.len())?;
        for (row, y) in chunk.rows.clone().enumerate() {
            let start = (y * self.layout.width + chunk.columns.start) * 3;
            rows.draw(row, &mut pixels[start..start + chunk.columns.len() * 3])?;
        }
        Ok(())
    }

    /// The samples of a chunk, of each plane that is stored apart.
    fn planes(&self, chunk: &Chunk) -> Result<Vec<Cow<'_, [u8]>>, BadImage> {
        let apart = if self.layout.planar { self.layout.used_samples() } else { 1 };
        let per_plane = self.layout.across() * self.layout.down();
        (0..apart).map(|plane| self.samples(chunk, plane * per_plane + chunk.index)).collect()
    }

    /// The samples of chunk number `index`, expanded, with its rows' differences summed.
    fn samples(&self, chunk: &Chunk, index: usize) -> Result<Cow<'_, [u8]>, BadImage> {
        let layout = self.layout;
        let needed = layout.bytes_of_rows(chunk.rows.len());
        let stored = self.stored(index, needed)?;
        if let Compression::Jpeg { tables } = &layout.compression {
            return expand::jpeg(&stored, tables, layout, chunk.rows.len(), self.options).map(Cow::Owned);
        }
        let mut samples = expand::expand(stored, layout, chunk.rows.len(), needed)?;
        if layout.differences {
            for row in samples.to_mut().chunks_exact_mut(layout.row_bytes()) {
                samples::sum_differences(row, layout);
            }
        }
        Ok(samples)
    }

    /// The bytes of a chunk as they are in the file, highest bit first.
    fn stored(&self, index: usize, needed: usize) -> Result<Cow<'_, [u8]>, BadImage> {
        let layout = self.layout;
        let missing = || BadImage::CutShort("TIFF data ends before its last pixel".into());
        let at = |list: &[u64]| list.get(index).and_then(|&v| usize::try_from(v).ok());
        let start = at(&layout.offsets).ok_or_else(missing)?;
        let rest = self.bytes.get(start..).ok_or_else(missing)?;
        // Lengths are wrong in some files: where nothing is compressed they are known without.
        let length = match (&layout.compression, at(&layout.counts)) {
            (Compression::None, _) => needed,
            (_, None | Some(0)) => rest.len(),
            (_, Some(length)) => length.min(rest.len()),
        };
        let stored = rest.get(..length).ok_or_else(missing)?;
        let reversed = layout.reversed && !matches!(layout.compression, Compression::Jpeg { .. });
        if reversed {
            return Ok(stored.iter().map(|byte| byte.reverse_bits()).collect());
        }
        Ok(stored.into())
    }
}

/// Refuses chunks that would take much more memory than the image.
fn check_chunk(layout: &Layout, options: &DecodeOptions) -> Result<(), BadImage> {
    check_size(layout.chunk_width as u64, layout.chunk_height as u64, options.max_pixels)?;
    let planes = if layout.planar { layout.used_samples() } else { 1 };
    let bytes = layout.bytes_of_rows(layout.chunk_height).saturating_mul(planes);
    match bytes as u64 {
        bytes if bytes <= options.max_pixels.saturating_mul(8) => Ok(()),
        bytes => Err(BadImage::Unsupported(format!("TIFF with strips or tiles of {bytes} bytes"))),
    }
}
