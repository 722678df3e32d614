//! Sparse files in tars, which store only the pieces that are not holes: GNU's old format with a map in the header, and
//! the three formats of pax records ("Storing Sparse Files", GNU tar manual).

use super::extended::{decimal, number};
use super::{BLOCK, Container};
use crate::error::Result;

/// Maximum number of pieces of a sparse file; images have a few.
pub(super) const MAX_PIECES: usize = 1 << 16;

/// Pax records of a sparse file.
#[derive(Debug, Default)]
pub(super) struct SparseHeader {
    pub name: Option<Vec<u8>>,
    length: Option<u64>,
    /// Offsets and lengths of the pieces.
    pieces: Vec<(u64, u64)>,
    /// Offset of the next piece in version 0.0.
    next: Option<u64>,
    major: u64,
}

/// The map of a sparse file.
pub(super) struct SparseMap {
    /// Offsets and lengths of the pieces.
    pub pieces: Vec<(u64, u64)>,
    /// Length of the whole file.
    pub length: u64,
    /// Size of the map itself, which precedes the pieces.
    pub map_bytes: u64,
}

impl SparseHeader {
    /// Reads a record; `None` if it is damaged.
    pub fn read_record(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        match key {
            b"name" => self.name = Some(value.to_vec()),
            b"major" => self.major = decimal(value)?,
            b"realsize" | b"size" => self.length = Some(decimal(value)?),
            b"offset" => self.next = Some(decimal(value)?),
            b"numbytes" => self.pieces.push((self.next.take()?, decimal(value)?)),
            b"map" => {
                let numbers: Option<Vec<u64>> = value.split(|&b| b == b',').map(decimal).collect();
                let numbers = numbers.filter(|numbers| numbers.len().is_multiple_of(2))?;
                self.pieces = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            }
            _ => {}
        }
        (self.pieces.len() <= MAX_PIECES).then_some(())
    }

    /// Reads the map of a file whose `stored` bytes begin at `offset`.
    pub fn read_map(self, file: &Container, offset: u64, stored: u64) -> Result<Option<SparseMap>> {
        let Some(length) = self.length else { return Ok(None) };
        if self.major == 0 {
            return Ok(Some(SparseMap { pieces: self.pieces, length, map_bytes: 0 }));
        }
        // Version 1.0: numbers on lines before the pieces, padded to whole blocks.
        let mut lines = Lines { file, offset, stored, read: 0, buffer: Vec::new() };
        let Some(count) = lines.number()?.filter(|&count| count <= MAX_PIECES as u64) else { return Ok(None) };
        let mut pieces = Vec::new();
        for _ in 0..count {
            let at = lines.number()?;
            let bytes = lines.number()?;
            let Some(piece) = at.zip(bytes) else { return Ok(None) };
            pieces.push(piece);
        }
        Ok(Some(SparseMap { pieces, length, map_bytes: lines.read }))
    }
}

/// Lines of digits, read block by block.
struct Lines<'a> {
    file: &'a Container,
    offset: u64,
    stored: u64,
    read: u64,
    buffer: Vec<u8>,
}

impl Lines<'_> {
    /// The number on the next line; `None` if there is none.
    fn number(&mut self) -> Result<Option<u64>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(decimal(&line[..end]).filter(|_| end > 0));
            }
            // No 64-bit number is longer.
            if self.buffer.len() > 20 || self.read + BLOCK as u64 > self.stored {
                return Ok(None);
            }
            self.buffer.extend(self.file.bytes_at(self.offset + self.read, BLOCK)?);
            self.read += BLOCK as u64;
        }
    }
}

/// Reads a map in GNU's old format: four pieces in the header, and 21 in each extension block. `after` is the offset of
/// the first extension block.
pub(super) fn read_old_gnu(file: &Container, header: &[u8], after: u64, end: u64) -> Result<Option<SparseMap>> {
    let Some(length) = number(&header[483..495]) else { return Ok(None) };
    let mut pieces = Vec::new();
    let mut more = header[482] != 0;
    let mut blocks = 0;
    if !read_pieces(&header[386..482], &mut pieces) {
        return Ok(None);
    }
    while more {
        let at = after + blocks * BLOCK as u64;
        if at + BLOCK as u64 > end || pieces.len() > MAX_PIECES {
            return Ok(None);
        }
        let block = file.bytes_at(at, BLOCK)?;
        if !read_pieces(&block[..504], &mut pieces) {
            return Ok(None);
        }
        more = block[504] != 0;
        blocks += 1;
    }
    Ok(Some(SparseMap { pieces, length, map_bytes: blocks * BLOCK as u64 }))
}

/// Reads entries of 12 bytes each for offset and length, up to an empty one.
fn read_pieces(entries: &[u8], pieces: &mut Vec<(u64, u64)>) -> bool {
    for entry in entries.chunks_exact(24) {
        if entry[0] == 0 {
            break;
        }
        let offset = number(&entry[..12]);
        let bytes = number(&entry[12..]);
        let Some(piece) = offset.zip(bytes) else { return false };
        pieces.push(piece);
    }
    true
}
