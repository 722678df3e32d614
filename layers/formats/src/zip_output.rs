//! The file that a zip is written to.

use std::io::{Result, Seek, SeekFrom, Write};

/// An output that fails once. After its first error it takes everything and writes nothing, as if the disk were endless:
/// the zip writer finishes the file when it is dropped, and would print that it failed a second time.
pub(crate) struct ZipOutput<W> {
    inner: W,
    has_failed: bool,
    /// Where the next byte goes.
    position: u64,
    /// The length of what was written.
    end: u64,
}

impl<W> ZipOutput<W> {
    /// An output to this one, which is empty.
    pub fn new(inner: W) -> Self {
        Self { inner, has_failed: false, position: 0, end: 0 }
    }

    fn note<T>(&mut self, result: Result<T>) -> Result<T> {
        self.has_failed |= result.is_err();
        result
    }

    fn advance_to(&mut self, position: u64) -> u64 {
        self.position = position;
        self.end = self.end.max(position);
        position
    }
}

impl<W: Write> Write for ZipOutput<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let written = if self.has_failed { Ok(bytes.len()) } else { self.inner.write(bytes) };
        let written = self.note(written)?;
        self.advance_to(self.position + written as u64);
        Ok(written)
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
        // The zip writer asserts that it is behind all that it has written.
        let place = if self.has_failed { Ok(self.end) } else { self.inner.seek(to) };
        let place = self.note(place)?;
        Ok(self.advance_to(place))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Error, ErrorKind};

    use zip::ZipWriter;
    use zip::result::ZipResult;
    use zip::write::SimpleFileOptions;

    use super::*;

    /// A disk that takes this number of calls.
    struct Disk {
        content: Cursor<Vec<u8>>,
        calls: u64,
    }

    impl Disk {
        fn call(&mut self) -> Result<()> {
            let left = self.calls.checked_sub(1).ok_or(Error::from(ErrorKind::StorageFull));
            self.calls = left?;
            Ok(())
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            self.call()?;
            self.content.write(bytes)
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    impl Seek for Disk {
        fn seek(&mut self, to: SeekFrom) -> Result<u64> {
            self.call()?;
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

    #[test]
    fn the_first_error_is_the_only_one() {
        let mut failures = 0;
        for calls in 0..200 {
            let disk = Disk { content: Cursor::new(Vec::new()), calls };
            let mut zip = ZipWriter::new(ZipOutput::new(disk));
            match fill(&mut zip) {
                // What the writer's drop does, unless it is closed.
                Err(_) => {
                    let error = zip.finish().err().map(|error| error.to_string());
                    assert!(error.is_none_or(|error| error.contains("already closed")), "{calls}");
                }
                Ok(()) => failures += usize::from(zip.finish().is_err()),
            }
        }
        assert!((1..100).contains(&failures), "the end of a file can fail too: {failures}");
    }
}
