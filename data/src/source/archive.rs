//! Tar archives, read in place: a list of members with their offsets, and bytes at an offset.
//!
//! Headers are parsed by the `tar` crate, which knows the long names of GNU and POSIX. It does not notice an archive that
//! was cut between two members, nor, where it skips by seeking, within one; that is checked here.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use tar::EntryType;
use tensor::printable;

use super::{Catalogue, Content, Pictures};
use crate::error::{BadPicture, Error, Result};
use crate::picture::MAX_FILE_BYTES;

/// The unit of a tar.
pub(super) const BLOCK: usize = 512;

/// A file that is read at offsets, from any thread.
#[derive(Debug)]
pub(super) struct Container {
    pub path: PathBuf,
    #[cfg(unix)]
    file: File,
    #[cfg(not(unix))]
    file: std::sync::Mutex<File>,
    pub length: u64,
}

impl Container {
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path, "cannot be opened"))?;
        let length = file.metadata().map_err(Error::io(path, "cannot be read"))?.len();
        #[cfg(not(unix))]
        let file = std::sync::Mutex::new(file);
        Ok(Self { path: path.to_path_buf(), file, length })
    }

    /// Fills `buffer` from `offset` on.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        #[cfg(unix)]
        return std::os::unix::fs::FileExt::read_exact_at(&self.file, buffer, offset);
        #[cfg(not(unix))]
        {
            let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(buffer)
        }
    }

    /// The bytes of a picture; a message names file and offset.
    pub fn picture(&self, offset: u64, length: u64) -> Result<Vec<u8>, BadPicture> {
        if length > MAX_FILE_BYTES {
            return Err(BadPicture::NotAPicture(format!("{length} bytes, at most {MAX_FILE_BYTES} are read")));
        }
        let mut bytes = vec![0; length as usize];
        self.read_at(offset, &mut bytes).map_err(|e| {
            let what = format!("{length} bytes at offset {offset} of {}: {e}", self.path.display());
            BadPicture::Unreadable(io::Error::new(e.kind(), what))
        })?;
        Ok(bytes)
    }

    /// The first bytes, as many as there are up to a block.
    pub fn start(&self, offset: u64) -> Result<Vec<u8>> {
        let mut block = vec![0; self.length.saturating_sub(offset).min(BLOCK as u64) as usize];
        self.read_at(offset, &mut block).map_err(Error::io(&self.path, "cannot be read"))?;
        Ok(block)
    }
}

/// A member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// Its path, a leading `./` left out.
    pub name: Vec<u8>,
    /// Where its bytes begin in the file; `None` for a link, which has none.
    pub offset: Option<u64>,
    pub length: u64,
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
}

/// Part of a file, for the parser; it remembers what it read last.
struct Section<'a> {
    file: &'a Container,
    range: Range<u64>,
    at: u64,
    /// Where the last block was read from.
    last: u64,
    /// Whether that block was nothing but zeros.
    zeros: bool,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = (self.range.end.saturating_sub(self.at)).min(buffer.len() as u64) as usize;
        self.file.read_at(self.at, &mut buffer[..length])?;
        if length > 0 {
            (self.last, self.zeros) = (self.at, buffer[..length].iter().all(|&b| b == 0));
        }
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Section<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(offset) => self.range.start.checked_add(offset),
            SeekFrom::Current(offset) => self.at.checked_add_signed(offset),
            SeekFrom::End(offset) => self.range.end.checked_add_signed(offset),
        };
        self.at = to.ok_or_else(|| io::Error::other("an offset beyond 2^64"))?;
        Ok(self.at - self.range.start)
    }
}

/// Calls `each` for the files of the archive that lies at `range` of a file, folders and hidden names left out, until
/// it returns false. `what` names the archive within the file, for messages.
pub(super) fn visit(
    file: &Container,
    range: Range<u64>,
    what: &str,
    mut each: impl FnMut(Member) -> Result<bool>,
) -> Result<()> {
    let mut archive = tar::Archive::new(Section { file, range: range.clone(), at: range.start, last: 0, zeros: false });
    let mut before = String::from("the beginning");
    let damaged = |at: u64, before: &str, e: io::Error| {
        // Of a damaged header the parser's message holds all bytes.
        let e = printable::brief(&e.to_string(), 200);
        Error::source(&file.path, format!("{what}damaged near offset {at}, after {before}: {e}; copy it again"))
    };
    let entries = archive.entries_with_seek().map_err(|e| damaged(range.start, &before, e))?;
    for entry in entries {
        // Not kept, so that the archive can be asked where it ended.
        let entry = entry.map_err(|e| damaged(range.start, &before, e))?;
        let (kind, length) = (entry.header().entry_type(), entry.size());
        let offset = range.start + entry.raw_file_position();
        let name = entry.path_bytes();
        let name = name.strip_prefix(b"./").unwrap_or(&name).to_vec();
        let member = Member { name, offset: is_file(kind).then_some(offset), length };
        if is_file(kind) && offset.saturating_add(length) > range.end {
            let (member, have) = (member.shown(), range.end.saturating_sub(offset));
            let text = format!(
                "{what}cut short: member {member:?} at offset {offset} has {length} bytes, {have} are there; copy it again"
            );
            return Err(Error::source(&file.path, text));
        }
        before = format!("member {:?}", member.shown());
        let hidden = member.base().starts_with(b".");
        if !kind.is_dir() && !is_header(kind) && !hidden && !each(member)? {
            return Ok(());
        }
    }
    let section = archive.into_inner();
    match section.zeros && section.at == section.last + BLOCK as u64 {
        true => Ok(()),
        false => {
            let what = format!("{what}cut short at offset {}, after {before}: no end mark; copy it again", range.end);
            Err(Error::source(&file.path, what))
        }
    }
}

/// All of [`visit`].
pub(super) fn members(file: &Container, range: Range<u64>, what: &str) -> Result<Vec<Member>> {
    let mut members = Vec::new();
    visit(file, range, what, |member| {
        members.push(member);
        Ok(true)
    })?;
    Ok(members)
}

fn is_file(kind: EntryType) -> bool {
    matches!(kind, EntryType::Regular | EntryType::Continuous)
}

/// What describes the archive, not a file in it.
fn is_header(kind: EntryType) -> bool {
    matches!(kind, EntryType::XGlobalHeader | EntryType::XHeader | EntryType::GNULongName | EntryType::GNULongLink)
}

/// Whether a block can begin a tar: its header's checksum is right.
pub(super) fn is_tar(block: &[u8]) -> bool {
    if block.len() < BLOCK || block.iter().all(|&b| b == 0) {
        return false;
    }
    let header = tar::Header::from_byte_slice(&block[..BLOCK]);
    let sum = |range: Range<usize>| block[range].iter().map(|&b| u32::from(b)).sum::<u32>();
    header.cksum().is_ok_and(|stated| stated == sum(0..148) + 8 * 32 + sum(156..BLOCK))
}

/// Where the pictures of a catalogue lie: in some files, one after the other, 12 bytes a picture.
#[derive(Debug, Default)]
pub(super) struct Places {
    files: Vec<PathBuf>,
    /// The number of the first picture of each file.
    firsts: Vec<usize>,
    offsets: Vec<u64>,
    lengths: Vec<u32>,
    /// Kept open if there is but one.
    only: Option<Container>,
}

/// In place of the offset of a link.
const LINK: u64 = u64::MAX;

impl Places {
    /// What follows lies in `file`.
    pub fn begin(&mut self, file: &Path) {
        self.files.push(file.to_path_buf());
        self.firsts.push(self.offsets.len());
    }

    pub fn push(&mut self, member: &Member) {
        self.offsets.push(member.offset.unwrap_or(LINK));
        // What is larger is refused unread, whatever its length.
        self.lengths.push(u32::try_from(member.length).unwrap_or(u32::MAX));
    }

    /// Opens the file if there is one only; the files of many are opened as they are read.
    pub fn ready(mut self) -> Result<Self> {
        if let [only] = self.files.as_slice() {
            self.only = Some(Container::open(only)?);
        }
        Ok(self)
    }
}

impl Pictures for Places {
    fn read(&self, _: &Catalogue, index: usize) -> Result<Content, BadPicture> {
        let (offset, length) = (self.offsets[index], u64::from(self.lengths[index]));
        if offset == LINK {
            return Err(BadPicture::NotAPicture("a link within the archive; links are not followed".into()));
        }
        if let Some(only) = &self.only {
            return only.picture(offset, length).map(Content::File);
        }
        let path = &self.files[self.firsts.partition_point(|&first| first <= index) - 1];
        let unreadable = |e: Error| match e {
            Error::Io { source, .. } => {
                BadPicture::Unreadable(io::Error::new(source.kind(), format!("{}: {source}", path.display())))
            }
            other => BadPicture::Unreadable(io::Error::other(other.to_string())),
        };
        let opened = Container::open(path).map_err(unreadable)?;
        opened.picture(offset, length).map(Content::File)
    }
}
