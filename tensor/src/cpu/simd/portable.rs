//! Vectors as arrays, which the compiler makes the best of.

use super::{LANES, Simd, Vector};

/// The instructions of every processor.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

#[derive(Clone, Copy)]
pub(crate) struct Array([f32; LANES]);

impl Array {
    #[inline(always)]
    fn map2(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

impl Simd for Portable {
    type F32 = Array;
    type U32 = [u32; LANES];
    const HAS_32_REGISTERS: bool = false;

    #[inline(always)]
    fn splat(self, v: f32) -> Array {
        Array([v; LANES])
    }

    #[inline(always)]
    unsafe fn load_ptr(self, from: *const f32) -> Array {
        // SAFETY: the caller's promise; an array of f32 is aligned as one.
        Array(unsafe { *from.cast() })
    }

    #[inline(always)]
    fn splat_u32(self, v: u32) -> Self::U32 {
        [v; LANES]
    }

    #[inline(always)]
    unsafe fn load_u32_ptr(self, from: *const u32) -> Self::U32 {
        // SAFETY: the caller's promise; an array of u32 is aligned as one.
        unsafe { *from.cast() }
    }

    #[inline(always)]
    unsafe fn store_u32_ptr(self, v: Self::U32, to: *mut u32) {
        // SAFETY: as above.
        unsafe { *to.cast() = v }
    }

    #[inline(always)]
    fn add_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        std::array::from_fn(|i| a[i].wrapping_add(b[i]))
    }

    #[inline(always)]
    fn xor_u32(self, a: Self::U32, b: Self::U32) -> Self::U32 {
        std::array::from_fn(|i| a[i] ^ b[i])
    }

    #[inline(always)]
    fn mul_u32(self, v: Self::U32, factor: u32) -> (Self::U32, Self::U32) {
        let products = v.map(|v| u64::from(v) * u64::from(factor));
        (products.map(|v| (v >> 32) as u32), products.map(|v| v as u32))
    }

    // Inlined, it is compiled wrongly by rustc 1.95 (LLVM 22.1): tensor/docs/philox-miscompilation.md.
    #[inline(never)]
    fn transpose_4x4(self, rows: [Self::U32; 4]) -> [Self::U32; 4] {
        std::array::from_fn(|k| std::array::from_fn(|i| rows[i % 4][i / 4 * 4 + k]))
    }
}

impl Vector for Array {
    type Simd = Portable;

    #[inline(always)]
    fn simd(self) -> Portable {
        Portable
    }

    #[inline(always)]
    unsafe fn store_ptr(self, to: *mut f32) {
        // SAFETY: the caller's promise; an array of f32 is aligned as one.
        unsafe { *to.cast() = self.0 }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.map2(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.map2(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.map2(other, |a, b| a * b)
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // Not `f32::mul_add`, which is a call where the processor cannot.
        self.mul(factor).add(addend)
    }

    #[inline(always)]
    fn relu(self) -> Self {
        Self(self.0.map(|v| if v < 0.0 { 0.0 } else { v }))
    }

    #[inline(always)]
    fn rsqrt(self) -> Self {
        Self(self.0.map(|v| 1.0 / v.sqrt()))
    }

    #[inline(always)]
    fn concat_shift<const SHIFT: usize>(low: Self, high: Self) -> Self {
        Self(std::array::from_fn(|i| if SHIFT + i < LANES { low.0[SHIFT + i] } else { high.0[SHIFT + i - LANES] }))
    }

    #[inline(always)]
    fn has_nan(self) -> bool {
        self.0.iter().fold(false, |any, v| any | v.is_nan())
    }

    #[inline(always)]
    fn max_with_index(self, other: Self, index: [u32; LANES], other_index: [u32; LANES]) -> (Self, [u32; LANES]) {
        let wins: [bool; LANES] = std::array::from_fn(|i| self.0[i] > other.0[i]);
        let indices = std::array::from_fn(|i| if wins[i] { index[i] } else { other_index[i] });
        (Self(std::array::from_fn(|i| if wins[i] { self.0[i] } else { other.0[i] })), indices)
    }

    #[inline(always)]
    fn mask_positive(self, mask: Self) -> Self {
        Self(std::array::from_fn(|i| if mask.0[i] > 0.0 { self.0[i] } else { 0.0 }))
    }

    #[inline(always)]
    fn masked_add_eq(self, other: Self, a: [u32; LANES], b: [u32; LANES]) -> Self {
        Self(std::array::from_fn(|i| if a[i] == b[i] { self.0[i] + other.0[i] } else { self.0[i] }))
    }
}
