//! Where the images of a catalogue lie in archives.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{Body, Container, Member, Piece};
use crate::error::{BadImage, Error, Result};
use crate::source::{Catalogue, Content, ImageReader};

/// Where images lie: in some files, one after the other, 12 bytes an image.
#[derive(Debug, Default)]
pub(in crate::source) struct Places {
    files: Vec<PathBuf>,
    /// The number of the first image of each file.
    firsts: Vec<usize>,
    offsets: Vec<u64>,
    lengths: Vec<u32>,
    /// What is stored in pieces, or not at all, by number.
    odd: HashMap<usize, Odd>,
    /// Kept open if there is but one.
    only: Option<Container>,
}

#[derive(Debug)]
enum Odd {
    Sparse(Vec<Piece>),
    /// Why it is no image.
    Refused(String),
}

impl Places {
    /// What follows lies in `file`.
    pub fn begin(&mut self, file: &Path) {
        self.files.push(file.to_path_buf());
        self.firsts.push(self.offsets.len());
    }

    /// Adds an image.
    pub fn push(&mut self, member: &Member) {
        let index = self.offsets.len();
        match &member.body {
            Body::At(offset) => self.offsets.push(*offset),
            Body::Sparse(pieces) => {
                self.odd.insert(index, Odd::Sparse(pieces.clone()));
                self.offsets.push(0);
            }
            Body::HardLink(target) => {
                let what = format!("a hard link to {:?}, which is not in the archive", String::from_utf8_lossy(target));
                return self.push_refused(what);
            }
            Body::Unreadable(what) => return self.push_refused(what.clone()),
        }
        // What is larger is refused unread, whatever its length.
        self.lengths.push(u32::try_from(member.length).unwrap_or(u32::MAX));
    }

    /// Adds what is no image, and why.
    pub fn push_refused(&mut self, what: String) {
        self.odd.insert(self.offsets.len(), Odd::Refused(what));
        self.offsets.push(0);
        self.lengths.push(0);
    }

    /// Opens the file if there is one only; the files of many are opened as they are read.
    pub fn ready(mut self) -> Result<Self> {
        if let [only] = self.files.as_slice() {
            self.only = Some(Container::open(only)?);
        }
        Ok(self)
    }

    fn bytes(&self, file: &Container, index: usize) -> Result<Vec<u8>, BadImage> {
        let length = u64::from(self.lengths[index]);
        match self.odd.get(&index) {
            None => file.image(self.offsets[index], length),
            Some(Odd::Sparse(pieces)) => file.sparse_image(pieces, length),
            Some(Odd::Refused(what)) => Err(BadImage::NotAnImage(what.clone())),
        }
    }
}

impl ImageReader for Places {
    fn read(&self, _: &Catalogue, index: usize) -> Result<Content, BadImage> {
        if let Some(only) = &self.only {
            return self.bytes(only, index).map(Content::File);
        }
        let path = &self.files[self.firsts.partition_point(|&first| first <= index) - 1];
        let unreadable = |e: Error| match e {
            Error::Io { source, .. } => {
                BadImage::Unreadable(io::Error::new(source.kind(), format!("{}: {source}", path.display())))
            }
            other => BadImage::Unreadable(io::Error::other(other.to_string())),
        };
        let opened = Container::open(path).map_err(unreadable)?;
        self.bytes(&opened, index).map(Content::File)
    }
}
