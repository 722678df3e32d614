//! Huffman codes and the bits that they are read from (ITU T.81, annexes C and F).

use std::ops::Range;
use std::rc::Rc;

use super::{Failure, ZIGZAG};

/// Bits that are looked up at once.
const LOOK: u32 = 10;
/// Longest code and its value together.
const MOST: u32 = 16 + 15;
/// Zeros after the scan, so that it can be read in words.
const PADDING: usize = 16;

/// One Huffman table.
#[derive(Debug)]
pub(super) struct Table {
    /// By the next bits: length of the code and of the value after it (8 bits), length of the value (8), zeros before
    /// it (8). 0: the code is longer.
    entries: Box<[u32; 1 << LOOK]>,
    /// By length of code: the first code beyond those of the length, as 16 bits from the left.
    limits: [u32; 18],
    /// By length of code: what is added to a code to have its symbol's place.
    offsets: [i32; 17],
    symbols: Vec<u8>,
}

/// The tables of the pictures before: nearly all have the same.
#[derive(Debug, Default)]
pub(super) struct Cache {
    tables: Vec<(Vec<u8>, Rc<Table>)>,
    oldest: usize,
}

/// Tables that are kept.
const MAX_TABLES: usize = 8;

impl Cache {
    /// The table with the definition at `place` of `data`.
    pub fn get(&mut self, data: &[u8], place: Option<&Range<usize>>) -> Result<Rc<Table>, Failure> {
        let definition = place.and_then(|place| data.get(place.clone())).ok_or(Failure::Other)?;
        if let Some((_, table)) = self.tables.iter().find(|(known, _)| known == definition) {
            return Ok(Rc::clone(table));
        }
        let made = (definition.to_vec(), Rc::new(Table::new(definition)?));
        let table = Rc::clone(&made.1);
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
    fn new(definition: &[u8]) -> Result<Self, Failure> {
        let (counts, symbols) = definition.split_at_checked(16).ok_or(Failure::Other)?;
        let mut entries = Box::new([0; 1 << LOOK]);
        let (mut limits, mut offsets) = ([0; 18], [0; 17]);
        let (mut code, mut place) = (0u32, 0usize);
        for length in 1..=16u32 {
            offsets[length as usize] = place as i32 - code as i32;
            for _ in 0..counts[length as usize - 1] {
                let &symbol = symbols.get(place).ok_or(Failure::Other)?;
                if code >= 1 << length {
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
    #[inline]
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

fn entry(length: u32, symbol: u8) -> u32 {
    let (zeros, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
    (length + size) | size << 8 | zeros << 16
}

/// Fills `out` with a scan's data, stuffed zeros taken away, up to its end; returns where restarts begin in it.
pub(super) fn unstuff(data: &[u8], out: &mut Vec<u8>) -> Vec<usize> {
    out.clear();
    let mut restarts = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.iter().position(|&byte| byte == 0xff) {
        match rest.get(at + 1) {
            Some(0) => {
                out.extend_from_slice(&rest[..=at]);
                rest = &rest[at + 2..];
            }
            Some(0xff) => {
                out.extend_from_slice(&rest[..at]);
                rest = &rest[at + 1..];
            }
            Some(0xd0..=0xd7) => {
                out.extend_from_slice(&rest[..at]);
                restarts.push(out.len());
                rest = &rest[at + 2..];
            }
            _ => {
                out.extend_from_slice(&rest[..at]);
                rest = &[];
            }
        }
    }
    out.extend_from_slice(rest);
    out.extend([0; PADDING]);
    restarts
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

    /// Whether more was read than there is.
    pub fn is_overrun(&self) -> bool {
        self.at.saturating_sub(self.count as usize / 8) > self.data.len().saturating_sub(PADDING)
    }

    /// At least 56 bits.
    #[inline(always)]
    fn fill(&mut self) {
        // Beyond the end it stays at the zeros; `is_overrun` tells.
        let at = self.at.min(self.data.len() - 8);
        if let Some(bytes) = self.data[at..].first_chunk::<8>() {
            self.bits |= u64::from_be_bytes(*bytes) >> self.count;
        }
        self.at += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
    }

    /// The next code's entry; its bits stay.
    #[inline(always)]
    fn peek(&mut self, table: &Table) -> Result<u32, Failure> {
        if self.count < MOST {
            self.fill();
        }
        match table.find(self.bits) {
            0 => Err(Failure::Other),
            entry => Ok(entry),
        }
    }

    /// Takes a code's bits and gives the value after it (T.81, F.2.2.1: EXTEND).
    #[inline(always)]
    fn take(&mut self, entry: u32) -> i32 {
        let (total, size) = (entry & 255, entry >> 8 & 255);
        let after = self.bits << (total - size);
        // All ones for a value that is not negative, which begins with a one.
        let sign = (after as i64 >> 63) as i32;
        let value = ((after >> 1) >> (63 - size)) as i32;
        self.bits <<= total;
        self.count -= total;
        value + (!sign & (1 - (1 << size)))
    }

    /// Reads a block's coefficients, multiplied, into `out`, which was all zeros; returns the place of the last one in
    /// the order of frequencies.
    #[inline(never)]
    pub fn block(
        &mut self,
        dc: &Table,
        ac: &Table,
        quantiser: &[i32; 64],
        before: &mut i32,
        out: &mut [i32; 64],
    ) -> Result<usize, Failure> {
        let entry = self.peek(dc)?;
        *before = before.wrapping_add(self.take(entry));
        out[0] = before.wrapping_mul(quantiser[0]);
        let (mut k, mut last) = (1, 0);
        while k < 64 {
            let entry = self.peek(ac)?;
            let (size, zeros) = (entry >> 8 & 255, (entry >> 16) as usize);
            let value = self.take(entry);
            k += zeros;
            if size == 0 {
                if zeros != 15 {
                    break;
                }
                k += 1;
                continue;
            }
            let Some(&place) = ZIGZAG.get(k) else { return Err(Failure::Other) };
            let place = usize::from(place & 63);
            out[place] = value.wrapping_mul(quantiser[place]);
            last = k;
            k += 1;
        }
        Ok(last)
    }

    /// Passes over a block.
    #[inline(never)]
    pub fn skip_block(&mut self, dc: &Table, ac: &Table, before: &mut i32) -> Result<(), Failure> {
        let entry = self.peek(dc)?;
        *before = before.wrapping_add(self.take(entry));
        let mut k = 1;
        while k < 64 {
            let entry = self.peek(ac)?;
            let (total, size, zeros) = (entry & 255, entry >> 8 & 255, entry >> 16);
            self.bits <<= total;
            self.count -= total;
            if size == 0 && zeros != 15 {
                return Ok(());
            }
            k += zeros + 1;
        }
        if k > 64 { Err(Failure::Other) } else { Ok(()) }
    }
}
