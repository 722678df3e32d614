//! The bits of a scan, and the blocks of sequential ones (ITU T.81, annex F).

use super::huffman::{END, Table};
use super::{Fault, ZIGZAG};

/// Zeros after the scan, so that it can be read in words.
const PADDING: usize = 16;

/// A scan's data without what stands between them.
#[derive(Debug)]
pub(super) struct Unstuffed {
    /// Where each part between restarts ends.
    pub ends: Vec<usize>,
    /// Restarts whose numbers are in order, from the first one on.
    pub regular: usize,
}

impl Unstuffed {
    /// Refuses to have taken more than a part has, `taken` from the scan's start on.
    #[inline(always)]
    pub fn check(&self, part: usize, taken: usize) -> Result<(), Fault> {
        if taken <= self.ends[part] {
            return Ok(());
        }
        Err(if part + 1 == self.ends.len() { Fault::CutShort } else { Fault::Restart })
    }

    /// Where the next part begins, when all of this one was taken.
    pub fn next_part(&self, part: usize, taken: usize) -> Result<usize, Fault> {
        self.check(part, taken)?;
        if part + 1 == self.ends.len() {
            return Err(Fault::CutShort);
        }
        if part >= self.regular {
            return Err(Fault::Restart);
        }
        Ok(self.ends[part])
    }

    /// What it means that bits are no code: where more was taken than there is, that.
    #[cold]
    pub fn reason(&self, _: BadCode, part: usize, taken: usize) -> Fault {
        self.check(part, taken).err().unwrap_or(Fault::Code)
    }
}

/// Fills `out` with a scan's data, stuffed zeros taken away, up to its end, and some zeros after it.
pub(super) fn unstuff(data: &[u8], out: &mut Vec<u8>) -> Unstuffed {
    out.clear();
    out.reserve(data.len() + PADDING);
    let mut ends = Vec::new();
    let mut regular = 0;
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
                if regular == ends.len() && usize::from(marker & 7) == ends.len() % 8 {
                    regular += 1;
                }
                ends.push(out.len());
                rest = &rest[at + 2..];
            }
            _ => {
                out.extend_from_slice(&rest[..at]);
                rest = &[];
            }
        }
    }
    out.extend_from_slice(rest);
    ends.push(out.len());
    out.extend([0; PADDING]);
    Unstuffed { ends, regular }
}

/// Bits that are no code, or that lead beyond their block.
#[derive(Clone, Copy, Debug)]
pub(super) struct BadCode;

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
    pub fn fill(&mut self) {
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
    pub fn skip(&mut self, entry: u32) {
        self.bits = self.bits.wrapping_shl(entry);
        self.count -= entry & 255;
    }

    /// Takes a code's bits and gives the value after it (T.81, F.2.2.1: EXTEND).
    #[inline(always)]
    pub fn take(&mut self, entry: u32) -> i32 {
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
    pub fn dc(&mut self, dc: &Table, before: &mut i32) -> Result<(), BadCode> {
        self.fill();
        let entry = dc.find(self.bits);
        if entry == 0 {
            return Err(BadCode);
        }
        *before = before.wrapping_add(self.take(entry));
        Ok(())
    }

    /// Reads a block's coefficients into `out`, which was all zeros; returns the place of the last one in the order of
    /// frequencies, or one after it. `WIDE`: one of the tables is.
    #[inline(always)]
    pub fn block<const WIDE: bool>(
        &mut self,
        dc: &Table,
        ac: &Table,
        before: &mut i32,
        out: &mut [i16; 64],
    ) -> Result<usize, BadCode> {
        self.dc(dc, before)?;
        out[0] = *before as i16;
        let mut k = 1;
        loop {
            for filled in [!WIDE, false] {
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
    pub fn skip_block<const WIDE: bool>(&mut self, dc: &Table, ac: &Table, before: &mut i32) -> Result<(), BadCode> {
        self.dc(dc, before)?;
        let mut k = 1;
        loop {
            for filled in [!WIDE, false] {
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

    /// The next `count` bits, at most 16, as a number; at least that many are there.
    #[inline(always)]
    pub fn number(&mut self, count: u32) -> u32 {
        let found = (self.bits >> 32 >> (32 - count)) as u32;
        self.skip(count);
        found
    }

    /// The entry of the next code in `table`; 0: there is none. At least 16 bits must be there.
    #[inline(always)]
    pub fn code(&self, table: &Table) -> u32 {
        table.find(self.bits)
    }

    /// What it means that `entry` leads to coefficient `k`: the block's end, or an error.
    #[inline(always)]
    fn end(&mut self, entry: u32, k: usize) -> Result<usize, BadCode> {
        if entry >> 24 != END {
            return Err(BadCode);
        }
        self.skip(entry);
        Ok(k - END as usize - 1)
    }
}
