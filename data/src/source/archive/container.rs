//! Random access to the bytes of a file or of a decompressed archive in memory.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::BLOCK;
use crate::decode::MAX_FILE_BYTES;
use crate::error::{BadImage, Error, Result};

/// A file readable at any offset from any thread.
#[derive(Debug)]
pub(in crate::source) struct Container {
    pub path: PathBuf,
    bytes: Bytes,
    pub length: u64,
}

#[derive(Debug)]
enum Bytes {
    #[cfg(unix)]
    File(File),
    #[cfg(not(unix))]
    File(std::sync::Mutex<File>),
    Memory(Vec<u8>),
}

impl Container {
    /// Opens a regular file.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, length) = open_file(path)?;
        #[cfg(not(unix))]
        let file = std::sync::Mutex::new(file);
        Ok(Self { path: path.to_path_buf(), bytes: Bytes::File(file), length })
    }

    /// The decompressed contents of the file `path`.
    pub fn in_memory(path: &Path, bytes: Vec<u8>) -> Self {
        Self { path: path.to_path_buf(), length: bytes.len() as u64, bytes: Bytes::Memory(bytes) }
    }

    /// Reads into `buffer` from `offset` on.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match &self.bytes {
            Bytes::Memory(bytes) => {
                let start = usize::try_from(offset).ok();
                let found = start.and_then(|start| bytes.get(start..start.checked_add(buffer.len())?));
                buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
            #[cfg(unix)]
            Bytes::File(file) => std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset),
            #[cfg(not(unix))]
            Bytes::File(file) => {
                use std::io::{Read, Seek};
                let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                file.seek(io::SeekFrom::Start(offset))?;
                file.read_exact(buffer)
            }
        }
    }

    /// Reads `length` bytes from `offset` on, which must be known to exist.
    pub fn bytes_at(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read_at(offset, &mut bytes).map_err(Error::io(&self.path, "cannot be read"))?;
        Ok(bytes)
    }

    /// Reads the bytes of an image; errors name file and offset.
    pub fn read_image(&self, offset: u64, length: u64) -> Result<Vec<u8>, BadImage> {
        let mut bytes = vec![0; checked_length(length)?];
        self.read_into(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads a sparse image of `length` bytes: zeros except for the stored pieces.
    pub fn read_sparse_image(&self, pieces: &[Piece], length: u64) -> Result<Vec<u8>, BadImage> {
        let mut bytes = vec![0; checked_length(length)?];
        for piece in pieces {
            let within = usize::try_from(piece.offset).ok().zip(usize::try_from(piece.length).ok());
            let part = within.and_then(|(offset, length)| bytes.get_mut(offset..offset.checked_add(length)?));
            let part = part.ok_or_else(|| BadImage::Damaged("a sparse file whose map leaves it".into()))?;
            self.read_into(piece.container_offset, part)?;
        }
        Ok(bytes)
    }

    fn read_into(&self, offset: u64, buffer: &mut [u8]) -> Result<(), BadImage> {
        self.read_at(offset, buffer).map_err(|e| {
            let what = format!("{} bytes at offset {offset} of {}: {e}", buffer.len(), self.path.display());
            BadImage::Unreadable(io::Error::new(e.kind(), what))
        })
    }

    /// The bytes at `offset`, up to a block.
    pub fn start(&self, offset: u64) -> Result<Vec<u8>> {
        self.bytes_at(offset, self.length.saturating_sub(offset).min(BLOCK as u64) as usize)
    }
}

/// A piece of a sparse file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source) struct Piece {
    /// Offset in the sparse file.
    pub offset: u64,
    /// Offset in the container.
    pub container_offset: u64,
    pub length: u64,
}

fn checked_length(length: u64) -> Result<usize, BadImage> {
    match usize::try_from(length) {
        Ok(bytes) if length <= MAX_FILE_BYTES => Ok(bytes),
        _ => Err(BadImage::NotAnImage(format!("{length} bytes, at most {MAX_FILE_BYTES} are read"))),
    }
}

/// Opens a regular file and returns its length. Opening a fifo would block forever, and a device may be endless.
pub(in crate::source) fn open_file(path: &Path) -> Result<(File, u64)> {
    let metadata = std::fs::metadata(path).map_err(Error::io(path, "cannot be opened"))?;
    if !metadata.is_file() {
        let what = if metadata.is_dir() { "is a folder" } else { "is a fifo, socket or device" };
        return Err(Error::source(path, format!("{what}; expected a regular file")));
    }
    let file = File::open(path).map_err(Error::io(path, "cannot be opened"))?;
    Ok((file, metadata.len()))
}
