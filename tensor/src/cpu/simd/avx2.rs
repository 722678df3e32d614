//! Vectors in two registers of AVX2 each.

use std::arch::x86_64::{__m256, __m256i, _CMP_GT_OQ, _CMP_UNORD_Q};

use ::simd::V3;

use super::{LANES, Simd, Vector};

/// Values in a register.
const HALF: usize = LANES / 2;

/// Two registers, and the proof that there are such ones.
#[derive(Clone, Copy)]
pub(crate) struct F32x16(__m256, __m256, V3);

impl Simd for V3 {
    type F32 = F32x16;
    type U32 = (__m256i, __m256i);
    const HAS_32_REGISTERS: bool = false;

    #[inline(always)]
    fn splat(self, v: f32) -> F32x16 {
        let half = self.avx._mm256_set1_ps(v);
        F32x16(half, half, self)
    }

    #[inline(always)]
    unsafe fn load_ptr(self, from: *const f32) -> F32x16 {
        // SAFETY: the caller's promise.
        unsafe { F32x16(self.avx._mm256_loadu_ps(from), self.avx._mm256_loadu_ps(from.add(HALF)), self) }
    }

    #[inline(always)]
    unsafe fn load_i8_ptr(self, from: *const i8) -> F32x16 {
        // SAFETY: the caller's promise: two loads of 8 bytes each.
        let halves =
            unsafe { [self.sse2._mm_loadl_epi64(from.cast()), self.sse2._mm_loadl_epi64(from.add(HALF).cast())] };
        let [low, high] = halves.map(|half| self.avx._mm256_cvtepi32_ps(self.avx2._mm256_cvtepi8_epi32(half)));
        F32x16(low, high, self)
    }

    #[inline(always)]
    fn splat_u32(self, v: u32) -> Self::U32 {
        let half = self.avx._mm256_set1_epi32(v.cast_signed());
        (half, half)
    }

    #[inline(always)]
    unsafe fn load_u32_ptr(self, from: *const u32) -> Self::U32 {
        // SAFETY: the caller's promise.
        unsafe { (self.avx._mm256_loadu_si256(from.cast()), self.avx._mm256_loadu_si256(from.add(HALF).cast())) }
    }

    #[inline(always)]
    unsafe fn store_u32_ptr(self, v: Self::U32, to: *mut u32) {
        // SAFETY: the caller's promise.
        unsafe {
            self.avx._mm256_storeu_si256(to.cast(), v.0);
            self.avx._mm256_storeu_si256(to.add(HALF).cast(), v.1);
        }
    }

    #[inline(always)]
    unsafe fn store_u32_nontemporal_ptr(self, v: Self::U32, to: *mut u32) {
        // SAFETY: the caller's promise.
        unsafe {
            self.avx._mm256_stream_si256(to.cast(), v.0);
            self.avx._mm256_stream_si256(to.add(HALF).cast(), v.1);
        }
    }

    #[inline(always)]
    fn add_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        (self.avx2._mm256_add_epi32(a.0, b.0), self.avx2._mm256_add_epi32(a.1, b.1))
    }

    #[inline(always)]
    fn xor_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        (self.avx2._mm256_xor_si256(a.0, b.0), self.avx2._mm256_xor_si256(a.1, b.1))
    }

    #[inline(always)]
    fn mul_u32(self, v: Self::U32, factor: u32) -> (Self::U32, Self::U32) {
        let (high0, low0) = mul_half(self, v.0, factor);
        let (high1, low1) = mul_half(self, v.1, factor);
        ((high0, high1), (low0, low1))
    }

    #[inline(always)]
    fn transpose_4x4(self, [a, b, c, d]: [Self::U32; 4]) -> [Self::U32; 4] {
        let low = transpose_half(self, [a.0, b.0, c.0, d.0]);
        let high = transpose_half(self, [a.1, b.1, c.1, d.1]);
        [(low[0], high[0]), (low[1], high[1]), (low[2], high[2]), (low[3], high[3])]
    }

    #[inline(always)]
    fn fence(self) {
        self.sse._mm_sfence();
    }
}

impl Vector for F32x16 {
    type Simd = V3;

    #[inline(always)]
    fn simd(self) -> V3 {
        self.2
    }

    #[inline(always)]
    unsafe fn store_ptr(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe {
            self.2.avx._mm256_storeu_ps(to, self.0);
            self.2.avx._mm256_storeu_ps(to.add(HALF), self.1);
        }
    }

    #[inline(always)]
    unsafe fn store_nontemporal_ptr(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe {
            self.2.avx._mm256_stream_ps(to, self.0);
            self.2.avx._mm256_stream_ps(to.add(HALF), self.1);
        }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let avx = self.2.avx;
        Self(avx._mm256_add_ps(self.0, other.0), avx._mm256_add_ps(self.1, other.1), self.2)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        let avx = self.2.avx;
        Self(avx._mm256_sub_ps(self.0, other.0), avx._mm256_sub_ps(self.1, other.1), self.2)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        let avx = self.2.avx;
        Self(avx._mm256_mul_ps(self.0, other.0), avx._mm256_mul_ps(self.1, other.1), self.2)
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        let low = self.2.fma._mm256_fmadd_ps(self.0, factor.0, addend.0);
        let high = self.2.fma._mm256_fmadd_ps(self.1, factor.1, addend.1);
        Self(low, high, self.2)
    }

    #[inline(always)]
    fn relu(self) -> Self {
        let avx = self.2.avx;
        let zero = avx._mm256_setzero_ps();
        // The second operand where either is NaN.
        Self(avx._mm256_max_ps(zero, self.0), avx._mm256_max_ps(zero, self.1), self.2)
    }

    #[inline(always)]
    fn rsqrt(self) -> Self {
        let avx = self.2.avx;
        let one = avx._mm256_set1_ps(1.0);
        let low = avx._mm256_div_ps(one, avx._mm256_sqrt_ps(self.0));
        let high = avx._mm256_div_ps(one, avx._mm256_sqrt_ps(self.1));
        Self(low, high, self.2)
    }

    #[inline(always)]
    fn concat_shift<const SHIFT: usize>(low: Self, high: Self) -> Self {
        let simd = low.2;
        if SHIFT < HALF {
            let first = concat_shift_half::<SHIFT>(simd, low.0, low.1);
            Self(first, concat_shift_half::<SHIFT>(simd, low.1, high.0), simd)
        } else {
            let first = concat_shift_half::<SHIFT>(simd, low.1, high.0);
            Self(first, concat_shift_half::<SHIFT>(simd, high.0, high.1), simd)
        }
    }

    #[inline(always)]
    fn has_nan(self) -> bool {
        let avx = self.2.avx;
        let low = avx._mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, self.0);
        let high = avx._mm256_cmp_ps::<_CMP_UNORD_Q>(self.1, self.1);
        avx._mm256_movemask_ps(avx._mm256_or_ps(low, high)) != 0
    }

    #[inline(always)]
    fn max_with_index(
        self,
        other: Self,
        index: (__m256i, __m256i),
        other_index: (__m256i, __m256i),
    ) -> (Self, (__m256i, __m256i)) {
        let (low, low_index) = max_with_index_half(self.2, self.0, other.0, index.0, other_index.0);
        let (high, high_index) = max_with_index_half(self.2, self.1, other.1, index.1, other_index.1);
        (Self(low, high, self.2), (low_index, high_index))
    }

    #[inline(always)]
    fn mask_positive(self, mask: Self) -> Self {
        let avx = self.2.avx;
        let zero = avx._mm256_setzero_ps();
        let low = avx._mm256_and_ps(self.0, avx._mm256_cmp_ps::<_CMP_GT_OQ>(mask.0, zero));
        let high = avx._mm256_and_ps(self.1, avx._mm256_cmp_ps::<_CMP_GT_OQ>(mask.1, zero));
        Self(low, high, self.2)
    }

    #[inline(always)]
    fn masked_add_eq(self, other: Self, a: (__m256i, __m256i), b: (__m256i, __m256i)) -> Self {
        let low = masked_add_eq_half(self.2, self.0, other.0, a.0, b.0);
        let high = masked_add_eq_half(self.2, self.1, other.1, a.1, b.1);
        Self(low, high, self.2)
    }
}

#[inline(always)]
fn mul_half(simd: V3, v: __m256i, factor: u32) -> (__m256i, __m256i) {
    let factor = simd.avx._mm256_set1_epi64x(i64::from(factor));
    let even = simd.avx2._mm256_mul_epu32(v, factor);
    let odd = simd.avx2._mm256_mul_epu32(simd.avx2._mm256_srli_epi64::<32>(v), factor);
    let high = simd.avx2._mm256_blend_epi32::<0xaa>(simd.avx2._mm256_srli_epi64::<32>(even), odd);
    let low = simd.avx2._mm256_blend_epi32::<0xaa>(even, simd.avx2._mm256_slli_epi64::<32>(odd));
    (high, low)
}

#[inline(always)]
fn transpose_half(simd: V3, [a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    let ab_low = simd.avx2._mm256_unpacklo_epi32(a, b);
    let cd_low = simd.avx2._mm256_unpacklo_epi32(c, d);
    let ab_high = simd.avx2._mm256_unpackhi_epi32(a, b);
    let cd_high = simd.avx2._mm256_unpackhi_epi32(c, d);
    [
        simd.avx2._mm256_unpacklo_epi64(ab_low, cd_low),
        simd.avx2._mm256_unpackhi_epi64(ab_low, cd_low),
        simd.avx2._mm256_unpacklo_epi64(ab_high, cd_high),
        simd.avx2._mm256_unpackhi_epi64(ab_high, cd_high),
    ]
}

#[inline(always)]
fn concat_shift_half<const SHIFT: usize>(simd: V3, low: __m256, high: __m256) -> __m256 {
    let low = simd.avx._mm256_castps_si256(low);
    let high = simd.avx._mm256_castps_si256(high);
    let middle = simd.avx2._mm256_permute2x128_si256::<0x21>(low, high);
    let values = match SHIFT % HALF {
        1 => simd.avx2._mm256_alignr_epi8::<4>(middle, low),
        2 => simd.avx2._mm256_alignr_epi8::<8>(middle, low),
        6 => simd.avx2._mm256_alignr_epi8::<8>(high, middle),
        7 => simd.avx2._mm256_alignr_epi8::<12>(high, middle),
        _ => unreachable!(),
    };
    simd.avx._mm256_castsi256_ps(values)
}

#[inline(always)]
fn max_with_index_half(simd: V3, a: __m256, b: __m256, index: __m256i, other_index: __m256i) -> (__m256, __m256i) {
    let wins = simd.avx._mm256_castps_si256(simd.avx._mm256_cmp_ps::<_CMP_GT_OQ>(a, b));
    // The second operand where either is NaN.
    let max = simd.avx._mm256_max_ps(a, b);
    (max, simd.avx2._mm256_blendv_epi8(other_index, index, wins))
}

#[inline(always)]
fn masked_add_eq_half(simd: V3, v: __m256, other: __m256, a: __m256i, b: __m256i) -> __m256 {
    let equal = simd.avx._mm256_castsi256_ps(simd.avx2._mm256_cmpeq_epi32(a, b));
    simd.avx._mm256_blendv_ps(v, simd.avx._mm256_add_ps(v, other), equal)
}
