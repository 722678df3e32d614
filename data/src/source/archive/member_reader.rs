//! Reader of images in archives.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{Body, Container, Member, Piece};
use crate::error::{BadImage, Error, Result};
use crate::source::{ImageContent, ImageReader, SampleList};

/// Reads images from archives by offset, 12 bytes per image.
#[derive(Debug, Default)]
pub(in crate::source) struct MemberReader {
    files: Vec<PathBuf>,
    /// Index of the first image of each file.
    first_images: Vec<usize>,
    offsets: Vec<u64>,
    lengths: Vec<u32>,
    /// Sparse and unreadable images by index.
    special: HashMap<usize, SpecialBody>,
    /// Kept open if there is only one file.
    only: Option<Container>,
}

#[derive(Debug)]
enum SpecialBody {
    Sparse(Vec<Piece>),
    /// Reason for the rejection.
    Rejected(String),
}

impl MemberReader {
    /// Starts adding images of `file`.
    pub fn begin_file(&mut self, file: &Path) {
        self.files.push(file.to_path_buf());
        self.first_images.push(self.offsets.len());
    }

    /// Adds an image.
    pub fn push(&mut self, member: &Member) {
        let index = self.offsets.len();
        match &member.body {
            Body::At(offset) => self.offsets.push(*offset),
            Body::Sparse(pieces) => {
                self.special.insert(index, SpecialBody::Sparse(pieces.clone()));
                self.offsets.push(0);
            }
            Body::HardLink(target) => {
                let what = format!("a hard link to {:?}, which is not in the archive", String::from_utf8_lossy(target));
                return self.push_rejected(what);
            }
            Body::Unreadable(what) => return self.push_rejected(what.clone()),
        }
        // Larger images are rejected unread.
        self.lengths.push(u32::try_from(member.length).unwrap_or(u32::MAX));
    }

    /// Adds an unreadable image with the reason.
    pub fn push_rejected(&mut self, what: String) {
        self.special.insert(self.offsets.len(), SpecialBody::Rejected(what));
        self.offsets.push(0);
        self.lengths.push(0);
    }

    /// Opens the file if there is only one; otherwise files are opened per read.
    pub fn open(mut self) -> Result<Self> {
        if let [only] = self.files.as_slice() {
            self.only = Some(Container::open(only)?);
        }
        Ok(self)
    }

    fn bytes(&self, file: &Container, index: usize) -> Result<Vec<u8>, BadImage> {
        let length = u64::from(self.lengths[index]);
        match self.special.get(&index) {
            None => file.read_image(self.offsets[index], length),
            Some(SpecialBody::Sparse(pieces)) => file.read_sparse_image(pieces, length),
            Some(SpecialBody::Rejected(what)) => Err(BadImage::NotAnImage(what.clone())),
        }
    }
}

impl ImageReader for MemberReader {
    fn read(&self, _: &SampleList, index: usize) -> Result<ImageContent, BadImage> {
        if let Some(only) = &self.only {
            return self.bytes(only, index).map(ImageContent::Encoded);
        }
        let path = &self.files[self.first_images.partition_point(|&first| first <= index) - 1];
        let unreadable = |e: Error| match e {
            Error::Io { source, .. } => {
                BadImage::Unreadable(io::Error::new(source.kind(), format!("{}: {source}", path.display())))
            }
            other => BadImage::Unreadable(io::Error::other(other.to_string())),
        };
        let opened = Container::open(path).map_err(unreadable)?;
        self.bytes(&opened, index).map(ImageContent::Encoded)
    }
}
