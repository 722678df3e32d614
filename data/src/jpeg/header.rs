//! Reading of the segments before and between the scans of a JPEG (ITU T.81, annex B).

use super::colour::ColourSpace;
use super::frame::{COMPONENTS, Frame};
use super::scan::Scan;
use super::segments::{self, Segment, Segments};
use super::tables::TableDefinitions;
use crate::error::BadImage;

const EXIF: &[u8] = b"Exif\0\0";
const JFIF: &[u8] = b"JFIF\0";
const ADOBE: &[u8] = b"Adobe";
/// Minimum lengths of JFIF's and Adobe's segments; shorter ones are ignored.
const JFIF_BYTES: usize = 14;
const ADOBE_BYTES: usize = 12;

/// Reads a file scan by scan.
#[derive(Debug)]
pub(super) struct HeaderReader<'a> {
    pub segments: Segments<'a>,
    pub frame: Option<Frame>,
    tables: TableDefinitions<'a>,
    /// MCUs per restart interval, 0 without restarts.
    restart_interval: usize,
    /// Whether it has a JFIF marker: then three components are YCbCr, whatever their ids.
    is_jfif: bool,
    /// Colour transform of Adobe's marker.
    transform: Option<u8>,
    /// EXIF data, which may hold an orientation.
    pub exif: Option<&'a [u8]>,
    /// Quantization table of each component as of its first scan.
    pub quantizers: [Option<[i16; 64]>; COMPONENTS],
    scans: usize,
}

impl<'a> HeaderReader<'a> {
    pub fn new(data: &'a [u8]) -> Result<Self, BadImage> {
        Ok(Self {
            segments: Segments::new(data)?,
            frame: None,
            tables: TableDefinitions::default(),
            restart_interval: 0,
            is_jfif: false,
            transform: None,
            exif: None,
            quantizers: [None; COMPONENTS],
            scans: 0,
        })
    }

    /// Reads up to the data of the next scan; `None` at the end of the image.
    pub fn next_scan(&mut self) -> Result<Option<Scan<'a>>, BadImage> {
        while let Some(segment) = self.segments.next()? {
            if segment.marker == segments::SOS {
                return self.scan(segment.body).map(Some);
            }
            self.read(segment)?;
        }
        Ok(None)
    }

    /// The frame header, if it was read.
    pub fn frame(&self) -> Result<&Frame, BadImage> {
        self.frame.as_ref().ok_or_else(Self::without_frame)
    }

    pub fn without_frame() -> BadImage {
        BadImage::CutShort("it ends before the frame header that says its size".into())
    }

    /// Colour space by libjpeg's rules.
    pub fn colour(&self) -> Result<ColourSpace, BadImage> {
        let ids: Vec<u8> = self.frame()?.components.iter().map(|c| c.id).collect();
        Ok(match (ids.as_slice(), self.transform) {
            ([_], _) => ColourSpace::Grey,
            ([_, _, _], _) if self.is_jfif => ColourSpace::YCbCr,
            ([_, _, _], Some(0)) | (b"RGB", None) => ColourSpace::Rgb,
            ([_, _, _], _) => ColourSpace::YCbCr,
            (_, None | Some(0)) => ColourSpace::Cmyk,
            (_, Some(_)) => ColourSpace::Ycck,
        })
    }

    fn read(&mut self, segment: Segment<'a>) -> Result<(), BadImage> {
        let Segment { marker, body } = segment;
        match marker {
            0xc8 => return Err(BadImage::Unsupported("JPEG with extensions".into())),
            segments::DHT => self.tables.read_huffman(body)?,
            segments::DAC => {}
            segments::SOF0..=0xcf => self.read_frame(marker, body)?,
            segments::DQT => self.tables.read_quantizers(body)?,
            segments::DRI => self.read_restart(body)?,
            segments::APP0 if body.starts_with(JFIF) && body.len() >= JFIF_BYTES => self.is_jfif = true,
            segments::APP1 if body.starts_with(EXIF) => {
                self.exif.get_or_insert(&body[EXIF.len()..]);
            }
            segments::APP14 if body.starts_with(ADOBE) && body.len() >= ADOBE_BYTES => self.transform = Some(body[11]),
            // The height is in the frame header already, or the file was rejected.
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
        self.restart_interval = usize::from(u16::from_be_bytes(body.try_into().map_err(|_| wrong())?));
        Ok(())
    }

    fn scan(&mut self, body: &[u8]) -> Result<Scan<'a>, BadImage> {
        let frame = self.frame.as_ref().ok_or_else(|| BadImage::Damaged("a scan before the frame header".into()))?;
        if self.scans == 0 && !frame.is_progressive {
            self.tables.add_defaults();
        }
        self.scans += 1;
        let scan = Scan::parse(body, frame, &self.tables, self.restart_interval, self.segments.offset())?;
        for component in &scan.components {
            let quantizer = &mut self.quantizers[component.component];
            if quantizer.is_none() {
                *quantizer = Some(self.tables.quantizer(frame.components[component.component].quantizer)?);
            }
        }
        Ok(scan)
    }
}
