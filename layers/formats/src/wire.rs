//! The wire format of protocol buffers: a look at a message before it is decoded.
//!
//! A decoder makes a value of a hundred bytes from two bytes of an empty message, so a small file could fill the memory.
//! [`check`] counts the messages and texts first.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use files::regular_file;

use crate::{Error, Result};

/// The fields of a message that hold messages.
pub(crate) struct Schema(pub &'static [(u32, &'static Schema)]);

/// The most messages, texts and lists of a file. The graphs that are read have some hundreds.
const MAX_PARTS: usize = 1 << 15;

/// The most messages inside each other.
const MAX_DEPTH: usize = 24;

/// The most bytes of a protocol buffer.
pub(crate) const MAX_BYTES: u64 = i32::MAX as u64;

/// The bytes of a file that may be a protocol buffer.
///
/// # Errors
/// [`Error::File`] if it cannot be read; [`Error::Refused`] if it is longer than a protocol buffer may be.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let mut file = regular_file::open(path).map_err(Error::file(path))?;
    let len = file.metadata().map_err(Error::file(path))?.len();
    if len > MAX_BYTES {
        return Err(Error::refused(path, format!("is {len} bytes long; protocol buffers have at most {MAX_BYTES}")));
    }
    let mut bytes = Vec::new();
    (&mut file).take(MAX_BYTES).read_to_end(&mut bytes).map_err(Error::file(path))?;
    Ok(bytes)
}

/// One field of a message.
pub(crate) struct Field<'a> {
    /// Its number.
    pub number: u32,
    /// Its content.
    pub value: FieldValue<'a>,
}

/// The content of a field.
pub(crate) enum FieldValue<'a> {
    /// A whole number.
    Varint,
    /// Four or eight bytes.
    Fixed,
    /// A message, a text, bytes or a packed list.
    Bytes(&'a [u8]),
}

/// The fields of a message.
pub(crate) struct Fields<'a>(pub &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = std::result::Result<Field<'a>, String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or_else(|| "it is no protocol buffer, or is truncated".to_string()))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<Field<'a>> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|&n| n > 0)?;
        let value = match tag & 7 {
            0 => self.varint().map(|_| FieldValue::Varint)?,
            1 => self.take(8).map(|_| FieldValue::Fixed)?,
            2 => {
                let len = usize::try_from(self.varint()?).ok()?;
                FieldValue::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| FieldValue::Fixed)?,
            _ => return None,
        };
        Some(Field { number, value })
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

/// Fails unless `bytes` is a message with a number of parts that a decoder may be given.
///
/// # Errors
/// A message without the name of the file.
pub(crate) fn check(bytes: &[u8], schema: &Schema) -> std::result::Result<(), String> {
    let mut parts = 0;
    walk(bytes, schema, 0, &mut parts)
}

fn walk(bytes: &[u8], Schema(messages): &Schema, depth: usize, parts: &mut usize) -> std::result::Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("its messages lie more than {MAX_DEPTH} deep in each other"));
    }
    for field in Fields(bytes) {
        let Field { number, value } = field?;
        let FieldValue::Bytes(content) = value else { continue };
        *parts += 1;
        if *parts > MAX_PARTS {
            return Err(format!("it has more than {MAX_PARTS} parts; a network that is read here has some hundreds"));
        }
        if let Some((_, inner)) = messages.iter().find(|(known, _)| *known == number) {
            walk(content, inner, depth + 1, parts)?;
        }
    }
    Ok(())
}

/// The numbers of a file's first fields, and whether each holds bytes; None if the file is not a protocol buffer. Contents
/// are passed over unread.
pub(crate) fn first_fields(file: File) -> Option<Vec<(u32, bool)>> {
    const LOOKED_AT: usize = 4096;
    let mut left = file.metadata().ok()?.len();
    let mut reader = BufReader::new(file);
    let mut fields = Vec::new();
    while left > 0 && fields.len() < LOOKED_AT {
        let tag = read_varint(&mut reader, &mut left)?;
        let number = u32::try_from(tag >> 3).ok().filter(|&n| n > 0)?;
        let len = match tag & 7 {
            0 => read_varint(&mut reader, &mut left).map(|_| 0)?,
            1 => 8,
            2 => read_varint(&mut reader, &mut left)?,
            5 => 4,
            _ => return None,
        };
        fields.push((number, tag & 7 == 2));
        let Some(rest) = left.checked_sub(len) else {
            // Truncated: two fields are enough to tell what it was.
            return (fields.len() > 1).then_some(fields);
        };
        left = rest;
        reader.seek_relative(i64::try_from(len).ok()?).ok()?;
    }
    (!fields.is_empty()).then_some(fields)
}

fn read_varint(reader: &mut impl Read, left: &mut u64) -> Option<u64> {
    let mut bytes = Vec::with_capacity(10);
    loop {
        let mut byte = [0];
        *left = left.checked_sub(1)?;
        reader.read_exact(&mut byte).ok()?;
        bytes.extend(byte);
        if byte[0] < 0x80 || bytes.len() == 10 {
            return Fields(&bytes).varint();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    static INNER: Schema = Schema(&[(1, &INNER)]);

    #[test]
    fn fields_of_all_kinds_are_passed() {
        let bytes = [0x08, 0x96, 0x01, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0x1a, 2, 7, 8, 0x25, 0, 0, 0, 0];
        let numbers: Vec<u32> = Fields(&bytes).map(|field| field.unwrap().number).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        assert_eq!(first_fields(file).unwrap(), [(1, false), (2, false), (3, true), (4, false)]);
    }

    #[test]
    fn a_message_that_is_cut_is_refused_at_every_byte_but_between_fields() {
        let bytes = [0x08, 0x96, 0x01, 0x1a, 2, 7, 8];
        for end in [1, 2, 4, 5, 6] {
            assert!(check(&bytes[..end], &Schema(&[])).is_err(), "{end}");
        }
        for end in [0, 3, 7] {
            assert!(check(&bytes[..end], &Schema(&[])).is_ok(), "{end}");
        }
    }

    #[test]
    fn groups_field_0_and_endless_numbers_are_refused() {
        for bytes in [&[0x0b][..], &[0x02, 0], &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]] {
            assert!(check(bytes, &Schema(&[])).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn many_empty_messages_are_refused_before_they_are_decoded() {
        let bytes = [0x0a, 0].repeat(MAX_PARTS + 1);
        assert!(check(&bytes, &INNER).unwrap_err().contains("parts"));
        check(&bytes[..2 * MAX_PARTS], &INNER).unwrap();
    }

    #[test]
    fn deep_messages_are_refused() {
        let mut bytes = Vec::new();
        for _ in 0..MAX_DEPTH {
            bytes.insert(0, u8::try_from(bytes.len()).unwrap());
            bytes.insert(0, 0x0a);
        }
        check(&bytes, &INNER).unwrap();
        let deeper = [&[0x0a, bytes.len() as u8][..], &bytes].concat();
        assert!(check(&deeper, &INNER).unwrap_err().contains("deep"));
    }
}
