//! The means of a training set as texts of the metadata.

use ndarray::Array3;
use serde::{Deserialize, Serialize};

/// The digits of base64 (RFC 4648).
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A mean image in the metadata.
#[derive(Deserialize, Serialize)]
struct Image {
    height: usize,
    width: usize,
    data: String,
}

/// The text of a mean image, `[height, width, 3]`.
pub(super) fn image_to_text(image: &Array3<f32>) -> String {
    let (height, width, _) = image.dim();
    let bytes: Vec<u8> = image.iter().flat_map(|value| value.to_le_bytes()).collect();
    // The digits of base64 need no escapes.
    format!("{{\"height\":{height},\"width\":{width},\"data\":\"{}\"}}", encode(&bytes))
}

/// The mean image of a text.
pub(super) fn image_of_text(text: &str) -> Result<Array3<f32>, String> {
    let Image { height, width, data } = serde_json::from_str(text).map_err(|e| format!("expected an image: {e}"))?;
    let bytes = decode(&data).ok_or("expected base64; the file is damaged")?;
    let (values, rest) = bytes.as_chunks::<4>();
    let values = values.iter().map(|&value| f32::from_le_bytes(value)).collect();
    let image = Array3::from_shape_vec((height, width, 3), values).ok().filter(|_| rest.is_empty());
    image.ok_or_else(|| format!("expected {height} x {width} pixels, got {} bytes", bytes.len()))
}

/// The text of a mean colour.
pub(super) fn colour_to_text(rgb: [f32; 3]) -> Result<String, String> {
    if rgb.iter().all(|value| value.is_finite()) {
        Ok(format!("{rgb:?}"))
    } else {
        Err(format!("the mean colour {rgb:?} is not of finite numbers"))
    }
}

/// The mean colour of a text.
pub(super) fn colour_of_text(text: &str) -> Result<[f32; 3], String> {
    serde_json::from_str(text).map_err(|e| format!("expected three numbers: {e}"))
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for block in bytes.chunks(3) {
        let byte = |at: usize| u32::from(block.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            text.push(if digit <= block.len() { char::from(DIGITS[value as usize]) } else { '=' });
        }
    }
    text
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let padding = text.len() - digits.len();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for block in digits.chunks(4) {
        let mut bits = 0;
        for at in 0..4 {
            let value = block.get(at).map_or(Some(0), |digit| value_of(*digit))?;
            bits = bits << 6 | value;
        }
        let [_, three @ ..] = bits.to_be_bytes();
        bytes.extend_from_slice(&three[..block.len() - 1]);
    }
    Some(bytes)
}

fn value_of(digit: u8) -> Option<u32> {
    Some(u32::from(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn base64_there_and_back(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn a_colour_there_and_back(bits: [u32; 3]) {
            let rgb = bits.map(f32::from_bits);
            match colour_to_text(rgb) {
                Ok(text) => prop_assert_eq!(colour_of_text(&text).unwrap().map(f32::to_bits), bits),
                Err(_) => prop_assert!(rgb.iter().any(|value| !value.is_finite())),
            }
        }
    }

    #[test]
    fn base64_of_the_standard() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(encode(bytes.as_bytes()), text);
        }
        for wrong in ["Zg", "Zg=", "Z===", "Zm9*", "=Zm9"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn images_of_other_sizes_are_refused() {
        let image = Array3::from_shape_fn((2, 3, 3), |(y, x, c)| (y * 9 + x * 3 + c) as f32 / 3.0);
        let text = image_to_text(&image);
        assert_eq!(image_of_text(&text).unwrap(), image);
        let huge = text.replace("\"width\":3", "\"width\":18446744073709551615");
        for wrong in [text.replace("\"width\":3", "\"width\":4"), huge, text.replace("\"data\":\"A", "\"data\":\"")] {
            assert!(image_of_text(&wrong).is_err(), "{wrong}");
        }
    }
}
