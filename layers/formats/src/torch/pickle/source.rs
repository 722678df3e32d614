//! The bytes of a pickle.

use std::io::Read;

use crate::error::Fault;

/// The longest line of the opcodes that hold text lines, in bytes: names of modules and classes.
const MAX_LINE: usize = 4096;

/// A reader of at most a number of bytes.
pub struct Source<'a, R> {
    reader: &'a mut R,
    left: u64,
}

impl<'a, R: Read> Source<'a, R> {
    /// A source of at most `limit` bytes.
    pub fn new(reader: &'a mut R, limit: u64) -> Self {
        Self { reader, left: limit }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.spend(N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// This many bytes. Memory grows with those that are there, whatever the claim.
    pub(crate) fn bytes(&mut self, count: u64) -> Result<Vec<u8>, Fault> {
        self.spend(count)?;
        let mut bytes = Vec::new();
        self.reader.by_ref().take(count).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < count {
            return Err("is truncated in its pickle; get it again".into());
        }
        Ok(bytes)
    }

    /// The bytes up to the end of the line, which is left out.
    pub(crate) fn line(&mut self) -> Result<String, Fault> {
        let mut line = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => return String::from_utf8(line).map_err(|_| "has a name in its pickle that is no text".into()),
                byte if line.len() < MAX_LINE => line.push(byte),
                _ => return Err("has a name of more than 4096 bytes in its pickle".into()),
            }
        }
    }

    fn spend(&mut self, count: u64) -> Result<(), Fault> {
        let left = self.left.checked_sub(count);
        self.left = left.ok_or_else(|| {
            let left = self.left;
            format!(
                "has a pickle that needs {count} more bytes where {left} are left; it is damaged, or no weights file"
            )
        })?;
        Ok(())
    }
}
