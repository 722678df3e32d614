//! Cutting crops of bytes.

use super::vary::Square;

/// Fills `out` `[side, side, 3]` with a part of an image, mirrored if asked for.
pub(super) fn cut(image: &[u8], part: Square, mirror: bool, out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if mirror && is_x86_feature_detected!("ssse3") {
        // SAFETY: the processor has SSSE3.
        unsafe { cut_mirrored_ssse3(image, part, out) };
        return;
    }
    cut_plainly(image, part, mirror, out);
}

fn cut_plainly(image: &[u8], part: Square, mirror: bool, out: &mut [u8]) {
    for (y, out) in out.chunks_exact_mut(3 * part.side).enumerate() {
        let row = &image[part.row(y)];
        if mirror {
            mirror_row(row, out, 0);
        } else {
            out.copy_from_slice(row);
        }
    }
}

/// Pixels of a row in reverse order, from pixel `from` of `out` on.
fn mirror_row(row: &[u8], out: &mut [u8], from: usize) {
    for (to, pixel) in out.chunks_exact_mut(3).skip(from).zip(row.chunks_exact(3).rev().skip(from)) {
        to.copy_from_slice(pixel);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "ssse3")]
fn cut_mirrored_ssse3(image: &[u8], part: Square, out: &mut [u8]) {
    use std::arch::x86_64::{_mm_loadu_si128, _mm_setr_epi8, _mm_shuffle_epi8, _mm_storeu_si128};

    // Five pixels at a time: the last 15 of 16 bytes read, the first 15 of 16 written. What is written beyond them is
    // written over by the next five.
    let order = _mm_setr_epi8(13, 14, 15, 10, 11, 12, 7, 8, 9, 4, 5, 6, 1, 2, 3, -1);
    for (y, out) in out.chunks_exact_mut(3 * part.side).enumerate() {
        let row = &image[part.row(y)];
        let mut done = 0;
        while 3 * done + 16 <= row.len() {
            let from = row.len() - 3 * done - 16;
            // SAFETY: `from + 16` and `3 * done + 16` are within `row` and `out`, which are of the same length.
            unsafe {
                let pixels = _mm_loadu_si128(row.as_ptr().add(from).cast());
                _mm_storeu_si128(out.as_mut_ptr().add(3 * done).cast(), _mm_shuffle_epi8(pixels, order));
            }
            done += 5;
        }
        mirror_row(row, out, done);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The fast way gives the bytes of the plain one, and mirroring twice gives back the crop.
        #[test]
        fn crops_are_the_plain_ones_and_mirror_twice_is_the_identity(
            side in 1..60usize, left in 0..9usize, top in 0..9usize, mirror: bool, seed: u8,
        ) {
            let size = side + 9;
            let image: Vec<u8> = (0..size * size * 3).map(|i| (i * 89 + i / 251) as u8 ^ seed).collect();
            let part = Square { size, left, top, side };
            let [mut fast, mut plain, mut again] = [(); 3].map(|()| vec![0; side * side * 3]);
            cut(&image, part, mirror, &mut fast);
            for y in 0..side {
                for x in 0..side {
                    let from = if mirror { left + side - 1 - x } else { left + x };
                    let pixel = &image[3 * ((top + y) * size + from)..][..3];
                    plain[3 * (y * side + x)..][..3].copy_from_slice(pixel);
                }
            }
            prop_assert_eq!(&fast, &plain);
            let whole = Square { size: side, left: 0, top: 0, side };
            cut(&fast, whole, mirror, &mut again);
            cut(&image, part, false, &mut plain);
            prop_assert_eq!(&again, &plain);
        }
    }
}
