//! Crops in AVX2 and AVX-512 vectors. Products and sums are rounded one by one, as in the scalar code, so that the bits
//! are the same.

use std::any::TypeId;
use std::arch::x86_64::*;

use num_traits::{Float, FromPrimitive};
use simd::Level;

use super::CropRows;

/// Writes a crop, if the values are `f32` and the level has vectors; returns whether it did.
pub(super) fn write<E: Float + FromPrimitive + 'static>(
    rows: &CropRows,
    image: &[u8],
    mean: Option<&[E]>,
    out: &mut [E],
) -> bool {
    let Some(out) = as_f32_mut(out) else { return false };
    match mean {
        None => write_at(Level::get(), rows, image, None, out),
        Some(mean) => as_f32(mean).is_some_and(|mean| write_at(Level::get(), rows, image, Some(mean), out)),
    }
}

/// The values if they are `f32`.
fn as_f32<E: 'static>(values: &[E]) -> Option<&[f32]> {
    // SAFETY: the two types are the same one.
    let same = || unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), values.len()) };
    (TypeId::of::<E>() == TypeId::of::<f32>()).then(same)
}

/// The values if they are `f32`.
fn as_f32_mut<E: 'static>(values: &mut [E]) -> Option<&mut [f32]> {
    // SAFETY: the two types are the same one, and the borrow is passed on.
    let same = || unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), values.len()) };
    (TypeId::of::<E>() == TypeId::of::<f32>()).then(same)
}

/// Writes a crop, unless the level is portable or the crop does not lie within the image and the mean; returns whether
/// it did.
fn write_at(level: Level, rows: &CropRows, image: &[u8], mean: Option<&[f32]>, out: &mut [f32]) -> bool {
    if rows.crop == 0 {
        return false;
    }
    let end = rows.row_start(rows.crop - 1) + 3 * rows.crop;
    if image.len() < end || mean.is_some_and(|mean| mean.len() < end) {
        return false;
    }
    for (row, out) in out.chunks_exact_mut(3 * rows.crop).enumerate() {
        let done = match level {
            Level::Portable => return false,
            // SAFETY: the level proves AVX2; each row of the crop lies within image and mean.
            Level::Avx2(_) => unsafe { row_avx2(rows, row, image, mean, out) },
            // SAFETY: the level proves AVX-512; as above.
            Level::Avx512(_) => unsafe { row_avx512(rows, row, image, mean, out) },
        };
        rows.write_pixels(row, done, image, mean, out);
    }
    true
}

/// The lane that each lane's value comes from, in a vector of `pixels` pixels.
fn permutation<const N: usize>(rows: &CropRows, pixels: usize) -> [i32; N] {
    std::array::from_fn(|lane| {
        let pixel = lane / 3;
        let channel = lane % 3;
        if pixel >= pixels {
            return lane as i32;
        }
        let from = if rows.mirror { pixels - 1 - pixel } else { pixel };
        (3 * from + if rows.bgr { 2 - channel } else { channel }) as i32
    })
}

/// Writes five pixels at a time in vectors of 16 values, the last of which the next vector overwrites. Returns the
/// number of pixels written.
#[target_feature(enable = "avx512f")]
fn row_avx512(rows: &CropRows, row: usize, image: &[u8], mean: Option<&[f32]>, out: &mut [f32]) -> usize {
    const PIXELS: usize = 5;
    let by_channel = |of: [f32; 3]| {
        let lanes: [f32; 16] = std::array::from_fn(|lane| of[lane % 3]);
        // SAFETY: there are 16 values.
        unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
    };
    let factor = by_channel(rows.coefficients.factor);
    let offset = by_channel(rows.coefficients.offset);
    let damping = _mm512_set1_ps(rows.coefficients.damping);
    let permutation = permutation::<16>(rows, PIXELS);
    // SAFETY: there are 16 values.
    let permutation = unsafe { _mm512_loadu_si512(permutation.as_ptr().cast()) };
    let start = rows.row_start(row);
    let mut done = 0;
    while 3 * done + 16 <= out.len() {
        let from = start + 3 * if rows.mirror { rows.crop - PIXELS - done } else { done };
        if from + 16 > image.len() {
            break;
        }
        // SAFETY: `from + 16` is within the image, and the mean, which is as long, and `3 * done + 16` within `out`.
        unsafe {
            let pixels = _mm512_cvtepu8_epi32(_mm_loadu_si128(image.as_ptr().add(from).cast()));
            let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(pixels), factor);
            let offset = match mean {
                Some(mean) if from + 16 > mean.len() => break,
                Some(mean) => _mm512_sub_ps(offset, _mm512_mul_ps(_mm512_loadu_ps(mean.as_ptr().add(from)), damping)),
                None => offset,
            };
            let value = _mm512_permutexvar_ps(permutation, _mm512_add_ps(scaled, offset));
            _mm512_storeu_ps(out.as_mut_ptr().add(3 * done), value);
        }
        done += PIXELS;
    }
    done
}

/// Writes two pixels at a time in vectors of eight values, the last two of which the next vector overwrites. Returns
/// the number of pixels written.
#[target_feature(enable = "avx2")]
fn row_avx2(rows: &CropRows, row: usize, image: &[u8], mean: Option<&[f32]>, out: &mut [f32]) -> usize {
    const PIXELS: usize = 2;
    let by_channel = |of: [f32; 3]| {
        let lanes: [f32; 8] = std::array::from_fn(|lane| of[lane % 3]);
        // SAFETY: there are eight values.
        unsafe { _mm256_loadu_ps(lanes.as_ptr()) }
    };
    let factor = by_channel(rows.coefficients.factor);
    let offset = by_channel(rows.coefficients.offset);
    let damping = _mm256_set1_ps(rows.coefficients.damping);
    let permutation = permutation::<8>(rows, PIXELS);
    // SAFETY: there are eight values.
    let permutation = unsafe { _mm256_loadu_si256(permutation.as_ptr().cast()) };
    let start = rows.row_start(row);
    let mut done = 0;
    while 3 * done + 8 <= out.len() {
        let from = start + 3 * if rows.mirror { rows.crop - PIXELS - done } else { done };
        if from + 8 > image.len() {
            break;
        }
        // SAFETY: `from + 8` is within the image, and the mean, which is as long, and `3 * done + 8` within `out`.
        unsafe {
            let pixels = _mm256_cvtepu8_epi32(_mm_loadl_epi64(image.as_ptr().add(from).cast()));
            let scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(pixels), factor);
            let offset = match mean {
                Some(mean) if from + 8 > mean.len() => break,
                Some(mean) => _mm256_sub_ps(offset, _mm256_mul_ps(_mm256_loadu_ps(mean.as_ptr().add(from)), damping)),
                None => offset,
            };
            let value = _mm256_permutevar8x32_ps(_mm256_add_ps(scaled, offset), permutation);
            _mm256_storeu_ps(out.as_mut_ptr().add(3 * done), value);
        }
        done += PIXELS;
    }
    done
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Coefficients;

    proptest! {
        #[test]
        fn all_levels_give_the_same_bits(
            size in 1..40usize,
            places in prop::array::uniform3(any::<prop::sample::Index>()),
            flags in any::<(bool, bool, bool)>(),
            factor in prop::array::uniform3(0.001..2.0f32),
            offset in prop::array::uniform3(-200.0..200.0f32),
            damping in 0.5..1.0f32,
            seed: u8,
        ) {
            let (mirror, bgr, with_mean) = flags;
            let crop = places[0].index(size) + 1;
            let left = places[1].index(size - crop + 1);
            let top = places[2].index(size - crop + 1);
            let coefficients = Coefficients { factor, offset, damping };
            let rows = CropRows { start: 3 * (top * size + left), size, crop, bgr, mirror, coefficients };
            let image: Vec<u8> = (0..3 * size * size).map(|i| (i * 89 + i / 255) as u8 ^ seed).collect();
            let mean: Vec<f32> = (0..3 * size * size).map(|i| (i * 37 % 255) as f32 * 0.7).collect();
            let mean = with_mean.then_some(mean.as_slice());
            let mut expected = vec![0.0; 3 * crop * crop];
            rows.write_scalar(&image, mean, &mut expected);
            for level in Level::all().filter(|level| !matches!(level, Level::Portable)) {
                let mut found = vec![0.0; 3 * crop * crop];
                prop_assert!(write_at(level, &rows, &image, mean, &mut found));
                prop_assert!(expected.iter().zip(&found).all(|(a, b)| a.to_bits() == b.to_bits()), "{level:?}");
            }
        }
    }
}
