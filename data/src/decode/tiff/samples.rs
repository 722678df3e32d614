//! Rows of samples: differences summed, planes brought together, bits taken apart.

use std::borrow::Cow;

use super::colour::{Colour, unmultiplied};
use super::layout::Layout;
use crate::error::BadImage;

/// The rows of a strip or tile.
pub(super) struct Rows<'a> {
    layout: &'a Layout,
    planes: &'a [Cow<'a, [u8]>],
    columns: usize,
    /// Samples of one row, a byte each, those of a pixel together.
    samples: Vec<u8>,
    /// Samples of a pixel in `samples`.
    together: usize,
}

impl<'a> Rows<'a> {
    /// `planes` hold whole rows of a chunk, of which the first `columns` pixels are shown.
    pub fn new(layout: &'a Layout, planes: &'a [Cow<'a, [u8]>], columns: usize) -> Result<Self, BadImage> {
        let together = if layout.planar { planes.len() } else { layout.samples };
        Ok(Self { layout, planes, columns, samples: vec![0; columns * together], together })
    }

    /// Makes RGB of a row.
    pub fn draw(&mut self, row: usize, rgb: &mut [u8]) -> Result<(), BadImage> {
        self.read(row).ok_or_else(|| BadImage::CutShort("TIFF data ends before its last pixel".into()))?;
        let Layout { colour, bits, premultiplied, .. } = self.layout;
        let pixels = self.samples.chunks_exact(self.together).zip(rgb.chunks_exact_mut(3));
        match colour {
            Colour::Rgb if *bits >= 8 && !premultiplied => pixels.for_each(|(s, out)| out.copy_from_slice(&s[..3])),
            _ if *premultiplied => pixels.for_each(|(s, out)| {
                out.copy_from_slice(&unmultiplied(colour.rgb(s, *bits), s[colour.channels()]));
            }),
            _ => pixels.for_each(|(s, out)| out.copy_from_slice(&colour.rgb(s, *bits))),
        }
        Ok(())
    }

    /// Takes the samples of a row; `None` if there are too few.
    fn read(&mut self, row: usize) -> Option<()> {
        let layout = self.layout;
        if let Colour::YCbCr(colour) = &layout.colour
            && colour.is_subsampled()
        {
            colour.row(&self.planes[0], layout.chunk_width, row, &mut self.samples);
            return Some(());
        }
        let length = layout.row_bytes();
        for (at, plane) in self.planes.iter().enumerate() {
            let row = plane.get(row * length..(row + 1) * length)?;
            if layout.planar {
                let samples = self.samples[at..].iter_mut().step_by(self.together);
                unpack(row, layout, samples);
            } else {
                unpack(row, layout, self.samples.iter_mut());
            }
        }
        debug_assert_eq!(self.samples.len(), self.columns * self.together);
        Some(())
    }
}

/// Gives each sample a byte: of 16 bits the high ones, fewer than 8 as they are.
fn unpack<'a>(row: &[u8], layout: &Layout, samples: impl Iterator<Item = &'a mut u8>) {
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

/// Makes values of the differences of neighbouring pixels.
pub(super) fn sum_differences(row: &mut [u8], layout: &Layout) {
    let step = layout.samples_together();
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
