//! Conversion of a JPEG's colours to RGB (JFIF; libjpeg's `jdcolor`).

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m128i;

#[cfg(target_arch = "x86_64")]
use simd::{Level, V3};

use super::frame::COMPONENTS;

/// Colour space of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColourSpace {
    Grey,
    YCbCr,
    Rgb,
    /// Cyan, magenta, yellow, black, stored inverted: 255 is no ink.
    Cmyk,
    /// CMYK with the inverted inks as YCbCr, and black, stored inverted.
    Ycck,
}

impl ColourSpace {
    /// Number of components.
    pub fn components(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::YCbCr | Self::Rgb => 3,
            Self::Cmyk | Self::Ycck => 4,
        }
    }
}

/// Converts a row of each component to RGB.
pub(super) fn to_rgb(colour: ColourSpace, [a, b, c, black]: [&[u8]; COMPONENTS], out: &mut [u8]) {
    match colour {
        ColourSpace::Grey => out.chunks_exact_mut(3).zip(a).for_each(|(pixel_to_rgb, &value)| pixel_to_rgb.fill(value)),
        ColourSpace::YCbCr | ColourSpace::Ycck => ycbcr_to_rgb(a, b, c, out),
        ColourSpace::Rgb | ColourSpace::Cmyk => {
            let values = a.iter().zip(b).zip(c);
            out.chunks_exact_mut(3)
                .zip(values)
                .for_each(|(pixel_to_rgb, ((&a, &b), &c))| pixel_to_rgb.copy_from_slice(&[a, b, c]));
        }
    }
    let ink = out.chunks_exact_mut(3).zip(black);
    match colour {
        ColourSpace::Grey | ColourSpace::YCbCr | ColourSpace::Rgb => {}
        ColourSpace::Cmyk => ink.for_each(|(pixel_to_rgb, &black)| darken(pixel_to_rgb, black)),
        ColourSpace::Ycck => ink.for_each(|(pixel_to_rgb, &black)| {
            pixel_to_rgb.iter_mut().for_each(|value| *value = 255 - *value);
            darken(pixel_to_rgb, black);
        }),
    }
}

/// Applies black: `R = (255 - C)(255 - K) / 255`, rounded, and likewise for G and B, of inverted values.
fn darken(pixel_to_rgb: &mut [u8], black: u8) {
    for value in pixel_to_rgb {
        *value = ((u32::from(*value) * u32::from(black) + 127) / 255) as u8;
    }
}

/// Converts YCbCr to RGB.
fn ycbcr_to_rgb(y: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(simd) = Level::get().avx2() {
        // SAFETY: `simd` proves AVX2.
        unsafe { ycbcr_to_rgb_avx2(simd, y, cb, cr, out) };
        return;
    }
    convert_scalar(y, cb, cr, out);
}

fn convert_scalar(y: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) {
    for (((&y, &cb), &cr), out) in y.iter().zip(cb).zip(cr).zip(out.chunks_exact_mut(3)) {
        out.copy_from_slice(&pixel_to_rgb(y, cb, cr));
    }
}

/// Fixed-point conversion with 16 fractional bits, rounded.
#[inline(always)]
fn pixel_to_rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let y = i32::from(y);
    let cb = i32::from(cb) - 128;
    let cr = i32::from(cr) - 128;
    let half = 1 << 15;
    let r = y + ((91_881 * cr + half) >> 16);
    let g = y + ((-22_554 * cb - 46_802 * cr + half) >> 16);
    let b = y + ((116_130 * cb + half) >> 16);
    [r, g, b].map(|v| v.clamp(0, 255) as u8)
}

/// Sixteen pixels at a time, the same sums in 16 bits, with each factor reduced by its nearest integer.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn ycbcr_to_rgb_avx2(_: V3, y: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) {
    use std::arch::x86_64::*;

    let middle = _mm256_set1_epi16(128);
    let one = _mm256_set1_epi16(1);
    let half = _mm256_set1_epi32(1 << 15);
    // 91,881 = 65,536 + 26,345; 116,130 = 2 x 65,536 - 14,942; -46,802 = 18,734 - 65,536.
    let to_r = _mm256_set1_epi16(26_345);
    let to_b = _mm256_set1_epi16(-14_942);
    let to_g = _mm256_set1_epi32(18_734 << 16 | (-22_554 & 0xffff));
    let whole = y.len().min(cb.len()).min(cr.len()).min(out.len() / 3) / 16 * 16;
    let values = y[..whole].chunks_exact(16).zip(cb[..whole].chunks_exact(16)).zip(cr[..whole].chunks_exact(16));
    for (((y, cb), cr), out) in values.zip(out.chunks_exact_mut(48)) {
        // SAFETY: a chunk has sixteen bytes.
        let load = |from: &[u8]| _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(from.as_ptr().cast()) });
        let y = load(y);
        let cb = _mm256_sub_epi16(load(cb), middle);
        let cr = _mm256_sub_epi16(load(cr), middle);
        let cb2 = _mm256_add_epi16(cb, cb);
        let cr2 = _mm256_add_epi16(cr, cr);
        // The product has twice the scale: halve and round.
        let rounded = |double| _mm256_srai_epi16::<1>(_mm256_add_epi16(double, one));
        let red = _mm256_add_epi16(rounded(_mm256_mulhi_epi16(cr2, to_r)), cr);
        let blue = _mm256_add_epi16(rounded(_mm256_mulhi_epi16(cb2, to_b)), cb2);
        let sum = |both| _mm256_srai_epi32::<16>(_mm256_add_epi32(_mm256_madd_epi16(both, to_g), half));
        let green = _mm256_packs_epi32(sum(_mm256_unpacklo_epi16(cb, cr)), sum(_mm256_unpackhi_epi16(cb, cr)));
        let green = _mm256_sub_epi16(green, cr);
        // Packs two channels to 16 bytes each, in order.
        let bytes = |a, b| {
            let both = _mm256_packus_epi16(_mm256_add_epi16(y, a), _mm256_add_epi16(y, b));
            let both = _mm256_permute4x64_epi64::<0b11_01_10_00>(both);
            (_mm256_castsi256_si128(both), _mm256_extracti128_si256::<1>(both))
        };
        let (r, g) = bytes(red, green);
        let (b, _) = bytes(blue, blue);
        for (part, out) in interleaved(r, g, b).into_iter().zip(out.chunks_exact_mut(16)) {
            // SAFETY: a chunk has 16 bytes.
            unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), part) };
        }
    }
    convert_scalar(&y[whole..], &cb[whole..], &cr[whole..], &mut out[3 * whole..]);
}

/// Interleaves 16 values of R, G and B each to 48 bytes.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn interleaved(r: __m128i, g: __m128i, b: __m128i) -> [__m128i; 3] {
    use std::arch::x86_64::*;

    let pick = |from, order: [i8; 16]| {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = order;
        _mm_shuffle_epi8(from, _mm_setr_epi8(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p))
    };
    let merged = |r, g, b| _mm_or_si128(_mm_or_si128(r, g), b);
    let first = merged(
        pick(r, [0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5]),
        pick(g, [-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1]),
        pick(b, [-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1]),
    );
    let second = merged(
        pick(r, [-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1]),
        pick(g, [5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10]),
        pick(b, [-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1]),
    );
    let third = merged(
        pick(r, [-1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1]),
        pick(g, [-1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1]),
        pick(b, [10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15]),
    );
    [first, second, third]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn vector_code_equals_scalar_code(pixels in prop::collection::vec(any::<[u8; 3]>(), 0..70)) {
            let [y, cb, cr] = [0, 1, 2].map(|c| pixels.iter().map(|p| p[c]).collect::<Vec<u8>>());
            let [mut expected, mut found] = [(); 2].map(|()| vec![0; 3 * pixels.len()]);
            convert_scalar(&y, &cb, &cr, &mut expected);
            ycbcr_to_rgb(&y, &cb, &cr, &mut found);
            prop_assert_eq!(expected, found);
        }
    }

    #[test]
    fn values_are_those_of_the_formula() {
        for (y, cb, cr) in [(0, 0, 0), (255, 255, 255), (128, 128, 128), (76, 85, 255), (29, 255, 107), (200, 30, 90)] {
            let l = f64::from(y);
            let b = f64::from(cb) - 128.0;
            let r = f64::from(cr) - 128.0;
            let plain = [l + 1.402 * r, l - 0.344_136 * b - 0.714_136 * r, l + 1.772 * b];
            for (found, plain) in pixel_to_rgb(y, cb, cr).into_iter().zip(plain) {
                assert!((f64::from(found) - plain.clamp(0.0, 255.0)).abs() <= 0.51, "{y} {cb} {cr}");
            }
        }
    }
}
