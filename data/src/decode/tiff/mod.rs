//! TIFF and BigTIFF: the first image of a file.
//!
//! The `tiff` crate rejects palettes, YCbCr and most depths, ignores the bit order, and panics on planes in tiles.
//! Strips and tiles are therefore read here; decompression is left to libraries.

mod decompress;
mod directory;
mod layout;
mod photometric;
mod samples;

use std::borrow::Cow;
use std::ops::Range;

use image::metadata::Orientation;

use super::{DecodeOptions, Image, catch_panic, check_size};
use crate::error::BadImage;
use layout::{Compression, TiffLayout};
use samples::RowConverter;

/// Decodes an image and its orientation. TIFF's orientation tag gives the row order in the file, so it is always
/// applied, as in Pillow.
pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<(Image, Orientation), BadImage> {
    catch_panic::catch_decoder_panic(|| {
        let layout = TiffLayout::read(bytes, options)?;
        let pixels = TiffDecoder { bytes, layout: &layout, options }.pixels()?;
        let size_mismatch = || BadImage::Damaged("another number of pixels than its header says".into());
        let image = Image::new(layout.width, layout.height, pixels).ok_or_else(size_mismatch)?;
        Ok((image, layout.orientation))
    })
}

/// A strip or tile and the region of the image it covers.
struct Chunk {
    /// Index within its plane.
    index: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

struct TiffDecoder<'a> {
    bytes: &'a [u8],
    layout: &'a TiffLayout,
    options: &'a DecodeOptions,
}

impl TiffDecoder<'_> {
    /// Decodes all pixels to RGB.
    fn pixels(&self) -> Result<Vec<u8>, BadImage> {
        let TiffLayout { width, height, chunk_width, chunk_height, .. } = *self.layout;
        let mut pixels = vec![0; width * height * 3];
        let chunks_across = self.layout.chunks_across();
        for index in 0..chunks_across * self.layout.chunks_down() {
            let left = index % chunks_across * chunk_width;
            let top = index / chunks_across * chunk_height;
            let chunk = Chunk {
                index,
                rows: top..(top + chunk_height).min(height),
                columns: left..(left + chunk_width).min(width),
            };
            self.draw_chunk(&chunk, &mut pixels)?;
        }
        Ok(pixels)
    }

    /// Writes the pixels of a chunk to the image.
    fn draw_chunk(&self, chunk: &Chunk, pixels: &mut [u8]) -> Result<(), BadImage> {
        let planes = self.planes(chunk)?;
        let mut rows = RowConverter::new(self.layout, &planes, chunk.columns.len())?;
        for (row, y) in chunk.rows.clone().enumerate() {
            let start = (y * self.layout.width + chunk.columns.start) * 3;
            rows.write_rgb(row, &mut pixels[start..start + chunk.columns.len() * 3])?;
        }
        Ok(())
    }

    /// The samples of a chunk, one buffer per separate plane.
    fn planes(&self, chunk: &Chunk) -> Result<Vec<Cow<'_, [u8]>>, BadImage> {
        let planes = if self.layout.is_planar { self.layout.used_samples() } else { 1 };
        let per_plane = self.layout.chunks_across() * self.layout.chunks_down();
        (0..planes).map(|plane| self.samples(chunk, plane * per_plane + chunk.index)).collect()
    }

    /// The decompressed samples of chunk `index`, with the predictor undone.
    fn samples(&self, chunk: &Chunk, index: usize) -> Result<Cow<'_, [u8]>, BadImage> {
        let layout = self.layout;
        let needed = layout.bytes_of_rows(chunk.rows.len());
        let stored = self.stored(index, needed)?;
        if let Compression::Jpeg { tables } = &layout.compression {
            return decompress::jpeg(&stored, tables, layout, chunk.rows.len(), self.options).map(Cow::Owned);
        }
        let mut samples = decompress::decompress(stored, layout, chunk.rows.len(), needed)?;
        if layout.has_predictor {
            for row in samples.to_mut().chunks_exact_mut(layout.row_bytes()) {
                samples::undo_predictor(row, layout);
            }
        }
        Ok(samples)
    }

    /// The stored bytes of a chunk, highest bit first.
    fn stored(&self, index: usize, needed: usize) -> Result<Cow<'_, [u8]>, BadImage> {
        let layout = self.layout;
        let missing = || BadImage::CutShort("TIFF data ends before its last pixel".into());
        let at = |list: &[u64]| list.get(index).and_then(|&v| usize::try_from(v).ok());
        let start = at(&layout.offsets).ok_or_else(missing)?;
        let rest = self.bytes.get(start..).ok_or_else(missing)?;
        // Some files have wrong lengths; that of uncompressed data is known.
        let length = match (&layout.compression, at(&layout.counts)) {
            (Compression::None, _) => needed,
            (_, None | Some(0)) => rest.len(),
            (_, Some(length)) => length.min(rest.len()),
        };
        let stored = rest.get(..length).ok_or_else(missing)?;
        let is_lsb_first = layout.is_lsb_first && !matches!(layout.compression, Compression::Jpeg { .. });
        if is_lsb_first {
            return Ok(stored.iter().map(|byte| byte.reverse_bits()).collect());
        }
        Ok(stored.into())
    }
}

/// Rejects chunks that would take much more memory than the image.
fn check_chunk(layout: &TiffLayout, options: &DecodeOptions) -> Result<(), BadImage> {
    check_size(layout.chunk_width as u64, layout.chunk_height as u64, options.max_pixels)?;
    let planes = if layout.is_planar { layout.used_samples() } else { 1 };
    let bytes = layout.bytes_of_rows(layout.chunk_height).saturating_mul(planes);
    match bytes as u64 {
        bytes if bytes <= options.max_pixels.saturating_mul(8) => Ok(()),
        bytes => Err(BadImage::Unsupported(format!("TIFF with strips or tiles of {bytes} bytes"))),
    }
}
