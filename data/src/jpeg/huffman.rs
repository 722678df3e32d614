//! Huffman tables (ITU T.81, annexes C and F).

use std::rc::Rc;

use super::ScanError;

/// Bits per lookup.
const LOOKUP_BITS: u32 = 10;
/// Maximum value lengths of 8-bit images. Two coefficients, each with a code of up to 16 bits, never exceed the 56 bits
/// loaded by a fill. A table may name longer values; such a table is wide.
const MAX_DC_BITS: u8 = 11;
const MAX_AC_BITS: u8 = 10;
/// Maximum length of a DC value in libjpeg.
const MAX_WIDE_DC_BITS: u8 = 15;
/// Zero run that marks the end of a block.
pub(super) const END_OF_BLOCK: u32 = 64;

/// A Huffman table.
#[derive(Debug)]
pub(super) struct HuffmanTable {
    /// Entry by the next bits. From the lowest byte: length of code and value, length of code, length of value, zero
    /// run. 0 if the code is longer or invalid.
    entries: Box<[u32; 1 << LOOKUP_BITS]>,
    /// By code length: the first code beyond those of the length, left-aligned to 16 bits.
    limits: [u32; 18],
    /// By code length: offset from a code to the index of its symbol.
    offsets: [i32; 17],
    symbols: Vec<u8>,
    kind: TableKind,
    /// Whether it has values longer than those of 8-bit images.
    pub is_wide: bool,
}

/// Use of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableKind {
    Dc,
    /// AC coefficients of sequential scans.
    Ac,
    /// AC coefficients of progressive scans, where a symbol without a value may end the band of several blocks; its
    /// upper half is kept.
    ProgressiveAc,
}

/// Cache of tables, because nearly all images use the same.
#[derive(Debug, Default)]
pub(super) struct TableCache {
    tables: Vec<(TableKind, Vec<u8>, Rc<HuffmanTable>)>,
    oldest: usize,
}

/// Maximum number of cached tables.
const MAX_TABLES: usize = 8;

impl TableCache {
    /// Returns the table with this definition.
    pub fn get(&mut self, kind: TableKind, definition: Option<&[u8]>) -> Result<Rc<HuffmanTable>, ScanError> {
        let definition = definition.ok_or(ScanError::MissingTable)?;
        if let Some((.., table)) = self.tables.iter().find(|(of, known, _)| *of == kind && known == definition) {
            return Ok(Rc::clone(table));
        }
        let made = (kind, definition.to_vec(), Rc::new(HuffmanTable::new(kind, definition)?));
        let table = Rc::clone(&made.2);
        if self.tables.len() < MAX_TABLES {
            self.tables.push(made);
        } else {
            self.tables[self.oldest] = made;
            self.oldest = (self.oldest + 1) % MAX_TABLES;
        }
        Ok(table)
    }
}

impl HuffmanTable {
    /// Builds a table from 16 code counts by length and their symbols.
    fn new(kind: TableKind, definition: &[u8]) -> Result<Self, ScanError> {
        let (counts, symbols) = definition.split_at_checked(16).ok_or(ScanError::InvalidTable)?;
        let mut entries = Box::new([0; 1 << LOOKUP_BITS]);
        let mut limits = [0; 18];
        let mut offsets = [0; 17];
        let mut code = 0u32;
        let mut index = 0usize;
        let mut is_wide = false;
        for length in 1..=16u32 {
            offsets[length as usize] = index as i32 - code as i32;
            for _ in 0..counts[length as usize - 1] {
                let &symbol = symbols.get(index).ok_or(ScanError::InvalidTable)?;
                if code >= 1 << length || (kind == TableKind::Dc && symbol > MAX_WIDE_DC_BITS) {
                    return Err(ScanError::InvalidTable);
                }
                is_wide |= kind.is_wide(symbol);
                if length <= LOOKUP_BITS {
                    let start = (code << (LOOKUP_BITS - length)) as usize;
                    entries[start..start + (1 << (LOOKUP_BITS - length))].fill(kind.entry(length, symbol));
                }
                code += 1;
                index += 1;
            }
            // No code is all ones.
            if code >= 1 << length {
                return Err(ScanError::InvalidTable);
            }
            limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        limits[17] = u32::MAX;
        Ok(Self { entries, limits, offsets, symbols: symbols.to_vec(), kind, is_wide })
    }

    /// The entry of the code at the start of `bits`, 0 if invalid.
    #[inline(always)]
    pub fn find(&self, bits: u64) -> u32 {
        match self.entries[(bits >> (64 - LOOKUP_BITS)) as usize] {
            0 => self.find_long(bits),
            entry => entry,
        }
    }

    #[cold]
    fn find_long(&self, bits: u64) -> u32 {
        let next = (bits >> 48) as u32;
        let Some(length) = (LOOKUP_BITS + 1..=16).find(|&length| next < self.limits[length as usize]) else { return 0 };
        let index = (next >> (16 - length)) as i32 + self.offsets[length as usize];
        usize::try_from(index)
            .ok()
            .and_then(|index| self.symbols.get(index))
            .map_or(0, |&symbol| self.kind.entry(length, symbol))
    }
}

impl TableKind {
    fn is_wide(self, symbol: u8) -> bool {
        match self {
            Self::Dc => symbol > MAX_DC_BITS,
            Self::Ac => symbol & 15 > MAX_AC_BITS,
            Self::ProgressiveAc => false,
        }
    }

    fn entry(self, length: u32, symbol: u8) -> u32 {
        let size = u32::from(symbol & 15);
        let run = match u32::from(symbol >> 4) {
            // A run of sixteen zeros is fifteen and a zero value; all other symbols without a value end the block, as
            // in libjpeg.
            run if self == Self::Ac && size == 0 && run != 15 => END_OF_BLOCK,
            run => run,
        };
        (length + size) | length << 8 | size << 16 | run << 24
    }
}
