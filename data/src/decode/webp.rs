//! WebP: makes the first frame of an animation unblended.
//!
//! libwebp copies the first frame of an animation to an empty canvas. `image-webp` blends it with the canvas, which
//! darkens translucent pixels.

/// Disables blending of the first frame; `None` for a file without frames.
pub(super) fn unblended(webp: &[u8]) -> Option<Vec<u8>> {
    const DO_NOT_BLEND: u8 = 2;
    let at = first_frame(webp)?;
    let mut unblended = webp.to_vec();
    // After the position, size and duration of the frame, three bytes each.
    *unblended.get_mut(at + 15)? |= DO_NOT_BLEND;
    Some(unblended)
}

/// Offset of the contents of the first frame's chunk.
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
