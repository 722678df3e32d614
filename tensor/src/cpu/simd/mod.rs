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
    /// Whether the processor has 32 registers of a whole vector each.
    const WHOLE: bool;
    fn splat(v: f32) -> Self;
    /// # Safety
    /// `from` must be valid for reading [`LANES`] values.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// `to` must be valid for writing [`LANES`] values.
    unsafe fn store(self, to: *mut f32);
    fn add(self, other: Self) -> Self;
    fn subtract(self, other: Self) -> Self;
    fn multiply(self, other: Self) -> Self;
    /// self * factor + addend, rounded once where the processor can.
    fn multiply_add(self, factor: Self, addend: Self) -> Self;
    /// 0 where below it; NaN stays.
    fn relu(self) -> Self;
    /// 1 / sqrt(self), within two units in the last place, for finite values above the smallest normal one.
    fn inverse_root(self) -> Self;
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
mod tests {
    use super::*;

    struct Roots<'a>(&'a [f32], &'a mut [f32]);

    impl Work for Roots<'_> {
        type Out = ();
        #[inline(always)]
        fn run<V: Vector>(self) {
            for (x, y) in self.0.chunks_exact(LANES).zip(self.1.chunks_exact_mut(LANES)) {
                V::of(x).inverse_root().put(y);
            }
        }
    }

    #[test]
    fn inverse_roots_are_right_to_the_last_bits() {
        let x: Vec<f32> = (0..4096).map(|i| (i as f32 * 0.01 - 20.0).exp()).collect();
        for level in levels() {
            let mut y = vec![0.0; x.len()];
            dispatch(level, Roots(&x, &mut y));
            for (&x, &y) in x.iter().zip(&y) {
                let expected = 1.0 / f64::from(x).sqrt();
                assert!((f64::from(y) / expected - 1.0).abs() < 2.5e-7, "{level:?}: 1 / sqrt({x}) is {y}");
            }
        }
    }

    struct Relu<'a>(&'a mut [f32]);

    impl Work for Relu<'_> {
        type Out = ();
        #[inline(always)]
        fn run<V: Vector>(self) {
            V::of(self.0).relu().put(self.0);
        }
    }

    #[test]
    fn relu_keeps_nan() {
        for level in levels() {
            let mut x = [
                -1.0,
                f32::NAN,
                2.0,
                -0.0,
                f32::NEG_INFINITY,
                0.5,
                1.0,
                0.0,
                -3.0,
                1.0,
                f32::NAN,
                4.0,
                -1.0,
                1.0,
                2.0,
                f32::INFINITY,
            ];
            let expected = x.map(|v| if v < 0.0 { 0.0 } else { v });
            dispatch(level, Relu(&mut x));
            for (got, expected) in x.iter().zip(expected) {
                assert!(*got == expected || (got.is_nan() && expected.is_nan()), "{level:?}: {got} for {expected}");
            }
        }
    }
}
