//! Types of values.

use layers::weights::{BeyondF32, narrow};

use super::bytes::Bytes;
use super::{Parsed, fault};

/// The nearest f32 of the bytes of a floating-point number.
pub(super) type ReadFloat = fn(&[u8]) -> Result<f32, BeyondF32>;

/// A type that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Datatype {
    /// A float of 2, 4 or 8 bytes.
    Float { size: usize, is_big_endian: bool },
    /// A whole number of 1 to 8 bytes.
    Integer { size: usize, is_big_endian: bool, is_signed: bool },
    /// A text of a fixed number of bytes.
    FixedText(usize),
    /// A text in the heap.
    VariableText,
    /// Another one.
    Other { class: u8, size: usize },
}

impl Datatype {
    pub(super) fn parse(data: &[u8]) -> Parsed<Self> {
        let mut bytes = Bytes::new(data, "a type");
        let class = bytes.u8()? & 0x0f;
        let bits = bytes.number(3)?;
        let size = bytes.u32()? as usize;
        let is_big_endian = bits & 1 != 0;
        Ok(match (class, size) {
            (0, 1..=8) => Self::Integer { size, is_big_endian, is_signed: bits & 0x08 != 0 },
            (1, 2 | 4 | 8) if is_ieee(size, bytes.clone())? => Self::Float { size, is_big_endian },
            (3, _) => Self::FixedText(size),
            (9, 16) if bits & 0x0f == 1 => Self::VariableText,
            _ => Self::Other { class, size },
        })
    }

    /// Bytes of one value.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Float { size, .. } | Self::Integer { size, .. } | Self::Other { size, .. } => size,
            Self::FixedText(size) => size,
            Self::VariableText => 16,
        }
    }

    /// A function from the bytes of a floating-point number to the nearest f32.
    pub(super) fn float_reader(self) -> Parsed<ReadFloat> {
        match self {
            Self::Float { size: 2, is_big_endian: false } => {
                Ok(|b| Ok(half::f16::from_le_bytes([b[0], b[1]]).to_f32()))
            }
            Self::Float { size: 2, is_big_endian: true } => Ok(|b| Ok(half::f16::from_be_bytes([b[0], b[1]]).to_f32())),
            Self::Float { size: 4, is_big_endian: false } => Ok(|b| Ok(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
            Self::Float { size: 4, is_big_endian: true } => Ok(|b| Ok(f32::from_be_bytes([b[0], b[1], b[2], b[3]]))),
            Self::Float { is_big_endian: false, .. } => Ok(|b| wide(b, false)),
            Self::Float { is_big_endian: true, .. } => Ok(|b| wide(b, true)),
            other => fault(format!("expected floating-point numbers, got {}", other.name())),
        }
    }

    /// The value of a number of any kind; None if it is none.
    pub(super) fn number(self, bytes: &[u8]) -> Option<f64> {
        match self {
            Self::Float { size: 8, is_big_endian } => Some(f64::from_bits(whole(bytes, is_big_endian))),
            Self::Float { .. } => self.float_reader().ok()?(bytes).ok().map(f64::from),
            Self::Integer { size, is_big_endian, is_signed } => {
                let value = whole(bytes, is_big_endian);
                let shift = 64 - 8 * size as u32;
                let signed = ((value << shift) as i64) >> shift;
                Some(if is_signed { signed as f64 } else { value as f64 })
            }
            _ => None,
        }
    }

    /// Its name in messages.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Float { size, .. } => format!("f{}", 8 * size),
            Self::Integer { size, is_signed, .. } => format!("{}{}", if is_signed { "i" } else { "u" }, 8 * size),
            Self::FixedText(_) | Self::VariableText => "text".into(),
            Self::Other { class, size } => format!("a type of HDF5's class {class} and {size} bytes"),
        }
    }
}

fn wide(bytes: &[u8], is_big_endian: bool) -> Result<f32, BeyondF32> {
    narrow(f64::from_bits(whole(bytes, is_big_endian)))
}

fn whole(bytes: &[u8], is_big_endian: bool) -> u64 {
    let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    if is_big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) }
}

/// Whether the properties are those of IEEE 754's number of this size: bit offset, precision, exponent, mantissa.
fn is_ieee(size: usize, mut properties: Bytes) -> Parsed<bool> {
    let expected: &[u8] = match size {
        2 => &[0, 0, 16, 0, 10, 5, 0, 10],
        4 => &[0, 0, 32, 0, 23, 8, 0, 23],
        _ => &[0, 0, 64, 0, 52, 11, 0, 52],
    };
    Ok(properties.take(8)? == expected)
}
