//! From a JPEG's colours to R, G and B (JFIF; libjpeg's `jdcolor`).

use super::frame::COMPONENTS;

/// How the samples stand for colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Grey,
    YCbCr,
    Rgb,
    /// Cyan, magenta, yellow, black, stored inverted: 255 is no ink.
    Cmyk,
    /// Luminance and colour differences of the inks turned back, and black, stored inverted.
    Ycck,
}

impl Colour {
    /// How many components it has.
    pub fn components(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::YCbCr | Self::Rgb => 3,
            Self::Cmyk | Self::Ycck => 4,
        }
    }
}

/// Fills `out` with R, G and B of each pixel from a row of each component.
pub(super) fn to_rgb(colour: Colour, [a, b, c, black]: [&[u8]; COMPONENTS], out: &mut [u8]) {
    match colour {
        Colour::Grey => out.chunks_exact_mut(3).zip(a).for_each(|(pixel, &value)| pixel.fill(value)),
        Colour::YCbCr | Colour::Ycck => convert(a, b, c, out),
        Colour::Rgb | Colour::Cmyk => {
            let values = a.iter().zip(b).zip(c);
            out.chunks_exact_mut(3).zip(values).for_each(|(pixel, ((&a, &b), &c))| pixel.copy_from_slice(&[a, b, c]));
        }
    }
    let ink = out.chunks_exact_mut(3).zip(black);
    match colour {
        Colour::Grey | Colour::YCbCr | Colour::Rgb => {}
        Colour::Cmyk => ink.for_each(|(pixel, &black)| darken(pixel, black)),
        Colour::Ycck => ink.for_each(|(pixel, &black)| {
            pixel.iter_mut().for_each(|value| *value = 255 - *value);
            darken(pixel, black);
        }),
    }
}

/// `R = (255 - C)(255 - K) / 255`, rounded, and so on, of inverted values.
fn darken(pixel: &mut [u8], black: u8) {
    for value in pixel {
        *value = ((u32::from(*value) * u32::from(black) + 127) / 255) as u8;
    }
}

/// Fills `out` with R, G and B of each pixel.
fn convert(y: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        unsafe { convert_avx2(y, cb, cr, out) };
        return;
    }
    convert_plainly(y, cb, cr, out);
}

fn convert_plainly(y: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) {
    for (((&y, &cb), &cr), out) in y.iter().zip(cb).zip(cr).zip(out.chunks_exact_mut(3)) {
        out.copy_from_slice(&pixel(y, cb, cr));
    }
}

/// In 65,536ths, rounded.
#[inline(always)]
fn pixel(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let y = i32::from(y);
    let cb = i32::from(cb) - 128;
    let cr = i32::from(cr) - 128;
    let half = 1 << 15;
    let r = y + ((91_881 * cr + half) >> 16);
    let g = y + ((-22_554 * cb - 46_802 * cr + half) >> 16);
    let b = y + ((116_130 * cb + half) >> 16);
    [r, g, b].map(|v| v.clamp(0, 255) as u8)
}

/// Sixteen pixels at a time, the same sums in 16 bits: of each factor what is left of the nearest whole number.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn convert_avx2(y: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) {
    use std::arch::x86_64::*;

    let (middle, one, half) = (_mm256_set1_epi16(128), _mm256_set1_epi16(1), _mm256_set1_epi32(1 << 15));
    // 91,881 is 65,536 and 26,345; 116,130 is twice 65,536 less 14,942; -46,802 is 18,734 less 65,536.
    let (to_r, to_b) = (_mm256_set1_epi16(26_345), _mm256_set1_epi16(-14_942));
    let to_g = _mm256_set1_epi32(18_734 << 16 | (-22_554 & 0xffff));
    let whole = y.len().min(cb.len()).min(cr.len()).min(out.len() / 3) / 16 * 16;
    let values = y[..whole].chunks_exact(16).zip(cb[..whole].chunks_exact(16)).zip(cr[..whole].chunks_exact(16));
    for (((y, cb), cr), out) in values.zip(out.chunks_exact_mut(48)) {
        // SAFETY: a chunk has sixteen bytes.
        let load = |from: &[u8]| _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(from.as_ptr().cast()) });
        let (y, cb, cr) = (load(y), _mm256_sub_epi16(load(cb), middle), _mm256_sub_epi16(load(cr), middle));
        let (cb2, cr2) = (_mm256_add_epi16(cb, cb), _mm256_add_epi16(cr, cr));
        // Twice the value in 65,536ths, halved and rounded.
        let rounded = |double| _mm256_srai_epi16::<1>(_mm256_add_epi16(double, one));
        let red = _mm256_add_epi16(rounded(_mm256_mulhi_epi16(cr2, to_r)), cr);
        let blue = _mm256_add_epi16(rounded(_mm256_mulhi_epi16(cb2, to_b)), cb2);
        let sum = |both| _mm256_srai_epi32::<16>(_mm256_add_epi32(_mm256_madd_epi16(both, to_g), half));
        let green = _mm256_packs_epi32(sum(_mm256_unpacklo_epi16(cb, cr)), sum(_mm256_unpackhi_epi16(cb, cr)));
        let green = _mm256_sub_epi16(green, cr);
        // 16 bytes of two colours, in order.
        let bytes = |a, b| {
            let both = _mm256_packus_epi16(_mm256_add_epi16(y, a), _mm256_add_epi16(y, b));
            let both = _mm256_permute4x64_epi64::<0b11_01_10_00>(both);
            (_mm256_castsi256_si128(both), _mm256_extracti128_si256::<1>(both))
        };
        let ((r, g), (b, _)) = (bytes(red, green), bytes(blue, blue));
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
        for (part, out) in [first, second, third].into_iter().zip(out.chunks_exact_mut(16)) {
            // SAFETY: a chunk has 16 bytes.
            unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), part) };
        }
    }
    convert_plainly(&y[whole..], &cb[whole..], &cr[whole..], &mut out[3 * whole..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_ways_give_the_same(pixels in prop::collection::vec(any::<[u8; 3]>(), 0..70)) {
            let [y, cb, cr] = [0, 1, 2].map(|c| pixels.iter().map(|p| p[c]).collect::<Vec<u8>>());
            let [mut expected, mut found] = [(); 2].map(|()| vec![0; 3 * pixels.len()]);
            convert_plainly(&y, &cb, &cr, &mut expected);
            convert(&y, &cb, &cr, &mut found);
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
            for (found, plain) in pixel(y, cb, cr).into_iter().zip(plain) {
                assert!((f64::from(found) - plain.clamp(0.0, 255.0)).abs() <= 0.51, "{y} {cb} {cr}");
            }
        }
    }
}
