//! The first directory of a TIFF or BigTIFF: its tags and their values.
//!
//! The `tiff` crate reads directories too, but only such of which it likes all that it needs for decoding, and then those
//! that follow.

use std::collections::BTreeMap;

use crate::error::BadImage;

const RATIONAL: u16 = 5;
const SIGNED_RATIONAL: u16 = 10;
const FLOAT: u16 = 11;

/// Tags with where their values lie.
pub(super) struct Directory<'a> {
    bytes: &'a [u8],
    pub big_endian: bool,
    entries: BTreeMap<u16, Entry>,
}

struct Entry {
    kind: u16,
    count: u64,
    at: u64,
}

/// Sizes of the parts of a file.
struct Form {
    /// Of offsets and numbers of values.
    offset: usize,
    /// Of the number of entries.
    entries: usize,
}

impl<'a> Directory<'a> {
    /// Reads the directory that the header names.
    pub fn read(bytes: &'a [u8]) -> Result<Self, BadImage> {
        let mut directory = Self { bytes, big_endian: bytes.starts_with(b"MM"), entries: BTreeMap::new() };
        let big = directory.value(2, 2) == Some(43);
        let form = if big { Form { offset: 8, entries: 8 } } else { Form { offset: 4, entries: 2 } };
        directory.read_entries(&form, if big { 8 } else { 4 }).ok_or_else(cut_short)?;
        Ok(directory)
    }

    fn read_entries(&mut self, form: &Form, pointer: u64) -> Option<()> {
        let start = self.value(pointer, form.offset)?;
        let count = self.value(start, form.entries)?;
        let length = 4 + 2 * form.offset as u64;
        let mut at = start.checked_add(form.entries as u64)?;
        for _ in 0..count {
            let tag = self.value(at, 2)? as u16;
            let kind = self.value(at.checked_add(2)?, 2)? as u16;
            let count = self.value(at.checked_add(4)?, form.offset)?;
            let inside = at.checked_add(4 + form.offset as u64)?;
            let stored = self.value(inside, form.offset)?;
            let fits = count.checked_mul(size(kind) as u64).is_some_and(|length| length <= form.offset as u64);
            self.entries.entry(tag).or_insert(Entry { kind, count, at: if fits { inside } else { stored } });
            at = at.checked_add(length)?;
        }
        Some(())
    }

    /// The number of `size` bytes at a place, if the file has one there.
    fn value(&self, at: u64, size: usize) -> Option<u64> {
        let bytes = self.bytes.get(usize::try_from(at).ok()?..)?.get(..size)?;
        let add = |value: u64, &byte: &u8| value << 8 | u64::from(byte);
        Some(if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }

    pub fn has(&self, tag: u16) -> bool {
        self.entries.contains_key(&tag)
    }

    /// The values of a tag, none if it is not there. Both parts of fractions.
    pub fn numbers(&self, tag: u16) -> Result<Vec<u64>, BadImage> {
        let Some(entry) = self.entries.get(&tag) else { return Ok(Vec::new()) };
        let (size, parts) = match entry.kind {
            RATIONAL | SIGNED_RATIONAL => (4, 2),
            kind => (size(kind), 1),
        };
        if size == 0 {
            return Err(BadImage::Damaged(format!("TIFF tag {tag} has values of the unknown type {}", entry.kind)));
        }
        let length = entry.count.checked_mul(size as u64 * parts);
        let end = length.and_then(|length| length.checked_add(entry.at));
        if end.is_none_or(|end| end > self.bytes.len() as u64) {
            return Err(cut_short());
        }
        let places = (0..entry.count * parts).map(|i| entry.at + i * size as u64);
        Ok(places.filter_map(|at| self.value(at, size)).collect())
    }

    /// The first value of a tag.
    pub fn number(&self, tag: u16, default: u64) -> Result<u64, BadImage> {
        Ok(self.numbers(tag)?.first().copied().unwrap_or(default))
    }

    /// The values of a tag that holds fractions; none if it is not there or holds others.
    pub fn fractions(&self, tag: u16) -> Result<Vec<f32>, BadImage> {
        let values = self.numbers(tag)?;
        Ok(match self.entries.get(&tag).map(|entry| entry.kind) {
            Some(RATIONAL) => values.chunks_exact(2).map(|pair| pair[0] as f32 / pair[1] as f32).collect(),
            Some(SIGNED_RATIONAL) => {
                values.chunks_exact(2).map(|pair| pair[0] as i32 as f32 / pair[1] as i32 as f32).collect()
            }
            Some(FLOAT) => values.iter().map(|&bits| f32::from_bits(bits as u32)).collect(),
            _ => Vec::new(),
        })
    }
}

fn cut_short() -> BadImage {
    BadImage::CutShort("TIFF ends before its directory or one of its values".into())
}

/// Bytes of a value by its type, 0 if that is unknown.
fn size(kind: u16) -> usize {
    match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | FLOAT | 13 => 4,
        RATIONAL | SIGNED_RATIONAL | 12 | 16 | 17 | 18 => 8,
        _ => 0,
    }
}
