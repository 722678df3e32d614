//! The headers of a tar, one member after another.

use std::ops::Range;

use tar::{EntryType, Header};

use super::extended::{ExtendedHeader, MAX_NAME, MAX_PAX, lay_out};
use super::{ArchiveEnd, BLOCK, Body, Container, Member, extended, sparse};
use crate::error::{Error, Result};
use crate::source::is_skipped;

/// Maximum number of zeros after an end mark within which another archive is searched.
const MAX_PADDING: u64 = 64 << 20;

/// Reader of an archive's headers.
pub(super) struct TarReader<'a> {
    file: &'a Container,
    end: u64,
    at: u64,
    what: &'a str,
    /// The previous member, for messages.
    previous: String,
    /// Names of the folders read so far.
    pub folders: Vec<Vec<u8>>,
}

impl<'a> TarReader<'a> {
    pub fn new(file: &'a Container, range: Range<u64>, what: &'a str) -> Self {
        let previous = "the beginning".into();
        Self { file, end: range.end, at: range.start, what, previous, folders: Vec::new() }
    }

    /// [`visit`](super::visit) from the current offset.
    pub fn visit(&mut self, mut each: impl FnMut(Member) -> Result<bool>) -> Result<ArchiveEnd> {
        let mut extended = ExtendedHeader::default();
        let mut archives = 1;
        loop {
            if self.at == self.end {
                return Ok(ArchiveEnd { marked: false, archives });
            }
            let block = self.block()?;
            if block.iter().all(|&b| b == 0) {
                let Some(next) = self.after_padding()? else { return Ok(ArchiveEnd { marked: true, archives }) };
                self.at = next;
                archives += 1;
                extended = ExtendedHeader::default();
                continue;
            }
            if !is_tar(&block) {
                return Err(self.damaged(self.at, "no header of a member, its checksum is wrong"));
            }
            let Some(member) = self.member(&block, &mut extended)? else { continue };
            self.previous = format!("member {:?}", member.display_name());
            if !is_skipped(&member.name) && !each(member)? {
                return Ok(ArchiveEnd { marked: true, archives });
            }
        }
    }

    fn error(&self, text: String) -> Error {
        Error::source(&self.file.path, format!("{}{text}; copy it again", self.what))
    }

    fn damaged(&self, at: u64, text: &str) -> Error {
        self.error(format!("damaged at offset {at}, after {}: {text}", self.previous))
    }

    /// Reads the block at the current offset.
    fn block(&self) -> Result<Vec<u8>> {
        let have = self.end - self.at;
        if have < BLOCK as u64 {
            let text = format!("cut short at offset {}, after {}: {have} bytes of a header", self.end, self.previous);
            return Err(self.error(text));
        }
        self.file.bytes_at(self.at, BLOCK)
    }

    /// Offset of another archive after the zeros at the current offset.
    fn after_padding(&self) -> Result<Option<u64>> {
        let mut at = self.at;
        let limit = self.end.min(self.at.saturating_add(MAX_PADDING));
        while at < limit {
            let bytes = self.file.bytes_at(at, (limit - at).min(64 << 10) as usize)?;
            if let Some(first) = bytes.iter().position(|&b| b != 0) {
                let begin = at + (first / BLOCK * BLOCK) as u64;
                let is_archive = is_tar(&self.file.start(begin)?) && begin + BLOCK as u64 <= self.end;
                return Ok(is_archive.then_some(begin));
            }
            at += bytes.len() as u64;
        }
        Ok(None)
    }

    /// Parses the member with the header `block`; `None` for a folder or an extended header.
    fn member(&mut self, block: &[u8], extended: &mut ExtendedHeader) -> Result<Option<Member>> {
        let header = Header::from_byte_slice(block);
        let kind = header.entry_type();
        let begin = self.at;
        let stated = extended::number(&block[124..136]);
        let stated = stated.ok_or_else(|| self.damaged(begin, "a length that is no number"))?;
        self.at += BLOCK as u64;
        if let b'L' | b'N' | b'K' | b'x' | b'X' | b'g' = kind.as_byte() {
            self.read_extended(kind.as_byte(), begin, stated, extended)?;
            return Ok(None);
        }
        let mut extended = std::mem::take(extended);
        let name = extended.take_name().unwrap_or_else(|| header.path_bytes().into_owned());
        let link = extended.link.take().or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        let link = strip_prefixes(&link.unwrap_or_default()).to_vec();
        let is_folder = kind.is_dir() || name.ends_with(b"/") && has_data(kind);
        let name = strip_prefixes(&name).to_vec();
        let stored = extended.size.unwrap_or(stated);
        if kind == EntryType::GNUSparse || extended.sparse.is_some() {
            return self.sparse(begin, name, block, stored, extended).map(Some);
        }
        let stored = if has_data(kind) || self.link_has_data(kind, stored)? { stored } else { 0 };
        if is_folder {
            self.folders.push(name.clone());
        }
        let body = match kind {
            _ if is_folder => None,
            EntryType::Regular | EntryType::Continuous => Some(Body::At(self.at)),
            EntryType::Link if stored > 0 => Some(Body::At(self.at)),
            EntryType::Link => Some(Body::HardLink(link)),
            EntryType::Symlink => Some(Body::Unreadable(format!(
                "a symbolic link to {:?} within the archive, which is not followed",
                String::from_utf8_lossy(&link)
            ))),
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                Some(Body::Unreadable("a device or fifo within the archive".into()))
            }
            // A volume label, and GNU's directory list.
            other if matches!(other.as_byte(), b'V' | b'D') => None,
            other => Some(Body::Unreadable(format!(
                "a member of the type {:?}, which is not known",
                char::from(other.as_byte())
            ))),
        };
        let member = body.map(|body| Member { name: name.clone(), body, length: stored });
        self.skip(&name, stored)?;
        Ok(member)
    }

    /// Reads an extended header for the next member.
    fn read_extended(&mut self, kind: u8, begin: u64, length: u64, extended: &mut ExtendedHeader) -> Result<()> {
        let (limit, noun) =
            if matches!(kind, b'x' | b'X' | b'g') { (MAX_PAX, "pax records") } else { (MAX_NAME, "a name") };
        if length > limit {
            return Err(self.damaged(begin, &format!("{noun} of {length} bytes, at most {limit} are read")));
        }
        let at = self.at;
        self.skip(noun.as_bytes(), length)?;
        let bytes = self.file.bytes_at(at, length as usize)?;
        match kind {
            b'K' => extended.link = Some(ExtendedHeader::long_name(&bytes)),
            b'x' | b'X' => extended.read_pax(&bytes).map_err(|text| self.damaged(begin, &text))?,
            // Global records are irrelevant here.
            b'g' => {}
            _ => extended.name = Some(ExtendedHeader::long_name(&bytes)),
        }
        Ok(())
    }

    fn sparse(
        &mut self,
        begin: u64,
        name: Vec<u8>,
        block: &[u8],
        stored: u64,
        extended: ExtendedHeader,
    ) -> Result<Member> {
        let damaged = |tar: &Self| tar.damaged(begin, "a sparse file whose map is damaged");
        let map;
        let start;
        let available;
        match extended.sparse {
            Some(sparse) => {
                let at = self.at;
                self.skip(&name, stored)?;
                map = sparse.read_map(self.file, at, stored)?.ok_or_else(|| damaged(self))?;
                start = at + map.map_bytes;
                available = stored - map.map_bytes;
            }
            None => {
                let found = sparse::read_old_gnu(self.file, block, self.at, self.end)?;
                map = found.ok_or_else(|| damaged(self))?;
                self.at += map.map_bytes;
                start = self.at;
                available = stored;
                self.skip(&name, stored)?;
            }
        }
        let length = map.length;
        let pieces = lay_out(&map.pieces, start, available, length).map_err(|text| self.damaged(begin, &text))?;
        Ok(Member { name, body: Body::Sparse(pieces), length })
    }

    /// Whether data follows the header of a hard link, as POSIX allows: then the next block is not a header.
    fn link_has_data(&self, kind: EntryType, length: u64) -> Result<bool> {
        if kind != EntryType::Link || length == 0 || self.at >= self.end {
            return Ok(false);
        }
        let next = self.file.start(self.at)?;
        Ok(!is_tar(&next) && next.iter().any(|&b| b != 0))
    }

    /// Skips `length` bytes, which must exist, and their padding.
    fn skip(&mut self, name: &[u8], length: u64) -> Result<()> {
        let have = self.end - self.at;
        let blocks = length.div_ceil(BLOCK as u64).checked_mul(BLOCK as u64).filter(|&bytes| bytes <= have);
        let Some(bytes) = blocks else {
            let name = String::from_utf8_lossy(name);
            let lacks = if length <= have { ", but not all of the block that they end in" } else { "" };
            let at = self.at;
            let text = format!("cut short: member {name:?} at offset {at} has {length} bytes, {have} are there{lacks}");
            return Err(self.error(text));
        };
        self.at += bytes;
        Ok(())
    }
}

/// Whether data follows the header of this type of member.
fn has_data(kind: EntryType) -> bool {
    !matches!(kind.as_byte(), b'1'..=b'6')
}

/// Strips leading `./` and `/` and a trailing `/`.
fn strip_prefixes(name: &[u8]) -> &[u8] {
    let mut name = name;
    while let Some(rest) = name.strip_prefix(b"./").or_else(|| name.strip_prefix(b"/")) {
        name = rest;
    }
    name.strip_suffix(b"/").unwrap_or(name)
}

/// Whether a block is a tar header, by its checksum.
pub fn is_tar(block: &[u8]) -> bool {
    if block.len() < BLOCK || block.iter().all(|&b| b == 0) {
        return false;
    }
    let Ok(stated) = Header::from_byte_slice(&block[..BLOCK]).cksum() else { return false };
    let counted = || block[..148].iter().chain(&block[156..BLOCK]);
    let sum = counted().map(|&b| i64::from(b)).sum::<i64>() + 8 * 32;
    // Old programs summed signed bytes.
    let signed = counted().map(|&b| i64::from(b as i8)).sum::<i64>() + 8 * 32;
    i64::from(stated) == sum || i64::from(stated) == signed
}
