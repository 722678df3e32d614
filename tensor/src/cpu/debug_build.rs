//! A note on standard error for programs whose kernels were compiled without optimisation.

use std::hint::black_box;

/// Multiplications and additions after which a program is told: tests of small shapes are not.
const HEAVY: u64 = 20_000_000;

/// Set to `off`, it silences the note.
const VARIABLE: &str = "ALEXNET_DEBUG_NOTE";

/// Counts the work of a heavy kernel. Says once, after much work, that kernels were compiled without optimisation. In
/// builds without debug assertions it does nothing.
#[inline]
pub(super) fn note_work(flops: f64) {
    if cfg!(debug_assertions) {
        count(flops);
    }
}

fn count(flops: f64) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static DONE: AtomicU64 = AtomicU64::new(0);

    let flops = (flops as u64).min(HEAVY);
    let before = DONE.fetch_add(flops, Ordering::Relaxed);
    let is_first = before < HEAVY && before + flops >= HEAVY;
    if is_first && std::env::var(VARIABLE).as_deref() != Ok("off") && !is_optimised() {
        eprintln!(
            "note: alexnet-tensor was compiled without optimisation, which makes it many times slower. Use --release, or \
             add to Cargo.toml:\n\n[profile.dev.package.\"*\"]\nopt-level = 3\n\n\
             ({VARIABLE}=off hides this note.)"
        );
    }
}

/// Whether this crate was compiled with optimisation, by the times of two loops that do the same: iterators cost calls
/// unless they are optimised. A busy machine slows both.
fn is_optimised() -> bool {
    const COST_OF_CALLS: u32 = 3;
    let values: [u64; 1024] = std::array::from_fn(|i| i as u64);
    let plain = fastest(|| plain_hash(black_box(&values)));
    let by_iterators = fastest(|| hash_by_iterators(black_box(&values)));
    by_iterators < plain.saturating_mul(COST_OF_CALLS)
}

/// The shortest of several runs.
fn fastest(run: impl Fn() -> u64) -> std::time::Duration {
    let time = || {
        let start = std::time::Instant::now();
        black_box(run());
        start.elapsed()
    };
    (0..16).map(|_| time()).min().unwrap_or_default()
}

const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

#[inline(never)]
fn plain_hash(values: &[u64]) -> u64 {
    let mut hash = 0u64;
    let mut i = 0;
    while i < values.len() {
        hash = (hash ^ values[i] ^ (i as u64)).wrapping_mul(FACTOR);
        i += 1;
    }
    hash
}

#[inline(never)]
fn hash_by_iterators(values: &[u64]) -> u64 {
    let numbered = values.iter().copied().enumerate().map(|(i, value)| value ^ i as u64);
    numbered.zip(std::iter::repeat(FACTOR)).fold(0u64, |hash, (value, factor)| (hash ^ value).wrapping_mul(factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_loops_do_the_same() {
        let values: Vec<u64> = (0..1000).map(|i| i * i + 7).collect();
        assert_eq!(plain_hash(&values), hash_by_iterators(&values));
    }

    /// The workspace optimises this crate in every profile, so its tests must not print the note.
    #[test]
    fn this_build_counts_as_optimised() {
        assert!(is_optimised());
    }
}
