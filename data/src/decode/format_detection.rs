//! Detection of image formats by their first bytes.

use image::ImageFormat;

use crate::error::BadImage;

pub(super) enum ImageKind {
    Jpeg,
    Gif,
    /// TIFF or BigTIFF.
    Tiff,
    Other(ImageFormat),
}

/// Common formats that are not supported: offset of the signature, signature, name.
const UNSUPPORTED: [(usize, &[u8], &str); 12] = [
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (0, b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"8BPS", "Photoshop"),
    (0, b"%PDF", "PDF"),
    (0, b"PK\x03\x04", "ZIP archive"),
    (0, b"\x1f\x8b", "gzip archive"),
    (0, b"Rar!", "RAR archive"),
];

/// Little- and big-endian TIFF, then BigTIFF.
const TIFF_SIGNATURES: [&[u8]; 4] = [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"];

pub(super) fn detect(bytes: &[u8]) -> Result<ImageKind, BadImage> {
    if bytes.is_empty() {
        return Err(BadImage::Empty);
    }
    if bytes.starts_with(b"\xff\xd8") {
        return Ok(ImageKind::Jpeg);
    }
    if TIFF_SIGNATURES.iter().any(|signature| bytes.starts_with(signature)) {
        return Ok(ImageKind::Tiff);
    }
    for (offset, signature, name) in UNSUPPORTED {
        if bytes.get(offset..).is_some_and(|rest| rest.starts_with(signature)) {
            return Err(BadImage::Unsupported(name.into()));
        }
    }
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Pnm, WebP};
    match image::guess_format(bytes) {
        Ok(format @ (Bmp | Png | Pnm | WebP)) => Ok(ImageKind::Other(format)),
        Ok(Gif) => Ok(ImageKind::Gif),
        Ok(Jpeg) => Ok(ImageKind::Jpeg),
        Ok(format) => Err(BadImage::Unsupported(format!("{format:?}"))),
        Err(_) => Err(BadImage::NotAnImage(describe(bytes))),
    }
}

fn describe(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(512)];
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    if text.starts_with(b"<") {
        return "a web page or XML".into();
    }
    let printable = |&b: &u8| b >= b' ' && b != 0x7f || matches!(b, b'\n' | b'\r' | b'\t');
    if start.iter().all(printable) && std::str::from_utf8(&start[..start.len().saturating_sub(3)]).is_ok() {
        return "a text file".into();
    }
    if start.iter().all(|&b| b == 0) {
        return "nothing but zeros".into();
    }
    let first: Vec<String> = start.iter().take(4).map(|b| format!("{b:02x}")).collect();
    format!("unknown content that begins with {}", first.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection(bytes: &[u8]) -> String {
        detect(bytes).err().map_or_else(String::new, |e| e.to_string())
    }

    #[test]
    fn content_that_is_no_image_is_named() {
        assert_eq!(rejection(b""), "empty file");
        assert_eq!(rejection(b"\n <!DOCTYPE html><html>"), "not an image: a web page or XML");
        assert_eq!(rejection("caf\u{e9} is text\n".as_bytes()), "not an image: a text file");
        assert_eq!(rejection(&[0; 64]), "not an image: nothing but zeros");
        assert_eq!(rejection(b"\x00\x00\x00\x1cftypavif...."), "unsupported format: AVIF");
        assert_eq!(rejection(b"\x00\x01\xff\xd8"), "not an image: unknown content that begins with 00 01 ff d8");
        assert_eq!(rejection(b"\x00\x00\x01\x00\x01\x00"), "unsupported format: Ico");
    }
}
