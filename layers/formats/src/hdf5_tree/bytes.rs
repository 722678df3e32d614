//! Little-endian numbers of a block, never beyond its end.

use super::{Fault, Parsed, fault};

/// The rest of a block.
#[derive(Clone)]
pub(super) struct Bytes<'a> {
    rest: &'a [u8],
    /// The block's name in messages.
    what: &'static str,
}

impl<'a> Bytes<'a> {
    pub fn new(rest: &'a [u8], what: &'static str) -> Self {
        Self { rest, what }
    }

    /// The number of bytes left.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    pub fn take(&mut self, count: usize) -> Parsed<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(Fault::Content(format!("{} ends too early; the file is damaged", self.what)));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// Takes `count` bytes and those up to the next multiple of 8.
    pub fn take_padded(&mut self, count: usize) -> Parsed<&'a [u8]> {
        let taken = self.take(count)?;
        self.take(count.next_multiple_of(8) - count)?;
        Ok(taken)
    }

    /// A number of `width` bytes, at most 8.
    pub fn number(&mut self, width: usize) -> Parsed<u64> {
        Ok(self.take(width)?.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    pub fn u8(&mut self) -> Parsed<u8> {
        Ok(self.number(1)? as u8)
    }

    pub fn u16(&mut self) -> Parsed<u16> {
        Ok(self.number(2)? as u16)
    }

    pub fn u32(&mut self) -> Parsed<u32> {
        Ok(self.number(4)? as u32)
    }

    pub fn u64(&mut self) -> Parsed<u64> {
        self.number(8)
    }

    pub fn expect(&mut self, signature: &[u8]) -> Parsed<()> {
        let what = self.what;
        if self.take(signature.len())? == signature {
            return Ok(());
        }
        fault(format!("{what} does not begin with {:?}; the file is damaged", String::from_utf8_lossy(signature)))
    }
}
