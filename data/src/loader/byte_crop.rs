//! Cropping and mirroring of 8-bit images.

use super::augment::CropRect;

/// Copies a crop of an image to `out`, `[side, side, 3]`, optionally mirrored.
pub(super) fn crop(image: &[u8], rect: CropRect, mirror: bool, out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if mirror && let Some(simd) = simd::Level::get().avx2() {
        // SAFETY: `simd` proves AVX2.
        unsafe { crop_mirrored_avx2(simd, image, rect, out) };
        return;
    }
    crop_scalar(image, rect, mirror, out);
}

fn crop_scalar(image: &[u8], rect: CropRect, mirror: bool, out: &mut [u8]) {
    for (y, out) in out.chunks_exact_mut(3 * rect.side).enumerate() {
        let row = &image[rect.row(y)];
        if mirror {
            mirror_row(row, out, 0);
        } else {
            out.copy_from_slice(row);
        }
    }
}

/// Copies the pixels of a row in reverse order, starting at pixel `from` of `out`.
fn mirror_row(row: &[u8], out: &mut [u8], from: usize) {
    for (to, pixel) in out.chunks_exact_mut(3).skip(from).zip(row.chunks_exact(3).rev().skip(from)) {
        to.copy_from_slice(pixel);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn crop_mirrored_avx2(_: simd::V3, image: &[u8], rect: CropRect, out: &mut [u8]) {
    use std::arch::x86_64::{_mm_loadu_si128, _mm_setr_epi8, _mm_shuffle_epi8, _mm_storeu_si128};

    // Five pixels at a time: 16 bytes are read and written, 15 of which count. The extra byte written is overwritten by
    // the next five pixels.
    let order = _mm_setr_epi8(13, 14, 15, 10, 11, 12, 7, 8, 9, 4, 5, 6, 1, 2, 3, -1);
    for (y, out) in out.chunks_exact_mut(3 * rect.side).enumerate() {
        let row = &image[rect.row(y)];
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
        /// The vector code equals the scalar code, and mirroring twice is the identity.
        #[test]
        fn crops_are_the_plain_ones_and_mirror_twice_is_the_identity(
            side in 1..60usize, left in 0..9usize, top in 0..9usize, mirror: bool, seed: u8,
        ) {
            let size = side + 9;
            let image: Vec<u8> = (0..size * size * 3).map(|i| (i * 89 + i / 251) as u8 ^ seed).collect();
            let rect = CropRect { size, left, top, side };
            let [mut fast, mut plain, mut again] = [(); 3].map(|()| vec![0; side * side * 3]);
            crop(&image, rect, mirror, &mut fast);
            for y in 0..side {
                for x in 0..side {
                    let from = if mirror { left + side - 1 - x } else { left + x };
                    let pixel = &image[3 * ((top + y) * size + from)..][..3];
                    plain[3 * (y * side + x)..][..3].copy_from_slice(pixel);
                }
            }
            prop_assert_eq!(&fast, &plain);
            let whole = CropRect { size: side, left: 0, top: 0, side };
            crop(&fast, whole, mirror, &mut again);
            crop(&image, rect, false, &mut plain);
            prop_assert_eq!(&again, &plain);
        }
    }
}
