//! GIF: the first frame on its screen.
//!
//! Pixels outside the frame show the transparent colour, or the first of the palette if there is none, as in Pillow.
//! Browsers show their own background there.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::num::NonZeroU64;

use gif::{ColorOutput, DecodeOptions as GifOptions, Decoder, DecodingError, Frame, MemoryLimit};

use super::{DecodeOptions, Image, catch_panic, check_size};
use crate::error::BadImage;

/// Header flags: a global palette follows; it has 256 colours.
const GLOBAL_PALETTE: u8 = 0x80;
const COLOURS_256: u8 = 7;

pub(super) fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Image, BadImage> {
    let with_palette = with_palette(bytes);
    let bytes: &[u8] = &with_palette;
    catch_panic::catch_decoder_panic(|| {
        let mut gif_options = GifOptions::new();
        gif_options.set_color_output(ColorOutput::Indexed);
        gif_options
            .set_memory_limit(NonZeroU64::new(options.max_pixels).map_or(MemoryLimit::Unlimited, MemoryLimit::Bytes));
        let mut decoder = gif_options.read_info(bytes).map_err(reason)?;
        let screen_width = usize::from(decoder.width());
        let screen_height = usize::from(decoder.height());
        let frame = decoder.next_frame_info().map_err(reason)?.ok_or_else(|| BadImage::Damaged("no frame".into()))?;
        let right = frame.left as usize + frame.width as usize;
        let bottom = frame.top as usize + frame.height as usize;
        // A frame that extends beyond the screen enlarges it.
        let width = screen_width.max(right);
        let height = screen_height.max(bottom);
        check_size(width as u64, height as u64, options.max_pixels)?;
        check_size(frame.width.into(), frame.height.into(), options.max_pixels)?;
        let frame = Frame { buffer: Vec::new().into(), ..frame.clone() };
        let colours = colours(&frame, &decoder);
        let mut indices = vec![0; decoder.buffer_size()];
        decoder.read_into_buffer(&mut indices).map_err(reason)?;
        let background = colours[usize::from(frame.transparent.unwrap_or(0))];
        let mut pixels = background.repeat(width * height);
        for (y, row) in indices.chunks_exact(usize::from(frame.width)).enumerate() {
            let start = ((y + usize::from(frame.top)) * width + usize::from(frame.left)) * 3;
            for (pixel, &index) in pixels[start..].chunks_exact_mut(3).zip(row) {
                pixel.copy_from_slice(&colours[usize::from(index)]);
            }
        }
        let size_mismatch = || BadImage::Damaged("another number of pixels than its header says".into());
        Image::new(width, height, pixels).ok_or_else(size_mismatch)
    })
}

/// Adds a grey palette to a file without a global palette: the decoder requires one, and Pillow treats indices as
/// greys.
fn with_palette(bytes: &[u8]) -> Cow<'_, [u8]> {
    match bytes.get(10) {
        Some(flags) if flags & GLOBAL_PALETTE == 0 && bytes.len() >= 13 => {
            let greys = (0..=255).flat_map(|level| [level; 3]);
            let mut known: Vec<u8> =
                bytes[..13].iter().copied().chain(greys).chain(bytes[13..].iter().copied()).collect();
            known[10] |= GLOBAL_PALETTE | COLOURS_256;
            known.into()
        }
        _ => bytes.into(),
    }
}

/// Colour of each index: black beyond the palette; grey if there is no palette or it is an ascending grey ramp.
fn colours(frame: &Frame, decoder: &Decoder<&[u8]>) -> [[u8; 3]; 256] {
    let palette = frame.palette.as_deref().or(decoder.global_palette()).unwrap_or_default();
    let greys: [[u8; 3]; 256] = std::array::from_fn(|i| [i as u8; 3]);
    if palette.chunks_exact(3).zip(&greys).all(|(colour, grey)| colour == grey) {
        return greys;
    }
    let mut colours = [[0; 3]; 256];
    for (colour, stored) in colours.iter_mut().zip(palette.chunks_exact(3)) {
        colour.copy_from_slice(stored);
    }
    colours
}

fn reason(error: DecodingError) -> BadImage {
    let text = error.to_string();
    match error {
        DecodingError::Io(e) if e.kind() == ErrorKind::UnexpectedEof => {
            BadImage::CutShort("GIF data ends before its last pixel".into())
        }
        _ if text.to_lowercase().contains("unexpected e") => BadImage::CutShort(text),
        _ => BadImage::Damaged(text),
    }
}
