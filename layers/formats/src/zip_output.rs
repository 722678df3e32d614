//! What a zip is written to.

use std::io::{Result, Seek, SeekFrom, Write};

/// An output that fails once. After its first error it takes everything and writes nothing: the zip writer finishes the
/// file when it is dropped, and would print that it failed a second time.
pub(crate) struct ZipOutput<W> {
    inner: W,
    has_failed: bool,
}

impl<W> ZipOutput<W> {
    /// An output to this one.
    pub fn new(inner: W) -> Self {
        Self { inner, has_failed: false }
    }

    fn note<T>(&mut self, result: Result<T>) -> Result<T> {
        self.has_failed |= result.is_err();
        result
    }
}

impl<W: Write> Write for ZipOutput<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        if self.has_failed {
            return Ok(bytes.len());
        }
        let written = self.inner.write(bytes);
        self.note(written)
    }

    fn flush(&mut self) -> Result<()> {
        if self.has_failed {
            return Ok(());
        }
        let flushed = self.inner.flush();
        self.note(flushed)
    }
}

impl<W: Seek> Seek for ZipOutput<W> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        if self.has_failed {
            return Ok(0);
        }
        let place = self.inner.seek(to);
        self.note(place)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Error, ErrorKind};

    use proptest::prelude::*;
    use zip::ZipWriter;
    use zip::result::ZipResult;
    use zip::write::SimpleFileOptions;

    use super::*;

    /// A disk of a few bytes.
    struct Disk {
        content: Cursor<Vec<u8>>,
        size: u64,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            let end = self.content.position() + bytes.len() as u64;
            if end > self.size { Err(Error::from(ErrorKind::StorageFull)) } else { self.content.write(bytes) }
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    impl Seek for Disk {
        fn seek(&mut self, to: SeekFrom) -> Result<u64> {
            self.content.seek(to)
        }
    }

    fn fill(zip: &mut ZipWriter<ZipOutput<Disk>>) -> ZipResult<()> {
        for name in ["a", "b"] {
            zip.start_file(name, SimpleFileOptions::default())?;
            zip.write_all(&[7; 100])?;
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn the_first_error_is_the_only_one(size in 0..600u64) {
            let disk = Disk { content: Cursor::new(Vec::new()), size };
            let mut zip = ZipWriter::new(ZipOutput::new(disk));
            match fill(&mut zip) {
                // What the writer's drop does.
                Err(_) => prop_assert!(zip.finish().is_ok()),
                Ok(()) => prop_assert_eq!(zip.finish().is_ok(), size >= 350, "{}", size),
            }
        }
    }
}
