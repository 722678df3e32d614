#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

use std::fmt;
use std::sync::LazyLock;

pub use pulp::NullaryFnOnce;
#[cfg(target_arch = "x86_64")]
pub use pulp::x86::{V3, V4};

/// The environment variable that limits the level, for tests and comparisons: `avx2` or `portable`.
pub const VARIABLE: &str = "ALEXNET_SIMD";

/// An instruction set. A value exists only where the processor has it.
#[derive(Clone, Copy)]
pub enum Level {
    /// The instructions of every processor of the architecture.
    Portable,
    /// AVX2 and FMA: 8 `f32` in a vector.
    #[cfg(target_arch = "x86_64")]
    Avx2(V3),
    /// AVX-512: 16 `f32` in a vector, and masks.
    #[cfg(target_arch = "x86_64")]
    Avx512(V4),
}

impl Level {
    /// The best level of this processor, or a lower one that [`VARIABLE`] names. It is read once.
    #[inline]
    pub fn get() -> Self {
        static LEVEL: LazyLock<Level> = LazyLock::new(|| Level::up_to(&std::env::var(VARIABLE).unwrap_or_default()));
        *LEVEL
    }

    /// The best level of this processor that is not above the one with the name `limit`, if there is such a one.
    fn up_to(limit: &str) -> Self {
        let levels = Self::all();
        let end = levels.clone().position(|level| level.name() == limit).map_or(usize::MAX, |place| place + 1);
        levels.take(end).last().unwrap_or(Self::Portable)
    }

    /// All levels of this processor, the lowest first.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        #[cfg(target_arch = "x86_64")]
        let detected = [V3::try_new().map(Self::Avx2), V4::try_new().map(Self::Avx512)];
        #[cfg(not(target_arch = "x86_64"))]
        let detected = [None];
        std::iter::once(Self::Portable).chain(detected.into_iter().flatten())
    }

    /// `portable`, `avx2` or `avx512`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
        }
    }

    /// The proof of AVX2, which `Avx512` includes.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    pub fn avx2(self) -> Option<V3> {
        match self {
            Self::Portable => None,
            Self::Avx2(simd) => Some(simd),
            Self::Avx512(simd) => Some(*simd),
        }
    }

    /// `Avx2` in place of `Avx512`, for loops that are too short for its vectors.
    #[inline]
    pub fn without_avx512(self) -> Self {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => Self::Avx2(*simd),
            _ => self,
        }
    }

    /// Runs `f` compiled with the instructions of this level, for which `f` and what it calls must be
    /// `#[inline(always)]`: `level.vectorize(#[inline(always)] || ...)`.
    #[inline(always)]
    pub fn vectorize<F: NullaryFnOnce>(self, f: F) -> F::Output {
        match self {
            Self::Portable => f.call(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => simd.vectorize(f),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => simd.vectorize(f),
        }
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Compiles a function once for each [`Level`] and runs the version of [`Level::get`]. Parameters are plain names, and
/// type parameters have one bound each. Functions that the body calls must be `#[inline(always)]`, or they are not
/// compiled for each level.
#[macro_export]
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<$($t:ident: $bound:path),+>)? ($($arg:ident: $ty:ty),* $(,)?)
        $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name $(<$($t: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
            // A function, not the closure's body: its references are known not to overlap.
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn inner $(<$($t: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? $body
            $crate::Level::get().vectorize(#[inline(always)] move || inner($($arg),*))
        }
    };
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_level_is_at_most_that_of_the_name() {
        let best = Level::all().last().unwrap();
        assert_eq!(Level::up_to("portable").name(), "portable");
        assert_eq!(Level::up_to("").name(), best.name());
        assert_eq!(Level::up_to("AVX2").name(), best.name());
        assert_ne!(Level::up_to("avx2").name(), "avx512");
    }

    #[test]
    fn the_level_is_that_of_the_variable() {
        let limit = std::env::var(VARIABLE).unwrap_or_default();
        assert_eq!(Level::get().name(), Level::up_to(&limit).name());
    }

    #[test]
    fn other_processes_obey_the_variable() {
        for limit in ["portable", "avx2", "avx512", ""] {
            let mut command = Command::new(std::env::current_exe().unwrap());
            let output =
                command.args(["--exact", "tests::the_level_is_that_of_the_variable"]).env(VARIABLE, limit).output();
            assert!(String::from_utf8_lossy(&output.unwrap().stdout).contains("1 passed"), "{limit}");
        }
    }

    multiversion! {
    fn sum_of<T: Into<f64>>(values: Vec<T>) -> f64 {
        let mut sum = 0.0;
        for value in values {
            sum += value.into();
        }
        sum
    }
    }

    #[test]
    fn values_and_results_pass_through() {
        assert_eq!(sum_of(vec![1.5f32, 2.0]), 3.5);
        let large = [1u64; 20];
        for level in Level::all() {
            assert_eq!(level.vectorize(move || large.iter().sum::<u64>()), 20, "{level:?}");
        }
    }
}
