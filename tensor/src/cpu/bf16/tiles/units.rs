//! The processor's units for products of `bf16`, detected at run time.

use std::fmt;
use std::sync::LazyLock;

use ::simd::VARIABLE;

/// A unit for products of `bf16`. A value exists only where the processor and the system have it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Dot products of pairs in vectors: `vdpbf16ps`.
    Avx512(Avx512),
    /// Products of tiles: `tdpbf16ps`.
    Amx(Amx),
}

/// The proof of AVX512-BF16, and of AVX-512 F, BW, DQ and VL.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Avx512(());

/// The proof of AMX-BF16, which the system allows this process to use, and of [`Avx512`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Amx(());

impl Unit {
    /// The fastest unit, or a lower one that [`VARIABLE`] names: `avx512-bf16` keeps to vectors, and `portable`, `avx2`
    /// and `avx512` leave none. It is read once.
    pub fn get() -> Option<Self> {
        static UNIT: LazyLock<Option<Unit>> =
            LazyLock::new(|| Unit::up_to(&std::env::var(VARIABLE).unwrap_or_default()));
        *UNIT
    }

    /// The fastest unit that `limit` allows.
    fn up_to(limit: &str) -> Option<Self> {
        let units = Self::all();
        match limit {
            "portable" | "avx2" | "avx512" => None,
            "avx512-bf16" => units.first().copied(),
            _ => units.last().copied(),
        }
    }

    /// The units of this processor, the slowest first.
    pub fn all() -> Vec<Self> {
        let avx512 = Avx512::detect();
        let amx = avx512.and_then(|_| Amx::detect());
        avx512.map(Self::Avx512).into_iter().chain(amx.map(Self::Amx)).collect()
    }

    /// `avx512-bf16` or `amx-bf16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512(_) => "avx512-bf16",
            Self::Amx(_) => "amx-bf16",
        }
    }
}

impl fmt::Debug for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Avx512 {
    fn detect() -> Option<Self> {
        let has_all = is_x86_feature_detected!("avx512bf16")
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        has_all.then_some(Self(()))
    }
}

impl Amx {
    /// The processor has AMX-TILE and AMX-BF16 (CPUID 7.0, EDX bits 24 and 22), and the system saves the tiles.
    fn detect() -> Option<Self> {
        use std::arch::x86_64::{__cpuid, __cpuid_count};
        if __cpuid(0).eax < 7 {
            return None;
        }
        let features = __cpuid_count(7, 0).edx;
        let has_amx = features >> 24 & 1 == 1 && features >> 22 & 1 == 1;
        (has_amx && is_allowed()).then_some(Self(()))
    }
}

/// Asks Linux to save the state of tiles for this process, which it does on demand only.
#[cfg(target_os = "linux")]
fn is_allowed() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_ulong = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    // SAFETY: the call has no pointers; it fails where the system does not know it.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

/// Other systems are not known to save them.
#[cfg(not(target_os = "linux"))]
fn is_allowed() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_keeps_to_less() {
        for limit in ["portable", "avx2", "avx512"] {
            assert_eq!(Unit::up_to(limit), None, "{limit}");
        }
        assert_eq!(Unit::up_to("avx512-bf16"), Unit::all().first().copied());
        assert_eq!(Unit::up_to(""), Unit::all().last().copied());
    }
}
