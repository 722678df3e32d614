//! Crops in vectors of the width that the processor has. Products and sums are rounded one by one, as in the plain way, so
//! that the bits are the same.

use std::any::TypeId;
use std::arch::x86_64::*;

use super::{Cut, Layout};
use crate::Element;

/// The vectors to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Avx2,
    Avx512,
}

/// The values if they are `f32`.
pub(super) fn as_f32<E: Element>(values: &[E]) -> Option<&[f32]> {
    // SAFETY: the two types are the same one.
    let same = || unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), values.len()) };
    (TypeId::of::<E>() == TypeId::of::<f32>()).then(same)
}

/// The values if they are `f32`.
pub(super) fn as_f32_mut<E: Element>(values: &mut [E]) -> Option<&mut [f32]> {
    // SAFETY: the two types are the same one, and the borrow is passed on.
    let same = || unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), values.len()) };
    (TypeId::of::<E>() == TypeId::of::<f32>()).then(same)
}

impl Way {
    /// The widest that this processor has.
    pub fn best() -> Option<Self> {
        Self::all().into_iter().flatten().next()
    }

    /// Those that this processor has, the widest first.
    pub fn all() -> [Option<Self>; 2] {
        [
            is_x86_feature_detected!("avx512f").then_some(Self::Avx512),
            is_x86_feature_detected!("avx2").then_some(Self::Avx2),
        ]
    }

    /// As [`Cut::write`]; whether it was done.
    pub fn write(self, cut: &Cut, layout: Layout, image: &[u8], mean: Option<&[f32]>, out: &mut [f32]) -> bool {
        let end = cut.start + (layout.crop.max(1) - 1) * 3 * layout.size + 3 * layout.crop;
        let fits = |len: usize| len >= end;
        if layout.crop == 0 || !fits(image.len()) || !mean.is_none_or(|mean| fits(mean.len())) {
            return false;
        }
        for (row, out) in out.chunks_exact_mut(3 * layout.crop).enumerate() {
            let start = cut.start + 3 * row * layout.size;
            // SAFETY: the processor has these vectors; each row of the crop lies within image and mean.
            let done = unsafe {
                match self {
                    Self::Avx2 => row_avx2(cut, layout, start, image, mean, out),
                    Self::Avx512 => row_avx512(cut, layout, start, image, mean, out),
                }
            };
            cut.write_pixels(layout, row, done, image, mean, out);
        }
        true
    }
}

/// The lane that each lane's value comes from, of `pixels` pixels.
fn order<const N: usize>(cut: &Cut, layout: Layout, pixels: usize) -> [i32; N] {
    std::array::from_fn(|lane| {
        let (pixel, colour) = (lane / 3, lane % 3);
        if pixel >= pixels {
            return lane as i32;
        }
        let from = if cut.mirror { pixels - 1 - pixel } else { pixel };
        (3 * from + if layout.bgr { 2 - colour } else { colour }) as i32
    })
}

/// Five pixels at a time in vectors of 16 values; the last one's sixteenth is written over by the next. Returns how many
/// pixels are done.
#[target_feature(enable = "avx512f")]
fn row_avx512(cut: &Cut, layout: Layout, start: usize, image: &[u8], mean: Option<&[f32]>, out: &mut [f32]) -> usize {
    const PIXELS: usize = 5;
    let by_colour = |of: [f32; 3]| {
        let lanes: [f32; 16] = std::array::from_fn(|lane| of[lane % 3]);
        // SAFETY: there are 16 values.
        unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
    };
    let (factor, offset, damping) = (by_colour(cut.factor), by_colour(cut.offset), _mm512_set1_ps(cut.damping));
    let order = order::<16>(cut, layout, PIXELS);
    // SAFETY: there are 16 values.
    let order = unsafe { _mm512_loadu_si512(order.as_ptr().cast()) };
    let mut done = 0;
    while 3 * done + 16 <= out.len() {
        let from = start + 3 * if cut.mirror { layout.crop - PIXELS - done } else { done };
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
            let value = _mm512_permutexvar_ps(order, _mm512_add_ps(scaled, offset));
            _mm512_storeu_ps(out.as_mut_ptr().add(3 * done), value);
        }
        done += PIXELS;
    }
    done
}

/// Two pixels at a time in vectors of eight values; the last two are written over by the next.
#[target_feature(enable = "avx2")]
fn row_avx2(cut: &Cut, layout: Layout, start: usize, image: &[u8], mean: Option<&[f32]>, out: &mut [f32]) -> usize {
    const PIXELS: usize = 2;
    let by_colour = |of: [f32; 3]| {
        let lanes: [f32; 8] = std::array::from_fn(|lane| of[lane % 3]);
        // SAFETY: there are eight values.
        unsafe { _mm256_loadu_ps(lanes.as_ptr()) }
    };
    let (factor, offset, damping) = (by_colour(cut.factor), by_colour(cut.offset), _mm256_set1_ps(cut.damping));
    let order = order::<8>(cut, layout, PIXELS);
    // SAFETY: there are eight values.
    let order = unsafe { _mm256_loadu_si256(order.as_ptr().cast()) };
    let mut done = 0;
    while 3 * done + 8 <= out.len() {
        let from = start + 3 * if cut.mirror { layout.crop - PIXELS - done } else { done };
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
            let value = _mm256_permutevar8x32_ps(_mm256_add_ps(scaled, offset), order);
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

    proptest! {
        #[test]
        fn all_ways_give_the_same_bits(
            size in 1..40usize,
            places in prop::array::uniform3(any::<prop::sample::Index>()),
            (mirror, bgr, with_mean) in any::<(bool, bool, bool)>(),
            factor in prop::array::uniform3(0.001..2.0f32),
            offset in prop::array::uniform3(-200.0..200.0f32),
            damping in 0.5..1.0f32,
            seed: u8,
        ) {
            let crop = places[0].index(size) + 1;
            let (left, top) = (places[1].index(size - crop + 1), places[2].index(size - crop + 1));
            let layout = Layout { size, crop, bgr };
            let cut = Cut { start: 3 * (top * size + left), image: 0, mirror, factor, offset, damping };
            let image: Vec<u8> = (0..layout.image()).map(|i| (i * 89 + i / 255) as u8 ^ seed).collect();
            let mean: Vec<f32> = (0..layout.image()).map(|i| (i * 37 % 255) as f32 * 0.7).collect();
            let mean = with_mean.then_some(mean.as_slice());
            let mut expected = vec![0.0; layout.view()];
            cut.write_plainly(layout, &image, mean, &mut expected);
            for way in Way::all().into_iter().flatten() {
                let mut found = vec![0.0; layout.view()];
                prop_assert!(way.write(&cut, layout, &image, mean, &mut found));
                prop_assert!(expected.iter().zip(&found).all(|(a, b)| a.to_bits() == b.to_bits()), "{way:?}");
            }
        }
    }
}
