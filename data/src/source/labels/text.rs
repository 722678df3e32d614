//! Text of labels files: UTF-8, or UTF-16 as written by Excel.

use std::io::Read;
use std::path::Path;

use super::super::archive::open_file;
use crate::error::{Error, Result};

/// Maximum size of a labels file, which is held in memory.
const MAX_BYTES: u64 = 1 << 30;

/// Reads a regular file of bounded length, without byte order mark.
pub(in crate::source) fn read_text(path: &Path) -> Result<String> {
    let (file, _) = open_file(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(Error::io(path, "cannot be read"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::source(path, format!("is larger than {MAX_BYTES} bytes, the most that is read as text")));
    }
    let expected = "is not text in UTF-8 or UTF-16; expected labels: a list, a CSV, or a development kit of ILSVRC";
    decode(bytes).ok_or_else(|| Error::source(path, expected))
}

fn decode(bytes: Vec<u8>) -> Option<String> {
    // Zeros in every other byte identify UTF-16 without a byte order mark.
    let zeros_at = |odd: usize| bytes.iter().skip(odd).step_by(2).take(32).all(|&b| b == 0) && bytes.len() >= 8;
    match bytes.as_slice() {
        [0xef, 0xbb, 0xbf, rest @ ..] => std::str::from_utf8(rest).ok().map(str::to_string),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        all if zeros_at(1) => utf16(all, u16::from_le_bytes),
        all if zeros_at(0) => utf16(all, u16::from_be_bytes),
        _ => String::from_utf8(bytes).ok(),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let units: Vec<u16> = bytes.chunks(2).map(|pair| pair.try_into().ok().map(unit)).collect::<Option<_>>()?;
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_every_encoding_is_the_same() {
        let text = "file,label\nü.jpg,cat\n";
        let wide = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        let little = wide(u16::to_le_bytes);
        let big = wide(u16::to_be_bytes);
        let with = |mark: &[u8], bytes: &[u8]| [mark, bytes].concat();
        let all = [
            text.as_bytes().to_vec(),
            with(b"\xef\xbb\xbf", text.as_bytes()),
            with(b"\xff\xfe", &little),
            with(b"\xfe\xff", &big),
            little,
            big,
        ];
        for bytes in all {
            assert_eq!(decode(bytes.clone()).as_deref(), Some(text), "{bytes:02x?}");
        }
        assert_eq!(decode(b"caf\xe9".to_vec()), None);
        assert_eq!(decode(b"\xff\xfeA".to_vec()), None);
        assert_eq!(decode(b"\xff\xfe\x00\xd8".to_vec()), None);
    }
}
