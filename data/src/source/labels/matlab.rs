//! The little of MATLAB's level 5 MAT-files that ILSVRC's `meta.mat` needs: structs of numbers and text, compressed or not
//! ("MAT-File Format", MathWorks). No library for Rust reads its structs.
//!
//! Every length is checked against what is there before it is used.

use std::io::Read;

use flate2::read::ZlibDecoder;

/// Bytes before the first element.
const HEADER: usize = 128;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
/// What an element may unpack to.
const MAX_UNPACKED: u64 = 256 << 20;
const MAX_DEPTH: usize = 4;

/// A value as far as it matters here.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A number; of several, the first.
    Number(f64),
    Text(String),
    /// All fields of the first element, then of the second, and so on.
    Struct {
        fields: Vec<String>,
        values: Vec<Value>,
    },
    Other,
}

type Result<T> = std::result::Result<T, String>;

/// The variables of a file, with their names.
pub(super) fn read(file: &[u8]) -> Result<Vec<(String, Value)>> {
    let header = file.get(..HEADER).ok_or("is too short for a MAT-file")?;
    let big = match &header[126..] {
        b"IM" => false,
        b"MI" => true,
        _ => return Err("is no MAT-file of level 5".into()),
    };
    let mut cursor = Cursor { bytes: &file[HEADER..], at: HEADER, big };
    let mut variables = Vec::new();
    while !cursor.bytes.is_empty() {
        let (kind, body, at) = cursor.element()?;
        match kind {
            MATRIX => variables.push(matrix(&mut Cursor { bytes: body, at, big }, 0)?),
            COMPRESSED => {
                let mut unpacked = Vec::new();
                let unpack = ZlibDecoder::new(body).take(MAX_UNPACKED + 1).read_to_end(&mut unpacked);
                unpack.map_err(|e| format!("damaged at offset {at}: {e}"))?;
                if unpacked.len() as u64 > MAX_UNPACKED {
                    return Err(format!("the element at offset {at} unpacks to more than {MAX_UNPACKED} bytes"));
                }
                let (kind, body, _) = Cursor { bytes: &unpacked, at: 0, big }.element()?;
                if kind == MATRIX {
                    variables.push(matrix(&mut Cursor { bytes: body, at, big }, 0)?);
                }
            }
            _ => {}
        }
    }
    Ok(variables)
}

/// What is left to read.
struct Cursor<'a> {
    bytes: &'a [u8],
    /// Where in the file, for messages; of what was compressed, where its element began.
    at: usize,
    big: bool,
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
        if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    /// The type, the content and the place of the next element; padding after it is skipped.
    fn element(&mut self) -> Result<(u32, &'a [u8], usize)> {
        let at = self.at;
        let tag = self.take(4)?;
        let tag = self.word(tag);
        // Up to four bytes stand in the tag itself, its upper half their number.
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

/// The name and the value of an array.
fn matrix(cursor: &mut Cursor, depth: usize) -> Result<(String, Value)> {
    if depth > MAX_DEPTH {
        return Err(format!("nested too deeply at offset {}", cursor.at));
    }
    if cursor.bytes.is_empty() {
        return Ok((String::new(), Value::Other));
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
            let (kind, body, _) = cursor.element()?;
            Value::Text(text(kind, body, cursor.big))
        }
        6..=15 => {
            let (kind, body, _) = cursor.element()?;
            first(kind, body, cursor.big).map_or(Value::Other, Value::Number)
        }
        _ => Value::Other,
    };
    Ok((name, value))
}

fn structs(cursor: &mut Cursor, count: usize, depth: usize) -> Result<Value> {
    let (_, length, at) = cursor.element()?;
    let damaged = || format!("damaged at offset {at}");
    let length = cursor.word(length.get(..4).ok_or_else(damaged)?) as usize;
    let (_, names, _) = cursor.element()?;
    if length == 0 || !names.len().is_multiple_of(length) {
        return Err(damaged());
    }
    let name = |bytes: &[u8]| String::from_utf8_lossy(bytes.split(|&b| b == 0).next().unwrap_or(bytes)).into_owned();
    let fields: Vec<String> = names.chunks_exact(length).map(name).collect();
    // Each takes eight bytes at least.
    let total = count.checked_mul(fields.len()).filter(|total| total.saturating_mul(8) <= cursor.bytes.len());
    let total =
        total.ok_or_else(|| format!("cut short near offset {at}: {count} structs of {} fields", fields.len()))?;
    let mut values = Vec::with_capacity(total);
    for _ in 0..total {
        let (kind, body, at) = cursor.element()?;
        let mut inner = Cursor { bytes: body, at, big: cursor.big };
        values.push(if kind == MATRIX { matrix(&mut inner, depth + 1)?.1 } else { Value::Other });
    }
    Ok(Value::Struct { fields, values })
}

/// Text in bytes, UTF-16 or UTF-32.
fn text(kind: u32, body: &[u8], big: bool) -> String {
    let short = |b: &[u8]| if big { u16::from_be_bytes([b[0], b[1]]) } else { u16::from_le_bytes([b[0], b[1]]) };
    match kind {
        3 | 4 | 17 => String::from_utf16_lossy(&body.chunks_exact(2).map(short).collect::<Vec<_>>()),
        _ => String::from_utf8_lossy(body).into_owned(),
    }
}

/// The first number of an array.
fn first(kind: u32, body: &[u8], big: bool) -> Option<f64> {
    let bytes = |n: usize| {
        let mut bytes = body.get(..n)?.to_vec();
        if big {
            bytes.reverse();
        }
        Some(bytes)
    };
    Some(match kind {
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
