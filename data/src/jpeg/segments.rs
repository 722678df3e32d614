//! The marker segments of a JPEG (ITU T.81, B.1), found as libjpeg finds them: bytes that do not belong there are passed
//! over.

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

/// A marker and what belongs to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    pub marker: u8,
    /// What follows the two bytes of its length.
    pub body: &'a [u8],
}

/// The segments of a file from its start on.
#[derive(Clone, Debug)]
pub(super) struct Segments<'a> {
    data: &'a [u8],
    at: usize,
    /// Whether there were bytes between segments that belong to none.
    pub has_strays: bool,
    /// Behind the end marker, once that was found.
    pub end: Option<usize>,
}

impl<'a> Segments<'a> {
    /// Of a file that begins with a start marker.
    pub fn new(data: &'a [u8]) -> Result<Self, BadImage> {
        if !data.starts_with(&[0xff, SOI]) {
            return Err(BadImage::Damaged("no JPEG: it does not begin with ff d8".into()));
        }
        Ok(Self { data, at: 2, has_strays: false, end: None })
    }

    /// Where the next segment's search begins: behind a scan header, the scan's data.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Passes over a scan's data, up to the first marker that is no restart's.
    pub fn skip_scan(&mut self) {
        while let Some(found) = self.next_marker(self.at) {
            if !(RST0..=RST7).contains(&self.data[found]) {
                self.at = found - 1;
                return;
            }
            self.at = found + 1;
        }
        self.at = self.data.len();
    }

    /// The next segment; `None` at the end marker, or where the file ends, be it within a segment.
    pub fn next(&mut self) -> Result<Option<Segment<'a>>, BadImage> {
        if self.end.is_some() {
            return Ok(None);
        }
        loop {
            let Some(found) = self.next_marker(self.at) else { return Ok(None) };
            self.has_strays |= self.data[self.at..found].iter().any(|&byte| byte != 0xff);
            let marker = self.data[found];
            self.at = found + 1;
            match marker {
                RST0..=RST7 | TEM => self.has_strays = true,
                SOI => return Err(BadImage::Damaged("a second start marker".into())),
                EOI => {
                    self.end = Some(self.at);
                    return Ok(None);
                }
                _ => return self.segment(marker),
            }
        }
    }

    /// Where the byte after the next 0xff stands that makes a marker, fill bytes and stuffed zeros passed over.
    fn next_marker(&self, from: usize) -> Option<usize> {
        let mut at = from;
        loop {
            at += memchr::memchr(0xff, self.data.get(at..)?)?;
            at += self.data[at..].iter().position(|&byte| byte != 0xff)?;
            if self.data[at] != 0 {
                return Some(at);
            }
        }
    }

    fn segment(&mut self, marker: u8) -> Result<Option<Segment<'a>>, BadImage> {
        let Some(&length) = self.data.get(self.at..).and_then(|rest| rest.first_chunk()) else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes(length));
        if length < 2 {
            return Err(BadImage::Damaged(format!("a segment of {length} bytes")));
        }
        let Some(body) = self.data.get(self.at + 2..self.at + length) else { return Ok(None) };
        self.at += length;
        Ok(Some(Segment { marker, body }))
    }
}
