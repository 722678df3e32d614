//! Marker segments of a JPEG (ITU T.81, B.1), found as by libjpeg: bytes outside segments are skipped.

use crate::error::BadImage;

pub(super) const SOF0: u8 = 0xc0;
pub(super) const SOF1: u8 = 0xc1;
pub(super) const SOF2: u8 = 0xc2;
pub(super) const DHT: u8 = 0xc4;
pub(super) const DAC: u8 = 0xcc;
const RST0: u8 = 0xd0;
const RST7: u8 = 0xd7;
const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
pub(super) const SOS: u8 = 0xda;
pub(super) const DQT: u8 = 0xdb;
pub(super) const DNL: u8 = 0xdc;
pub(super) const DRI: u8 = 0xdd;
pub(super) const APP0: u8 = 0xe0;
pub(super) const APP1: u8 = 0xe1;
pub(super) const APP14: u8 = 0xee;
pub(super) const APP15: u8 = 0xef;
pub(super) const COM: u8 = 0xfe;
const TEM: u8 = 0x01;

/// A marker and its contents.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    pub marker: u8,
    /// Contents after the two length bytes.
    pub body: &'a [u8],
}

/// Iterator over the segments of a file.
#[derive(Clone, Debug)]
pub(super) struct Segments<'a> {
    data: &'a [u8],
    offset: usize,
    /// Whether there were bytes outside segments.
    pub has_strays: bool,
    /// Offset after the end marker, once found.
    pub end: Option<usize>,
}

impl<'a> Segments<'a> {
    /// Starts after the start marker of a file.
    pub fn new(data: &'a [u8]) -> Result<Self, BadImage> {
        if !data.starts_with(&[0xff, SOI]) {
            return Err(BadImage::Damaged("no JPEG: it does not begin with ff d8".into()));
        }
        Ok(Self { data, offset: 2, has_strays: false, end: None })
    }

    /// Offset where the search for the next segment starts; after a scan header, the scan's data.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Skips a scan's data up to the first marker that is not a restart.
    pub fn skip_scan(&mut self) {
        while let Some(found) = self.next_marker(self.offset) {
            if !(RST0..=RST7).contains(&self.data[found]) {
                self.offset = found - 1;
                return;
            }
            self.offset = found + 1;
        }
        self.offset = self.data.len();
    }

    /// The next segment; `None` at the end marker or the end of the file, even within a segment.
    pub fn next(&mut self) -> Result<Option<Segment<'a>>, BadImage> {
        if self.end.is_some() {
            return Ok(None);
        }
        loop {
            let Some(found) = self.next_marker(self.offset) else { return Ok(None) };
            self.has_strays |= self.data[self.offset..found].iter().any(|&byte| byte != 0xff);
            let marker = self.data[found];
            self.offset = found + 1;
            match marker {
                RST0..=RST7 | TEM => self.has_strays = true,
                SOI => return Err(BadImage::Damaged("a second start marker".into())),
                EOI => {
                    self.end = Some(self.offset);
                    return Ok(None);
                }
                _ => return self.segment(marker),
            }
        }
    }

    /// Offset of the next marker's second byte, skipping fill bytes and stuffed zeros.
    fn next_marker(&self, from: usize) -> Option<usize> {
        let mut offset = from;
        loop {
            offset += memchr::memchr(0xff, self.data.get(offset..)?)?;
            offset += self.data[offset..].iter().position(|&byte| byte != 0xff)?;
            if self.data[offset] != 0 {
                return Some(offset);
            }
        }
    }

    fn segment(&mut self, marker: u8) -> Result<Option<Segment<'a>>, BadImage> {
        let Some(&length) = self.data.get(self.offset..).and_then(|rest| rest.first_chunk()) else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(length));
        if length < 2 {
            return Err(BadImage::Damaged(format!("a segment of {length} bytes")));
        }
        let Some(body) = self.data.get(self.offset + 2..self.offset + length) else { return Ok(None) };
        self.offset += length;
        Ok(Some(Segment { marker, body }))
    }
}
