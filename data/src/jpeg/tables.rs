//! Quantization and Huffman tables a JPEG defines (ITU T.81, B.2.4).

use super::{ZIGZAG, default_tables};
use crate::error::BadImage;

/// Number of tables of each kind.
const SLOTS: usize = 4;

/// Tables in effect at a position in a file.
#[derive(Clone, Debug, Default)]
pub(super) struct TableDefinitions<'a> {
    /// Quantization tables in block order, not zigzag order.
    quantizers: [Option<Box<[i16; 64]>>; SLOTS],
    /// Huffman definitions: 16 code counts by length, then the symbols.
    dc: [Option<&'a [u8]>; SLOTS],
    ac: [Option<&'a [u8]>; SLOTS],
}

impl<'a> TableDefinitions<'a> {
    /// Reads a DQT segment.
    pub fn read_quantizers(&mut self, mut body: &[u8]) -> Result<(), BadImage> {
        let short = || BadImage::Damaged("a quantiser that does not fit its segment".into());
        while let Some((&kind, rest)) = body.split_first() {
            let bytes = if kind >> 4 == 0 { 1 } else { 2 };
            let slot = self.quantizers.get_mut(usize::from(kind & 15));
            let slot = slot.ok_or_else(|| BadImage::Damaged(format!("quantiser {}, expected 0 to 3", kind & 15)))?;
            let (values, rest) = rest.split_at_checked(64 * bytes).ok_or_else(short)?;
            let table = slot.get_or_insert_with(|| Box::new([0; 64]));
            for (value, &position) in values.chunks_exact(bytes).zip(&ZIGZAG) {
                let value = value.iter().fold(0, |value, &byte| value << 8 | u16::from(byte));
                // Truncated to the bits the transform multiplies with, as in libjpeg-turbo.
                table[usize::from(position)] = value as i16;
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

    /// Adds the default tables that Motion JPEG omits, as libjpeg does before the first scan.
    pub fn add_defaults(&mut self) {
        self.dc[0].get_or_insert(&default_tables::DC_LUMINANCE);
        self.dc[1].get_or_insert(&default_tables::DC_CHROMINANCE);
        self.ac[0].get_or_insert(&default_tables::AC_LUMINANCE);
        self.ac[1].get_or_insert(&default_tables::AC_CHROMINANCE);
    }

    pub fn quantizer(&self, number: u8) -> Result<[i16; 64], BadImage> {
        let found = self.quantizers.get(usize::from(number)).and_then(Option::as_deref);
        found.copied().ok_or_else(|| BadImage::Damaged(format!("quantiser {number} is missing")))
    }

    /// Definition of a DC table.
    pub fn dc(&self, number: u8) -> Option<&'a [u8]> {
        self.dc.get(usize::from(number)).copied().flatten()
    }

    /// Definition of an AC table.
    pub fn ac(&self, number: u8) -> Option<&'a [u8]> {
        self.ac.get(usize::from(number)).copied().flatten()
    }
}
