//! Tar archives, read in place: a list of members with their offsets, and bytes at an offset.
//!
//! Headers are read here and not by the `tar` crate, which reads names of any length into memory, stops at the first
//! end mark, does not notice truncation between members, and gives no offset of damage.
//!
//! - GNU and POSIX long names and sparse files, and hard links to members of the same archive are supported.
//! - An archive truncated within a member is an error. One that ends after a whole member without an end mark is read
//!   with a note to the user, because more may be missing.
//! - Concatenated archives (`cat a.tar b.tar`) are read to the end of the last.
//! - Hidden and operating system files are skipped ([`is_skipped`]).

mod container;
mod extended;
mod gzip;
mod member_reader;
mod sparse;

use std::collections::HashMap;
use std::ops::Range;

use tar::{EntryType, Header};

use super::is_skipped;
use crate::error::{Error, Result};
pub(super) use container::{Container, Piece, open_file};
use extended::{ExtendedHeader, MAX_NAME, MAX_PAX, lay_out};
pub(super) use gzip::{GZIP, Gunzip, gunzip_file, gunzip_start};
pub(super) use member_reader::MemberReader;

/// Block size of tars.
pub(super) const BLOCK: usize = 512;
/// Maximum number of zeros after an end mark within which another archive is searched.
const MAX_PADDING: u64 = 64 << 20;

/// A member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Path without a leading `./`.
    pub name: Vec<u8>,
    pub body: Body,
    pub length: u64,
}

/// Position of a member's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Contiguous, from a file offset on.
    At(u64),
    /// In pieces, with zeros between them.
    Sparse(Vec<Piece>),
    /// In the member of this name.
    HardLink(Vec<u8>),
    /// Unreadable, with the reason.
    Unreadable(String),
}

impl Member {
    /// Last component of the path.
    pub fn file_name(&self) -> &[u8] {
        self.name.rsplit(|&b| b == b'/').next().unwrap_or(&self.name)
    }

    /// Name for messages.
    pub fn display_name(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }

    /// File offset of its bytes, if they are contiguous.
    pub fn offset(&self) -> Option<u64> {
        match self.body {
            Body::At(offset) => Some(offset),
            _ => None,
        }
    }
}

/// End of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ArchiveEnd {
    /// Whether there was an end mark.
    pub marked: bool,
    /// Number of concatenated archives.
    pub archives: usize,
}

impl ArchiveEnd {
    /// Notes for the user; `name` is the archive's name.
    pub fn notes(self, name: &str) -> Vec<String> {
        let joined =
            (self.archives > 1).then(|| format!("{name} is {} concatenated tars; all are read", self.archives));
        let unmarked = (!self.marked).then(|| {
            format!(
                "{name} has no end mark; all its members are whole, but if it is a copy truncated between two members, the \
                 rest is missing"
            )
        });
        joined.into_iter().chain(unmarked).collect()
    }
}

/// Calls `each` for the files of the archive in `range` of a file, except skipped names, until it returns false. `what`
/// names the archive within the file, for messages. Hard links are not resolved.
pub(super) fn visit(
    file: &Container,
    range: Range<u64>,
    what: &str,
    each: impl FnMut(Member) -> Result<bool>,
) -> Result<ArchiveEnd> {
    TarReader::new(file, range, what).visit(each)
}

/// All members found by [`visit`], with hard links resolved.
pub(super) fn members(file: &Container, range: Range<u64>, what: &str) -> Result<(Vec<Member>, ArchiveEnd)> {
    members_and_folders(file, range, what).map(|(members, _, end)| (members, end))
}

/// Like [`members`], with the names of the folders, except skipped names.
pub(super) fn members_and_folders(
    file: &Container,
    range: Range<u64>,
    what: &str,
) -> Result<(Vec<Member>, Vec<Vec<u8>>, ArchiveEnd)> {
    let mut members = Vec::new();
    let mut reader = TarReader::new(file, range, what);
    let end = reader.visit(|member| {
        members.push(member);
        Ok(true)
    })?;
    if members.iter().any(|member| matches!(member.body, Body::HardLink(_))) {
        resolve_links(&mut members);
    }
    reader.folders.retain(|name| !is_skipped(name));
    Ok((members, reader.folders, end))
}

/// Sorts members by name, keeping the last of each name, as when unpacking. Returns the number removed.
pub(super) fn sort(members: &mut Vec<Member>) -> usize {
    let all = members.len();
    members.reverse();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    members.dedup_by(|later, first| later.name == first.name);
    all - members.len()
}

/// Note on members replaced by later ones.
pub(super) fn replaced_note(count: usize) -> Option<String> {
    (count > 0)
        .then(|| format!("{count} members are replaced by later ones of the same name, as when the tar is unpacked"))
}

/// Resolves hard links to the bytes of their targets.
fn resolve_links(members: &mut [Member]) {
    let by_name: HashMap<Vec<u8>, usize> = (0..).zip(&*members).map(|(at, member)| (member.name.clone(), at)).collect();
    for at in 0..members.len() {
        // A link may lead to another link; each leads to an earlier member.
        let mut target = at;
        while let Body::HardLink(name) = &members[target].body {
            match by_name.get(name) {
                Some(&earlier) if earlier < target => target = earlier,
                _ => break,
            }
        }
        members[at].length = members[target].length;
        members[at].body = members[target].body.clone();
    }
}

/// Reader of an archive's headers.
struct TarReader<'a> {
    file: &'a Container,
    end: u64,
    at: u64,
    what: &'a str,
    /// The previous member, for messages.
    previous: String,
    /// Names of the folders read so far.
    folders: Vec<Vec<u8>>,
}

impl<'a> TarReader<'a> {
    fn new(file: &'a Container, range: Range<u64>, what: &'a str) -> Self {
        let previous = "the beginning".into();
        Self { file, end: range.end, at: range.start, what, previous, folders: Vec::new() }
    }

    /// [`visit`] from the current offset.
    fn visit(&mut self, mut each: impl FnMut(Member) -> Result<bool>) -> Result<ArchiveEnd> {
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
pub(super) fn is_tar(block: &[u8]) -> bool {
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
