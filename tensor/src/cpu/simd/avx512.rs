//! Vectors in the registers of AVX-512.

use std::arch::x86_64::{__m512, __m512i, _CMP_GT_OQ, _CMP_UNORD_Q};

use ::simd::V4;

use super::{Simd, Vector};

/// A register, and the token that proves AVX-512.
#[derive(Clone, Copy)]
pub(crate) struct F32x16(__m512, V4);

impl Simd for V4 {
    type F32 = F32x16;
    type U32 = __m512i;
    const HAS_32_REGISTERS: bool = true;
    const HAS_MASKED_LOAD: bool = true;

    #[inline(always)]
    fn splat(self, v: f32) -> F32x16 {
        F32x16(self.avx512f._mm512_set1_ps(v), self)
    }

    #[inline(always)]
    unsafe fn load_ptr(self, from: *const f32) -> F32x16 {
        // SAFETY: the caller's promise.
        F32x16(unsafe { self.avx512f._mm512_loadu_ps(from) }, self)
    }

    #[inline(always)]
    unsafe fn load_two(self, low: *const f32, high: *const f32, split: usize) -> F32x16 {
        let mask = ((1u32 << split) - 1) as u16;
        // SAFETY: the caller's promise; values that the mask leaves out are not read.
        let values = unsafe {
            let low = self.avx512f._mm512_maskz_loadu_ps(mask, low);
            self.avx512f._mm512_mask_loadu_ps(low, !mask, high)
        };
        F32x16(values, self)
    }

    #[inline(always)]
    unsafe fn load_bf16_ptr(self, from: *const u16) -> F32x16 {
        // SAFETY: the caller's promise.
        let values = unsafe { self.avx._mm256_loadu_si256(from.cast()) };
        let bits = self.avx512f._mm512_slli_epi32::<16>(self.avx512f._mm512_cvtepu16_epi32(values));
        F32x16(self.avx512f._mm512_castsi512_ps(bits), self)
    }

    #[inline(always)]
    unsafe fn load_i8_ptr(self, from: *const i8) -> F32x16 {
        // SAFETY: the caller's promise.
        let values = unsafe { self.sse2._mm_loadu_si128(from.cast()) };
        F32x16(self.avx512f._mm512_cvtepi32_ps(self.avx512f._mm512_cvtepi8_epi32(values)), self)
    }

    #[inline(always)]
    fn splat_u32(self, v: u32) -> __m512i {
        self.avx512f._mm512_set1_epi32(v.cast_signed())
    }

    #[inline(always)]
    unsafe fn load_u32_ptr(self, from: *const u32) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { self.avx512f._mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store_u32_ptr(self, v: __m512i, to: *mut u32) {
        // SAFETY: the caller's promise.
        unsafe { self.avx512f._mm512_storeu_si512(to.cast(), v) }
    }

    #[inline(always)]
    unsafe fn store_u32_nontemporal_ptr(self, v: __m512i, to: *mut u32) {
        // SAFETY: the caller's promise.
        unsafe { self.avx512f._mm512_stream_si512(to.cast(), v) }
    }

    #[inline(always)]
    fn add_u32(self, a: __m512i, b: __m512i) -> __m512i {
        self.avx512f._mm512_add_epi32(a, b)
    }

    #[inline(always)]
    fn xor_u32(self, a: __m512i, b: __m512i) -> __m512i {
        self.avx512f._mm512_xor_si512(a, b)
    }

    #[inline(always)]
    fn mul_u32(self, v: __m512i, factor: u32) -> (__m512i, __m512i) {
        let factor = self.avx512f._mm512_set1_epi64(i64::from(factor));
        let even = self.avx512f._mm512_mul_epu32(v, factor);
        let odd = self.avx512f._mm512_mul_epu32(self.avx512f._mm512_srli_epi64::<32>(v), factor);
        // Shuffles, not shifts, which LLVM merges into slow 64-bit multiplications.
        let high = self.avx512f._mm512_mask_shuffle_epi32::<0b11_11_01_01>(odd, 0x5555, even);
        let low = self.avx512f._mm512_mask_shuffle_epi32::<0b10_10_00_00>(even, 0xaaaa, odd);
        (high, low)
    }

    #[inline(always)]
    fn transpose_4x4(self, [a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
        let ab_low = self.avx512f._mm512_unpacklo_epi32(a, b);
        let cd_low = self.avx512f._mm512_unpacklo_epi32(c, d);
        let ab_high = self.avx512f._mm512_unpackhi_epi32(a, b);
        let cd_high = self.avx512f._mm512_unpackhi_epi32(c, d);
        [
            self.avx512f._mm512_unpacklo_epi64(ab_low, cd_low),
            self.avx512f._mm512_unpackhi_epi64(ab_low, cd_low),
            self.avx512f._mm512_unpacklo_epi64(ab_high, cd_high),
            self.avx512f._mm512_unpackhi_epi64(ab_high, cd_high),
        ]
    }

    #[inline(always)]
    fn fence(self) {
        self.sse._mm_sfence();
    }
}

impl Vector for F32x16 {
    type Simd = V4;

    #[inline(always)]
    fn simd(self) -> V4 {
        self.1
    }

    #[inline(always)]
    unsafe fn store_ptr(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { self.1.avx512f._mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn store_bf16_ptr(self, to: *mut u16) {
        // The same as `of_f32`.
        let avx512 = self.1.avx512f;
        let bits = avx512._mm512_castps_si512(self.0);
        let upper = avx512._mm512_srli_epi32::<16>(bits);
        let odd = avx512._mm512_and_si512(upper, avx512._mm512_set1_epi32(1));
        let half = avx512._mm512_add_epi32(odd, avx512._mm512_set1_epi32(0x7fff));
        let rounded = avx512._mm512_srli_epi32::<16>(avx512._mm512_add_epi32(bits, half));
        let nan = avx512._mm512_or_si512(upper, avx512._mm512_set1_epi32(0x40));
        let is_nan = avx512._mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0);
        let values = avx512._mm512_cvtepi32_epi16(avx512._mm512_mask_mov_epi32(rounded, is_nan, nan));
        // SAFETY: the caller's promise.
        unsafe { self.1.avx._mm256_storeu_si256(to.cast(), values) }
    }

    #[inline(always)]
    unsafe fn store_nontemporal_ptr(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { self.1.avx512f._mm512_stream_ps(to, self.0) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(self.1.avx512f._mm512_add_ps(self.0, other.0), self.1)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(self.1.avx512f._mm512_sub_ps(self.0, other.0), self.1)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(self.1.avx512f._mm512_mul_ps(self.0, other.0), self.1)
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Self(self.1.avx512f._mm512_fmadd_ps(self.0, factor.0, addend.0), self.1)
    }

    #[inline(always)]
    fn relu(self) -> Self {
        // The instruction returns the second operand if either is NaN.
        Self(self.1.avx512f._mm512_max_ps(self.1.avx512f._mm512_setzero_ps(), self.0), self.1)
    }

    #[inline(always)]
    fn rsqrt(self) -> Self {
        // 14 bits, and a Newton step for the rest: r + r (1 - v r r) / 2.
        let avx512 = self.1.avx512f;
        let r = avx512._mm512_rsqrt14_ps(self.0);
        let rest = avx512._mm512_fnmadd_ps(avx512._mm512_mul_ps(self.0, r), r, avx512._mm512_set1_ps(1.0));
        let half = avx512._mm512_mul_ps(r, avx512._mm512_set1_ps(0.5));
        Self(avx512._mm512_fmadd_ps(half, rest, r), self.1)
    }

    #[inline(always)]
    fn concat_shift<const SHIFT: usize>(low: Self, high: Self) -> Self {
        let avx512 = low.1.avx512f;
        let a = avx512._mm512_castps_si512(high.0);
        let b = avx512._mm512_castps_si512(low.0);
        let values = match SHIFT {
            1 => avx512._mm512_alignr_epi32::<1>(a, b),
            2 => avx512._mm512_alignr_epi32::<2>(a, b),
            14 => avx512._mm512_alignr_epi32::<14>(a, b),
            15 => avx512._mm512_alignr_epi32::<15>(a, b),
            _ => unreachable!(),
        };
        Self(avx512._mm512_castsi512_ps(values), low.1)
    }

    #[inline(always)]
    fn has_nan(self) -> bool {
        self.1.avx512f._mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0) != 0
    }

    #[inline(always)]
    fn max_with_index(self, other: Self, index: __m512i, other_index: __m512i) -> (Self, __m512i) {
        let avx512 = self.1.avx512f;
        let wins = avx512._mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, other.0);
        // The instruction returns the second operand if either is NaN.
        let max = avx512._mm512_max_ps(self.0, other.0);
        (Self(max, self.1), avx512._mm512_mask_mov_epi32(other_index, wins, index))
    }

    #[inline(always)]
    fn mask_positive(self, mask: Self) -> Self {
        let avx512 = self.1.avx512f;
        let positive = avx512._mm512_cmp_ps_mask::<_CMP_GT_OQ>(mask.0, avx512._mm512_setzero_ps());
        Self(avx512._mm512_maskz_mov_ps(positive, self.0), self.1)
    }

    #[inline(always)]
    fn masked_add_eq(self, other: Self, a: __m512i, b: __m512i) -> Self {
        let avx512 = self.1.avx512f;
        let equal = avx512._mm512_cmpeq_epi32_mask(a, b);
        Self(avx512._mm512_mask_add_ps(self.0, equal, self.0, other.0), self.1)
    }
}
