//! Vectors of 16 values for kernels that need the layout of the registers. Such a kernel is a [`WithSimd`], written
//! once over [`Simd`] and compiled for each [`Level`] by [`dispatch`]. Plain loops are compiled for each by
//! [`multiversion!`].

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod stored;
#[cfg(test)]
mod tests;

pub(crate) use ::simd::{Level, multiversion};

use super::bf16::{of_f32, to_f32};
use portable::Portable;
pub(crate) use stored::Stored;

/// `f32` in a [`Vector`].
pub(crate) const LANES: usize = 16;

/// The instructions of a level. Values are tokens that prove that the processor has them: all that makes a vector is a
/// method of the token, and all that uses one is a method of the vector, which holds the token.
pub(crate) trait Simd: Copy {
    /// [`LANES`] values.
    type F32: Vector<Simd = Self>;
    /// [`LANES`] integers.
    type U32: Copy;
    /// Whether there are 32 registers of a whole vector each.
    const HAS_32_REGISTERS: bool;
    /// Whether [`load_two`](Self::load_two) is as fast as [`load_ptr`](Self::load_ptr).
    const HAS_MASKED_LOAD: bool = false;

    fn splat(self, v: f32) -> Self::F32;

    /// # Safety
    /// `from` must be valid for reading [`LANES`] values.
    unsafe fn load_ptr(self, from: *const f32) -> Self::F32;

    /// The first `split` values of `low`, and the others of `high`.
    ///
    /// # Safety
    /// `low` must be valid for reading its first `split` values, `high` for those from there on up to [`LANES`].
    #[inline(always)]
    unsafe fn load_two(self, low: *const f32, high: *const f32, split: usize) -> Self::F32 {
        let mut lanes = [0.0; LANES];
        for (i, lane) in lanes.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *lane = unsafe { if i < split { *low.add(i) } else { *high.add(i) } };
        }
        self.load(&lanes)
    }

    /// The first [`LANES`] values.
    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::F32 {
        let from = &from[..LANES];
        // SAFETY: the slice has that many.
        unsafe { self.load_ptr(from.as_ptr()) }
    }

    /// [`LANES`] values of `bf16`.
    ///
    /// # Safety
    /// `from` must be valid for reading [`LANES`] values.
    #[inline(always)]
    unsafe fn load_bf16_ptr(self, from: *const u16) -> Self::F32 {
        // SAFETY: the caller's promise.
        let values = unsafe { from.cast::<[u16; LANES]>().read_unaligned() };
        self.load(&values.map(to_f32))
    }

    /// [`LANES`] integers of 8 bits.
    ///
    /// # Safety
    /// `from` must be valid for reading [`LANES`] values.
    #[inline(always)]
    unsafe fn load_i8_ptr(self, from: *const i8) -> Self::F32 {
        // SAFETY: the caller's promise.
        let values = unsafe { from.cast::<[i8; LANES]>().read_unaligned() };
        self.load(&values.map(f32::from))
    }

    fn splat_u32(self, v: u32) -> Self::U32;

    /// # Safety
    /// `from` must be valid for reading [`LANES`] values.
    unsafe fn load_u32_ptr(self, from: *const u32) -> Self::U32;

    /// # Safety
    /// `to` must be valid for writing [`LANES`] values.
    unsafe fn store_u32_ptr(self, v: Self::U32, to: *mut u32);

    /// The promise of [`Vector::store_nontemporal_ptr`].
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn store_u32_nontemporal_ptr(self, v: Self::U32, to: *mut u32) {
        // SAFETY: the caller's promise.
        unsafe { self.store_u32_ptr(v, to) }
    }

    /// The first [`LANES`] integers.
    #[inline(always)]
    fn load_u32(self, from: &[u32]) -> Self::U32 {
        let from = &from[..LANES];
        // SAFETY: the slice has that many.
        unsafe { self.load_u32_ptr(from.as_ptr()) }
    }

    /// Sets the first [`LANES`] integers.
    #[inline(always)]
    fn store_u32(self, v: Self::U32, to: &mut [u32]) {
        let to = &mut to[..LANES];
        // SAFETY: the slice has that many.
        unsafe { self.store_u32_ptr(v, to.as_mut_ptr()) }
    }

    /// The same as [`Vector::store_nontemporal_if`], for integers.
    #[inline(always)]
    fn store_u32_nontemporal_if(self, nontemporal: bool, v: Self::U32, to: &mut [u32]) {
        let to = &mut to[..LANES];
        if nontemporal && is_cache_line(to) {
            // SAFETY: the slice is a cache line.
            unsafe { self.store_u32_nontemporal_ptr(v, to.as_mut_ptr()) }
        } else {
            self.store_u32(v, to);
        }
    }

    /// a + b, modulo 2^32.
    fn add_u32(self, a: Self::U32, b: Self::U32) -> Self::U32;

    fn xor_u32(self, a: Self::U32, b: Self::U32) -> Self::U32;

    /// High and low words of the products with `factor`.
    fn mul_u32(self, v: Self::U32, factor: u32) -> (Self::U32, Self::U32);

    /// Transposes each 4 x 4 block of lanes: lane `4 i + j` of vector `k` becomes lane `4 i + k` of vector `j`.
    fn transpose_4x4(self, rows: [Self::U32; 4]) -> [Self::U32; 4];

    /// Orders nontemporal stores before the later stores of this thread.
    #[inline(always)]
    fn fence(self) {}
}

/// [`LANES`] values of `f32`.
pub(crate) trait Vector: Copy {
    /// The instructions that it takes.
    type Simd: Simd<F32 = Self>;

    /// The token that the vector was made with.
    fn simd(self) -> Self::Simd;

    /// # Safety
    /// `to` must be valid for writing [`LANES`] values.
    unsafe fn store_ptr(self, to: *mut f32);

    /// [`store_ptr`](Self::store_ptr) past the caches, which saves reading the line that is written. A
    /// [`fence`](Simd::fence) must follow.
    ///
    /// # Safety
    /// The promise of `store_ptr`, and `to` must be at the start of a cache line.
    #[inline(always)]
    unsafe fn store_nontemporal_ptr(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { self.store_ptr(to) }
    }

    /// Stores the values rounded to `bf16`.
    ///
    /// # Safety
    /// `to` must be valid for writing [`LANES`] values.
    #[inline(always)]
    unsafe fn store_bf16_ptr(self, to: *mut u16) {
        let mut values = [0.0; LANES];
        self.store(&mut values);
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[u16; LANES]>().write_unaligned(values.map(of_f32)) }
    }

    /// Sets the first [`LANES`] values.
    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        let to = &mut to[..LANES];
        // SAFETY: the slice has that many.
        unsafe { self.store_ptr(to.as_mut_ptr()) }
    }

    /// Sets the first [`LANES`] values, past the caches if `nontemporal` and if they are a cache line.
    #[inline(always)]
    fn store_nontemporal_if(self, nontemporal: bool, to: &mut [f32]) {
        let to = &mut to[..LANES];
        if nontemporal && is_cache_line(to) {
            // SAFETY: the slice is a cache line.
            unsafe { self.store_nontemporal_ptr(to.as_mut_ptr()) }
        } else {
            self.store(to);
        }
    }

    fn add(self, other: Self) -> Self;

    fn sub(self, other: Self) -> Self;

    fn mul(self, other: Self) -> Self;

    /// self * factor + addend, rounded once where the processor can.
    fn mul_add(self, factor: Self, addend: Self) -> Self;

    /// max(self, 0); NaN stays.
    fn relu(self) -> Self;

    /// 1 / sqrt(self), within two units in the last place, for finite values above the smallest normal one.
    fn rsqrt(self) -> Self;

    /// The [`LANES`] values from index `SHIFT` of `low` and `high` one after the other. `SHIFT` is 1, 2, 14 or 15.
    fn concat_shift<const SHIFT: usize>(low: Self, high: Self) -> Self;

    /// Whether any is NaN.
    fn has_nan(self) -> bool;

    /// self and `index` where self > `other`; else, and where one is NaN, `other` and `other_index`.
    fn max_with_index(self, other: Self, index: U32<Self>, other_index: U32<Self>) -> (Self, U32<Self>);

    /// self where `mask` > 0; else, and where it is NaN, 0.
    fn mask_positive(self, mask: Self) -> Self;

    /// self + other where a = b, else self.
    fn masked_add_eq(self, other: Self, a: U32<Self>, b: U32<Self>) -> Self;
}

/// A vector of integers, one for each value of `V`.
pub(crate) type U32<V> = <<V as Vector>::Simd as Simd>::U32;

fn is_cache_line<T>(lanes: &[T]) -> bool {
    lanes.as_ptr().addr().is_multiple_of(LANES * size_of::<f32>())
}

/// Prefetches the cache line at `place`, any address.
#[inline(always)]
pub(crate) fn prefetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint of the baseline; it reads nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Whether values written in order are evicted from the caches before all are written.
pub(crate) fn exceeds_cache(values: usize) -> bool {
    values >= 4 << 20
}

/// A kernel to be compiled for each level. `with_simd` and what it calls must be `#[inline(always)]`, or they are not.
pub(crate) trait WithSimd {
    type Output;

    fn with_simd<S: Simd>(self, simd: S) -> Self::Output;
}

/// Runs `kernel` with the vectors of `level`.
pub(crate) fn dispatch<K: WithSimd>(level: Level, kernel: K) -> K::Output {
    match level {
        Level::Portable => kernel.with_simd(Portable),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2(simd) => simd.vectorize(
            #[inline(always)]
            move || kernel.with_simd(simd),
        ),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512(simd) => simd.vectorize(
            #[inline(always)]
            move || kernel.with_simd(simd),
        ),
    }
}
