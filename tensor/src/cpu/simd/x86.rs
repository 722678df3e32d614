//! [`Vector`]s of x86's registers. Only `dispatch` names them, after it has asked the processor.

use std::arch::x86_64::*;

use super::{LANES, Vector};

#[derive(Clone, Copy)]
pub struct Avx512(__m512);

impl Vector for Avx512 {
    type Ints = __m512i;
    const WHOLE: bool = true;
    const MASKS: bool = true;
    #[inline(always)]
    unsafe fn join(low: *const f32, high: *const f32, split: usize) -> Self {
        let mask = ((1u32 << split) - 1) as u16;
        // SAFETY: `dispatch` found AVX-512; what the mask leaves out is not read.
        unsafe { Self(_mm512_mask_loadu_ps(_mm512_maskz_loadu_ps(mask, low), !mask, high)) }
    }
    #[inline(always)]
    fn splat(v: f32) -> Self {
        // SAFETY: `dispatch` found AVX-512.
        Self(unsafe { _mm512_set1_ps(v) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: `dispatch` found AVX-512; the pointer is the caller's promise.
        Self(unsafe { _mm512_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: `dispatch` found AVX-512; the pointer is the caller's promise.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    unsafe fn stream(self, to: *mut f32) {
        // SAFETY: `dispatch` found AVX-512; the pointer is the caller's promise.
        unsafe { _mm512_stream_ps(to, self.0) }
    }
    #[inline(always)]
    fn fence() {
        // SAFETY: baseline processors have it.
        unsafe { _mm_sfence() }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: `dispatch` found AVX-512.
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn subtract(self, other: Self) -> Self {
        // SAFETY: `dispatch` found AVX-512.
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn multiply(self, other: Self) -> Self {
        // SAFETY: `dispatch` found AVX-512.
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn multiply_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: `dispatch` found AVX-512.
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, addend.0) })
    }
    #[inline(always)]
    fn relu(self) -> Self {
        // The second operand where either is NaN.
        // SAFETY: `dispatch` found AVX-512.
        Self(unsafe { _mm512_max_ps(_mm512_setzero_ps(), self.0) })
    }
    #[inline(always)]
    fn inverse_root(self) -> Self {
        // 14 bits, and Newton's step for the rest: r + r (1 - v r r) / 2.
        // SAFETY: `dispatch` found AVX-512.
        unsafe {
            let r = _mm512_rsqrt14_ps(self.0);
            let rest = _mm512_fnmadd_ps(_mm512_mul_ps(self.0, r), r, _mm512_set1_ps(1.0));
            Self(_mm512_fmadd_ps(_mm512_mul_ps(r, _mm512_set1_ps(0.5)), rest, r))
        }
    }
    #[inline(always)]
    fn from_place<const PLACE: usize>(low: Self, high: Self) -> Self {
        // SAFETY: `dispatch` found AVX-512.
        unsafe {
            let (low, high) = (_mm512_castps_si512(low.0), _mm512_castps_si512(high.0));
            let values = match PLACE {
                1 => _mm512_alignr_epi32::<1>(high, low),
                2 => _mm512_alignr_epi32::<2>(high, low),
                14 => _mm512_alignr_epi32::<14>(high, low),
                15 => _mm512_alignr_epi32::<15>(high, low),
                _ => unreachable!(),
            };
            Self(_mm512_castsi512_ps(values))
        }
    }
    #[inline(always)]
    fn has_nan(self) -> bool {
        // SAFETY: `dispatch` found AVX-512.
        unsafe { _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0) != 0 }
    }
    #[inline(always)]
    fn splat_int(v: u32) -> Self::Ints {
        // SAFETY: `dispatch` found AVX-512.
        unsafe { _mm512_set1_epi32(v.cast_signed()) }
    }
    #[inline(always)]
    unsafe fn load_ints(from: *const u32) -> Self::Ints {
        // SAFETY: `dispatch` found AVX-512; the pointer is the caller's promise.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn store_ints(ints: Self::Ints, to: *mut u32) {
        // SAFETY: `dispatch` found AVX-512; the pointer is the caller's promise.
        unsafe { _mm512_storeu_si512(to.cast(), ints) }
    }
    #[inline(always)]
    unsafe fn stream_ints(ints: Self::Ints, to: *mut u32) {
        // SAFETY: `dispatch` found AVX-512; the pointer is the caller's promise.
        unsafe { _mm512_stream_si512(to.cast(), ints) }
    }
    #[inline(always)]
    fn larger(self, other: Self, own: Self::Ints, others: Self::Ints) -> (Self, Self::Ints) {
        // The second operand where either is NaN.
        // SAFETY: `dispatch` found AVX-512.
        unsafe {
            let wins = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, other.0);
            (Self(_mm512_max_ps(self.0, other.0)), _mm512_mask_mov_epi32(others, wins, own))
        }
    }
    #[inline(always)]
    fn add_ints(a: Self::Ints, b: Self::Ints) -> Self::Ints {
        // SAFETY: `dispatch` found AVX-512.
        unsafe { _mm512_add_epi32(a, b) }
    }
    #[inline(always)]
    fn xor_ints(a: Self::Ints, b: Self::Ints) -> Self::Ints {
        // SAFETY: `dispatch` found AVX-512.
        unsafe { _mm512_xor_si512(a, b) }
    }
    #[inline(always)]
    fn multiply_ints(ints: Self::Ints, factor: u32) -> (Self::Ints, Self::Ints) {
        // SAFETY: `dispatch` found AVX-512.
        unsafe {
            let factor = _mm512_set1_epi64(i64::from(factor));
            let (even, odd) = (_mm512_mul_epu32(ints, factor), _mm512_mul_epu32(_mm512_srli_epi64::<32>(ints), factor));
            let high = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64::<32>(even), odd);
            (high, _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64::<32>(odd)))
        }
    }
    #[inline(always)]
    fn transpose_fours([a, b, c, d]: [Self::Ints; 4]) -> [Self::Ints; 4] {
        // SAFETY: `dispatch` found AVX-512.
        unsafe {
            let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
            let (ab_high, cd_high) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
            [
                _mm512_unpacklo_epi64(ab, cd),
                _mm512_unpackhi_epi64(ab, cd),
                _mm512_unpacklo_epi64(ab_high, cd_high),
                _mm512_unpackhi_epi64(ab_high, cd_high),
            ]
        }
    }
    #[inline(always)]
    fn where_positive(self, by: Self) -> Self {
        // SAFETY: `dispatch` found AVX-512.
        unsafe {
            let positive = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(by.0, _mm512_setzero_ps());
            Self(_mm512_maskz_mov_ps(positive, self.0))
        }
    }
    #[inline(always)]
    fn add_where_same(self, other: Self, a: Self::Ints, b: Self::Ints) -> Self {
        // SAFETY: `dispatch` found AVX-512.
        unsafe { Self(_mm512_mask_add_ps(self.0, _mm512_cmpeq_epi32_mask(a, b), self.0, other.0)) }
    }
}

#[derive(Clone, Copy)]
pub struct Avx2(__m256, __m256);

impl Vector for Avx2 {
    type Ints = (__m256i, __m256i);
    const WHOLE: bool = false;
    #[inline(always)]
    fn splat(v: f32) -> Self {
        // SAFETY: `dispatch` found AVX2 and FMA.
        unsafe { Self(_mm256_set1_ps(v), _mm256_set1_ps(v)) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: `dispatch` found AVX2 and FMA; the pointer is the caller's promise.
        unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(LANES / 2))) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: `dispatch` found AVX2 and FMA; the pointer is the caller's promise.
        unsafe {
            _mm256_storeu_ps(to, self.0);
            _mm256_storeu_ps(to.add(LANES / 2), self.1);
        }
    }
    #[inline(always)]
    unsafe fn stream(self, to: *mut f32) {
        // SAFETY: `dispatch` found AVX2 and FMA; the pointer is the caller's promise.
        unsafe {
            _mm256_stream_ps(to, self.0);
            _mm256_stream_ps(to.add(LANES / 2), self.1);
        }
    }
    #[inline(always)]
    fn fence() {
        // SAFETY: baseline processors have it.
        unsafe { _mm_sfence() }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: `dispatch` found AVX2 and FMA.
        unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
    }
    #[inline(always)]
    fn subtract(self, other: Self) -> Self {
        // SAFETY: `dispatch` found AVX2 and FMA.
        unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
    }
    #[inline(always)]
    fn multiply(self, other: Self) -> Self {
        // SAFETY: `dispatch` found AVX2 and FMA.
        unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
    }
    #[inline(always)]
    fn multiply_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: `dispatch` found AVX2 and FMA.
        unsafe { Self(_mm256_fmadd_ps(self.0, factor.0, addend.0), _mm256_fmadd_ps(self.1, factor.1, addend.1)) }
    }
    #[inline(always)]
    fn relu(self) -> Self {
        // SAFETY: `dispatch` found AVX2 and FMA.
        unsafe {
            let zero = _mm256_setzero_ps();
            Self(_mm256_max_ps(zero, self.0), _mm256_max_ps(zero, self.1))
        }
    }
    #[inline(always)]
    fn inverse_root(self) -> Self {
        // SAFETY: `dispatch` found AVX2 and FMA.
        unsafe {
            let one = _mm256_set1_ps(1.0);
            Self(_mm256_div_ps(one, _mm256_sqrt_ps(self.0)), _mm256_div_ps(one, _mm256_sqrt_ps(self.1)))
        }
    }
    #[inline(always)]
    fn from_place<const PLACE: usize>(low: Self, high: Self) -> Self {
        // SAFETY: `dispatch` found AVX2 and FMA.
        unsafe {
            let of = |low: __m256, high: __m256| {
                let (low, high) = (_mm256_castps_si256(low), _mm256_castps_si256(high));
                let middle = _mm256_permute2x128_si256::<0x21>(low, high);
                _mm256_castsi256_ps(match PLACE % (LANES / 2) {
                    1 => _mm256_alignr_epi8::<4>(middle, low),
                    2 => _mm256_alignr_epi8::<8>(middle, low),
                    6 => _mm256_alignr_epi8::<8>(high, middle),
                    7 => _mm256_alignr_epi8::<12>(high, middle),
                    _ => unreachable!(),
                })
            };
            match PLACE < LANES / 2 {
                true => Self(of(low.0, low.1), of(low.1, high.0)),
                false => Self(of(low.1, high.0), of(high.0, high.1)),
            }
        }
    }
    #[inline(always)]
    fn has_nan(self) -> bool {
        // SAFETY: `dispatch` found AVX2 and FMA.
        unsafe {
            let first = _mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, self.0);
            _mm256_movemask_ps(_mm256_or_ps(first, _mm256_cmp_ps::<_CMP_UNORD_Q>(self.1, self.1))) != 0
        }
    }
    #[inline(always)]
    fn splat_int(v: u32) -> Self::Ints {
        // SAFETY: `dispatch` found AVX2 and FMA.
        let ints = unsafe { _mm256_set1_epi32(v.cast_signed()) };
        (ints, ints)
    }
    #[inline(always)]
    unsafe fn load_ints(from: *const u32) -> Self::Ints {
        // SAFETY: `dispatch` found AVX2 and FMA; the pointer is the caller's promise.
        unsafe { (_mm256_loadu_si256(from.cast()), _mm256_loadu_si256(from.add(LANES / 2).cast())) }
    }
    #[inline(always)]
    unsafe fn store_ints(ints: Self::Ints, to: *mut u32) {
        // SAFETY: `dispatch` found AVX2 and FMA; the pointer is the caller's promise.
        unsafe {
            _mm256_storeu_si256(to.cast(), ints.0);
            _mm256_storeu_si256(to.add(LANES / 2).cast(), ints.1);
        }
    }
    #[inline(always)]
    unsafe fn stream_ints(ints: Self::Ints, to: *mut u32) {
        // SAFETY: `dispatch` found AVX2 and FMA; the pointer is the caller's promise.
        unsafe {
            _mm256_stream_si256(to.cast(), ints.0);
            _mm256_stream_si256(to.add(LANES / 2).cast(), ints.1);
        }
    }
    #[inline(always)]
    fn larger(self, other: Self, own: Self::Ints, others: Self::Ints) -> (Self, Self::Ints) {
        // SAFETY: `dispatch` found AVX2 and FMA.
        unsafe {
            let half = |a, b, own, others| {
                let wins = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GT_OQ>(a, b));
                // The second operand where either is NaN.
                (_mm256_max_ps(a, b), _mm256_blendv_epi8(others, own, wins))
            };
            let (first, second) = (half(self.0, other.0, own.0, others.0), half(self.1, other.1, own.1, others.1));
            (Self(first.0, second.0), (first.1, second.1))
        }
    }
    #[inline(always)]
    fn add_ints(a: Self::Ints, b: Self::Ints) -> Self::Ints {
        // SAFETY: `dispatch` found AVX2.
        unsafe { (_mm256_add_epi32(a.0, b.0), _mm256_add_epi32(a.1, b.1)) }
    }
    #[inline(always)]
    fn xor_ints(a: Self::Ints, b: Self::Ints) -> Self::Ints {
        // SAFETY: `dispatch` found AVX2.
        unsafe { (_mm256_xor_si256(a.0, b.0), _mm256_xor_si256(a.1, b.1)) }
    }
    #[inline(always)]
    fn multiply_ints(ints: Self::Ints, factor: u32) -> (Self::Ints, Self::Ints) {
        // SAFETY: `dispatch` found AVX2.
        let ((high0, low0), (high1, low1)) = unsafe { (products(ints.0, factor), products(ints.1, factor)) };
        ((high0, high1), (low0, low1))
    }
    #[inline(always)]
    fn transpose_fours(rows: [Self::Ints; 4]) -> [Self::Ints; 4] {
        let [a, b, c, d] = rows;
        // SAFETY: `dispatch` found AVX2.
        let (first, second) = unsafe { (fours([a.0, b.0, c.0, d.0]), fours([a.1, b.1, c.1, d.1])) };
        [(first[0], second[0]), (first[1], second[1]), (first[2], second[2]), (first[3], second[3])]
    }
    #[inline(always)]
    fn where_positive(self, by: Self) -> Self {
        // SAFETY: `dispatch` found AVX2 and FMA.
        unsafe {
            let half = |x, by| _mm256_and_ps(x, _mm256_cmp_ps::<_CMP_GT_OQ>(by, _mm256_setzero_ps()));
            Self(half(self.0, by.0), half(self.1, by.1))
        }
    }
    #[inline(always)]
    fn add_where_same(self, other: Self, a: Self::Ints, b: Self::Ints) -> Self {
        // SAFETY: `dispatch` found AVX2 and FMA.
        unsafe {
            let half = |x, other, a, b| {
                let same = _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b));
                _mm256_blendv_ps(x, _mm256_add_ps(x, other), same)
            };
            Self(half(self.0, other.0, a.0, b.0), half(self.1, other.1, a.1, b.1))
        }
    }
}

/// High and low words of the products with `factor`.
///
/// # Safety
/// The processor must have AVX2.
#[inline(always)]
unsafe fn products(ints: __m256i, factor: u32) -> (__m256i, __m256i) {
    // SAFETY: the caller's promise.
    unsafe {
        let factor = _mm256_set1_epi64x(i64::from(factor));
        let (even, odd) = (_mm256_mul_epu32(ints, factor), _mm256_mul_epu32(_mm256_srli_epi64::<32>(ints), factor));
        let high = _mm256_blend_epi32::<0xaa>(_mm256_srli_epi64::<32>(even), odd);
        (high, _mm256_blend_epi32::<0xaa>(even, _mm256_slli_epi64::<32>(odd)))
    }
}

/// Each four places transposed.
///
/// # Safety
/// The processor must have AVX2.
#[inline(always)]
unsafe fn fours([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
    // SAFETY: the caller's promise.
    unsafe {
        let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
        let (ab_high, cd_high) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
        [
            _mm256_unpacklo_epi64(ab, cd),
            _mm256_unpackhi_epi64(ab, cd),
            _mm256_unpacklo_epi64(ab_high, cd_high),
            _mm256_unpackhi_epi64(ab_high, cd_high),
        ]
    }
}
