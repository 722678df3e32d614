//! What stands before and between the scans of a JPEG (ITU T.81, annex B).

use super::colour::Colour;
use super::frame::{COMPONENTS, Frame};
use super::scan::Scan;
use super::segments::{self, Segment, Segments};
use super::tables::Tables;
use crate::error::BadImage;

const EXIF: &[u8] = b"Exif\0\0";
const JFIF: &[u8] = b"JFIF\0";
const ADOBE: &[u8] = b"Adobe";
/// The bytes that JFIF's and Adobe's segments have at least; shorter ones are passed over.
const JFIF_BYTES: usize = 14;
const ADOBE_BYTES: usize = 12;

/// Reads a file from scan to scan.
#[derive(Debug)]
pub(super) struct Header<'a> {
    pub segments: Segments<'a>,
    pub frame: Option<Frame>,
    tables: Tables<'a>,
    /// Units between restarts; 0: none.
    restart: usize,
    /// Whether it says that it is a JFIF file: three components are YCbCr then, whatever their numbers.
    is_jfif: bool,
    /// What Adobe's marker says of the colours.
    transform: Option<u8>,
    /// The EXIF data, which may say that the image is to be turned.
    pub exif: Option<&'a [u8]>,
    /// The quantiser of each component, as it was at the component's first scan.
    pub quantisers: [Option<[i16; 64]>; COMPONENTS],
    scans: usize,
}

impl<'a> Header<'a> {
    pub fn new(data: &'a [u8]) -> Result<Self, BadImage> {
        Ok(Self {
            segments: Segments::new(data)?,
            frame: None,
            tables: Tables::default(),
            restart: 0,
            is_jfif: false,
            transform: None,
            exif: None,
            quantisers: [None; COMPONENTS],
            scans: 0,
        })
    }

    /// Reads up to the next scan's data; `None` where the image ends.
    pub fn next_scan(&mut self) -> Result<Option<Scan<'a>>, BadImage> {
        while let Some(segment) = self.segments.next()? {
            if segment.marker == segments::SOS {
                return self.scan(segment.body).map(Some);
            }
            self.read(segment)?;
        }
        Ok(None)
    }

    /// The frame, if a header came.
    pub fn frame(&self) -> Result<&Frame, BadImage> {
        self.frame.as_ref().ok_or_else(Self::without_frame)
    }

    pub fn without_frame() -> BadImage {
        BadImage::CutShort("it ends before the frame header that says its size".into())
    }

    /// How the samples stand for colours, by libjpeg's rules.
    pub fn colour(&self) -> Result<Colour, BadImage> {
        let ids: Vec<u8> = self.frame()?.components.iter().map(|c| c.id).collect();
        Ok(match (ids.as_slice(), self.transform) {
            ([_], _) => Colour::Grey,
            ([_, _, _], _) if self.is_jfif => Colour::YCbCr,
            ([_, _, _], Some(0)) | (b"RGB", None) => Colour::Rgb,
            ([_, _, _], _) => Colour::YCbCr,
            (_, None | Some(0)) => Colour::Cmyk,
            (_, Some(_)) => Colour::Ycck,
        })
    }

    fn read(&mut self, segment: Segment<'a>) -> Result<(), BadImage> {
        let Segment { marker, body } = segment;
        match marker {
            0xc8 => return Err(BadImage::Unsupported("JPEG with extensions".into())),
            segments::DHT => self.tables.read_huffman(body)?,
            segments::DAC => {}
            segments::SOF0..=0xcf => self.read_frame(marker, body)?,
            segments::DQT => self.tables.read_quantisers(body)?,
            segments::DRI => self.read_restart(body)?,
            segments::APP0 if body.starts_with(JFIF) && body.len() >= JFIF_BYTES => self.is_jfif = true,
            segments::APP1 if body.starts_with(EXIF) => {
                self.exif.get_or_insert(&body[EXIF.len()..]);
            }
            segments::APP14 if body.starts_with(ADOBE) && body.len() >= ADOBE_BYTES => self.transform = Some(body[11]),
            // The height is in the frame header already, or it was refused.
            segments::APP0..=segments::APP15 | segments::COM | segments::DNL => {}
            0xf7 => return Err(BadImage::Unsupported("JPEG-LS".into())),
            _ => return Err(BadImage::Damaged(format!("a segment of unknown kind, ff {marker:02x}"))),
        }
        Ok(())
    }

    fn read_frame(&mut self, marker: u8, body: &[u8]) -> Result<(), BadImage> {
        if self.frame.is_some() {
            return Err(BadImage::Damaged("two frame headers".into()));
        }
        self.frame = Some(Frame::parse(marker, body)?);
        Ok(())
    }

    fn read_restart(&mut self, body: &[u8]) -> Result<(), BadImage> {
        let wrong = || BadImage::Damaged(format!("a restart interval of {} bytes, expected 2", body.len()));
        self.restart = usize::from(u16::from_be_bytes(body.try_into().map_err(|_| wrong())?));
        Ok(())
    }

    fn scan(&mut self, body: &[u8]) -> Result<Scan<'a>, BadImage> {
        let frame = self.frame.as_ref().ok_or_else(|| BadImage::Damaged("a scan before the frame header".into()))?;
        if self.scans == 0 && !frame.is_progressive {
            self.tables.complete();
        }
        self.scans += 1;
        let scan = Scan::parse(body, frame, &self.tables, self.restart, self.segments.at())?;
        for part in &scan.parts {
            let quantiser = &mut self.quantisers[part.component];
            if quantiser.is_none() {
                *quantiser = Some(self.tables.quantiser(frame.components[part.component].quantiser)?);
            }
        }
        Ok(scan)
    }
}
