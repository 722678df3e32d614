//! Decompression of gzipped archives into memory.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use super::{Container, open_file};
use crate::error::{Error, Result};

pub(in crate::source) const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Decompressing reader of consecutive gzip members. Zeros after the last member are padding, as for gzip and Python.
pub(in crate::source) struct Gunzip<R: BufRead>(Option<GzDecoder<R>>);

impl<R: BufRead> Gunzip<R> {
    pub fn new(reader: R) -> Self {
        Self(Some(GzDecoder::new(reader)))
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(mut decoder) = self.0.take() {
            let read = decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                self.0 = Some(decoder);
                return Ok(read);
            }
            let mut rest = decoder.into_inner();
            if skip_zeros(&mut rest)? {
                self.0 = Some(GzDecoder::new(rest));
            }
        }
        Ok(0)
    }
}

/// Skips zeros. Returns whether anything follows them.
fn skip_zeros(reader: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let zeros = buffer.iter().take_while(|&&b| b == 0).count();
        let all = zeros == buffer.len();
        reader.consume(zeros);
        if !all {
            return Ok(true);
        }
    }
}

/// Decompresses a file to at most `limit` bytes.
pub(in crate::source) fn gunzip_file(path: &Path, limit: u64) -> Result<Container> {
    let (file, _) = open_file(path)?;
    let mut bytes = Vec::new();
    let damaged = |e: io::Error| Error::source(path, format!("cut short or damaged: {e}; copy it again"));
    Gunzip::new(BufReader::new(file)).take(limit + 1).read_to_end(&mut bytes).map_err(damaged)?;
    if bytes.len() as u64 > limit {
        let what =
            format!("unpacks to more than {limit} bytes, the most that is held in memory; unpack it first (tar -xzf)");
        return Err(Error::source(path, what));
    }
    Ok(Container::in_memory(path, bytes))
}

/// The first block of a decompressed file; empty if it is not gzip.
pub(in crate::source) fn gunzip_start(path: &Path) -> Result<Vec<u8>> {
    let (file, _) = open_file(path)?;
    let mut start = Vec::new();
    // A file that is not gzip has no decompressed start.
    let _ = Gunzip::new(BufReader::new(file)).take(super::BLOCK as u64).read_to_end(&mut start);
    Ok(start)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn unpacked(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut unpacked = Vec::new();
        Gunzip::new(bytes).read_to_end(&mut unpacked)?;
        Ok(unpacked)
    }

    #[test]
    fn members_follow_each_other_and_zeros_the_last() {
        let two = [gzip(b"one "), vec![0; 7], gzip(b"two"), vec![0; 9000]].concat();
        assert_eq!(unpacked(&two).unwrap(), b"one two");
        let refusal = |bytes: &[u8]| unpacked(bytes).unwrap_err().kind();
        assert_eq!(refusal(&[gzip(b"one"), b"more".to_vec()].concat()), io::ErrorKind::UnexpectedEof);
        assert_eq!(refusal(&gzip(b"one")[..15]), io::ErrorKind::UnexpectedEof);
        assert_eq!(refusal(b""), io::ErrorKind::UnexpectedEof);
    }
}
