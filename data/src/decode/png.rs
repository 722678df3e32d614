//! PNG: checks of a file, and removal of metadata, before the `image` crate reads it.

use std::borrow::Cow;

use super::check_size;
use crate::error::BadImage;

const SIGNATURE: usize = 8;
/// A chunk's length and kind before its data, and the checksum after it.
const HEAD: usize = 8;
const CHECKSUM: usize = 4;

/// Chunks that no pixel depends on and whose data may be packed: a few megabytes can unpack to many gigabytes.
const PACKED: [&[u8]; 4] = [b"iCCP", b"zTXt", b"iTXt", b"tEXt"];

/// Refuses an image by the size in its first chunk; the decoder calls a large one out of memory.
pub(super) fn check_header(png: &[u8], limit: u64) -> Result<(), BadImage> {
    let number = |at: usize| Some(u32::from_be_bytes(png.get(at..at + 4)?.try_into().ok()?));
    let first = SIGNATURE + HEAD;
    match [number(first), number(first + 4)] {
        [Some(width), Some(height)] if png[SIGNATURE + 4..].starts_with(b"IHDR") => {
            check_size(width.into(), height.into(), limit)
        }
        // The decoder says what is wrong.
        _ => Ok(()),
    }
}

/// The file without its texts and its colour profile.
pub(super) fn without_texts(png: &[u8]) -> Cow<'_, [u8]> {
    let chunks = chunks(png);
    if !chunks.iter().any(|chunk| is_packed(chunk)) {
        return png.into();
    }
    let length: usize = chunks.iter().map(|chunk| chunk.len()).sum();
    let rest = &png[SIGNATURE + length..];
    let kept = chunks.into_iter().filter(|chunk| !is_packed(chunk));
    [&png[..SIGNATURE]].into_iter().chain(kept).chain([rest]).collect::<Vec<_>>().concat().into()
}

fn is_packed(chunk: &[u8]) -> bool {
    PACKED.contains(&&chunk[4..HEAD])
}

/// The whole chunks from the first on, each with its length, kind and checksum.
fn chunks(png: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    let mut rest = png.get(SIGNATURE..).unwrap_or_default();
    while let Some(length) = rest.first_chunk::<4>() {
        let length = (u32::from_be_bytes(*length) as usize).saturating_add(HEAD + CHECKSUM);
        let Some((chunk, after)) = rest.split_at_checked(length) else { break };
        found.push(chunk);
        rest = after;
    }
    found
}
