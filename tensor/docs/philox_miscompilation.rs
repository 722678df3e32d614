//! Shows that LLVM's SLP vectorizer makes wrong code of four rounds of Philox and a transposition:
//!
//! ```text
//! rustc --edition 2024 -O philox_miscompilation.rs && ./philox_miscompilation
//! ```

const LANES: usize = 16;
type Vector = [u32; LANES];

const MULTIPLIERS: [u32; 2] = [0xD2511F53, 0xCD9E8D57];
const WEYL: [u32; 2] = [0x9E3779B9, 0xBB67AE85];
const KEY: [u32; 2] = [0x5678_9abc, 0x1234];
/// The order of counters that the transposition undoes.
const COUNTERS: Vector = [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15];

#[inline(always)]
fn mul(v: Vector, factor: u32) -> (Vector, Vector) {
    let products = v.map(|v| u64::from(v) * u64::from(factor));
    (products.map(|v| (v >> 32) as u32), products.map(|v| v as u32))
}

#[inline(always)]
fn xor(a: Vector, b: Vector) -> Vector {
    std::array::from_fn(|i| a[i] ^ b[i])
}

#[inline(always)]
fn add(a: Vector, b: Vector) -> Vector {
    std::array::from_fn(|i| a[i].wrapping_add(b[i]))
}

#[inline(always)]
fn transpose_4x4(rows: [Vector; 4]) -> [Vector; 4] {
    std::array::from_fn(|k| std::array::from_fn(|i| rows[i % 4][i / 4 * 4 + k]))
}

#[inline(always)]
fn next_key(key: [u32; 2]) -> [u32; 2] {
    [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])]
}

#[inline(always)]
fn philox(mut key: [u32; 2], counters: Vector, rest: [u32; 3]) -> [Vector; 4] {
    let mut c = [counters, [rest[0]; LANES], [rest[1]; LANES], [rest[2]; LANES]];
    for round in 0..4 {
        if round > 0 {
            key = next_key(key);
        }
        let (a_high, a_low) = mul(c[0], MULTIPLIERS[0]);
        let (b_high, b_low) = mul(c[2], MULTIPLIERS[1]);
        let first = xor(xor(b_high, c[1]), [key[0]; LANES]);
        let third = xor(xor(a_high, c[3]), [key[1]; LANES]);
        c = [first, b_low, third, a_low];
    }
    c
}

/// The function that is compiled wrongly.
#[inline(never)]
fn fill(key: [u32; 2], rest: [u32; 3], mut first: u32, words: &mut [u32]) {
    for words in words.chunks_mut(LANES * 4) {
        let vectors = transpose_4x4(philox(key, add(COUNTERS, [first; LANES]), rest));
        first = first.wrapping_add(LANES as u32);
        for (vector, words) in vectors.into_iter().zip(words.chunks_exact_mut(LANES)) {
            words.copy_from_slice(&vector);
        }
    }
}

/// The same for one counter.
fn scalar_philox(mut key: [u32; 2], mut c: [u32; 4]) -> [u32; 4] {
    for round in 0..4 {
        if round > 0 {
            key = next_key(key);
        }
        let a = u64::from(c[0]) * u64::from(MULTIPLIERS[0]);
        let b = u64::from(c[2]) * u64::from(MULTIPLIERS[1]);
        c = [(b >> 32) as u32 ^ c[1] ^ key[0], b as u32, (a >> 32) as u32 ^ c[3] ^ key[1], a as u32];
    }
    c
}

fn main() {
    let mut words = vec![0; 256];
    fill(KEY, [7, 3, 256], 5, &mut words);
    let mut wrong = 0;
    for (i, &word) in words.iter().enumerate() {
        let expected = scalar_philox(KEY, [5 + i as u32 / 4, 7, 3, 256])[i % 4];
        wrong += usize::from(word != expected);
    }
    println!("{wrong} of {} words are wrong", words.len());
}
