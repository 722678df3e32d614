//! Image orientation from EXIF data or else XMP data, where Pillow looks.

use std::io::Read;

use flate2::read::ZlibDecoder;
use image::metadata::Orientation;

/// Maximum unpacked size of a text or profile in bytes; the orientation is near the start.
const MAX_UNPACKED_BYTES: u64 = 1 << 20;
const RAW_PROFILE: &[u8] = b"Raw profile type exif";
const XMP: &[u8] = b"XML:com.adobe.xmp";

/// Metadata of an image, as stored by its format.
#[derive(Default)]
pub(super) struct ImageMetadata {
    exif: Option<Vec<u8>>,
    xmp: Option<Vec<u8>>,
}

impl ImageMetadata {
    /// Reads the metadata of a PNG, before or after its pixels. Unreadable chunks are ignored.
    pub fn of_png(png: &[u8]) -> Self {
        let mut metadata = Self::default();
        let mut profile = None;
        let mut rest = png.get(8..).unwrap_or_default();
        while let Some((head, after)) = rest.split_at_checked(8) {
            let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
            let Some((data, after)) = after.split_at_checked(length) else { break };
            match &head[4..] {
                b"eXIf" => metadata.exif = Some(data.to_vec()),
                b"iTXt" => metadata.xmp = international_text(data, XMP).or(metadata.xmp),
                b"zTXt" => profile = compressed_text(data, RAW_PROFILE).or(profile),
                b"tEXt" => profile = plain_text(data, RAW_PROFILE).or(profile),
                _ => {}
            }
            // Skips the checksum.
            rest = after.get(4..).unwrap_or_default();
        }
        metadata.exif = metadata.exif.or_else(|| raw_profile(&profile?));
        metadata
    }

    /// Reads the metadata chunks of a WebP.
    pub fn of_webp(webp: &[u8]) -> Self {
        let mut metadata = Self::default();
        let mut rest = webp.get(12..).unwrap_or_default();
        while let Some((head, after)) = rest.split_at_checked(8) {
            let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
            let Some(data) = after.get(..length) else { break };
            match &head[..4] {
                b"EXIF" => metadata.exif = Some(data.to_vec()),
                b"XMP " => metadata.xmp = Some(data.to_vec()),
                _ => {}
            }
            rest = after.get(length.next_multiple_of(2)..).unwrap_or_default();
        }
        metadata
    }

    /// The orientation; upright by default.
    pub fn orientation(&self) -> Orientation {
        let from_exif = || Orientation::from_exif_chunk(without_exif_prefix(self.exif.as_deref()?));
        from_exif().or_else(|| parse_xmp(self.xmp.as_deref()?)).unwrap_or(Orientation::NoTransforms)
    }
}

/// Strips the prefix of EXIF data in JPEGs, which other formats should not have but often do.
fn without_exif_prefix(exif: &[u8]) -> &[u8] {
    exif.strip_prefix(b"Exif\0\0").unwrap_or(exif)
}

/// Parses `tiff:Orientation="6"` or `<tiff:Orientation>6`.
fn parse_xmp(xmp: &[u8]) -> Option<Orientation> {
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

/// Decodes ImageMagick's text profile: its name, its length, and lines of hexadecimal digits.
fn raw_profile(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.splitn(4, |&byte| byte == b'\n').nth(3)?;
    let digits: Vec<u8> = digits.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let value = |digit: u8| char::from(digit).to_digit(16);
    digits.chunks_exact(2).map(|pair| Some((value(pair[0])? << 4 | value(pair[1])?) as u8)).collect()
}

/// The text after `keyword` and its zero byte.
fn after_keyword<'a>(data: &'a [u8], keyword: &[u8]) -> Option<&'a [u8]> {
    data.strip_prefix(keyword)?.strip_prefix(b"\0")
}

fn plain_text(data: &[u8], keyword: &[u8]) -> Option<Vec<u8>> {
    Some(after_keyword(data, keyword)?.to_vec())
}

fn compressed_text(data: &[u8], keyword: &[u8]) -> Option<Vec<u8>> {
    inflate(after_keyword(data, keyword)?.strip_prefix(b"\0")?)
}

/// After the keyword: compression flag, compression method, language and translated keyword, the latter two
/// zero-terminated.
fn international_text(data: &[u8], keyword: &[u8]) -> Option<Vec<u8>> {
    let [compressed, _, rest @ ..] = after_keyword(data, keyword)? else { return None };
    let text = rest.splitn(3, |&byte| byte == 0).nth(2)?;
    if *compressed == 1 { inflate(text) } else { Some(text.to_vec()) }
}

fn inflate(data: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    ZlibDecoder::new(data).take(MAX_UNPACKED_BYTES).read_to_end(&mut text).ok()?;
    Some(text)
}
