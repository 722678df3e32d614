//! Arrays of numpy: `.npy` files of versions 1 to 3, of f4, f8 and u1, in C and Fortran order.

use std::path::Path;

use layers::weights::{BeyondF32, narrow};
use ndarray::{ArrayD, IxDyn, ShapeBuilder};

/// The first bytes of every `.npy` file.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header: numpy's own limit is 10,000 characters.
const MAX_HEADER: usize = 10_000;

/// An array, with f64 rounded to the nearest f32.
///
/// # Errors
/// A message without the name of the file.
pub(crate) fn parse(bytes: &[u8]) -> Result<ArrayD<f32>, String> {
    let (header, data) = split(bytes)?;
    let Header { kind, fortran, shape } = Header::parse(header)?;
    let size = kind.size();
    let count = shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis));
    let needed = count.and_then(|n| n.checked_mul(size));
    if needed != Some(data.len()) {
        return Err(format!("an array of shape {shape:?} does not take the {} bytes after the header", data.len()));
    }
    let mut values = Vec::with_capacity(data.len() / size);
    for bytes in data.chunks_exact(size) {
        values.push(kind.value(bytes).map_err(|error| error.to_string())?);
    }
    let shape = IxDyn(&shape).set_f(fortran);
    let array = ArrayD::from_shape_vec(shape, values).map_err(|error| error.to_string())?;
    Ok(array.as_standard_layout().into_owned())
}

/// Writes an array as numpy's `.npy` (version 1, f4, C order). A crash leaves the old file or the new one.
///
/// ```
/// use alexnet_formats::save_npy;
/// use ndarray::array;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("kernels.npy");
/// save_npy(&path, &array![[1.0, 2.0], [3.0, 4.0]].into_dyn())?;
/// assert!(std::fs::read(&path)?.starts_with(b"\x93NUMPY"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`files::replace_bytes`].
pub fn save_npy(path: &Path, values: &ArrayD<f32>) -> Result<(), files::Error> {
    let mut bytes = header_of(values.shape());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    files::replace_bytes(path, &bytes)
}

/// The bytes before the values of an array: a multiple of 64.
pub(crate) fn header_of(shape: &[usize]) -> Vec<u8> {
    let axes: String = shape.iter().map(|axis| format!("{axis}, ")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", axes.trim_end());
    let start = MAGIC.len() + 4;
    let length = (start + header.len() + 1).next_multiple_of(64) - start;
    header.push_str(&" ".repeat(length - header.len() - 1));
    header.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes
}

/// The header's text, and the bytes after it.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    let truncated = || "the .npy file is truncated".to_string();
    let after = bytes.strip_prefix(MAGIC).ok_or("it is no .npy file")?;
    let (&[version, _], after) = after.split_first_chunk().ok_or_else(truncated)?;
    let (len, after) = match version {
        1 => after.split_first_chunk().map(|(len, rest)| (u16::from_le_bytes(*len) as usize, rest)),
        2 | 3 => after.split_first_chunk().map(|(len, rest)| (u32::from_le_bytes(*len) as usize, rest)),
        _ => return Err(format!(".npy version {version} is not read; versions 1 to 3 are")),
    }
    .ok_or_else(truncated)?;
    if len > MAX_HEADER {
        return Err(format!("its header of {len} bytes is longer than {MAX_HEADER}"));
    }
    let (header, data) = after.split_at_checked(len).ok_or_else(truncated)?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is not text")?;
    Ok((header, data))
}

/// The type of an array's values.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ValueType {
    F4 { big_endian: bool },
    F8 { big_endian: bool },
    U1,
}

impl ValueType {
    fn of(text: &str) -> Result<Self, String> {
        match text {
            "<f4" | "=f4" => Ok(Self::F4 { big_endian: false }),
            ">f4" => Ok(Self::F4 { big_endian: true }),
            "<f8" | "=f8" => Ok(Self::F8 { big_endian: false }),
            ">f8" => Ok(Self::F8 { big_endian: true }),
            "|u1" | "u1" | "<u1" => Ok(Self::U1),
            _ => Err(format!("it holds {text:?}; f4, f8 and u1 are read: save it with .astype(\"float32\")")),
        }
    }

    fn size(self) -> usize {
        match self {
            Self::F4 { .. } => 4,
            Self::F8 { .. } => 8,
            Self::U1 => 1,
        }
    }

    /// A value from as many bytes as [`size`](Self::size) says.
    fn value(self, bytes: &[u8]) -> Result<f32, BeyondF32> {
        match (self, bytes) {
            (Self::F4 { big_endian }, &[a, b, c, d]) => {
                let read = if big_endian { f32::from_be_bytes } else { f32::from_le_bytes };
                Ok(read([a, b, c, d]))
            }
            (Self::F8 { big_endian }, &[a, b, c, d, e, f, g, h]) => {
                let read = if big_endian { f64::from_be_bytes } else { f64::from_le_bytes };
                narrow(read([a, b, c, d, e, f, g, h]))
            }
            _ => Ok(bytes.first().copied().map_or(0.0, f32::from)),
        }
    }
}

/// The header: a dictionary in Python's notation.
#[derive(Debug, PartialEq)]
struct Header {
    kind: ValueType,
    fortran: bool,
    shape: Vec<usize>,
}

impl Header {
    fn parse(text: &str) -> Result<Self, String> {
        let kind = ValueType::of(quoted(after_key(text, "descr")?).ok_or_else(|| unreadable(text))?)?;
        let order = after_key(text, "fortran_order")?;
        let fortran = if order.starts_with("True") { Some(true) } else { order.starts_with("False").then_some(false) };
        let shape = tuple(after_key(text, "shape")?);
        Ok(Self {
            kind,
            fortran: fortran.ok_or_else(|| unreadable(text))?,
            shape: shape.ok_or_else(|| unreadable(text))?,
        })
    }
}

fn unreadable(text: &str) -> String {
    let shown: String = text.chars().take(120).collect();
    format!("its header {shown:?} is not that of an array of numbers")
}

/// The text after `'key':` and spaces.
fn after_key<'a>(text: &'a str, key: &str) -> Result<&'a str, String> {
    let quoted = [format!("'{key}'"), format!("\"{key}\"")];
    let after = quoted.iter().find_map(|key| text.split_once(key.as_str())).map(|(_, after)| after.trim_start());
    after.and_then(|text| text.strip_prefix(':')).map(str::trim_start).ok_or_else(|| unreadable(text))
}

/// A text in quotes.
fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|&c| c == '\'' || c == '"')?;
    text[1..].split_once(quote).map(|(inner, _)| inner)
}

/// Whole numbers in brackets.
fn tuple(text: &str) -> Option<Vec<usize>> {
    let (inner, _) = text.strip_prefix('(')?.split_once(')')?;
    let numbers = inner.split(',').map(str::trim).filter(|number| !number.is_empty());
    numbers.map(|number| number.trim_end_matches('L').parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn npy(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let len = match version {
            1 => (header.len() as u16).to_le_bytes().to_vec(),
            _ => (header.len() as u32).to_le_bytes().to_vec(),
        };
        [MAGIC, &[version, 0], &len, header.as_bytes(), data].concat()
    }

    fn header(kind: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': '{kind}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        for shape in [vec![], vec![3], vec![2, 3], vec![1, 2, 3, 4], vec![0, 5]] {
            let count = shape.iter().product();
            let values = (0..count).map(|n: usize| n as f32 * 0.7 - 1.0).collect();
            let array = ArrayD::from_shape_vec(IxDyn(&shape), values).unwrap();
            save_npy(&path, &array).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!((parse(&bytes).unwrap(), (bytes.len() - 4 * count) % 64), (array, 0));
        }
    }

    #[test]
    fn all_types_orders_and_versions_are_read() {
        let f4: Vec<u8> = (0..6).flat_map(|n| (n as f32).to_le_bytes()).collect();
        let f8: Vec<u8> = (0..6).flat_map(|n| f64::from(n).to_be_bytes()).collect();
        for version in [1, 2, 3] {
            let array = parse(&npy(version, &header("<f4", "False", "(2, 3)"), &f4)).unwrap();
            assert_eq!(array, ndarray::arr2(&[[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]).into_dyn());
        }
        let array = parse(&npy(1, &header(">f8", "True", "(2, 3)"), &f8)).unwrap();
        assert_eq!(array, ndarray::arr2(&[[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]).into_dyn());
        let array = parse(&npy(1, &header("|u1", "False", "(3,)"), &[7, 8, 255])).unwrap();
        assert_eq!(array, ndarray::arr1(&[7.0, 8.0, 255.0]).into_dyn());
    }

    #[test]
    fn other_content_is_refused_with_a_reason() {
        let cases = [
            (npy(1, &header("<i8", "False", "(1,)"), &[0; 8]), "astype"),
            (npy(1, &header("|O", "False", "(1,)"), &[0; 8]), "astype"),
            (npy(1, &header("<f4", "False", "(2,)"), &[0; 7]), "7 bytes"),
            (npy(1, &header("<f4", "False", "(18446744073709551615, 2)"), &[0; 8]), "8 bytes"),
            (npy(1, &header("<f4", "False", "(1 2)"), &[0; 8]), "header"),
            (npy(1, "{}", &[]), "header"),
            (npy(9, "{}", &[]), "version 9"),
            (npy(1, &header("<f8", "False", "(1,)"), &1e39f64.to_le_bytes()), "holds 1e39"),
            (b"PK".to_vec(), "no .npy"),
        ];
        for (bytes, expected) in cases {
            let message = parse(&bytes).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_file_cut_or_changed_anywhere_ends_in_an_error_or_an_array() {
        let bytes = npy(1, &header("<f4", "False", "(1, 3)"), &[1; 12]);
        for end in 0..bytes.len() {
            assert!(parse(&bytes[..end]).is_err(), "{end}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                let _ = parse(&changed);
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = parse(&[MAGIC, &[1, 0], &bytes].concat());
        }
    }
}
