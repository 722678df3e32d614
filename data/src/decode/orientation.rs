//! How an image is to be turned, by its EXIF data or, where that does not say, its XMP data: where Pillow looks.

use std::io::Read;

use flate2::read::ZlibDecoder;
use image::metadata::Orientation;

/// What a text or profile may take unpacked, bytes: the orientation stands near the start.
const LONGEST: u64 = 1 << 20;
const RAW_PROFILE: &[u8] = b"Raw profile type exif";
const XMP: &[u8] = b"XML:com.adobe.xmp";

/// Data about an image, as its format stores it.
#[derive(Default)]
pub(super) struct Metadata {
    exif: Option<Vec<u8>>,
    xmp: Option<Vec<u8>>,
}

impl Metadata {
    /// What a PNG says, before its pixels or after. What cannot be read says nothing.
    pub fn of_png(png: &[u8]) -> Self {
        let mut found = Self::default();
        let mut profile = None;
        let mut rest = png.get(8..).unwrap_or_default();
        while let Some((head, after)) = rest.split_at_checked(8) {
            let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
            let Some((data, after)) = after.split_at_checked(length) else { break };
            match &head[4..] {
                b"eXIf" => found.exif = Some(data.to_vec()),
                b"iTXt" => found.xmp = international_text(data, XMP).or(found.xmp),
                b"zTXt" => profile = compressed_text(data, RAW_PROFILE).or(profile),
                b"tEXt" => profile = plain_text(data, RAW_PROFILE).or(profile),
                _ => {}
            }
            // After the checksum.
            rest = after.get(4..).unwrap_or_default();
        }
        found.exif = found.exif.or_else(|| raw_profile(&profile?));
        found
    }

    /// What a WebP's chunks say.
    pub fn of_webp(webp: &[u8]) -> Self {
        let mut found = Self::default();
        let mut rest = webp.get(12..).unwrap_or_default();
        while let Some((head, after)) = rest.split_at_checked(8) {
            let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
            let Some(data) = after.get(..length) else { break };
            match &head[..4] {
                b"EXIF" => found.exif = Some(data.to_vec()),
                b"XMP " => found.xmp = Some(data.to_vec()),
                _ => {}
            }
            rest = after.get(length.next_multiple_of(2)..).unwrap_or_default();
        }
        found
    }

    /// The orientation, upright if nothing says otherwise.
    pub fn orientation(&self) -> Orientation {
        let by_exif = || Orientation::from_exif_chunk(without_mark(self.exif.as_deref()?));
        by_exif().or_else(|| of_xmp(self.xmp.as_deref()?)).unwrap_or(Orientation::NoTransforms)
    }
}

/// EXIF data as JPEG has it begins with a mark, which other formats' should not have but often do.
fn without_mark(exif: &[u8]) -> &[u8] {
    exif.strip_prefix(b"Exif\0\0").unwrap_or(exif)
}

/// `tiff:Orientation="6"` or `<tiff:Orientation>6`.
fn of_xmp(xmp: &[u8]) -> Option<Orientation> {
    const NAME: &[u8] = b"tiff:Orientation";
    let mut rest = xmp;
    while let Some(at) = memchr::memmem::find(rest, NAME) {
        rest = &rest[at + NAME.len()..];
        let value = rest.strip_prefix(b"=\"").or_else(|| rest.strip_prefix(b">")).and_then(|value| value.first());
        if let Some(digit @ b'0'..=b'9') = value {
            return Orientation::from_exif(digit - b'0');
        }
    }
    None
}

/// ImageMagick's profile as a text: its name, its length, and lines of hexadecimal digits.
fn raw_profile(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.splitn(4, |&byte| byte == b'\n').nth(3)?;
    let digits: Vec<u8> = digits.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let value = |digit: u8| char::from(digit).to_digit(16);
    digits.chunks_exact(2).map(|pair| Some((value(pair[0])? << 4 | value(pair[1])?) as u8)).collect()
}

/// What follows a keyword and its zero, if it is this keyword.
fn after_keyword<'a>(data: &'a [u8], keyword: &[u8]) -> Option<&'a [u8]> {
    data.strip_prefix(keyword)?.strip_prefix(b"\0")
}

fn plain_text(data: &[u8], keyword: &[u8]) -> Option<Vec<u8>> {
    Some(after_keyword(data, keyword)?.to_vec())
}

fn compressed_text(data: &[u8], keyword: &[u8]) -> Option<Vec<u8>> {
    inflate(after_keyword(data, keyword)?.strip_prefix(b"\0")?)
}

/// After the keyword: whether it is compressed, by which method, a language and a translated keyword, each with a zero.
fn international_text(data: &[u8], keyword: &[u8]) -> Option<Vec<u8>> {
    let [compressed, _, rest @ ..] = after_keyword(data, keyword)? else { return None };
    let text = rest.splitn(3, |&byte| byte == 0).nth(2)?;
    if *compressed == 1 { inflate(text) } else { Some(text.to_vec()) }
}

fn inflate(data: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    ZlibDecoder::new(data).take(LONGEST).read_to_end(&mut text).ok()?;
    Some(text)
}
