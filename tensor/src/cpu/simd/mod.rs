//! Vectors of the widest kind that the processor has, chosen when the program runs: the build is for any processor of the
//! architecture.
//!
//! Kernels that need the registers' layout are written once over [`Vector`] and compiled for each [`Level`] by
//! [`dispatch`]; plain loops are compiled for each by [`multiversion!`].

#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::LazyLock;

/// Instruction sets that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// What every processor of the architecture has.
    Portable,
    /// 8 `f32` a vector, and fused multiply-add.
    Avx2,
    /// 16 `f32` a vector.
    Avx512,
}

/// The environment variable that keeps kernels to a lower level, for tests and comparisons: `avx2` or `portable`.
const VARIABLE: &str = "ALEXNET_SIMD";

/// The best level of this processor, or a lower one that [`VARIABLE`] names.
pub(crate) fn level() -> Level {
    static LEVEL: LazyLock<Level> = LazyLock::new(|| {
        let most = match std::env::var(VARIABLE).as_deref() {
            Ok("portable") => Level::Portable,
            Ok("avx2") => Level::Avx2,
            _ => Level::Avx512,
        };
        most.min(best())
    });
    *LEVEL
}

fn best() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        if avx2 && is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
            return Level::Avx512;
        }
        if avx2 {
            return Level::Avx2;
        }
    }
    Level::Portable
}

/// All levels that this processor has.
#[cfg(test)]
pub(crate) fn levels() -> impl Iterator<Item = Level> {
    [Level::Portable, Level::Avx2, Level::Avx512].into_iter().filter(|&level| level <= best())
}

/// `f32` in a [`Vector`].
pub(crate) const LANES: usize = 16;

/// [`LANES`] numbers that are worked on together. Only [`dispatch`] names an implementation, after it has asked the
/// processor; that is what makes the methods safe.
pub(crate) trait Vector: Copy {
    /// As many `u32`.
    type Ints: Copy;
    /// Whether the processor has 32 registers of a whole vector each.
    const WHOLE: bool;
    /// Whether [`join`](Self::join) reads some values of a vector as fast as all of them.
    const MASKS: bool = false;
    fn splat(v: f32) -> Self;
    /// The first `split` values of `low`, and the others of `high`.
    ///
    /// # Safety
    /// `low` must be valid for reading its first `split` values, `high` for those from there on up to [`LANES`].
    #[inline(always)]
    unsafe fn join(low: *const f32, high: *const f32, split: usize) -> Self {
        let mut lanes = [0.0; LANES];
        for (i, lane) in lanes.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *lane = unsafe { if i < split { *low.add(i) } else { *high.add(i) } };
        }
        Self::of(&lanes)
    }
    /// # Safety
    /// `from` must be valid for reading [`LANES`] values.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// `to` must be valid for writing [`LANES`] values.
    unsafe fn store(self, to: *mut f32);
    /// [`store`](Self::store) past the caches, which saves reading the line that is written; to be followed by
    /// [`fence`](Self::fence).
    ///
    /// # Safety
    /// As `store`, and `to` must be at the start of a cache line.
    #[inline(always)]
    unsafe fn stream(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { self.store(to) }
    }
    /// Orders what was streamed before what this thread stores from here on.
    #[inline(always)]
    fn fence() {}
    fn add(self, other: Self) -> Self;
    fn subtract(self, other: Self) -> Self;
    fn multiply(self, other: Self) -> Self;
    /// self * factor + addend, rounded once where the processor can.
    fn multiply_add(self, factor: Self, addend: Self) -> Self;
    /// 0 where below it; NaN stays.
    fn relu(self) -> Self;
    /// 1 / sqrt(self), within two units in the last place, for finite values above the smallest normal one.
    fn inverse_root(self) -> Self;
    /// The values from number `PLACE` on, 1, 2, 14 or 15, of `low` and then `high`.
    fn from_place<const PLACE: usize>(low: Self, high: Self) -> Self;
    /// Whether any is NaN.
    fn has_nan(self) -> bool;
    fn splat_int(v: u32) -> Self::Ints;
    /// # Safety
    /// `from` must be valid for reading [`LANES`] values.
    unsafe fn load_ints(from: *const u32) -> Self::Ints;
    /// # Safety
    /// `to` must be valid for writing [`LANES`] values.
    unsafe fn store_ints(ints: Self::Ints, to: *mut u32);
    /// [`stream`](Self::stream) of numbers.
    ///
    /// # Safety
    /// As there.
    #[inline(always)]
    unsafe fn stream_ints(ints: Self::Ints, to: *mut u32) {
        // SAFETY: the caller's promise.
        unsafe { Self::store_ints(ints, to) }
    }
    /// self and `own` where self is larger than `other`, else `other` and `others`: there, too, where one is NaN.
    fn larger(self, other: Self, own: Self::Ints, others: Self::Ints) -> (Self, Self::Ints);
    /// self where `by` is above 0, else 0: there, too, where it is NaN.
    fn where_positive(self, by: Self) -> Self;
    /// self + other where a is b, else self.
    fn add_where_same(self, other: Self, a: Self::Ints, b: Self::Ints) -> Self;
    /// a + b, modulo 2^32.
    fn add_ints(a: Self::Ints, b: Self::Ints) -> Self::Ints;
    fn xor_ints(a: Self::Ints, b: Self::Ints) -> Self::Ints;
    /// High and low words of the products with `factor`.
    fn multiply_ints(ints: Self::Ints, factor: u32) -> (Self::Ints, Self::Ints);
    /// Rows and columns exchanged, of each four places by themselves.
    fn transpose_fours(rows: [Self::Ints; 4]) -> [Self::Ints; 4];
    /// Asks for the cache line at `place`, which may be anywhere.
    #[inline(always)]
    fn prefetch(place: *const f32) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint to baseline processors, too; it touches nothing.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = place;
    }
    /// The first [`LANES`] values.
    #[inline(always)]
    fn of(from: &[f32]) -> Self {
        let from = &from[..LANES];
        // SAFETY: the slice has that many.
        unsafe { Self::load(from.as_ptr()) }
    }
    /// Sets the first [`LANES`] values.
    #[inline(always)]
    fn put(self, to: &mut [f32]) {
        let to = &mut to[..LANES];
        // SAFETY: the slice has that many.
        unsafe { self.store(to.as_mut_ptr()) }
    }
    /// Sets the first [`LANES`] values, past the caches if `past` and if they are a cache line.
    #[inline(always)]
    fn put_past(self, past: bool, to: &mut [f32]) {
        let to = &mut to[..LANES];
        if past && to.as_ptr().addr().is_multiple_of(LANES * size_of::<f32>()) {
            // SAFETY: the slice has that many and is a cache line.
            unsafe { self.stream(to.as_mut_ptr()) }
        } else {
            self.put(to);
        }
    }
    /// The first [`LANES`] numbers.
    #[inline(always)]
    fn ints_of(from: &[u32]) -> Self::Ints {
        let from = &from[..LANES];
        // SAFETY: the slice has that many.
        unsafe { Self::load_ints(from.as_ptr()) }
    }
    /// [`put_past`](Self::put_past) of numbers.
    #[inline(always)]
    fn put_ints_past(ints: Self::Ints, past: bool, to: &mut [u32]) {
        let to = &mut to[..LANES];
        // SAFETY: the slice has that many, and is a cache line if that is asked for.
        unsafe {
            if past && to.as_ptr().addr().is_multiple_of(LANES * size_of::<u32>()) {
                Self::stream_ints(ints, to.as_mut_ptr());
            } else {
                Self::store_ints(ints, to.as_mut_ptr());
            }
        }
    }
}

/// Whether so many values that are written one after the other would have left the caches when they are read.
pub(crate) fn outlasts_caches(values: usize) -> bool {
    values >= 4 << 20
}

/// Work to be compiled for each kind of vector. `run` and what it calls must be `#[inline(always)]`, or they are not.
pub(crate) trait Work {
    type Out;
    fn run<V: Vector>(self) -> Self::Out;
}

/// Runs `work` with the vectors of `level`, or of the best level that there is.
pub(crate) fn dispatch<W: Work>(level: Level, work: W) -> W::Out {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
        fn avx512<W: Work>(work: W) -> W::Out {
            work.run::<x86::Avx512>()
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2<W: Work>(work: W) -> W::Out {
            work.run::<x86::Avx2>()
        }
        match level.min(best()) {
            // SAFETY: the processor was asked for these features.
            Level::Avx512 => return unsafe { avx512(work) },
            // SAFETY: as above.
            Level::Avx2 => return unsafe { avx2(work) },
            Level::Portable => {}
        }
    }
    let _ = level;
    work.run::<Portable>()
}

/// As an array, which the compiler makes the best of.
#[derive(Clone, Copy)]
struct Portable([f32; LANES]);

impl Portable {
    #[inline(always)]
    fn map2(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

impl Vector for Portable {
    type Ints = [u32; LANES];
    const WHOLE: bool = false;
    #[inline(always)]
    fn splat(v: f32) -> Self {
        Self([v; LANES])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise; an array of f32 is aligned as one.
        Self(unsafe { *from.cast() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { *to.cast() = self.0 }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.map2(other, |a, b| a + b)
    }
    #[inline(always)]
    fn subtract(self, other: Self) -> Self {
        self.map2(other, |a, b| a - b)
    }
    #[inline(always)]
    fn multiply(self, other: Self) -> Self {
        self.map2(other, |a, b| a * b)
    }
    #[inline(always)]
    fn multiply_add(self, factor: Self, addend: Self) -> Self {
        // Not `mul_add`, which is a call where the processor cannot.
        self.multiply(factor).add(addend)
    }
    #[inline(always)]
    fn relu(self) -> Self {
        Self(self.0.map(|v| if v < 0.0 { 0.0 } else { v }))
    }
    #[inline(always)]
    fn inverse_root(self) -> Self {
        Self(self.0.map(|v| 1.0 / v.sqrt()))
    }
    #[inline(always)]
    fn from_place<const PLACE: usize>(low: Self, high: Self) -> Self {
        Self(std::array::from_fn(|i| if PLACE + i < LANES { low.0[PLACE + i] } else { high.0[PLACE + i - LANES] }))
    }
    #[inline(always)]
    fn has_nan(self) -> bool {
        self.0.iter().fold(false, |any, v| any | v.is_nan())
    }
    #[inline(always)]
    fn splat_int(v: u32) -> Self::Ints {
        [v; LANES]
    }
    #[inline(always)]
    unsafe fn load_ints(from: *const u32) -> Self::Ints {
        // SAFETY: the caller's promise; an array of u32 is aligned as one.
        unsafe { *from.cast() }
    }
    #[inline(always)]
    unsafe fn store_ints(ints: Self::Ints, to: *mut u32) {
        // SAFETY: as above.
        unsafe { *to.cast() = ints }
    }
    #[inline(always)]
    fn larger(self, other: Self, own: Self::Ints, others: Self::Ints) -> (Self, Self::Ints) {
        let wins: [bool; LANES] = std::array::from_fn(|i| self.0[i] > other.0[i]);
        let ints = std::array::from_fn(|i| if wins[i] { own[i] } else { others[i] });
        (Self(std::array::from_fn(|i| if wins[i] { self.0[i] } else { other.0[i] })), ints)
    }
    #[inline(always)]
    fn where_positive(self, by: Self) -> Self {
        Self(std::array::from_fn(|i| if by.0[i] > 0.0 { self.0[i] } else { 0.0 }))
    }
    #[inline(always)]
    fn add_where_same(self, other: Self, a: Self::Ints, b: Self::Ints) -> Self {
        Self(std::array::from_fn(|i| if a[i] == b[i] { self.0[i] + other.0[i] } else { self.0[i] }))
    }
    #[inline(always)]
    fn add_ints(a: Self::Ints, b: Self::Ints) -> Self::Ints {
        std::array::from_fn(|i| a[i].wrapping_add(b[i]))
    }
    #[inline(always)]
    fn xor_ints(a: Self::Ints, b: Self::Ints) -> Self::Ints {
        std::array::from_fn(|i| a[i] ^ b[i])
    }
    #[inline(always)]
    fn multiply_ints(ints: Self::Ints, factor: u32) -> (Self::Ints, Self::Ints) {
        let products = ints.map(|v| u64::from(v) * u64::from(factor));
        (products.map(|v| (v >> 32) as u32), products.map(|v| v as u32))
    }
    // Not inlined: of this and the multiplications before it, rustc 1.95 (LLVM 22.1) makes wrong code for processors without
    // AVX2, optimised fully.
    #[inline(never)]
    fn transpose_fours(rows: [Self::Ints; 4]) -> [Self::Ints; 4] {
        std::array::from_fn(|k| std::array::from_fn(|i| rows[i % 4][i / 4 * 4 + k]))
    }
}

/// Compiles a function once for each [`Level`] and calls the one that fits the processor. The body is the same, so that
/// results are too: Rust never fuses or reorders floating-point operations by itself. What the body calls must be
/// `#[inline(always)]`, or it is not compiled anew.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$($t:ident: $bound:path),+>($($args:tt)*) $($rest:tt)*) => {
        $crate::cpu::simd::multiversion! { @arguments [$(#[$meta])* $vis fn $name] [$($t: $bound),+] [$($t),+] ($($args)*) $($rest)* }
    };
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($args:tt)*) $($rest:tt)*) => {
        $crate::cpu::simd::multiversion! { @arguments [$(#[$meta])* $vis fn $name] [] [] ($($args)*) $($rest)* }
    };
    (@arguments [$(#[$meta:meta])* $vis:vis fn $name:ident] [$($bounds:tt)*] [$($types:tt)*] ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name<$($bounds)*>($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn inner<$($bounds)*>($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx512<$($bounds)*>($($arg: $ty),*) $(-> $ret)? {
                    inner::<$($types)*>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx2<$($bounds)*>($($arg: $ty),*) $(-> $ret)? {
                    inner::<$($types)*>($($arg),*)
                }
                match $crate::cpu::simd::level() {
                    // SAFETY: the processor was asked for these features.
                    $crate::cpu::simd::Level::Avx512 => return unsafe { avx512::<$($types)*>($($arg),*) },
                    // SAFETY: as above.
                    $crate::cpu::simd::Level::Avx2 => return unsafe { avx2::<$($types)*>($($arg),*) },
                    $crate::cpu::simd::Level::Portable => {}
                }
            }
            inner::<$($types)*>($($arg),*)
        }
    };
}
pub(crate) use multiversion;

#[cfg(test)]
mod tests;
