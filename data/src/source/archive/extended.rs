//! Extended headers of a tar, which describe the next member: GNU long names and POSIX pax records.
//!
//! Their lengths are bounded before reading: a name of gigabytes is damage or an attack.

use super::Piece;
use super::sparse::{self, SparseHeader};

/// Maximum length of a name; no system has names of more than 4,096 bytes.
pub(super) const MAX_NAME: u64 = 64 << 10;
/// Maximum size of pax records.
pub(super) const MAX_PAX: u64 = 1 << 20;

/// Description of the next member before its own header.
#[derive(Debug, Default)]
pub(super) struct ExtendedHeader {
    pub name: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub sparse: Option<SparseHeader>,
}

impl ExtendedHeader {
    /// A GNU name, up to the first zero.
    pub fn long_name(bytes: &[u8]) -> Vec<u8> {
        bytes.split(|&b| b == 0).next().unwrap_or_default().to_vec()
    }

    /// Reads pax records, each `LENGTH KEY=VALUE` and a line feed.
    pub fn read_pax(&mut self, mut bytes: &[u8]) -> Result<(), String> {
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
                        sparse.read_record(key, value).ok_or("a sparse file whose map is damaged")?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The name of the member; for sparse files their true name, not the placeholder.
    pub fn take_name(&mut self) -> Option<Vec<u8>> {
        self.sparse.as_mut().and_then(|sparse| sparse.name.take()).or_else(|| self.name.take())
    }
}

/// Key and value of the first record, and the remaining bytes.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|&b| b == b' ')?;
    let length = usize::try_from(decimal(&bytes[..space])?).ok()?;
    let body = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|&b| b == b'=')?;
    Some((&body[..equals], &body[equals + 1..], &bytes[length..]))
}

/// Parses a decimal number.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

/// Parses a number of a header: octal digits, or binary if the first bit is set.
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

/// Positions of the pieces of a sparse file, stored consecutively from `stored` on.
pub(super) fn lay_out(map: &[(u64, u64)], stored: u64, available: u64, length: u64) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::with_capacity(map.len());
    let mut used = 0u64;
    let mut min_offset = 0u64;
    for &(at, bytes) in map {
        let end = at.checked_add(bytes).filter(|&end| at >= min_offset && end <= length);
        let piece = Piece { offset: at, container_offset: stored.saturating_add(used), length: bytes };
        min_offset = end.ok_or("a sparse file whose map leaves it or is not in order")?;
        used = used
            .checked_add(bytes)
            .filter(|&used| used <= available)
            .ok_or("a sparse file that stores less than it says")?;
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
        let mut extended = ExtendedHeader::default();
        extended.read_pax(b"18 path=a b/c.jpg\n12 size=345\n30 mtime=1350244992.023960108\n").unwrap();
        assert_eq!((extended.take_name().unwrap(), extended.size), (b"a b/c.jpg".to_vec(), Some(345)));
        for damaged in [&b"19 path=a b/c.jpg\n"[..], b"path=x\n", b"6 a=\n", b"99999999999999999999 a=b\n", b"6 ab c\n"]
        {
            assert!(ExtendedHeader::default().read_pax(damaged).is_err(), "{damaged:?}");
        }
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"  12 \0  "), Some(0o12));
        assert_eq!(number(b"00x\0"), None);
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1]), Some((2 << 32) + 1));
        assert_eq!(number(&[0xff; 12]), None);
    }
}
