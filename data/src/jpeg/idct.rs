//! The inverse discrete cosine transform in whole numbers: libjpeg's `jidctint` (Loeffler, Ligtenberg and Moschytz,
//! "Practical fast 1-D DCT algorithms with 11 multiplications", 1989), eight columns, then eight rows at a time.

use super::BLOCK;

/// Bits after the point of the constants, and those that are kept between the passes.
const BITS: i32 = 13;
const KEPT: i32 = 2;

/// Eight numbers.
trait Lanes: Copy {
    fn add(self, other: Self) -> Self;
    fn subtract(self, other: Self) -> Self;
    fn times(self, factor: i32) -> Self;
    fn shift_left<const N: i32>(self) -> Self;
    /// Rounded, halves up.
    fn shift_right<const N: i32>(self) -> Self;
}

#[derive(Clone, Copy)]
struct Plain([i32; 8]);

impl Lanes for Plain {
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].wrapping_add(other.0[i])))
    }

    #[inline(always)]
    fn subtract(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].wrapping_sub(other.0[i])))
    }

    #[inline(always)]
    fn times(self, factor: i32) -> Self {
        Self(self.0.map(|v| v.wrapping_mul(factor)))
    }

    #[inline(always)]
    fn shift_left<const N: i32>(self) -> Self {
        Self(self.0.map(|v| v << N))
    }

    #[inline(always)]
    fn shift_right<const N: i32>(self) -> Self {
        Self(self.0.map(|v| v.wrapping_add(1 << (N - 1)) >> N))
    }
}

/// One pass over eight columns; the result is shifted right by `SHIFT`.
#[inline(always)]
fn pass<V: Lanes, const SHIFT: i32>(v: [V; 8]) -> [V; 8] {
    // The even part.
    let z1 = v[2].add(v[6]).times(4433);
    let (t2, t3) = (z1.subtract(v[6].times(15137)), z1.add(v[2].times(6270)));
    let t0 = v[0].add(v[4]).shift_left::<BITS>();
    let t1 = v[0].subtract(v[4]).shift_left::<BITS>();
    let (e0, e3, e1, e2) = (t0.add(t3), t0.subtract(t3), t1.add(t2), t1.subtract(t2));
    // The odd part.
    let (t0, t1, t2, t3) = (v[7], v[5], v[3], v[1]);
    let (z1, z2, z3, z4) = (t0.add(t3), t1.add(t2), t0.add(t2), t1.add(t3));
    let z5 = z3.add(z4).times(9633);
    let (z1, z2) = (z1.times(-7373), z2.times(-20995));
    let (z3, z4) = (z3.times(-16069).add(z5), z4.times(-3196).add(z5));
    let o0 = t0.times(2446).add(z1).add(z3);
    let o1 = t1.times(16819).add(z2).add(z4);
    let o2 = t2.times(25172).add(z2).add(z3);
    let o3 = t3.times(12299).add(z1).add(z4);
    [
        e0.add(o3).shift_right::<SHIFT>(),
        e1.add(o2).shift_right::<SHIFT>(),
        e2.add(o1).shift_right::<SHIFT>(),
        e3.add(o0).shift_right::<SHIFT>(),
        e3.subtract(o0).shift_right::<SHIFT>(),
        e2.subtract(o1).shift_right::<SHIFT>(),
        e1.subtract(o2).shift_right::<SHIFT>(),
        e0.subtract(o3).shift_right::<SHIFT>(),
    ]
}

/// A way to transform a block.
pub(super) trait Transform: Copy {
    /// Multiplies a block's coefficients and writes its values to eight rows of `out`, `stride` apart. `last`: no
    /// coefficient after this one, in the order of frequencies, is anything but zero.
    fn apply(self, block: &[i16; 64], quantiser: &[i32; 64], last: usize, out: &mut [u8], stride: usize);
}

/// The best way on this processor.
#[derive(Clone, Copy, Debug)]
pub(super) enum Idct {
    Plain(PlainWay),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Way),
}

impl Idct {
    pub fn new() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(way) = avx2::Way::new() {
            return Self::Avx2(way);
        }
        Self::Plain(PlainWay)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct PlainWay;

impl Transform for PlainWay {
    #[inline(always)]
    fn apply(self, block: &[i16; 64], quantiser: &[i32; 64], last: usize, out: &mut [u8], stride: usize) {
        match last {
            0 => flat(i32::from(block[0]) * quantiser[0], out, stride),
            _ => plain(block, quantiser, out, stride),
        }
    }
}

/// What the passes make of a block with nothing but a mean.
#[inline(always)]
fn flat(mean: i32, out: &mut [u8], stride: usize) {
    let value = to_byte(((mean << KEPT) + (1 << (KEPT + 2))) >> (KEPT + 3));
    for y in 0..BLOCK {
        out[y * stride..][..BLOCK].fill(value);
    }
}

fn plain(block: &[i16; 64], quantiser: &[i32; 64], out: &mut [u8], stride: usize) {
    let value = |i: usize| i32::from(block[i]) * quantiser[i];
    let rows: [Plain; 8] = std::array::from_fn(|y| Plain(std::array::from_fn(|x| value(8 * y + x))));
    let columns = pass::<_, { BITS - KEPT }>(rows);
    let turned: [Plain; 8] = std::array::from_fn(|x| Plain(std::array::from_fn(|y| columns[y].0[x])));
    let values = pass::<_, { BITS + KEPT + 3 }>(turned);
    for y in 0..BLOCK {
        let row = &mut out[y * stride..][..BLOCK];
        for (value, column) in row.iter_mut().zip(&values) {
            *value = to_byte(column.0[y]);
        }
    }
}

/// Pixels are about zero until here.
fn to_byte(value: i32) -> u8 {
    value.saturating_add(128).clamp(0, 255) as u8
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    use super::{BITS, BLOCK, KEPT, Lanes, Transform, flat, pass};

    /// Proof that the processor has AVX2 and BMI2.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Way(());

    impl Way {
        pub(super) fn new() -> Option<Self> {
            let has = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt");
            has.then_some(Self(()))
        }
    }

    impl Transform for Way {
        #[inline(always)]
        fn apply(self, block: &[i16; 64], quantiser: &[i32; 64], last: usize, out: &mut [u8], stride: usize) {
            match last {
                0 => flat(i32::from(block[0]) * quantiser[0], out, stride),
                // SAFETY: there is a `Way` only where there is AVX2.
                _ => unsafe { apply(block, quantiser, out, stride) },
            }
        }
    }

    #[derive(Clone, Copy)]
    struct Wide(__m256i);

    // SAFETY, of each block below: `Wide` exists only within `apply`, whose caller has AVX2.
    impl Lanes for Wide {
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm256_add_epi32(self.0, other.0) })
        }

        #[inline(always)]
        fn subtract(self, other: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm256_sub_epi32(self.0, other.0) })
        }

        #[inline(always)]
        fn times(self, factor: i32) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm256_mullo_epi32(self.0, _mm256_set1_epi32(factor)) })
        }

        #[inline(always)]
        fn shift_left<const N: i32>(self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm256_slli_epi32::<N>(self.0) })
        }

        #[inline(always)]
        fn shift_right<const N: i32>(self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm256_srai_epi32::<N>(_mm256_add_epi32(self.0, _mm256_set1_epi32(1 << (N - 1)))) })
        }
    }

    #[target_feature(enable = "avx2")]
    fn turned(v: [Wide; 8]) -> [Wide; 8] {
        let low = |a: usize, b: usize| _mm256_unpacklo_epi32(v[a].0, v[b].0);
        let high = |a: usize, b: usize| _mm256_unpackhi_epi32(v[a].0, v[b].0);
        let t = [low(0, 1), high(0, 1), low(2, 3), high(2, 3), low(4, 5), high(4, 5), low(6, 7), high(6, 7)];
        let low = |a: usize, b: usize| _mm256_unpacklo_epi64(t[a], t[b]);
        let high = |a: usize, b: usize| _mm256_unpackhi_epi64(t[a], t[b]);
        let u = [low(0, 2), high(0, 2), low(1, 3), high(1, 3), low(4, 6), high(4, 6), low(5, 7), high(5, 7)];
        let first = |a: usize, b: usize| Wide(_mm256_permute2x128_si256::<0x20>(u[a], u[b]));
        let second = |a: usize, b: usize| Wide(_mm256_permute2x128_si256::<0x31>(u[a], u[b]));
        [first(0, 4), first(1, 5), first(2, 6), first(3, 7), second(0, 4), second(1, 5), second(2, 6), second(3, 7)]
    }

    #[target_feature(enable = "avx2")]
    fn apply(block: &[i16; 64], quantiser: &[i32; 64], out: &mut [u8], stride: usize) {
        let mut rows = [Wide(_mm256_setzero_si256()); 8];
        for ((row, values), factors) in rows.iter_mut().zip(block.chunks_exact(8)).zip(quantiser.chunks_exact(8)) {
            // SAFETY: a chunk has eight values.
            let (values, factors) =
                unsafe { (_mm_loadu_si128(values.as_ptr().cast()), _mm256_loadu_si256(factors.as_ptr().cast())) };
            *row = Wide(_mm256_mullo_epi32(_mm256_cvtepi16_epi32(values), factors));
        }
        let columns = pass::<_, { BITS - KEPT }>(rows);
        let values = turned(pass::<_, { BITS + KEPT + 3 }>(turned(columns)));
        let middle = _mm256_set1_epi16(128);
        for pair in 0..4 {
            let (a, b) = (values[2 * pair].0, values[2 * pair + 1].0);
            // Saturating to 16 and to 8 bits is what `to_byte` does, but for the 128, which is added between: values of
            // more than 16 bits stay at the same end.
            let words = _mm256_adds_epi16(_mm256_packs_epi32(a, b), middle);
            let bytes = _mm256_packus_epi16(words, words);
            let (low, high) = (_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes));
            let both = _mm_unpacklo_epi32(low, high);
            let (first, second) = (_mm_cvtsi128_si64(both), _mm_extract_epi64::<1>(both));
            out[2 * pair * stride..][..BLOCK].copy_from_slice(&first.to_le_bytes());
            out[(2 * pair + 1) * stride..][..BLOCK].copy_from_slice(&second.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn apply(block: &[i16; 64], quantiser: &[i32; 64], last: usize, out: &mut [u8], stride: usize) {
        match Idct::new() {
            Idct::Plain(way) => way.apply(block, quantiser, last, out, stride),
            #[cfg(target_arch = "x86_64")]
            Idct::Avx2(way) => way.apply(block, quantiser, last, out, stride),
        }
    }

    proptest! {
        /// The fast way gives the bits of the plain one for any block.
        #[test]
        fn all_ways_give_the_same(block in prop::array::uniform32(any::<[i16; 2]>()), factor in 1..256i32, dc_only: bool) {
            let mut block: [i16; 64] = std::array::from_fn(|i| block[i / 2][i % 2]);
            let quantiser = std::array::from_fn(|i| (factor + i as i32 - 1) % 255 + 1);
            if dc_only {
                block[0] /= quantiser[0] as i16;
                block[1..].fill(0);
            }
            let [mut expected, mut found] = [[0u8; 80]; 2];
            plain(&block, &quantiser, &mut expected, 10);
            apply(&block, &quantiser, if dc_only { 0 } else { 63 }, &mut found, 10);
            prop_assert_eq!(expected, found);
        }

        /// Against the definition in double precision, for the coefficients of pictures.
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
            // Within the 1 that T.81's companion T.83 asks for.
            prop_assert!(found.iter().zip(&exact).all(|(a, b)| (f64::from(*a) - b).abs() <= 1.0));
        }
    }
}
