//! The quantisers and Huffman tables that a JPEG defines (ITU T.81, B.2.4).

use super::{ZIGZAG, standard};
use crate::error::BadImage;

/// Tables of each kind.
const SLOTS: usize = 4;

/// Those in force at one place of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables<'a> {
    /// By place in the block, not by order.
    quantisers: [Option<Box<[i16; 64]>>; SLOTS],
    /// Definitions: 16 counts of codes by length, then their symbols.
    dc: [Option<&'a [u8]>; SLOTS],
    ac: [Option<&'a [u8]>; SLOTS],
}

impl<'a> Tables<'a> {
    /// Reads a DQT segment.
    pub fn read_quantisers(&mut self, mut body: &[u8]) -> Result<(), BadImage> {
        let short = || BadImage::Damaged("a quantiser that does not fit its segment".into());
        while let Some((&kind, rest)) = body.split_first() {
            let bytes = if kind >> 4 == 0 { 1 } else { 2 };
            let slot = self.quantisers.get_mut(usize::from(kind & 15));
            let slot = slot.ok_or_else(|| BadImage::Damaged(format!("quantiser {}, expected 0 to 3", kind & 15)))?;
            let (values, rest) = rest.split_at_checked(64 * bytes).ok_or_else(short)?;
            let table = slot.get_or_insert_with(|| Box::new([0; 64]));
            for (value, &place) in values.chunks_exact(bytes).zip(&ZIGZAG) {
                let value = value.iter().fold(0, |value, &byte| value << 8 | u16::from(byte));
                // As many bits as the transform multiplies with, in libjpeg-turbo too.
                table[usize::from(place)] = value as i16;
            }
            body = rest;
        }
        Ok(())
    }

    /// Reads a DHT segment.
    pub fn read_huffman(&mut self, mut body: &'a [u8]) -> Result<(), BadImage> {
        let wrong = || BadImage::Damaged("a Huffman table that does not fit its segment".into());
        while let Some((&kind, rest)) = body.split_first() {
            let counts = rest.get(..16).ok_or_else(wrong)?;
            let symbols = counts.iter().map(|&count| usize::from(count)).sum::<usize>();
            let (definition, rest) = rest.split_at_checked(16 + symbols).ok_or_else(wrong)?;
            if symbols > 256 {
                return Err(wrong());
            }
            let tables = match kind >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                class => return Err(BadImage::Damaged(format!("a Huffman table of class {class}, expected 0 or 1"))),
            };
            let slot = tables.get_mut(usize::from(kind & 15));
            *slot.ok_or_else(|| BadImage::Damaged(format!("Huffman table {}, expected 0 to 3", kind & 15)))? =
                Some(definition);
            body = rest;
        }
        Ok(())
    }

    /// Fills in the tables that Motion JPEG takes for granted, as libjpeg does before the first scan.
    pub fn complete(&mut self) {
        self.dc[0].get_or_insert(&standard::DC_LUMINANCE);
        self.dc[1].get_or_insert(&standard::DC_CHROMINANCE);
        self.ac[0].get_or_insert(&standard::AC_LUMINANCE);
        self.ac[1].get_or_insert(&standard::AC_CHROMINANCE);
    }

    pub fn quantiser(&self, number: u8) -> Result<[i16; 64], BadImage> {
        let found = self.quantisers.get(usize::from(number)).and_then(Option::as_deref);
        found.copied().ok_or_else(|| BadImage::Damaged(format!("quantiser {number} is missing")))
    }

    /// The definition of a table for first coefficients.
    pub fn dc(&self, number: u8) -> Option<&'a [u8]> {
        self.dc.get(usize::from(number)).copied().flatten()
    }

    /// The definition of a table for all other coefficients.
    pub fn ac(&self, number: u8) -> Option<&'a [u8]> {
        self.ac.get(usize::from(number)).copied().flatten()
    }
}
