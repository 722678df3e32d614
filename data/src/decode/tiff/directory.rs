//! The first image file directory of a TIFF or BigTIFF: its tags and values.
//!
//! The `tiff` crate also reads directories, but only if it supports everything in them it needs for decoding.

use std::collections::BTreeMap;

use crate::error::BadImage;

const RATIONAL: u16 = 5;
const SIGNED_RATIONAL: u16 = 10;
const FLOAT: u16 = 11;

/// Tags and the positions of their values.
pub(super) struct Directory<'a> {
    bytes: &'a [u8],
    pub big_endian: bool,
    entries: BTreeMap<u16, Entry>,
}

struct Entry {
    value_type: u16,
    count: u64,
    offset: u64,
}

/// Sizes of the fields of a directory in bytes.
struct FieldSizes {
    /// Size of offsets and value counts.
    offset: usize,
    /// Size of the entry count.
    entries: usize,
}

impl<'a> Directory<'a> {
    /// Reads the directory the header points to.
    pub fn read(bytes: &'a [u8]) -> Result<Self, BadImage> {
        let mut directory = Self { bytes, big_endian: bytes.starts_with(b"MM"), entries: BTreeMap::new() };
        let big = directory.value(2, 2) == Some(43);
        let sizes = if big { FieldSizes { offset: 8, entries: 8 } } else { FieldSizes { offset: 4, entries: 2 } };
        directory.read_entries(&sizes, if big { 8 } else { 4 }).ok_or_else(cut_short)?;
        Ok(directory)
    }

    fn read_entries(&mut self, sizes: &FieldSizes, pointer: u64) -> Option<()> {
        let start = self.value(pointer, sizes.offset)?;
        let count = self.value(start, sizes.entries)?;
        let length = 4 + 2 * sizes.offset as u64;
        let mut offset = start.checked_add(sizes.entries as u64)?;
        for _ in 0..count {
            let tag = self.value(offset, 2)? as u16;
            let value_type = self.value(offset.checked_add(2)?, 2)? as u16;
            let count = self.value(offset.checked_add(4)?, sizes.offset)?;
            let inline = offset.checked_add(4 + sizes.offset as u64)?;
            let stored = self.value(inline, sizes.offset)?;
            let fits =
                count.checked_mul(type_size(value_type) as u64).is_some_and(|length| length <= sizes.offset as u64);
            self.entries.entry(tag).or_insert(Entry { value_type, count, offset: if fits { inline } else { stored } });
            offset = offset.checked_add(length)?;
        }
        Some(())
    }

    /// The `type_size`-byte number at an offset; `None` beyond the end of the file.
    fn value(&self, offset: u64, type_size: usize) -> Option<u64> {
        let bytes = self.bytes.get(usize::try_from(offset).ok()?..)?.get(..type_size)?;
        let add = |value: u64, &byte: &u8| value << 8 | u64::from(byte);
        Some(if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }

    pub fn has(&self, tag: u16) -> bool {
        self.entries.contains_key(&tag)
    }

    /// All values of a tag, empty if it is missing. Fractions give numerators and denominators.
    pub fn numbers(&self, tag: u16) -> Result<Vec<u64>, BadImage> {
        let Some(entry) = self.entries.get(&tag) else { return Ok(Vec::new()) };
        let (type_size, parts) = match entry.value_type {
            RATIONAL | SIGNED_RATIONAL => (4, 2),
            value_type => (type_size(value_type), 1),
        };
        if type_size == 0 {
            return Err(BadImage::Damaged(format!(
                "TIFF tag {tag} has values of the unknown type {}",
                entry.value_type
            )));
        }
        let length = entry.count.checked_mul(type_size as u64 * parts);
        let end = length.and_then(|length| length.checked_add(entry.offset));
        if end.is_none_or(|end| end > self.bytes.len() as u64) {
            return Err(cut_short());
        }
        let places = (0..entry.count * parts).map(|i| entry.offset + i * type_size as u64);
        Ok(places.filter_map(|offset| self.value(offset, type_size)).collect())
    }

    /// The first value of a tag, or `default`.
    pub fn number(&self, tag: u16, default: u64) -> Result<u64, BadImage> {
        Ok(self.numbers(tag)?.first().copied().unwrap_or(default))
    }

    /// The values of a tag as floats; empty if it is missing or has another type.
    pub fn fractions(&self, tag: u16) -> Result<Vec<f32>, BadImage> {
        let values = self.numbers(tag)?;
        Ok(match self.entries.get(&tag).map(|entry| entry.value_type) {
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

/// Size in bytes of a value of a type, 0 if the type is unknown.
fn type_size(value_type: u16) -> usize {
    match value_type {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | FLOAT | 13 => 4,
        RATIONAL | SIGNED_RATIONAL | 12 | 16 | 17 | 18 => 8,
        _ => 0,
    }
}
