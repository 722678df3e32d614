//! Conversion of rows of samples: predictor, planes and bit unpacking.

use std::borrow::Cow;

use super::layout::TiffLayout;
use super::photometric::{Photometric, unpremultiply};
use crate::error::BadImage;

/// Converts the rows of a strip or tile to RGB.
pub(super) struct RowConverter<'a> {
    layout: &'a TiffLayout,
    planes: &'a [Cow<'a, [u8]>],
    columns: usize,
    /// Samples of one row, one byte each, interleaved.
    samples: Vec<u8>,
    /// Samples per pixel in `samples`.
    samples_per_pixel: usize,
}

impl<'a> RowConverter<'a> {
    /// `planes` hold whole rows of a chunk, of which the first `columns` pixels are used.
    pub fn new(layout: &'a TiffLayout, planes: &'a [Cow<'a, [u8]>], columns: usize) -> Result<Self, BadImage> {
        let samples_per_pixel = if layout.is_planar { planes.len() } else { layout.samples };
        Ok(Self { layout, planes, columns, samples: vec![0; columns * samples_per_pixel], samples_per_pixel })
    }

    /// Writes a row as RGB.
    pub fn write_rgb(&mut self, row: usize, rgb: &mut [u8]) -> Result<(), BadImage> {
        self.read(row).ok_or_else(|| BadImage::CutShort("TIFF data ends before its last pixel".into()))?;
        let TiffLayout { photometric, bits, is_premultiplied, .. } = self.layout;
        let pixels = self.samples.chunks_exact(self.samples_per_pixel).zip(rgb.chunks_exact_mut(3));
        match photometric {
            Photometric::Rgb if *bits >= 8 && !is_premultiplied => {
                pixels.for_each(|(s, out)| out.copy_from_slice(&s[..3]))
            }
            _ if *is_premultiplied => pixels.for_each(|(s, out)| {
                out.copy_from_slice(&unpremultiply(photometric.rgb(s, *bits), s[photometric.channels()]));
            }),
            _ => pixels.for_each(|(s, out)| out.copy_from_slice(&photometric.rgb(s, *bits))),
        }
        Ok(())
    }

    /// Reads the samples of a row; `None` if there are too few.
    fn read(&mut self, row: usize) -> Option<()> {
        let layout = self.layout;
        if let Photometric::YCbCr(photometric) = &layout.photometric
            && photometric.is_subsampled()
        {
            photometric.row(&self.planes[0], layout.chunk_width, row, &mut self.samples);
            return Some(());
        }
        let length = layout.row_bytes();
        for (at, plane) in self.planes.iter().enumerate() {
            let row = plane.get(row * length..(row + 1) * length)?;
            if layout.is_planar {
                let samples = self.samples[at..].iter_mut().step_by(self.samples_per_pixel);
                unpack(row, layout, samples);
            } else {
                unpack(row, layout, self.samples.iter_mut());
            }
        }
        debug_assert_eq!(self.samples.len(), self.columns * self.samples_per_pixel);
        Some(())
    }
}

/// Expands samples to one byte each: the high byte of 16 bits, fewer than 8 bits unchanged.
fn unpack<'a>(row: &[u8], layout: &TiffLayout, samples: impl Iterator<Item = &'a mut u8>) {
    match layout.bits {
        8 => samples.zip(row).for_each(|(sample, &byte)| *sample = byte),
        16 => {
            let high = usize::from(!layout.big_endian);
            samples.zip(row.chunks_exact(2)).for_each(|(sample, pair)| *sample = pair[high]);
        }
        bits => {
            let mask = (1u8 << bits) - 1;
            for (i, sample) in samples.enumerate() {
                let from = i * bits;
                *sample = row[from / 8] >> (8 - bits - from % 8) & mask;
            }
        }
    }
}

/// Undoes the horizontal predictor.
pub(super) fn undo_predictor(row: &mut [u8], layout: &TiffLayout) {
    let step = layout.interleaved_samples();
    if layout.bits == 16 {
        let value = |pair: [u8; 2]| if layout.big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
        for at in (2 * step..row.len().saturating_sub(1)).step_by(2) {
            let before = value([row[at - 2 * step], row[at - 2 * step + 1]]);
            let sum = value([row[at], row[at + 1]]).wrapping_add(before);
            let bytes = if layout.big_endian { sum.to_be_bytes() } else { sum.to_le_bytes() };
            row[at..at + 2].copy_from_slice(&bytes);
        }
        return;
    }
    for at in step..row.len() {
        row[at] = row[at].wrapping_add(row[at - step]);
    }
}
