//! Rows of sums, rounded to `bf16`.

use super::tile::BLOCK;

/// Adds `bias` to a row of sums, applies a ReLU if `relu`, rounds, and stores the first `len` values.
///
/// # Safety
/// `to` is valid for writing `len` values, at most [`BLOCK`]; the processor has AVX512-BF16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn store_row(sums: &[f32; BLOCK], bias: &[f32; BLOCK], relu: bool, to: *mut u16, len: usize) {
    use std::arch::x86_64::{
        __m512bh, __m512i, _mm512_add_ps, _mm512_cvtne2ps_pbh, _mm512_loadu_ps, _mm512_mask_storeu_epi16,
        _mm512_max_ps, _mm512_setzero_ps,
    };
    let half = |i: usize| {
        // SAFETY: both arrays have 32 values.
        let sum = unsafe { _mm512_add_ps(_mm512_loadu_ps(sums[i..].as_ptr()), _mm512_loadu_ps(bias[i..].as_ptr())) };
        // The instruction returns the second operand if either is NaN.
        if relu { _mm512_max_ps(_mm512_setzero_ps(), sum) } else { sum }
    };
    let rounded = _mm512_cvtne2ps_pbh(half(BLOCK / 2), half(0));
    let mask = u32::MAX >> (BLOCK - len);
    // SAFETY: a register of any bits; the caller's promise for the values that the mask leaves.
    unsafe {
        let rounded = std::mem::transmute::<__m512bh, __m512i>(rounded);
        _mm512_mask_storeu_epi16(to.cast(), mask, rounded);
    }
}
