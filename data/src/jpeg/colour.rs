//! From luminance and colour differences to R, G and B (JFIF; libjpeg's `jdcolor`).

use super::Region;

/// Fills the region of `out` `[size, size, 3]` from one or three planes, each with its values a row.
pub(super) fn to_rgb(planes: &[(&[u8], usize)], region: &Region, size: usize, out: &mut [u8]) {
    let columns = region.columns.clone();
    for y in region.rows.clone() {
        let out = &mut out[3 * (y * size + columns.start)..3 * (y * size + columns.end)];
        let row = |(plane, stride): (_, usize)| -> &[u8] {
            let plane: &[u8] = plane;
            &plane[y * stride..][columns.clone()]
        };
        match *planes {
            [y, cb, cr] => convert(row(y), row(cb), row(cr), out),
            [y, ..] => out.chunks_exact_mut(3).zip(row(y)).for_each(|(pixel, &value)| pixel.fill(value)),
            [] => {}
        }
    }
}

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
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let half = 1 << 15;
    let r = y + ((91_881 * cr + half) >> 16);
    let g = y + ((-22_554 * cb - 46_802 * cr + half) >> 16);
    let b = y + ((116_130 * cb + half) >> 16);
    [r, g, b].map(|v| v.clamp(0, 255) as u8)
}

/// Sixteen pixels at a time, the same sums in 32 bits.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn convert_avx2(y: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) {
    use std::arch::x86_64::*;

    let whole = y.len() / 16 * 16;
    let (half, middle) = (_mm256_set1_epi32(1 << 15), _mm256_set1_epi32(128));
    let [to_r, to_b] = [91_881, 116_130].map(|v| _mm256_set1_epi32(v));
    let [cb_to_g, cr_to_g] = [-22_554, -46_802].map(|v| _mm256_set1_epi32(v));
    for at in (0..whole).step_by(16) {
        let mut parts = [[_mm256_setzero_si256(); 2]; 3];
        for eight in 0..2 {
            let load = |from: &[u8]| {
                let bytes = from[at + 8 * eight..].first_chunk::<8>().map_or(0, |b| i64::from_le_bytes(*b));
                _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(bytes))
            };
            let (y, cb, cr) = (load(y), _mm256_sub_epi32(load(cb), middle), _mm256_sub_epi32(load(cr), middle));
            let scaled = |sum| _mm256_add_epi32(y, _mm256_srai_epi32::<16>(_mm256_add_epi32(sum, half)));
            let green = _mm256_add_epi32(_mm256_mullo_epi32(cb, cb_to_g), _mm256_mullo_epi32(cr, cr_to_g));
            parts[0][eight] = scaled(_mm256_mullo_epi32(cr, to_r));
            parts[1][eight] = scaled(green);
            parts[2][eight] = scaled(_mm256_mullo_epi32(cb, to_b));
        }
        // 16 bytes of each colour, in order.
        let bytes = |part: [__m256i; 2]| {
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(part[0], part[1]));
            let bytes = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi16(words, words));
            _mm256_castsi256_si128(bytes)
        };
        let [r, g, b] = parts.map(bytes);
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
        for (part, out) in [first, second, third].into_iter().zip(out[3 * at..3 * at + 48].chunks_exact_mut(16)) {
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
            let (l, b, r) = (f64::from(y), f64::from(cb) - 128.0, f64::from(cr) - 128.0);
            let plain = [l + 1.402 * r, l - 0.344_136 * b - 0.714_136 * r, l + 1.772 * b];
            for (found, plain) in pixel(y, cb, cr).into_iter().zip(plain) {
                assert!((f64::from(found) - plain.clamp(0.0, 255.0)).abs() <= 0.51, "{y} {cb} {cr}");
            }
        }
    }
}
