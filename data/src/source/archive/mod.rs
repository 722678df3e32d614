//! Tar archives, read in place: a list of members with their offsets, and bytes at an offset.
//!
//! Headers are read here and not by the `tar` crate, which knows their fields but takes names of any length into memory,
//! stops at the first end mark, does not notice a cut between two members, and says no offset when one is damaged.
//!
//! - Names of GNU and POSIX, sparse files of both, and hard links to members of the same archive are read.
//! - An archive that is cut within a member is an error. One that ends after a whole member without the mark of the end
//!   is read, and the user is told: nothing shows whether more is missing.
//! - Archives that were joined (`cat a.tar b.tar`) are read to the end of the last.
//! - Hidden and system names are left out ([`is_left_out`]).

mod container;
mod extended;
mod gzip;
mod places;
mod sparse;

use std::collections::HashMap;
use std::ops::Range;

use tar::{EntryType, Header};

use super::is_left_out;
use crate::error::{Error, Result};
pub(super) use container::{Container, Piece, open_file};
use extended::{Extended, MAX_NAME, MAX_PAX, lay_out};
pub(super) use gzip::{GZIP, Gunzip, gunzipped, unpacked_start};
pub(super) use places::Places;

/// The unit of a tar.
pub(super) const BLOCK: usize = 512;
/// After an end mark another archive is looked for in so many zeros.
const MAX_PADDING: u64 = 64 << 20;

/// A member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its path, a leading `./` left out.
    pub name: Vec<u8>,
    pub body: Body,
    pub length: u64,
}

/// Where the bytes of a member are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// From an offset of the file on.
    At(u64),
    /// In pieces, the rest being zeros.
    Sparse(Vec<Piece>),
    /// In the member of this name.
    HardLink(Vec<u8>),
    /// Nowhere, and why.
    Unreadable(String),
}

impl Member {
    /// The last part of its path.
    pub fn base(&self) -> &[u8] {
        self.name.rsplit(|&b| b == b'/').next().unwrap_or(&self.name)
    }

    /// Its name for messages.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }

    /// Where its bytes begin, if they are stored as they are.
    pub fn offset(&self) -> Option<u64> {
        match self.body {
            Body::At(offset) => Some(offset),
            _ => None,
        }
    }
}

/// How an archive ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// Whether the mark of the end was there.
    pub marked: bool,
    /// Archives, one after the other.
    pub archives: usize,
}

impl Ended {
    /// What the user should know of it, by the name that the archive has for them.
    pub fn notes(self, name: &str) -> Vec<String> {
        let joined =
            (self.archives > 1).then(|| format!("{name} is {} tars one after the other; all are read", self.archives));
        let unmarked = (!self.marked).then(|| {
            format!(
                "{name} has no mark of its end; every member in it is whole, but if it is a copy that was cut between two of \
                 them, the rest is missing"
            )
        });
        joined.into_iter().chain(unmarked).collect()
    }
}

/// Calls `each` for the files of the archive that lies at `range` of a file, folders and hidden names left out, until
/// it returns false. `what` names the archive within the file, for messages. Hard links are not resolved.
pub(super) fn visit(
    file: &Container,
    range: Range<u64>,
    what: &str,
    each: impl FnMut(Member) -> Result<bool>,
) -> Result<Ended> {
    Walk { file, end: range.end, at: range.start, what, before: "the beginning".into(), folders: Vec::new() }
        .visit(each)
}

/// All of [`visit`], hard links resolved.
pub(super) fn members(file: &Container, range: Range<u64>, what: &str) -> Result<(Vec<Member>, Ended)> {
    members_and_folders(file, range, what).map(|(members, _, ended)| (members, ended))
}

/// [`members`], and the names of the folders, hidden ones left out.
pub(super) fn members_and_folders(
    file: &Container,
    range: Range<u64>,
    what: &str,
) -> Result<(Vec<Member>, Vec<Vec<u8>>, Ended)> {
    let mut members = Vec::new();
    let mut walk =
        Walk { file, end: range.end, at: range.start, what, before: "the beginning".into(), folders: Vec::new() };
    let ended = walk.visit(|member| {
        members.push(member);
        Ok(true)
    })?;
    if members.iter().any(|member| matches!(member.body, Body::HardLink(_))) {
        resolve(&mut members);
    }
    walk.folders.retain(|name| !is_left_out(name));
    Ok((members, walk.folders, ended))
}

/// Sorts members by name. Of several by one name the last is kept, as when a tar is unpacked; also returns how many were not.
pub(super) fn sort(members: &mut Vec<Member>) -> usize {
    let all = members.len();
    members.reverse();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    members.dedup_by(|later, first| later.name == first.name);
    all - members.len()
}

/// What the user should know of members that others replace.
pub(super) fn replaced_note(count: usize) -> Option<String> {
    (count > 0)
        .then(|| format!("{count} members are replaced by later ones of the same name, as when the tar is unpacked"))
}

/// Gives hard links the bytes of what they link to.
fn resolve(members: &mut [Member]) {
    let by_name: HashMap<Vec<u8>, usize> = (0..).zip(&*members).map(|(at, member)| (member.name.clone(), at)).collect();
    for at in 0..members.len() {
        // A link may lead to a link; each leads to an earlier member.
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

/// Where in an archive the reading is.
struct Walk<'a> {
    file: &'a Container,
    end: u64,
    at: u64,
    what: &'a str,
    /// The member before, for messages.
    before: String,
    /// Names of the folders so far.
    folders: Vec<Vec<u8>>,
}

impl Walk<'_> {
    /// [`visit`] from here on.
    fn visit(&mut self, mut each: impl FnMut(Member) -> Result<bool>) -> Result<Ended> {
        let mut extended = Extended::default();
        let mut archives = 1;
        loop {
            if self.at == self.end {
                return Ok(Ended { marked: false, archives });
            }
            let block = self.block()?;
            if block.iter().all(|&b| b == 0) {
                let Some(next) = self.after_padding()? else { return Ok(Ended { marked: true, archives }) };
                self.at = next;
                archives += 1;
                extended = Extended::default();
                continue;
            }
            if !is_tar(&block) {
                return Err(self.damaged(self.at, "no header of a member, its checksum is wrong"));
            }
            let Some(member) = self.member(&block, &mut extended)? else { continue };
            self.before = format!("member {:?}", member.shown());
            if !is_left_out(&member.name) && !each(member)? {
                return Ok(Ended { marked: true, archives });
            }
        }
    }

    fn wrong(&self, text: String) -> Error {
        Error::source(&self.file.path, format!("{}{text}; copy it again", self.what))
    }

    fn damaged(&self, at: u64, text: &str) -> Error {
        self.wrong(format!("damaged at offset {at}, after {}: {text}", self.before))
    }

    /// The block at hand.
    fn block(&self) -> Result<Vec<u8>> {
        let have = self.end - self.at;
        if have < BLOCK as u64 {
            let text = format!("cut short at offset {}, after {}: {have} bytes of a header", self.end, self.before);
            return Err(self.wrong(text));
        }
        self.file.bytes_at(self.at, BLOCK)
    }

    /// Where another archive begins after the zeros at hand.
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

    /// The member whose header is `block`; `None` of a folder, or of a header that describes the next member.
    fn member(&mut self, block: &[u8], extended: &mut Extended) -> Result<Option<Member>> {
        let header = Header::from_byte_slice(block);
        let kind = header.entry_type();
        let begin = self.at;
        let stated = extended::number(&block[124..136]);
        let stated = stated.ok_or_else(|| self.damaged(begin, "a length that is no number"))?;
        self.at += BLOCK as u64;
        if let b'L' | b'N' | b'K' | b'x' | b'X' | b'g' = kind.as_byte() {
            self.describe(kind.as_byte(), begin, stated, extended)?;
            return Ok(None);
        }
        let mut extended = std::mem::take(extended);
        let name = extended.take_name().unwrap_or_else(|| header.path_bytes().into_owned());
        let link = extended.link.take().or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        let link = cleaned(&link.unwrap_or_default()).to_vec();
        let is_folder = kind.is_dir() || name.ends_with(b"/") && has_data(kind);
        let name = cleaned(&name).to_vec();
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
            // A label of the volume, and GNU's list of a folder.
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

    /// Takes what says more of the next member.
    fn describe(&mut self, kind: u8, begin: u64, length: u64, extended: &mut Extended) -> Result<()> {
        let (limit, noun) =
            if matches!(kind, b'x' | b'X' | b'g') { (MAX_PAX, "pax records") } else { (MAX_NAME, "a name") };
        if length > limit {
            return Err(self.damaged(begin, &format!("{noun} of {length} bytes, at most {limit} are read")));
        }
        let at = self.at;
        self.skip(noun.as_bytes(), length)?;
        let bytes = self.file.bytes_at(at, length as usize)?;
        match kind {
            b'K' => extended.link = Some(Extended::long_name(&bytes)),
            b'x' | b'X' => extended.take_pax(&bytes).map_err(|text| self.damaged(begin, &text))?,
            // Of all members together nothing is said that matters here.
            b'g' => {}
            _ => extended.name = Some(Extended::long_name(&bytes)),
        }
        Ok(())
    }

    fn sparse(&mut self, begin: u64, name: Vec<u8>, block: &[u8], stored: u64, extended: Extended) -> Result<Member> {
        let damaged = |walk: &Self| walk.damaged(begin, "a sparse file whose map is damaged");
        let (map, length, pieces, stored) = match extended.sparse {
            Some(sparse) => {
                let at = self.at;
                self.skip(&name, stored)?;
                let (map, length, before) = sparse.map(self.file, at, stored)?.ok_or_else(|| damaged(self))?;
                (map, length, at + before, stored - before)
            }
            None => {
                let found = sparse::old_gnu(self.file, block, self.at, self.end)?;
                let (map, length, before) = found.ok_or_else(|| damaged(self))?;
                self.at += before;
                let at = self.at;
                self.skip(&name, stored)?;
                (map, length, at, stored)
            }
        };
        let pieces = lay_out(&map, pieces, stored, length).map_err(|text| self.damaged(begin, &text))?;
        Ok(Member { name, body: Body::Sparse(pieces), length })
    }

    /// Whether bytes follow the header of a hard link, as POSIX allows: then no header stands where they would be.
    fn link_has_data(&self, kind: EntryType, length: u64) -> Result<bool> {
        if kind != EntryType::Link || length == 0 || self.at >= self.end {
            return Ok(false);
        }
        let next = self.file.start(self.at)?;
        Ok(!is_tar(&next) && next.iter().any(|&b| b != 0))
    }

    /// Goes to what follows `length` bytes, which must be there.
    fn skip(&mut self, name: &[u8], length: u64) -> Result<()> {
        let have = self.end - self.at;
        let blocks = length.div_ceil(BLOCK as u64).checked_mul(BLOCK as u64).filter(|&bytes| bytes <= have);
        let Some(bytes) = blocks else {
            let name = String::from_utf8_lossy(name);
            let lacks = if length <= have { ", but not all of the block that they end in" } else { "" };
            let at = self.at;
            let text = format!("cut short: member {name:?} at offset {at} has {length} bytes, {have} are there{lacks}");
            return Err(self.wrong(text));
        };
        self.at += bytes;
        Ok(())
    }
}

/// Whether bytes follow the header of such a member.
fn has_data(kind: EntryType) -> bool {
    !matches!(kind.as_byte(), b'1'..=b'6')
}

/// A name without `./` or `/` before it or `/` after.
fn cleaned(name: &[u8]) -> &[u8] {
    let mut name = name;
    while let Some(rest) = name.strip_prefix(b"./").or_else(|| name.strip_prefix(b"/")) {
        name = rest;
    }
    name.strip_suffix(b"/").unwrap_or(name)
}

/// Whether a block can begin a tar: its header's checksum is right.
pub(super) fn is_tar(block: &[u8]) -> bool {
    if block.len() < BLOCK || block.iter().all(|&b| b == 0) {
        return false;
    }
    let Ok(stated) = Header::from_byte_slice(&block[..BLOCK]).cksum() else { return false };
    let counted = || block[..148].iter().chain(&block[156..BLOCK]);
    let sum = counted().map(|&b| i64::from(b)).sum::<i64>() + 8 * 32;
    // Old programs added the bytes as signed ones.
    let signed = counted().map(|&b| i64::from(b as i8)).sum::<i64>() + 8 * 32;
    i64::from(stated) == sum || i64::from(stated) == signed
}
