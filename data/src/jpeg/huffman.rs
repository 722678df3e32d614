//! Huffman tables (ITU T.81, annexes C and F).

use std::rc::Rc;

use super::Fault;

/// Bits that are looked up at once.
const LOOK: u32 = 10;
/// The longest values of 8-bit images: two coefficients, each with a code of up to 16 bits, are never more than the 56 bits
/// that are there after a fill. A table may name longer ones; such a table is wide.
const MOST_DC: u8 = 11;
const MOST_AC: u8 = 10;
/// The longest first values that libjpeg takes.
const MOST_WIDE_DC: u8 = 15;
/// Coefficients that the end of a block is said to pass over.
pub(super) const END: u32 = 64;

/// One Huffman table.
#[derive(Debug)]
pub(super) struct Table {
    /// By the next bits: length of the code and of the value after it (lowest 8 bits), length of the code (8), of the value
    /// (8), zeros before it (8). 0: the code is longer, or none.
    entries: Box<[u32; 1 << LOOK]>,
    /// By length of code: the first code beyond those of the length, as 16 bits from the left.
    limits: [u32; 18],
    /// By length of code: what is added to a code to have its symbol's place.
    offsets: [i32; 17],
    symbols: Vec<u8>,
    kind: Kind,
    /// Whether it has values that are longer than those of 8-bit images.
    pub is_wide: bool,
}

/// What a table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Dc,
    /// All but the first coefficients of sequential images.
    Ac,
    /// Those of progressive ones, where a symbol without a value may end more blocks than one: its upper half stays as it is.
    Band,
}

/// The tables of the images before: nearly all have the same.
#[derive(Debug, Default)]
pub(super) struct Cache {
    tables: Vec<(Kind, Vec<u8>, Rc<Table>)>,
    oldest: usize,
}

/// Tables that are kept.
const MAX_TABLES: usize = 8;

impl Cache {
    /// The table with this definition.
    pub fn get(&mut self, kind: Kind, definition: Option<&[u8]>) -> Result<Rc<Table>, Fault> {
        let definition = definition.ok_or(Fault::NoTable)?;
        if let Some((.., table)) = self.tables.iter().find(|(of, known, _)| *of == kind && known == definition) {
            return Ok(Rc::clone(table));
        }
        let made = (kind, definition.to_vec(), Rc::new(Table::new(kind, definition)?));
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

impl Table {
    /// Of 16 counts of codes by length, and their symbols.
    fn new(kind: Kind, definition: &[u8]) -> Result<Self, Fault> {
        let (counts, symbols) = definition.split_at_checked(16).ok_or(Fault::Table)?;
        let mut entries = Box::new([0; 1 << LOOK]);
        let mut limits = [0; 18];
        let mut offsets = [0; 17];
        let mut code = 0u32;
        let mut place = 0usize;
        let mut is_wide = false;
        for length in 1..=16u32 {
            offsets[length as usize] = place as i32 - code as i32;
            for _ in 0..counts[length as usize - 1] {
                let &symbol = symbols.get(place).ok_or(Fault::Table)?;
                if code >= 1 << length || (kind == Kind::Dc && symbol > MOST_WIDE_DC) {
                    return Err(Fault::Table);
                }
                is_wide |= kind.is_wide(symbol);
                if length <= LOOK {
                    let start = (code << (LOOK - length)) as usize;
                    entries[start..start + (1 << (LOOK - length))].fill(kind.entry(length, symbol));
                }
                code += 1;
                place += 1;
            }
            // No code is all ones.
            if code >= 1 << length {
                return Err(Fault::Table);
            }
            limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        limits[17] = u32::MAX;
        Ok(Self { entries, limits, offsets, symbols: symbols.to_vec(), kind, is_wide })
    }

    /// The entry of the code that these bits begin with; 0: there is none.
    #[inline(always)]
    pub fn find(&self, bits: u64) -> u32 {
        match self.entries[(bits >> (64 - LOOK)) as usize] {
            0 => self.find_long(bits),
            entry => entry,
        }
    }

    #[cold]
    fn find_long(&self, bits: u64) -> u32 {
        let next = (bits >> 48) as u32;
        let Some(length) = (LOOK + 1..=16).find(|&length| next < self.limits[length as usize]) else { return 0 };
        let place = (next >> (16 - length)) as i32 + self.offsets[length as usize];
        usize::try_from(place)
            .ok()
            .and_then(|place| self.symbols.get(place))
            .map_or(0, |&symbol| self.kind.entry(length, symbol))
    }
}

impl Kind {
    fn is_wide(self, symbol: u8) -> bool {
        match self {
            Self::Dc => symbol > MOST_DC,
            Self::Ac => symbol & 15 > MOST_AC,
            Self::Band => false,
        }
    }

    fn entry(self, length: u32, symbol: u8) -> u32 {
        let size = u32::from(symbol & 15);
        let zeros = match u32::from(symbol >> 4) {
            // Sixteen zeros are fifteen and a value of zero; all other symbols without a value end the block, as in libjpeg.
            zeros if self == Self::Ac && size == 0 && zeros != 15 => END,
            zeros => zeros,
        };
        (length + size) | length << 8 | size << 16 | zeros << 24
    }
}
