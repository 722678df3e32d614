//! Number types of safetensors.

use crate::weights::narrow_all;

/// Bytes of one value of a safetensors type; `None` for unknown types and those of less than a byte.
pub(super) fn size_of(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => 1,
        "U16" | "I16" | "F16" | "BF16" => 2,
        "U32" | "I32" | "F32" => 4,
        "U64" | "I64" | "F64" | "C64" => 8,
        _ => return None,
    })
}

/// Little-endian values of a floating-point type as f32, to the nearest.
///
/// # Errors
/// A message for other types, and for f64 beyond f32.
pub(super) fn to_f32(dtype: &str, bytes: &[u8]) -> Result<Vec<f32>, String> {
    Ok(match dtype {
        "F32" => each(bytes, f32::from_le_bytes),
        "F64" => {
            let values = bytes.as_chunks::<8>().0.iter().map(|&b| f64::from_le_bytes(b));
            narrow_all(values).map_err(|error| error.to_string())?
        }
        "BF16" => each(bytes, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
        "F16" => each(bytes, |b| from_half(u16::from_le_bytes(b))),
        _ => return Err(format!("expected F32, F64, F16 or BF16, got {dtype}")),
    })
}

fn each<const N: usize>(bytes: &[u8], f: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().map(|&b| f(b)).collect()
}

/// IEEE 754 binary16: a sign, 5 bits of exponent, 10 of fraction.
fn from_half(half: u16) -> f32 {
    let sign = u32::from(half >> 15) << 31;
    let exponent = u32::from(half >> 10) & 31;
    let fraction = u32::from(half) & 0x3ff;
    match exponent {
        // Zero and subnormals: fraction * 2^-24.
        0 => f32::from_bits(sign | (fraction as f32 / 16_777_216.0).to_bits()),
        // Infinity and NaN.
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        e => f32::from_bits(sign | (e + 127 - 15) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_its_formula() {
        for half in 0..=u16::MAX {
            let sign = if half >> 15 == 1 { -1.0 } else { 1.0 };
            let e = i32::from(half >> 10 & 31);
            let f = half & 0x3ff;
            let f = f64::from(f) / 1024.0;
            let expected = match e {
                0 => sign * f * 2f64.powi(-14),
                31 if f == 0.0 => sign * f64::INFINITY,
                31 => f64::NAN,
                _ => sign * (1.0 + f) * 2f64.powi(e - 15),
            };
            let got = to_f32("F16", &half.to_le_bytes()).unwrap()[0];
            assert!(f64::from(got) == expected || got.is_nan() && expected.is_nan(), "{half:#06x}: {got}");
            assert_eq!(got.is_sign_negative(), sign < 0.0);
        }
    }

    #[test]
    fn other_types() {
        assert_eq!(to_f32("BF16", &[0xc0, 0x3f]).unwrap(), [1.5]);
        assert_eq!(to_f32("F64", &(-0.1f64).to_le_bytes()).unwrap(), [-0.1]);
        assert_eq!(to_f32("F32", &[0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]).unwrap(), [1.0, 2.0]);
        assert!(to_f32("I64", &[0; 8]).unwrap_err().contains("got I64"));
        assert!(to_f32("F64", &(-1e39f64).to_le_bytes()).unwrap_err().contains("-1e39"));
    }
}
