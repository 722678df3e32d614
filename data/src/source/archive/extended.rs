//! What headers of a tar say about the member after them: long names of GNU, and pax records of POSIX.
//!
//! Their lengths are bounded before anything is read: a name of gigabytes is damage, or meant to harm.

use super::Piece;
use super::sparse::{self, Sparse};

/// The longest name that is read; no system has names of more than 4,096 bytes.
pub(super) const MAX_NAME: u64 = 64 << 10;
/// The most that is read of pax records.
pub(super) const MAX_PAX: u64 = 1 << 20;

/// What is known of the next member before its own header.
#[derive(Debug, Default)]
pub(super) struct Extended {
    pub name: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub sparse: Option<Sparse>,
}

impl Extended {
    /// GNU's name, up to the first zero.
    pub fn long_name(bytes: &[u8]) -> Vec<u8> {
        bytes.split(|&b| b == 0).next().unwrap_or_default().to_vec()
    }

    /// Takes pax records: `LENGTH KEY=VALUE` and a line feed each.
    pub fn take_pax(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            let (key, value, rest) = record(bytes).ok_or("pax records that are damaged")?;
            bytes = rest;
            match key {
                b"path" => self.name = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(decimal(value).ok_or("a pax size that is no number")?),
                _ => {
                    if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                        let sparse = self.sparse.get_or_insert_default();
                        sparse.take(key, value).ok_or("a sparse file whose map is damaged")?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The name of the member, which sparse files have beside a made-up one.
    pub fn take_name(&mut self) -> Option<Vec<u8>> {
        self.sparse.as_mut().and_then(|sparse| sparse.name.take()).or_else(|| self.name.take())
    }
}

/// Key, value and what follows the first record.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|&b| b == b' ')?;
    let length = usize::try_from(decimal(&bytes[..space])?).ok()?;
    let body = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|&b| b == b'=')?;
    Some((&body[..equals], &body[equals + 1..], &bytes[length..]))
}

/// A number of digits.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

/// A number of a header: octal digits, or the bits themselves where the first is set.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    if field.first()? & 0x80 != 0 {
        let bytes = field.iter().enumerate().map(|(at, &b)| if at == 0 { b & 0x7f } else { b });
        return bytes.into_iter().try_fold(0u64, |n, b| n.checked_mul(256)?.checked_add(b.into()));
    }
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    let text = field[..end].trim_ascii();
    let digit = |n: u64, &b: &u8| match b {
        b'0'..=b'7' => n.checked_mul(8)?.checked_add(u64::from(b - b'0')),
        _ => None,
    };
    text.iter().try_fold(0, digit)
}

/// Where the pieces of a sparse file lie from `stored` on, one after the other.
pub(super) fn lay_out(map: &[(u64, u64)], stored: u64, has: u64, length: u64) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::with_capacity(map.len());
    let mut used = 0u64;
    let mut least = 0u64;
    for &(at, bytes) in map {
        let end = at.checked_add(bytes).filter(|&end| at >= least && end <= length);
        let piece = Piece { at, stored: stored.saturating_add(used), length: bytes };
        least = end.ok_or("a sparse file whose map leaves it or is not in order")?;
        used =
            used.checked_add(bytes).filter(|&used| used <= has).ok_or("a sparse file that stores less than it says")?;
        pieces.push(piece);
    }
    pieces.retain(|piece| piece.length > 0);
    debug_assert!(pieces.len() <= sparse::MAX_PIECES);
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_and_numbers_are_read() {
        let mut extended = Extended::default();
        extended.take_pax(b"18 path=a b/c.jpg\n12 size=345\n30 mtime=1350244992.023960108\n").unwrap();
        assert_eq!((extended.take_name().unwrap(), extended.size), (b"a b/c.jpg".to_vec(), Some(345)));
        for damaged in [&b"19 path=a b/c.jpg\n"[..], b"path=x\n", b"6 a=\n", b"99999999999999999999 a=b\n", b"6 ab c\n"]
        {
            assert!(Extended::default().take_pax(damaged).is_err(), "{damaged:?}");
        }
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"  12 \0  "), Some(0o12));
        assert_eq!(number(b"00x\0"), None);
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1]), Some((2 << 32) + 1));
        assert_eq!(number(&[0xff; 12]), None);
    }
}
