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
mod tar_reader;

use std::collections::HashMap;
use std::ops::Range;

use super::is_skipped;
use crate::error::Result;
pub(super) use container::{Container, Piece, open_file};
pub(super) use gzip::{GZIP, Gunzip, gunzip_file, gunzip_start};
pub(super) use member_reader::MemberReader;
use tar_reader::TarReader;
pub(super) use tar_reader::is_tar;

/// Block size of tars.
pub(super) const BLOCK: usize = 512;

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
