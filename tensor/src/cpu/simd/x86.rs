//! [`Vector`]s of x86's registers. Only `dispatch` names them, after it has asked the processor.

use std::arch::x86_64::*;

use super::{LANES, Vector};

#[derive(Clone, Copy)]
pub struct Avx512(__m512);

impl Vector for Avx512 {
    const WHOLE: bool = true;
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
}

#[derive(Clone, Copy)]
pub struct Avx2(__m256, __m256);

impl Vector for Avx2 {
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
}
