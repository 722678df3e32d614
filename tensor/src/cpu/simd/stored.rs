//! Formats of values in memory that kernels compute in `f32`.

use super::super::bf16::{of_f32, to_f32};
use super::{LANES, Simd, Vector};

/// A value in memory: `f32`, or `bf16` as a `u16`.
pub(crate) trait Stored: Copy + Send + Sync + 'static {
    /// The first [`LANES`] values.
    fn load<S: Simd>(simd: S, from: &[Self]) -> S::F32;

    /// Sets the first [`LANES`] values, rounded.
    fn store<V: Vector>(values: V, to: &mut [Self]);

    /// [`store`](Self::store), past the caches if `nontemporal` and if the values are a cache line.
    #[inline(always)]
    fn store_nontemporal_if<V: Vector>(_nontemporal: bool, values: V, to: &mut [Self]) {
        Self::store(values, to);
    }

    /// The nearest value.
    fn of(v: f32) -> Self;

    /// The value in `f32`.
    fn f32(self) -> f32;
}

impl Stored for f32 {
    #[inline(always)]
    fn load<S: Simd>(simd: S, from: &[f32]) -> S::F32 {
        simd.load(from)
    }

    #[inline(always)]
    fn store<V: Vector>(values: V, to: &mut [f32]) {
        values.store(to);
    }

    #[inline(always)]
    fn store_nontemporal_if<V: Vector>(nontemporal: bool, values: V, to: &mut [f32]) {
        values.store_nontemporal_if(nontemporal, to);
    }

    #[inline(always)]
    fn of(v: f32) -> f32 {
        v
    }

    #[inline(always)]
    fn f32(self) -> f32 {
        self
    }
}

impl Stored for u16 {
    #[inline(always)]
    fn load<S: Simd>(simd: S, from: &[u16]) -> S::F32 {
        let from = &from[..LANES];
        // SAFETY: the slice has that many.
        unsafe { simd.load_bf16_ptr(from.as_ptr()) }
    }

    #[inline(always)]
    fn store<V: Vector>(values: V, to: &mut [u16]) {
        let to = &mut to[..LANES];
        // SAFETY: the slice has that many.
        unsafe { values.store_bf16_ptr(to.as_mut_ptr()) }
    }

    #[inline(always)]
    fn of(v: f32) -> u16 {
        of_f32(v)
    }

    #[inline(always)]
    fn f32(self) -> f32 {
        to_f32(self)
    }
}
