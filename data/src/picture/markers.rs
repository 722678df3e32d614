//! The marker segments of a JPEG: what the decoder must be told, and what it must not be left to guess.

use std::ops::Range;

use crate::error::BadPicture;

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP14: u8 = 0xee;
const EXIF: &[u8] = b"Exif\0\0";

/// How the samples stand for colours, by libjpeg's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Grey,
    YCbCr,
    Rgb,
    /// Cyan, magenta, yellow, black; inverted if Adobe wrote it.
    Cmyk {
        inverted: bool,
    },
    Ycck,
}

#[derive(Debug)]
pub(super) struct Component {
    pub id: u8,
    /// Where its number stands in the frame header.
    pub at: usize,
    /// By coefficient: bits that are still to come, -1 before the first scan that holds it.
    missing: [i8; 64],
}

/// What a walk over all segments finds.
#[derive(Debug)]
pub(super) struct Markers {
    pub width: u64,
    pub height: u64,
    pub components: Vec<Component>,
    /// Where each scan header names its components.
    pub scan_components: Vec<usize>,
    pub scans: usize,
    pub colour: Colour,
    /// Adobe markers: where the name and the colour transform stand.
    pub adobe: Vec<(usize, usize)>,
    pub exif: Option<Range<usize>>,
    /// Where the picture's data ends: at the end marker, or at the end of the file if that is missing.
    pub end: usize,
}

#[derive(Default)]
struct Walk {
    frame: Option<(u64, u64, bool)>,
    components: Vec<Component>,
    scan_components: Vec<usize>,
    scans: usize,
    jfif: bool,
    adobe: Vec<(usize, usize)>,
    transform: Option<u8>,
    exif: Option<Range<usize>>,
}

/// Walks the segments of a file that begins with a start marker. Entropy-coded data is skipped, not decoded.
pub(super) fn walk(data: &[u8]) -> Result<Markers, BadPicture> {
    let mut walk = Walk::default();
    let mut at = 2;
    loop {
        let Some(marker_at) = next_marker(data, at) else { break walk.finish(data.len()) };
        let marker = data[marker_at];
        // The marker's 0xff and fill bytes before it.
        let start = data[..marker_at].iter().rposition(|&b| b != 0xff).map_or(0, |p| p + 1);
        match marker {
            EOI => break walk.finish(start),
            SOI | 0x01 | 0xd0..=0xd7 => at = marker_at + 1,
            _ => {
                let Some(body) = segment(data, marker_at + 1)? else { break walk.finish(start) };
                at = body.end;
                walk.segment(data, marker, body)?;
            }
        }
    }
}

/// Where the byte after the next 0xff stands that makes a marker, fill bytes and stuffed zeros skipped.
fn next_marker(data: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += data.get(at..)?.iter().position(|&b| b == 0xff)?;
        at += data[at..].iter().position(|&b| b != 0xff)?;
        if data[at] != 0 {
            return Some(at);
        }
    }
}

/// The body of a segment after its two bytes of length; `None` if the file ends first.
fn segment(data: &[u8], at: usize) -> Result<Option<Range<usize>>, BadPicture> {
    let Some(length) = data.get(at..at + 2) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    if length < 2 {
        return Err(BadPicture::Damaged(format!("a segment of {length} bytes")));
    }
    Ok((at + length <= data.len()).then_some(at + 2..at + length))
}

impl Walk {
    fn segment(&mut self, data: &[u8], marker: u8, body: Range<usize>) -> Result<(), BadPicture> {
        let bytes = &data[body.clone()];
        match marker {
            0xc0..=0xc2 => self.frame(marker == 0xc2, bytes, body.start),
            0xc9 | 0xca => Err(BadPicture::Unsupported("arithmetic-coded JPEG".into())),
            0xc3 | 0xcb => Err(BadPicture::Unsupported("lossless JPEG".into())),
            0xc5..=0xc7 | 0xcd..=0xcf => Err(BadPicture::Unsupported("hierarchical JPEG".into())),
            SOS => self.scan(bytes, body.start),
            APP0 => {
                self.jfif |= bytes.starts_with(b"JFIF\0");
                Ok(())
            }
            APP1 if bytes.starts_with(EXIF) => {
                self.exif.get_or_insert(body.start + EXIF.len()..body.end);
                Ok(())
            }
            APP14 if bytes.starts_with(b"Adobe") && bytes.len() >= 12 => {
                self.adobe.push((body.start, body.start + 11));
                self.transform = Some(bytes[11]);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn frame(&mut self, progressive: bool, bytes: &[u8], at: usize) -> Result<(), BadPicture> {
        if self.frame.is_some() {
            return Err(BadPicture::Damaged("two frame headers".into()));
        }
        let short = || BadPicture::Damaged("a frame header that does not fit its length".into());
        let [precision, h1, h0, w1, w0, count] = *bytes.first_chunk::<6>().ok_or_else(short)?;
        if precision != 8 {
            return Err(BadPicture::Unsupported(format!("JPEG of {precision} bits a sample")));
        }
        let listed = bytes[6..].chunks_exact(3);
        if listed.len() != usize::from(count) || !listed.remainder().is_empty() {
            return Err(short());
        }
        let component = |(i, c): (usize, &[u8])| Component { id: c[0], at: at + 6 + 3 * i, missing: [-1; 64] };
        self.components = listed.enumerate().map(component).collect();
        let size = |high, low| u64::from(u16::from_be_bytes([high, low]));
        self.frame = Some((size(w1, w0), size(h1, h0), progressive));
        Ok(())
    }

    fn scan(&mut self, bytes: &[u8], at: usize) -> Result<(), BadPicture> {
        let wrong = || BadPicture::Damaged("a scan header that does not fit the frame".into());
        let count = usize::from(*bytes.first().ok_or_else(wrong)?);
        if !(1..=4).contains(&count) || bytes.len() != 4 + 2 * count {
            return Err(wrong());
        }
        let [first, last, approximation] = [bytes[1 + 2 * count], bytes[2 + 2 * count], bytes[3 + 2 * count]];
        let progressive = matches!(self.frame, Some((_, _, true)));
        // A sequential scan holds all coefficients in full, whatever its header says.
        let (range, bits) = match progressive {
            true => (usize::from(first)..=usize::from(last), approximation & 15),
            false => (0..=63, 0),
        };
        if range.start() > range.end() || *range.end() > 63 || bits > 13 {
            return Err(wrong());
        }
        for i in 0..count {
            let id = bytes[1 + 2 * i];
            self.scan_components.push(at + 1 + 2 * i);
            let component = self.components.iter_mut().find(|c| c.id == id).ok_or_else(wrong)?;
            component.missing[range.clone()].fill(bits as i8);
        }
        self.scans += 1;
        Ok(())
    }

    fn finish(self, end: usize) -> Result<Markers, BadPicture> {
        let cut = |what: &str| BadPicture::CutShort(what.into());
        let Some((width, height, _)) = self.frame else {
            return Err(cut("it ends before the frame header that says its size"));
        };
        if width > 0 && height > 0 && self.scans == 0 {
            return Err(cut("it ends before the first scan"));
        }
        let colour = colour(&self.components, self.jfif, self.transform)?;
        let Walk { components, scan_components, scans, adobe, exif, .. } = self;
        Ok(Markers { width, height, components, scan_components, scans, colour, adobe, exif, end })
    }
}

impl Markers {
    /// Refuses a file whose scans do not bring every coefficient of every colour to its last bit: it was cut between
    /// scans, and perhaps its end marker put back. The standard would allow it, for previews; no encoder of
    /// photographs does it.
    pub(super) fn check_complete(&self) -> Result<(), BadPicture> {
        let unfinished = |c: &&Component| c.missing.iter().any(|&bits| bits != 0);
        match self.components.iter().filter(unfinished).count() {
            0 => Ok(()),
            n => Err(BadPicture::CutShort(format!("scans of {n} of {} colours are missing", self.components.len()))),
        }
    }
}

fn colour(components: &[Component], jfif: bool, transform: Option<u8>) -> Result<Colour, BadPicture> {
    let ids: Vec<u8> = components.iter().map(|c| c.id).collect();
    Ok(match (ids.as_slice(), transform) {
        ([_], _) => Colour::Grey,
        ([_, _, _], _) if jfif => Colour::YCbCr,
        ([_, _, _], Some(0)) => Colour::Rgb,
        (b"RGB", None) => Colour::Rgb,
        ([_, _, _], _) => Colour::YCbCr,
        ([_, _, _, _], None) => Colour::Cmyk { inverted: false },
        ([_, _, _, _], Some(0)) => Colour::Cmyk { inverted: true },
        ([_, _, _, _], Some(_)) => Colour::Ycck,
        _ => return Err(BadPicture::Unsupported(format!("JPEG of {} colours", ids.len()))),
    })
}
