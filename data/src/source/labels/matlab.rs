//! The subset of MATLAB's level 5 MAT-files that ILSVRC's `meta.mat` needs: structs of numbers and text, compressed or
//! not ("MAT-File Format", MathWorks). No Rust library reads such structs.
//!
//! Every length is checked against the available bytes before use.

use std::io::Read;

use flate2::read::ZlibDecoder;

/// Length of the file header in bytes.
const HEADER: usize = 128;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
/// Maximum decompressed size of an element.
const MAX_DECOMPRESSED: u64 = 256 << 20;
const MAX_DEPTH: usize = 4;

/// A value, as far as needed here.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum MatValue {
    /// A number, the first of an array.
    Number(f64),
    Text(String),
    /// All fields of the first element, then of the second, and so on.
    Struct {
        fields: Vec<String>,
        values: Vec<MatValue>,
    },
    Other,
}

type Result<T> = std::result::Result<T, String>;

/// Variables of a file by name.
pub(super) fn read(file: &[u8]) -> Result<Vec<(String, MatValue)>> {
    let header = file.get(..HEADER).ok_or("is too short for a MAT-file")?;
    let is_big_endian = match &header[126..] {
        b"IM" => false,
        b"MI" => true,
        _ => return Err("is no MAT-file of level 5".into()),
    };
    let mut cursor = Cursor { bytes: &file[HEADER..], at: HEADER, is_big_endian };
    let mut variables = Vec::new();
    while !cursor.bytes.is_empty() {
        let (element_type, body, at) = cursor.element()?;
        match element_type {
            MATRIX => variables.push(matrix(&mut Cursor { bytes: body, at, is_big_endian }, 0)?),
            COMPRESSED => {
                let mut unpacked = Vec::new();
                let unpack = ZlibDecoder::new(body).take(MAX_DECOMPRESSED + 1).read_to_end(&mut unpacked);
                unpack.map_err(|e| format!("damaged at offset {at}: {e}"))?;
                if unpacked.len() as u64 > MAX_DECOMPRESSED {
                    return Err(format!("the element at offset {at} unpacks to more than {MAX_DECOMPRESSED} bytes"));
                }
                let (element_type, body, _) = Cursor { bytes: &unpacked, at: 0, is_big_endian }.element()?;
                if element_type == MATRIX {
                    variables.push(matrix(&mut Cursor { bytes: body, at, is_big_endian }, 0)?);
                }
            }
            _ => {}
        }
    }
    Ok(variables)
}

/// The remaining bytes.
struct Cursor<'a> {
    bytes: &'a [u8],
    /// Offset in the file, for messages; within compressed data, the offset of its element.
    at: usize,
    is_big_endian: bool,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) =
            self.bytes.split_at_checked(count).ok_or_else(|| format!("cut short near offset {}", self.at))?;
        self.bytes = rest;
        self.at += count;
        Ok(taken)
    }

    fn word(&self, bytes: &[u8]) -> u32 {
        let bytes = bytes.try_into().unwrap_or([0; 4]);
        if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    /// Reads an element and its padding. Returns its type, content and offset.
    fn element(&mut self) -> Result<(u32, &'a [u8], usize)> {
        let at = self.at;
        let tag = self.take(4)?;
        let tag = self.word(tag);
        // A small element has up to four bytes in the tag itself, their number in its upper half.
        if tag >> 16 != 0 {
            let body = self.take(4)?;
            let count = (tag >> 16) as usize;
            let body =
                body.get(..count).ok_or_else(|| format!("damaged at offset {at}: a small element of {count} bytes"))?;
            return Ok((tag & 0xffff, body, at));
        }
        let length = self.take(4)?;
        let length = self.word(length) as usize;
        let body = self.take(length)?;
        if tag != COMPRESSED {
            let padding = (8 - length % 8) % 8;
            self.take(padding.min(self.bytes.len()))?;
        }
        Ok((tag, body, at))
    }
}

/// Reads the name and the value of an array.
fn matrix(cursor: &mut Cursor, depth: usize) -> Result<(String, MatValue)> {
    if depth > MAX_DEPTH {
        return Err(format!("nested too deeply at offset {}", cursor.at));
    }
    if cursor.bytes.is_empty() {
        return Ok((String::new(), MatValue::Other));
    }
    let (_, flags, at) = cursor.element()?;
    let class = cursor.word(flags.get(..4).ok_or_else(|| format!("damaged at offset {at}"))?) & 0xff;
    let (_, dimensions, _) = cursor.element()?;
    let count = dimensions
        .chunks_exact(4)
        .map(|axis| cursor.word(axis) as usize)
        .try_fold(1usize, |n, axis| n.checked_mul(axis))
        .ok_or_else(|| format!("an impossible size at offset {at}"))?;
    let (_, name, _) = cursor.element()?;
    let name = String::from_utf8_lossy(name).into_owned();
    let value = match class {
        2 => structs(cursor, count, depth)?,
        4 => {
            let (element_type, body, _) = cursor.element()?;
            MatValue::Text(text(element_type, body, cursor.is_big_endian))
        }
        6..=15 => {
            let (element_type, body, _) = cursor.element()?;
            first(element_type, body, cursor.is_big_endian).map_or(MatValue::Other, MatValue::Number)
        }
        _ => MatValue::Other,
    };
    Ok((name, value))
}

fn structs(cursor: &mut Cursor, count: usize, depth: usize) -> Result<MatValue> {
    let (_, length, at) = cursor.element()?;
    let damaged = || format!("damaged at offset {at}");
    let length = cursor.word(length.get(..4).ok_or_else(damaged)?) as usize;
    let (_, names, _) = cursor.element()?;
    if length == 0 || !names.len().is_multiple_of(length) {
        return Err(damaged());
    }
    let name = |bytes: &[u8]| String::from_utf8_lossy(bytes.split(|&b| b == 0).next().unwrap_or(bytes)).into_owned();
    let fields: Vec<String> = names.chunks_exact(length).map(name).collect();
    // Each takes at least eight bytes.
    let total = count.checked_mul(fields.len()).filter(|total| total.saturating_mul(8) <= cursor.bytes.len());
    let total =
        total.ok_or_else(|| format!("cut short near offset {at}: {count} structs of {} fields", fields.len()))?;
    let mut values = Vec::with_capacity(total);
    for _ in 0..total {
        let (element_type, body, at) = cursor.element()?;
        let mut inner = Cursor { bytes: body, at, is_big_endian: cursor.is_big_endian };
        values.push(if element_type == MATRIX { matrix(&mut inner, depth + 1)?.1 } else { MatValue::Other });
    }
    Ok(MatValue::Struct { fields, values })
}

/// Decodes text of bytes, UTF-16 or UTF-32.
fn text(element_type: u32, body: &[u8], is_big_endian: bool) -> String {
    let short =
        |b: &[u8]| if is_big_endian { u16::from_be_bytes([b[0], b[1]]) } else { u16::from_le_bytes([b[0], b[1]]) };
    match element_type {
        3 | 4 | 17 => String::from_utf16_lossy(&body.chunks_exact(2).map(short).collect::<Vec<_>>()),
        _ => String::from_utf8_lossy(body).into_owned(),
    }
}

/// Reads the first number of an array.
fn first(element_type: u32, body: &[u8], is_big_endian: bool) -> Option<f64> {
    let bytes = |n: usize| {
        let mut bytes = body.get(..n)?.to_vec();
        if is_big_endian {
            bytes.reverse();
        }
        Some(bytes)
    };
    Some(match element_type {
        1 => f64::from(i8::from_le_bytes(bytes(1)?.try_into().ok()?)),
        2 => f64::from(bytes(1)?[0]),
        3 => f64::from(i16::from_le_bytes(bytes(2)?.try_into().ok()?)),
        4 => f64::from(u16::from_le_bytes(bytes(2)?.try_into().ok()?)),
        5 => f64::from(i32::from_le_bytes(bytes(4)?.try_into().ok()?)),
        6 => f64::from(u32::from_le_bytes(bytes(4)?.try_into().ok()?)),
        7 => f64::from(f32::from_le_bytes(bytes(4)?.try_into().ok()?)),
        9 => f64::from_le_bytes(bytes(8)?.try_into().ok()?),
        12 => i64::from_le_bytes(bytes(8)?.try_into().ok()?) as f64,
        13 => u64::from_le_bytes(bytes(8)?.try_into().ok()?) as f64,
        _ => return None,
    })
}
