//! Bit reader for scans, and decoding of the blocks of sequential scans (ITU T.81, annex F).

use super::huffman::{END_OF_BLOCK, HuffmanTable};
use super::{ScanError, ZIGZAG};

/// Zero bytes after the scan, so that it can be read in words.
const PADDING: usize = 16;

/// Restart intervals of a scan's unstuffed data.
#[derive(Debug)]
pub(super) struct RestartIntervals {
    /// End of each interval.
    pub ends: Vec<usize>,
    /// Number of restart markers in order, counted from the first.
    pub ordered: usize,
}

impl RestartIntervals {
    /// Checks that no more was read than an interval holds; `taken` counts bytes from the start of the scan.
    #[inline(always)]
    pub fn check(&self, interval: usize, taken: usize) -> Result<(), ScanError> {
        if taken <= self.ends[interval] {
            return Ok(());
        }
        Err(if interval + 1 == self.ends.len() { ScanError::CutShort } else { ScanError::Restart })
    }

    /// Start of the next interval, after the whole of `interval` was read.
    pub fn next_interval(&self, interval: usize, taken: usize) -> Result<usize, ScanError> {
        self.check(interval, taken)?;
        if interval + 1 == self.ends.len() {
            return Err(ScanError::CutShort);
        }
        if interval >= self.ordered {
            return Err(ScanError::Restart);
        }
        Ok(self.ends[interval])
    }

    /// The error behind an invalid code, which may be that the data ended before.
    #[cold]
    pub fn error_at(&self, _: InvalidCode, interval: usize, taken: usize) -> ScanError {
        self.check(interval, taken).err().unwrap_or(ScanError::InvalidCode)
    }
}

/// Writes a scan's data to `out` without stuffed zeros and markers, up to its end, followed by padding.
pub(super) fn unstuff(data: &[u8], out: &mut Vec<u8>) -> RestartIntervals {
    out.clear();
    out.reserve(data.len() + PADDING);
    let mut ends = Vec::new();
    let mut ordered = 0;
    let mut rest = data;
    while let Some(next) = memchr::memchr(0xff, rest) {
        match rest.get(next + 1) {
            Some(0) => {
                out.extend_from_slice(&rest[..=next]);
                rest = &rest[next + 2..];
            }
            Some(0xff) => {
                out.extend_from_slice(&rest[..next]);
                rest = &rest[next + 1..];
            }
            Some(&marker @ 0xd0..=0xd7) => {
                out.extend_from_slice(&rest[..next]);
                if ordered == ends.len() && usize::from(marker & 7) == ends.len() % 8 {
                    ordered += 1;
                }
                ends.push(out.len());
                rest = &rest[next + 2..];
            }
            _ => {
                out.extend_from_slice(&rest[..next]);
                rest = &[];
            }
        }
    }
    out.extend_from_slice(rest);
    ends.push(out.len());
    out.extend([0; PADDING]);
    RestartIntervals { ends, ordered }
}

/// An invalid Huffman code, or one that leads beyond its block.
#[derive(Clone, Copy, Debug)]
pub(super) struct InvalidCode;

/// Reader of a scan's bits, highest first.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    /// Index of the next byte to load.
    next: usize,
    bits: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    /// Creates a reader of data followed by [`PADDING`] zeros.
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, next: 0, bits: 0, count: 0 }
    }

    /// Number of bytes read, counting partial ones.
    pub fn taken(&self) -> usize {
        (8 * self.next - self.count as usize).div_ceil(8)
    }

    /// Loads bits so that at least 56 are available.
    #[inline(always)]
    pub fn fill(&mut self) {
        // Beyond the end it stays at the padding; `taken` reveals that.
        let next = self.next.min(self.data.len() - 8);
        if let Some(bytes) = self.data[next..].first_chunk::<8>() {
            self.bits |= u64::from_be_bytes(*bytes) >> self.count;
        }
        self.next += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
    }

    /// Skips a code and the value after it.
    #[inline(always)]
    pub fn skip(&mut self, entry: u32) {
        self.bits = self.bits.wrapping_shl(entry);
        self.count -= entry & 255;
    }

    /// Reads a code and returns the value after it (T.81, F.2.2.1: EXTEND).
    #[inline(always)]
    pub fn take(&mut self, entry: u32) -> i32 {
        let size = entry >> 16 & 31;
        let after = self.bits.wrapping_shl(entry >> 8);
        // All ones for a non-negative value, which begins with a one.
        let sign = (after as i64 >> 63) as i32;
        let value = (after >> 1).wrapping_shr(63 - size) as i32;
        self.skip(entry);
        value + (!sign & (1 - 1i32.wrapping_shl(size)))
    }

    /// Reads a DC coefficient, coded as the difference to the previous one.
    #[inline(always)]
    pub fn dc(&mut self, dc: &HuffmanTable, previous: &mut i32) -> Result<(), InvalidCode> {
        self.fill();
        let entry = dc.find(self.bits);
        if entry == 0 {
            return Err(InvalidCode);
        }
        *previous = previous.wrapping_add(self.take(entry));
        Ok(())
    }

    /// Reads the coefficients of a block into the zeroed `out`. Returns the zigzag index of the last one, or one more.
    /// `WIDE` if one of the tables is wide.
    #[inline(always)]
    pub fn block<const WIDE: bool>(
        &mut self,
        dc: &HuffmanTable,
        ac: &HuffmanTable,
        previous: &mut i32,
        out: &mut [i16; 64],
    ) -> Result<usize, InvalidCode> {
        self.dc(dc, previous)?;
        out[0] = *previous as i16;
        let mut k = 1;
        loop {
            for filled in [!WIDE, false] {
                // The bits of the DC and one AC coefficient are already loaded.
                if !filled {
                    self.fill();
                }
                let entry = ac.find(self.bits);
                k += (entry >> 24) as usize;
                if entry == 0 || k > 63 {
                    return self.end_of_block(entry, k);
                }
                out[usize::from(ZIGZAG[k]) & 63] = self.take(entry) as i16;
                if k == 63 {
                    return Ok(63);
                }
                k += 1;
            }
        }
    }

    /// Skips a block.
    #[inline(always)]
    pub fn skip_block<const WIDE: bool>(
        &mut self,
        dc: &HuffmanTable,
        ac: &HuffmanTable,
        previous: &mut i32,
    ) -> Result<(), InvalidCode> {
        self.dc(dc, previous)?;
        let mut k = 1;
        loop {
            for filled in [!WIDE, false] {
                if !filled {
                    self.fill();
                }
                let entry = ac.find(self.bits);
                k += (entry >> 24) as usize + 1;
                if entry == 0 || k > 64 {
                    return self.end_of_block(entry, k - 1).map(|_| ());
                }
                self.skip(entry);
                if k == 64 {
                    return Ok(());
                }
            }
        }
    }

    /// Reads `count` bits, at most 16, as a number. Requires that many loaded bits.
    #[inline(always)]
    pub fn number(&mut self, count: u32) -> u32 {
        let found = (self.bits >> 32 >> (32 - count)) as u32;
        self.skip(count);
        found
    }

    /// The table entry of the next code, 0 if invalid. Requires 16 loaded bits.
    #[inline(always)]
    pub fn code(&self, table: &HuffmanTable) -> u32 {
        table.find(self.bits)
    }

    /// Handles an `entry` that leads to coefficient `k`: the end of the block, or an error.
    #[inline(always)]
    fn end_of_block(&mut self, entry: u32, k: usize) -> Result<usize, InvalidCode> {
        if entry >> 24 != END_OF_BLOCK {
            return Err(InvalidCode);
        }
        self.skip(entry);
        Ok(k - END_OF_BLOCK as usize - 1)
    }
}
