//! Decompression of TIFF data.

use std::borrow::Cow;
use std::convert::Infallible;
use std::io::{ErrorKind, Read};

use fax::decoder::{DecodeStatus, Group4Decoder, pels};
use flate2::read::ZlibDecoder;
use weezl::decode::Decoder as LzwDecoder;
use weezl::{BitOrder, LzwStatus};

use super::layout::{Compression, TiffLayout};
use super::photometric::Photometric;
use crate::decode::{DecodeOptions, jpeg};
use crate::error::BadImage;

fn cut_short() -> BadImage {
    BadImage::CutShort("TIFF data ends before its last pixel".into())
}

fn damaged(what: impl std::fmt::Display) -> BadImage {
    BadImage::Damaged(format!("TIFF data: {what}"))
}

/// Decompresses the first `needed` bytes (`rows` rows) of a strip or tile that is not a JPEG.
pub(super) fn decompress<'a>(
    data: Cow<'a, [u8]>,
    layout: &TiffLayout,
    rows: usize,
    needed: usize,
) -> Result<Cow<'a, [u8]>, BadImage> {
    Ok(Cow::Owned(match layout.compression {
        Compression::None | Compression::Jpeg { .. } => return Ok(data),
        Compression::Lzw => lzw(&data, needed)?,
        Compression::Deflate => deflate(&data, needed)?,
        Compression::PackBits => pack_bits(&data, needed).ok_or_else(cut_short)?,
        Compression::Fax4 => fax4(&data, layout, rows)?,
    }))
}

fn lzw(data: &[u8], needed: usize) -> Result<Vec<u8>, BadImage> {
    // Files older than TIFF 6.0 use the bit order of GIF, which libtiff detects like this.
    let is_old_style = matches!(data, [0, second, ..] if second & 1 == 1);
    let mut decoder = if is_old_style {
        LzwDecoder::new(BitOrder::Lsb, 8)
    } else {
        LzwDecoder::with_tiff_size_switch(BitOrder::Msb, 8)
    };
    let mut out = vec![0; needed];
    let mut read = 0;
    let mut written = 0;
    while written < needed {
        let step = decoder.decode_bytes(&data[read..], &mut out[written..]);
        read += step.consumed_in;
        written += step.consumed_out;
        match step.status {
            Ok(LzwStatus::Ok) if step.consumed_in + step.consumed_out > 0 => {}
            Ok(_) => break,
            Err(error) if written < needed => return Err(damaged(error)),
            Err(_) => break,
        }
    }
    if written < needed { Err(cut_short()) } else { Ok(out) }
}

fn deflate(data: &[u8], needed: usize) -> Result<Vec<u8>, BadImage> {
    let mut out = vec![0; needed];
    match ZlibDecoder::new(data).read_exact(&mut out) {
        Ok(()) => Ok(out),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(cut_short()),
        Err(error) => Err(damaged(error)),
    }
}

/// PackBits run-length encoding (TIFF 6.0, section 9); `None` if the data ends early.
fn pack_bits(mut data: &[u8], needed: usize) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(needed);
    while out.len() < needed {
        let (&head, rest) = data.split_first()?;
        data = rest;
        match head {
            0..=127 => {
                let (literal, rest) = data.split_at_checked(usize::from(head) + 1)?;
                out.extend_from_slice(literal);
                data = rest;
            }
            128 => {}
            129.. => {
                let (&value, rest) = data.split_first()?;
                out.resize(out.len() + 257 - usize::from(head), value);
                data = rest;
            }
        }
    }
    out.truncate(needed);
    Some(out)
}

/// Fax group 4: one bit per pixel, 0 for white.
fn fax4(data: &[u8], layout: &TiffLayout, rows: usize) -> Result<Vec<u8>, BadImage> {
    if layout.bits != 1 || layout.interleaved_samples() != 1 {
        return Err(damaged("fax compression of more than a bit a pixel"));
    }
    let too_wide = |_| BadImage::Unsupported("TIFF with fax compression wider than 65535 pixels".into());
    let width = u16::try_from(layout.chunk_width).map_err(too_wide)?;
    // The decoder looks ahead beyond the last code.
    let bytes = data.iter().chain(&[0; 4]).map(|&byte| Ok::<u8, Infallible>(byte));
    let mut decoder = Group4Decoder::new(bytes, width).map_err(|_| cut_short())?;
    let mut out = vec![0; layout.row_bytes() * rows];
    for row in out.chunks_exact_mut(layout.row_bytes()) {
        match decoder.advance() {
            Ok(DecodeStatus::Incomplete) => {}
            // Trailing white rows may be omitted.
            Ok(DecodeStatus::End) => break,
            Err(_) => return Err(damaged("a code that fax group 4 does not have, or the data ends early")),
        }
        for (x, colour) in pels(decoder.transition(), width).enumerate() {
            if colour == fax::Color::Black {
                row[x / 8] |= 0x80 >> (x % 8);
            }
        }
    }
    Ok(out)
}

/// Decodes a strip or tile that is a JPEG: YCbCr to RGB, other colours unchanged.
pub(super) fn jpeg(
    data: &[u8],
    tables: &[u8],
    layout: &TiffLayout,
    rows: usize,
    options: &DecodeOptions,
) -> Result<Vec<u8>, BadImage> {
    let channels = layout.interleaved_samples();
    if layout.bits != 8 || !matches!((channels, &layout.photometric), (1, _) | (3, Photometric::Rgb)) {
        let what = format!("TIFF with JPEG compression of {channels} samples of {} bits", layout.bits);
        return Err(BadImage::Unsupported(what));
    }
    let options = DecodeOptions { apply_orientation: false, ..options.clone() };
    let (image, _) = jpeg::decode(&complete_jpeg(data, tables, layout.jpeg_is_ycbcr), &options)?;
    if image.width() < layout.chunk_width || image.height() < rows {
        let size = format!("{} x {}", image.width(), image.height());
        return Err(damaged(format!("a JPEG of {size} for {} x {rows} pixels", layout.chunk_width)));
    }
    let mut out = Vec::with_capacity(layout.row_bytes() * rows);
    for row in image.pixels().chunks_exact(image.width() * 3).take(rows) {
        let row = &row[..layout.chunk_width * 3];
        match channels {
            3 => out.extend_from_slice(row),
            _ => out.extend(row.iter().step_by(3)),
        }
    }
    Ok(out)
}

/// Completes a JPEG: adds the tables and an Adobe marker with the colour space of the TIFF.
fn complete_jpeg(data: &[u8], tables: &[u8], ycbcr: bool) -> Vec<u8> {
    let adobe = [b"\xff\xd8\xff\xee\0\x0eAdobe\0\x64\0\0\0\0".as_slice(), &[u8::from(ycbcr)]].concat();
    [adobe, without_application_segments(tables), without_application_segments(data)].concat()
}

/// The segments of a JPEG without start and end markers and without application segments, which may contradict the
/// TIFF's colour space.
fn without_application_segments(jpeg: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(jpeg.len());
    let mut at = if jpeg.starts_with(b"\xff\xd8") { 2 } else { 0 };
    while let Some(&[0xff, marker, high, low]) = jpeg.get(at..at + 4) {
        let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
        // The scan follows; everything left belongs to it.
        if marker == 0xda || marker == 0xd9 || end > jpeg.len() {
            break;
        }
        if !(0xe0..=0xef).contains(&marker) {
            out.extend_from_slice(&jpeg[at..end]);
        }
        at = end;
    }
    let rest = &jpeg[at.min(jpeg.len())..];
    if rest != b"\xff\xd9" {
        out.extend_from_slice(rest);
    }
    out
}
