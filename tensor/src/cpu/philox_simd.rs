//! Philox for the CPU: words of a random stream, a vector of calls at a time.

use super::simd::{LANES, Level, Simd, WithSimd, dispatch};
use crate::random::{MULTIPLIERS, Stream, WEYL};

/// Words of one call of Philox.
pub(super) const CALL: usize = 4;
/// Words of a batch: they fit the L1 cache with the values made of them.
const BATCH: usize = 1024;

/// Calls `f` for each batch of `len` words from call `first` of Philox on, with the index of the batch's first word.
#[inline(always)]
pub(super) fn for_batches(stream: Stream, first: u32, len: usize, mut f: impl FnMut(usize, &[u32])) {
    let mut words = [0; BATCH];
    for start in (0..len).step_by(BATCH) {
        let words = &mut words[..BATCH.min(len - start)];
        fill(Level::get(), stream, first.wrapping_add((start / CALL) as u32), words);
        f(start, words);
    }
}

/// Fills `words` with those of the stream from call `first` on.
fn fill(level: Level, stream: Stream, first: u32, words: &mut [u32]) {
    dispatch(level, Fill { stream, first, words });
}

struct Fill<'a> {
    stream: Stream,
    first: u32,
    words: &'a mut [u32],
}

/// The calls of a vector's lanes, in the order that `transpose_4x4` undoes.
const CALLS: [u32; LANES] = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];

impl WithSimd for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { stream, mut first, words } = self;
        let calls = simd.load_u32(&CALLS);
        for words in words.chunks_mut(LANES * CALL) {
            let all = simd.transpose_4x4(philox(simd, stream, simd.add_u32(calls, simd.splat_u32(first))));
            first = first.wrapping_add(LANES as u32);
            if words.len() == LANES * CALL {
                put_words(simd, all, words);
            } else {
                let mut whole = [0; LANES * CALL];
                put_words(simd, all, &mut whole);
                words.copy_from_slice(&whole[..words.len()]);
            }
        }
    }
}

#[inline(always)]
fn put_words<S: Simd>(simd: S, all: [S::U32; CALL], words: &mut [u32]) {
    for (ints, words) in all.into_iter().zip(words.chunks_exact_mut(LANES)) {
        simd.store_u32(ints, words);
    }
}

/// [`philox`](crate::random::philox) for a vector of counters.
#[inline(always)]
fn philox<S: Simd>(simd: S, stream: Stream, counters: S::U32) -> [S::U32; CALL] {
    let mut key = [stream.seed as u32, (stream.seed >> 32) as u32];
    let [purpose, low, high] = [stream.purpose, stream.step as u32, (stream.step >> 32) as u32];
    let mut c = [counters, simd.splat_u32(purpose), simd.splat_u32(low), simd.splat_u32(high)];
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        let (a_high, a_low) = simd.mul_u32(c[0], MULTIPLIERS[0]);
        let (b_high, b_low) = simd.mul_u32(c[2], MULTIPLIERS[1]);
        let first = simd.xor_u32(simd.xor_u32(b_high, c[1]), simd.splat_u32(key[0]));
        let third = simd.xor_u32(simd.xor_u32(a_high, c[3]), simd.splat_u32(key[1]));
        c = [first, b_low, third, a_low];
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::simd::Level;

    #[test]
    fn words_are_the_streams_in_order() {
        let stream = Stream::new(0x1234_5678_9abc, 7, 1 << 40 | 3);
        for (first, len) in [(0, 0), (0, 1), (5, 63), (9, 64), (2, 65), (u32::MAX - 3, 2500)] {
            let mut words = Vec::new();
            for_batches(stream, first, len, |start, batch| {
                assert_eq!(start, words.len());
                words.extend_from_slice(batch);
            });
            let expected = (0..len).map(|i| stream.block(first.wrapping_add((i / CALL) as u32))[i % CALL]);
            assert!(words.iter().copied().eq(expected.clone()), "{len} words from {first}");
            for level in Level::all() {
                words.fill(0);
                fill(level, stream, first, &mut words);
                assert!(words.iter().copied().eq(expected.clone()), "{level:?}: {len} words from {first}");
            }
        }
    }
}
