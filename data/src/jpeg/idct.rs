//! Integer inverse discrete cosine transform: libjpeg's `jidctint` (Loeffler, Ligtenberg and Moschytz, "Practical fast
//! 1-D DCT algorithms with 11 multiplications", 1989), columns first, then rows.
//!
//! Intermediate values have 16 bits, as in libjpeg-turbo's SIMD code, and wrap or saturate as they do there, so even
//! blocks no encoder produces decode to the same bits on all processors.

use super::BLOCK;

/// Fractional bits of the constants, and those kept between the passes.
const CONSTANT_BITS: i32 = 13;
const PASS_BITS: i32 = 2;

/// An implementation of the inverse transform of a block.
pub(super) trait InverseDct: Copy {
    /// Dequantizes and transforms a block, writing eight rows of `out` with the given `stride`. All coefficients after
    /// zigzag index `last` are zero.
    fn apply(self, block: &[i16; 64], quantizer: &[i16; 64], last: usize, out: &mut [u8], stride: usize);
}

/// The implementation of a level.
#[derive(Clone, Copy, Debug)]
pub(super) enum Idct {
    Scalar(ScalarIdct),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2Idct),
}

impl Idct {
    /// The fastest on this processor, or a slower one that `ALEXNET_SIMD` asks for.
    pub fn new() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = simd::Level::get().avx2() {
            return Self::Avx2(avx2::Avx2Idct(simd));
        }
        Self::Scalar(ScalarIdct)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ScalarIdct;

impl InverseDct for ScalarIdct {
    #[inline(always)]
    fn apply(self, block: &[i16; 64], quantizer: &[i16; 64], last: usize, out: &mut [u8], stride: usize) {
        match last {
            0 => dc_only(block[0].wrapping_mul(quantizer[0]), out, stride),
            _ if has_extreme_first_row(block, block[0].wrapping_mul(quantizer[0])) => {
                first_row_only(block, quantizer, out, stride)
            }
            _ => scalar(block, quantizer, out, stride),
        }
    }
}

/// Whether only the first row of a block is nonzero, with a mean no encoder produces.
#[inline(always)]
fn has_extreme_first_row(block: &[i16; 64], mean: i16) -> bool {
    !(-8192..8192).contains(&mean) && block[BLOCK..].iter().all(|&value| value == 0)
}

/// Transforms a block with only a first row like libjpeg-turbo: eight equal rows, where large values wrap unlike in the
/// passes.
#[cold]
#[inline(never)]
fn first_row_only(block: &[i16; 64], quantizer: &[i16; 64], out: &mut [u8], stride: usize) {
    let row = std::array::from_fn(|x| block[x].wrapping_mul(quantizer[x]).wrapping_mul(1 << PASS_BITS));
    let row = pass::<{ CONSTANT_BITS + PASS_BITS + 3 }>(row).map(|value| to_byte(value.into()));
    for y in 0..BLOCK {
        out[y * stride..][..BLOCK].copy_from_slice(&row);
    }
}

/// Transforms a block with only a mean. A mean no encoder produces wraps, as in libjpeg-turbo.
#[inline(always)]
fn dc_only(mean: i16, out: &mut [u8], stride: usize) {
    let value = to_byte((i32::from(mean.wrapping_mul(1 << PASS_BITS)) + (1 << (PASS_BITS + 2))) >> (PASS_BITS + 3));
    for y in 0..BLOCK {
        out[y * stride..][..BLOCK].fill(value);
    }
}

/// One pass over a column or row; the result is shifted right by `SHIFT`, rounding half up.
fn pass<const SHIFT: i32>(v: [i16; 8]) -> [i16; 8] {
    let wide = v.map(i32::from);
    let times = |value: i16, factor: i32| i32::from(value).wrapping_mul(factor);
    // The even part.
    let z1 = (wide[2] + wide[6]).wrapping_mul(4433);
    let t2 = z1.wrapping_sub(times(v[6], 15137));
    let t3 = z1.wrapping_add(times(v[2], 6270));
    let t0 = i32::from(v[0].wrapping_add(v[4])) << CONSTANT_BITS;
    let t1 = i32::from(v[0].wrapping_sub(v[4])) << CONSTANT_BITS;
    let even = [t0.wrapping_add(t3), t1.wrapping_add(t2), t1.wrapping_sub(t2), t0.wrapping_sub(t3)];
    // The odd part.
    let z3 = v[7].wrapping_add(v[3]);
    let z4 = v[5].wrapping_add(v[1]);
    let a = times(z3, -16069 + 9633).wrapping_add(times(z4, 9633));
    let b = times(z4, -3196 + 9633).wrapping_add(times(z3, 9633));
    let sum =
        |x: i16, by_x: i32, y: i16, by_y: i32, z: i32| times(x, by_x).wrapping_add(times(y, by_y)).wrapping_add(z);
    let odd = [
        sum(v[1], 12299 - 7373, v[7], -7373, b),
        sum(v[3], 25172 - 20995, v[5], -20995, a),
        sum(v[5], 16819 - 20995, v[3], -20995, b),
        sum(v[7], 2446 - 7373, v[1], -7373, a),
    ];
    std::array::from_fn(|i| {
        let value = even[i.min(7 - i)];
        let odd = odd[i.min(7 - i)];
        let value = if i < 4 { value.wrapping_add(odd) } else { value.wrapping_sub(odd) };
        saturated(value.wrapping_add(1 << (SHIFT - 1)) >> SHIFT)
    })
}

fn saturated(value: i32) -> i16 {
    value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

fn scalar(block: &[i16; 64], quantizer: &[i16; 64], out: &mut [u8], stride: usize) {
    let column = |x: usize| std::array::from_fn(|y| block[8 * y + x].wrapping_mul(quantizer[8 * y + x]));
    let columns: [[i16; 8]; 8] = std::array::from_fn(|x| pass::<{ CONSTANT_BITS - PASS_BITS }>(column(x)));
    for y in 0..BLOCK {
        let values = pass::<{ CONSTANT_BITS + PASS_BITS + 3 }>(std::array::from_fn(|x| columns[x][y]));
        for (out, value) in out[y * stride..][..BLOCK].iter_mut().zip(values) {
            *out = to_byte(value.into());
        }
    }
}

/// Level shift: samples are centred around zero until here.
fn to_byte(value: i32) -> u8 {
    (value + 128).clamp(0, 255) as u8
}

/// The same with pairs of 16-bit multiply-adds, with libjpeg-turbo's order of constants (`jidctint-avx2`). A vector
/// `ab` holds columns or rows a and b of a block.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use simd::V3;

    use super::{BLOCK, CONSTANT_BITS, InverseDct, PASS_BITS, dc_only, first_row_only, has_extreme_first_row};

    /// Holds the proof of AVX2.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Avx2Idct(pub V3);

    impl InverseDct for Avx2Idct {
        #[inline(always)]
        fn apply(self, block: &[i16; 64], quantizer: &[i16; 64], last: usize, out: &mut [u8], stride: usize) {
            match last {
                0 => dc_only(block[0].wrapping_mul(quantizer[0]), out, stride),
                _ if has_extreme_first_row(block, block[0].wrapping_mul(quantizer[0])) => {
                    first_row_only(block, quantizer, out, stride)
                }
                // SAFETY: `self.0` proves AVX2.
                _ => unsafe { apply(block, quantizer, out, stride) },
            }
        }
    }

    /// Rows or columns 0 and 4, 3 and 1, 2 and 6, 7 and 5.
    type PassInput = [__m256i; 4];
    /// Rows or columns 0 and 1, 3 and 2, 4 and 5, 7 and 6.
    type PassOutput = [__m256i; 4];

    /// A vector of a pair of factors for each half.
    #[target_feature(enable = "avx2")]
    fn factors(low: [i16; 2], high: [i16; 2]) -> __m256i {
        let pair = |[a, b]: [i16; 2]| i32::from(a) & 0xffff | i32::from(b) << 16;
        _mm256_set_m128i(_mm_set1_epi32(pair(high)), _mm_set1_epi32(pair(low)))
    }

    #[target_feature(enable = "avx2")]
    fn swapped(v: __m256i) -> __m256i {
        _mm256_permute2x128_si256::<0x01>(v, v)
    }

    /// Multiply-adds the pairs of values of `a` and `b` by `factors`: for the first and the last four of each half.
    #[target_feature(enable = "avx2")]
    fn sums(a: __m256i, b: __m256i, factors: __m256i) -> [__m256i; 2] {
        [
            _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), factors),
            _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), factors),
        ]
    }

    #[target_feature(enable = "avx2")]
    fn pass<const SHIFT: i32>([v04, v31, v26, v75]: PassInput) -> PassOutput {
        let add = |a: [__m256i; 2], b: [__m256i; 2]| [_mm256_add_epi32(a[0], b[0]), _mm256_add_epi32(a[1], b[1])];
        let subtract = |a: [__m256i; 2], b: [__m256i; 2]| [_mm256_sub_epi32(a[0], b[0]), _mm256_sub_epi32(a[1], b[1])];
        // The even part.
        let t32 = sums(v26, swapped(v26), factors([4433 + 6270, 4433], [4433 - 15137, 4433]));
        let signs = _mm256_set_m128i(_mm_set1_epi16(-1), _mm_set1_epi16(1));
        let v = _mm256_add_epi16(swapped(v04), _mm256_sign_epi16(v04, signs));
        let zero = _mm256_setzero_si256();
        let t01 = [_mm256_unpacklo_epi16(zero, v), _mm256_unpackhi_epi16(zero, v)];
        let t01 = t01.map(|t| _mm256_srai_epi32::<{ 16 - CONSTANT_BITS }>(t));
        let even01 = add(t01, t32);
        let even32 = subtract(t01, t32);
        // The odd part.
        let z34 = _mm256_add_epi16(v75, v31);
        let z34 = sums(z34, swapped(z34), factors([9633 - 16069, 9633], [9633 - 3196, 9633]));
        let v13 = swapped(v31);
        let odd32 = add(sums(v75, v13, factors([2446 - 7373, -7373], [16819 - 20995, -20995])), z34);
        let z43 = z34.map(|z| swapped(z));
        let odd01 = add(sums(v75, v13, factors([-7373, 12299 - 7373], [-20995, 25172 - 20995])), z43);

        let round = _mm256_set1_epi32(1 << (SHIFT - 1));
        let shifted = |v: [__m256i; 2]| {
            let [a, b] = v.map(|v| _mm256_srai_epi32::<SHIFT>(_mm256_add_epi32(v, round)));
            _mm256_packs_epi32(a, b)
        };
        [
            shifted(add(even01, odd01)),
            shifted(add(even32, odd32)),
            shifted(subtract(even32, odd32)),
            shifted(subtract(even01, odd01)),
        ]
    }

    /// Transposes rows and columns.
    #[target_feature(enable = "avx2")]
    fn transposed([v01, v32, v45, v76]: PassOutput) -> PassInput {
        let v04 = _mm256_permute2x128_si256::<0x20>(v01, v45);
        let v15 = _mm256_permute2x128_si256::<0x31>(v01, v45);
        let v26 = _mm256_permute2x128_si256::<0x31>(v32, v76);
        let v37 = _mm256_permute2x128_si256::<0x20>(v32, v76);
        let a = _mm256_unpacklo_epi16(v04, v15);
        let b = _mm256_unpackhi_epi16(v04, v15);
        let c = _mm256_unpacklo_epi16(v26, v37);
        let d = _mm256_unpackhi_epi16(v26, v37);
        // Two columns each, with four rows in each half.
        let c01 = _mm256_unpacklo_epi32(a, c);
        let c23 = _mm256_unpackhi_epi32(a, c);
        let c45 = _mm256_unpacklo_epi32(b, d);
        let c67 = _mm256_unpackhi_epi32(b, d);
        let joined = |v| _mm256_permute4x64_epi64::<0b11_01_10_00>(v);
        [
            joined(_mm256_unpacklo_epi64(c01, c45)),
            joined(_mm256_unpackhi_epi64(c23, c01)),
            joined(_mm256_unpacklo_epi64(c23, c67)),
            joined(_mm256_unpackhi_epi64(c67, c45)),
        ]
    }

    #[target_feature(enable = "avx2")]
    fn apply(block: &[i16; 64], quantizer: &[i16; 64], out: &mut [u8], stride: usize) {
        let rows = |y: usize| {
            // SAFETY: both have 16 values from each of 0, 16, 32 and 48 on.
            let (values, factors) = unsafe {
                (
                    _mm256_loadu_si256(block[8 * y..][..16].as_ptr().cast()),
                    _mm256_loadu_si256(quantizer[8 * y..][..16].as_ptr().cast()),
                )
            };
            _mm256_mullo_epi16(values, factors)
        };
        let v01 = rows(0);
        let v23 = rows(2);
        let v45 = rows(4);
        let v67 = rows(6);
        let input = [
            _mm256_permute2x128_si256::<0x20>(v01, v45),
            _mm256_permute2x128_si256::<0x31>(v23, v01),
            _mm256_permute2x128_si256::<0x20>(v23, v67),
            _mm256_permute2x128_si256::<0x31>(v67, v45),
        ];
        let columns = transposed(pass::<{ CONSTANT_BITS - PASS_BITS }>(input));
        let [v04, v31, v26, v75] = transposed(pass::<{ CONSTANT_BITS + PASS_BITS + 3 }>(columns));
        let middle = _mm256_set1_epi8(-128);
        // Rows 0 and 3, 4 and 1; 2 and 7, 6 and 5.
        for (pair, numbers) in
            [(_mm256_packs_epi16(v04, v31), [0, 3, 4, 1]), (_mm256_packs_epi16(v26, v75), [2, 7, 6, 5])]
        {
            let bytes = _mm256_xor_si256(pair, middle);
            let low = _mm256_castsi256_si128(bytes);
            let high = _mm256_extracti128_si256::<1>(bytes);
            let rows = [low, high].map(|half| [_mm_cvtsi128_si64(half), _mm_extract_epi64::<1>(half)]);
            for (&row, y) in rows.as_flattened().iter().zip(numbers) {
                out[y * stride..][..BLOCK].copy_from_slice(&row.to_le_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;
    use simd::{Level, VARIABLE};

    use super::*;

    #[test]
    fn the_variable_chooses_the_implementation() {
        let is_scalar = matches!(Idct::new(), Idct::Scalar(_));
        let best = Level::all().last().unwrap().name();
        let portable = std::env::var(VARIABLE).is_ok_and(|limit| limit == "portable");
        assert_eq!(is_scalar, portable || best == "portable");
    }

    #[test]
    fn other_processes_obey_the_variable() {
        for level in Level::all() {
            let mut command = Command::new(std::env::current_exe().unwrap());
            let test = "jpeg::idct::tests::the_variable_chooses_the_implementation";
            let output = command.args(["--exact", test]).env(VARIABLE, level.name()).output().unwrap();
            assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{level:?}: {output:?}");
        }
    }

    fn apply(block: &[i16; 64], quantizer: &[i16; 64], last: usize, out: &mut [u8], stride: usize) {
        match Idct::new() {
            Idct::Scalar(idct) => idct.apply(block, quantizer, last, out, stride),
            #[cfg(target_arch = "x86_64")]
            Idct::Avx2(idct) => idct.apply(block, quantizer, last, out, stride),
        }
    }

    proptest! {
        /// The vector code equals the scalar code for any block.
        #[test]
        fn vector_code_equals_scalar_code(
            block in prop::array::uniform32(any::<[i16; 2]>()), shift in 0..16, factor in 1..256i32, nonzero in 0..3usize,
        ) {
            let nonzero = [1, BLOCK, 64][nonzero];
            let mut block: [i16; 64] = std::array::from_fn(|i| block[i / 2][i % 2] >> shift);
            let quantizer: [i16; 64] = std::array::from_fn(|i| ((factor + i as i32 - 1) % 255 + 1) as i16);
            block[nonzero..].fill(0);
            if nonzero < 64 {
                // Larger values wrap.
                block.iter_mut().zip(quantizer).for_each(|(v, by)| *v = (*v).clamp(-8191 / by, 8191 / by));
            }
            let [mut expected, mut found] = [[0u8; 80]; 2];
            scalar(&block, &quantizer, &mut expected, 10);
            apply(&block, &quantizer, if nonzero == 1 { 0 } else { 63 }, &mut found, 10);
            prop_assert_eq!(expected, found);
        }

        /// Compares with the definition in double precision, for coefficients of images.
        #[test]
        fn values_are_those_of_the_formula(pixels in prop::collection::vec(any::<u8>(), 64)) {
            let cosine = |u: usize, x: usize| {
                let scale = if u == 0 { 0.5f64.sqrt() } else { 1.0 };
                scale * (std::f64::consts::PI * (2 * x + 1) as f64 * u as f64 / 16.0).cos() / 2.0
            };
            let mut block = [0; 64];
            for v in 0..8 {
                for u in 0..8 {
                    let sum: f64 = (0..64)
                        .map(|i| (f64::from(pixels[i]) - 128.0) * cosine(u, i % 8) * cosine(v, i / 8))
                        .sum();
                    block[8 * v + u] = sum.round() as i16;
                }
            }
            let exact: Vec<f64> = (0..64)
                .map(|i| {
                    let terms = (0..64).map(|j| f64::from(block[j]) * cosine(j % 8, i % 8) * cosine(j / 8, i / 8));
                    (terms.sum::<f64>() + 128.0).clamp(0.0, 255.0)
                })
                .collect();
            let mut found = [0u8; 64];
            apply(&block, &[1; 64], 63, &mut found, 8);
            // Within the error of 1 that T.83 allows.
            prop_assert!(found.iter().zip(&exact).all(|(a, b)| (f64::from(*a) - b).abs() <= 1.0));
        }
    }
}
