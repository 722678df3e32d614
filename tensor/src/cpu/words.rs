//! Words of a random stream, many calls of the generator side by side.

use super::simd::multiversion;
use crate::random::Stream;

/// Words of one call of the generator.
pub(super) const CALL: usize = 4;
/// Calls side by side: a vector.
const SIDE: usize = 16;
/// Words that are made at a time: as many as stay in the nearest cache with what is made of them.
const BATCH: usize = 1024;

/// Runs `work` with the words of `len` values, from that of call `first` of the generator on, a batch at a time with the
/// number of the batch's first value.
#[inline(always)]
pub(super) fn for_batches(stream: Stream, first: u32, len: usize, mut work: impl FnMut(usize, &[u32])) {
    let mut words = [0; BATCH];
    for start in (0..len).step_by(BATCH) {
        let words = &mut words[..BATCH.min(len - start)];
        fill(stream, first.wrapping_add((start / CALL) as u32), words);
        work(start, words);
    }
}

multiversion! {
    /// The words of the stream from those of call `first` on.
    fn fill(stream: Stream, first: u32, words: &mut [u32]) {
        let mut call = first;
        for words in words.chunks_mut(SIDE * CALL) {
            let by_word = stream.blocks::<SIDE>(call);
            call = call.wrapping_add(SIDE as u32);
            match <&mut [u32; SIDE * CALL]>::try_from(&mut *words) {
                Ok(words) => interleave(&by_word, words),
                Err(_) => {
                    let mut all = [0; SIDE * CALL];
                    interleave(&by_word, &mut all);
                    words.copy_from_slice(&all[..words.len()]);
                }
            }
        }
    }
}

#[inline(always)]
fn interleave(by_word: &[[u32; SIDE]; CALL], words: &mut [u32; SIDE * CALL]) {
    for i in 0..SIDE {
        for (j, of_calls) in by_word.iter().enumerate() {
            words[CALL * i + j] = of_calls[i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_the_streams_in_order() {
        let stream = Stream::new(0x1234_5678_9abc, 7, 1 << 40 | 3);
        for (first, len) in [(0, 0), (0, 1), (5, 63), (9, 64), (2, 65), (u32::MAX - 3, 2500)] {
            let mut words = Vec::new();
            for_batches(stream, first, len, |start, batch| {
                assert_eq!(start, words.len());
                words.extend_from_slice(batch);
            });
            let expected = (0..len).map(|i| stream.block(first.wrapping_add((i / CALL) as u32))[i % CALL]);
            assert!(words.iter().copied().eq(expected), "{len} words from {first}");
        }
    }
}
