//! Sparse files in tars, of which only the pieces that are no holes are stored: GNU's old form, which has a map in the
//! header, and the three that pax records describe ("Storing Sparse Files", GNU tar's manual).

use super::extended::{decimal, number};
use super::{BLOCK, Container};
use crate::error::Result;

/// Pieces of a sparse file at most: images have a few.
pub(super) const MAX_PIECES: usize = 1 << 16;

/// What pax records say of a sparse file.
#[derive(Debug, Default)]
pub(super) struct Sparse {
    pub name: Option<Vec<u8>>,
    length: Option<u64>,
    /// The pieces: where they belong and their lengths.
    map: Vec<(u64, u64)>,
    /// Where the next piece of version 0.0 belongs.
    next: Option<u64>,
    major: u64,
}

/// A map as it was read: where the pieces belong and their lengths, the length of the file, and the bytes that the map
/// takes before the pieces.
pub(super) type Map = (Vec<(u64, u64)>, u64, u64);

impl Sparse {
    /// Takes a record; `None` if it is damaged.
    pub fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key {
            b"name" => self.name = Some(value.to_vec()),
            b"major" => self.major = decimal(value)?,
            b"realsize" | b"size" => self.length = Some(decimal(value)?),
            b"offset" => self.next = Some(decimal(value)?),
            b"numbytes" => self.map.push((self.next.take()?, decimal(value)?)),
            b"map" => {
                let numbers: Option<Vec<u64>> = value.split(|&b| b == b',').map(decimal).collect();
                let numbers = numbers.filter(|numbers| numbers.len().is_multiple_of(2))?;
                self.map = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            }
            _ => {}
        }
        (self.map.len() <= MAX_PIECES).then_some(())
    }

    /// The map of a file whose bytes begin at `offset` and are `stored` in number.
    pub fn map(self, file: &Container, offset: u64, stored: u64) -> Result<Option<Map>> {
        let Some(length) = self.length else { return Ok(None) };
        if self.major == 0 {
            return Ok(Some((self.map, length, 0)));
        }
        // Version 1.0: numbers of a line each before the pieces, in whole blocks.
        let mut lines = Lines { file, offset, stored, read: 0, buffer: Vec::new() };
        let Some(count) = lines.number()?.filter(|&count| count <= MAX_PIECES as u64) else { return Ok(None) };
        let mut map = Vec::new();
        for _ in 0..count {
            let at = lines.number()?;
            let bytes = lines.number()?;
            let Some(piece) = at.zip(bytes) else { return Ok(None) };
            map.push(piece);
        }
        Ok(Some((map, length, lines.read)))
    }
}

/// Lines of digits, read a block at a time.
struct Lines<'a> {
    file: &'a Container,
    offset: u64,
    stored: u64,
    read: u64,
    buffer: Vec<u8>,
}

impl Lines<'_> {
    /// The number of the next line; `None` where there is none.
    fn number(&mut self) -> Result<Option<u64>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(decimal(&line[..end]).filter(|_| end > 0));
            }
            // No number of 64 bits is longer.
            if self.buffer.len() > 20 || self.read + BLOCK as u64 > self.stored {
                return Ok(None);
            }
            self.buffer.extend(self.file.bytes_at(self.offset + self.read, BLOCK)?);
            self.read += BLOCK as u64;
        }
    }
}

/// The map of GNU's old form: four pieces in the header, and 21 in each block that follows it while it says so.
/// `after` is where those blocks begin; the bytes that they take are returned beside.
pub(super) fn old_gnu(file: &Container, header: &[u8], after: u64, end: u64) -> Result<Option<Map>> {
    let Some(length) = number(&header[483..495]) else { return Ok(None) };
    let mut map = Vec::new();
    let mut more = header[482] != 0;
    let mut blocks = 0;
    if !take_pieces(&header[386..482], &mut map) {
        return Ok(None);
    }
    while more {
        let at = after + blocks * BLOCK as u64;
        if at + BLOCK as u64 > end || map.len() > MAX_PIECES {
            return Ok(None);
        }
        let block = file.bytes_at(at, BLOCK)?;
        if !take_pieces(&block[..504], &mut map) {
            return Ok(None);
        }
        more = block[504] != 0;
        blocks += 1;
    }
    Ok(Some((map, length, blocks * BLOCK as u64)))
}

/// Entries of 12 bytes each for place and length; one that is empty ends them.
fn take_pieces(entries: &[u8], map: &mut Vec<(u64, u64)>) -> bool {
    for entry in entries.chunks_exact(24) {
        if entry[0] == 0 {
            break;
        }
        let place = number(&entry[..12]);
        let bytes = number(&entry[12..]);
        let Some(piece) = place.zip(bytes) else { return false };
        map.push(piece);
    }
    true
}
