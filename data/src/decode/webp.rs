//! WebP: the image, or the first frame on its canvas.
//!
//! The first frame of an animation is put on an empty canvas as it is, as libwebp does: `image-webp` blends it with the
//! canvas, which blackens half-transparent pixels.

/// The same file, of whose first frame nothing is blended; `None` for what has no frames.
pub(super) fn unblended(webp: &[u8]) -> Option<Vec<u8>> {
    const DO_NOT_BLEND: u8 = 2;
    let at = first_frame(webp)?;
    let mut unblended = webp.to_vec();
    // After the frame's place, size and duration, three bytes each.
    *unblended.get_mut(at + 15)? |= DO_NOT_BLEND;
    Some(unblended)
}

/// Where the content of the first frame's chunk begins.
fn first_frame(webp: &[u8]) -> Option<usize> {
    let mut at = 12;
    loop {
        let head = webp.get(at..at + 8)?;
        if head.starts_with(b"ANMF") {
            return Some(at + 8);
        }
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        at = at.checked_add(8)?.checked_add(length.checked_next_multiple_of(2)?)?;
    }
}
