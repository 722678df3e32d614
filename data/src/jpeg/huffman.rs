//! Huffman codes and the bits that they are read from (ITU T.81, annexes C and F).

use std::ops::Range;
use std::rc::Rc;

use super::{Failure, ZIGZAG};

/// Bits that are looked up at once.
const LOOK: u32 = 10;
/// The longest values of 8-bit pictures: two coefficients, each with a code of up to 16 bits, are never more than the 56 bits
/// that are there after a fill.
const MOST_DC: u8 = 11;
const MOST_AC: u8 = 10;
/// Coefficients that the end of a block is said to pass over.
const END: u32 = 64;
/// Zeros after the scan, so that it can be read in words.
const PADDING: usize = 16;

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
}

/// What a table is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Dc,
    Ac,
}

/// The tables of the pictures before: nearly all have the same.
#[derive(Debug, Default)]
pub(super) struct Cache {
    tables: Vec<(Kind, Vec<u8>, Rc<Table>)>,
    oldest: usize,
}

/// Tables that are kept.
const MAX_TABLES: usize = 8;

impl Cache {
    /// The table with the definition at `place` of `data`.
    pub fn get(&mut self, kind: Kind, data: &[u8], place: Option<&Range<usize>>) -> Result<Rc<Table>, Failure> {
        let definition = place.and_then(|place| data.get(place.clone())).ok_or(Failure::Other)?;
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
    fn new(kind: Kind, definition: &[u8]) -> Result<Self, Failure> {
        let (counts, symbols) = definition.split_at_checked(16).ok_or(Failure::Other)?;
        let mut entries = Box::new([0; 1 << LOOK]);
        let (mut limits, mut offsets) = ([0; 18], [0; 17]);
        let (mut code, mut place) = (0u32, 0usize);
        for length in 1..=16u32 {
            offsets[length as usize] = place as i32 - code as i32;
            for _ in 0..counts[length as usize - 1] {
                let &symbol = symbols.get(place).ok_or(Failure::Other)?;
                if code >= 1 << length || !kind.allows(symbol) {
                    return Err(Failure::Other);
                }
                if length <= LOOK {
                    let start = (code << (LOOK - length)) as usize;
                    entries[start..start + (1 << (LOOK - length))].fill(entry(length, symbol));
                }
                code += 1;
                place += 1;
            }
            limits[length as usize] = code << (16 - length);
            code <<= 1;
        }
        limits[17] = u32::MAX;
        Ok(Self { entries, limits, offsets, symbols: symbols.to_vec() })
    }

    /// The entry of the code that these bits begin with; 0: there is none.
    #[inline(always)]
    fn find(&self, bits: u64) -> u32 {
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
        usize::try_from(place).ok().and_then(|place| self.symbols.get(place)).map_or(0, |&symbol| entry(length, symbol))
    }
}

impl Kind {
    fn allows(self, symbol: u8) -> bool {
        match self {
            Self::Dc => symbol <= MOST_DC,
            Self::Ac => symbol & 15 <= MOST_AC,
        }
    }
}

fn entry(length: u32, symbol: u8) -> u32 {
    let (zeros, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
    // Sixteen zeros are fifteen and a value of zero; all other symbols without a value end the block, as in libjpeg.
    let zeros = if size == 0 && zeros != 15 { END } else { zeros };
    (length + size) | length << 8 | size << 16 | zeros << 24
}

/// A scan's data without what stands between them.
#[derive(Debug)]
pub(super) struct Unstuffed {
    /// Where each part between restarts ends.
    pub ends: Vec<usize>,
    /// Whether the restarts' numbers are in order, and the picture's end or nothing comes after the data.
    pub is_regular: bool,
}

/// Fills `out` with a scan's data, stuffed zeros taken away, up to its end, and some zeros after it.
pub(super) fn unstuff(data: &[u8], out: &mut Vec<u8>) -> Unstuffed {
    out.clear();
    out.reserve(data.len() + PADDING);
    let (mut ends, mut is_regular) = (Vec::new(), true);
    let mut rest = data;
    while let Some(at) = memchr::memchr(0xff, rest) {
        match rest.get(at + 1) {
            Some(0) => {
                out.extend_from_slice(&rest[..=at]);
                rest = &rest[at + 2..];
            }
            Some(0xff) => {
                out.extend_from_slice(&rest[..at]);
                rest = &rest[at + 1..];
            }
            Some(&marker @ 0xd0..=0xd7) => {
                out.extend_from_slice(&rest[..at]);
                is_regular &= usize::from(marker & 7) == ends.len() % 8;
                ends.push(out.len());
                rest = &rest[at + 2..];
            }
            after => {
                out.extend_from_slice(&rest[..at]);
                is_regular &= matches!(after, Some(0xd9));
                rest = &[];
            }
        }
    }
    out.extend_from_slice(rest);
    ends.push(out.len());
    out.extend([0; PADDING]);
    Unstuffed { ends, is_regular }
}

/// Bits of a scan, the next one highest.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    /// The next byte that is not among the bits.
    at: usize,
    bits: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    /// Of data with [`PADDING`] zeros after it.
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, bits: 0, count: 0 }
    }

    /// Bytes that were begun.
    pub fn taken(&self) -> usize {
        (8 * self.at - self.count as usize).div_ceil(8)
    }

    /// At least 56 bits.
    #[inline(always)]
    fn fill(&mut self) {
        // Beyond the end it stays at the zeros; `taken` tells.
        let at = self.at.min(self.data.len() - 8);
        if let Some(bytes) = self.data[at..].first_chunk::<8>() {
            self.bits |= u64::from_be_bytes(*bytes) >> self.count;
        }
        self.at += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
    }

    /// Passes over a code and its value.
    #[inline(always)]
    fn skip(&mut self, entry: u32) {
        self.bits = self.bits.wrapping_shl(entry);
        self.count -= entry & 255;
    }

    /// Takes a code's bits and gives the value after it (T.81, F.2.2.1: EXTEND).
    #[inline(always)]
    fn take(&mut self, entry: u32) -> i32 {
        let size = entry >> 16 & 31;
        let after = self.bits.wrapping_shl(entry >> 8);
        // All ones for a value that is not negative, which begins with a one.
        let sign = (after as i64 >> 63) as i32;
        let value = (after >> 1).wrapping_shr(63 - size) as i32;
        self.skip(entry);
        value + (!sign & (1 - 1i32.wrapping_shl(size)))
    }

    /// Reads a block's first value, which is coded as its difference to the one before.
    #[inline(always)]
    fn dc(&mut self, dc: &Table, before: &mut i32) -> Result<(), Failure> {
        self.fill();
        let entry = dc.find(self.bits);
        if entry == 0 {
            return Err(Failure::Other);
        }
        *before = before.wrapping_add(self.take(entry));
        Ok(())
    }

    /// Reads a block's coefficients into `out`, which was all zeros; returns the place of the last one in the order of
    /// frequencies, or one after it.
    #[inline(always)]
    pub fn block(&mut self, dc: &Table, ac: &Table, before: &mut i32, out: &mut [i16; 64]) -> Result<usize, Failure> {
        self.dc(dc, before)?;
        out[0] = *before as i16;
        let mut k = 1;
        loop {
            for filled in [true, false] {
                // The DC's bits and those of a first coefficient are in already.
                if !filled {
                    self.fill();
                }
                let entry = ac.find(self.bits);
                k += (entry >> 24) as usize;
                if entry == 0 || k > 63 {
                    return self.end(entry, k);
                }
                out[usize::from(ZIGZAG[k]) & 63] = self.take(entry) as i16;
                if k == 63 {
                    return Ok(63);
                }
                k += 1;
            }
        }
    }

    /// Passes over a block.
    #[inline(always)]
    pub fn skip_block(&mut self, dc: &Table, ac: &Table, before: &mut i32) -> Result<(), Failure> {
        self.dc(dc, before)?;
        let mut k = 1;
        loop {
            for filled in [true, false] {
                if !filled {
                    self.fill();
                }
                let entry = ac.find(self.bits);
                k += (entry >> 24) as usize + 1;
                if entry == 0 || k > 64 {
                    return self.end(entry, k - 1).map(|_| ());
                }
                self.skip(entry);
                if k == 64 {
                    return Ok(());
                }
            }
        }
    }

    /// What it means that `entry` leads to coefficient `k`: the block's end, or an error.
    #[inline(always)]
    fn end(&mut self, entry: u32, k: usize) -> Result<usize, Failure> {
        if entry >> 24 != END {
            return Err(Failure::Other);
        }
        self.skip(entry);
        Ok(k - END as usize - 1)
    }
}
