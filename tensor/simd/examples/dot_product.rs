//! Times a dot product compiled for each level of this processor.

use std::hint::black_box;
use std::time::Instant;

use alexnet_simd::Level;

/// Values added up side by side: the order of the sum is the same at every level.
const LANES: usize = 32;

#[inline(always)]
fn dot_product(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

fn main() {
    let a: Vec<f32> = (0..1 << 12).map(|i| (i % 7) as f32).collect();
    let b: Vec<f32> = (0..1 << 12).map(|i| (i % 5) as f32 / 4.0).collect();
    for level in Level::all() {
        let start = Instant::now();
        let mut result = 0.0;
        for _ in 0..10_000 {
            let a = black_box(a.as_slice());
            let b = black_box(b.as_slice());
            result = level.vectorize(
                #[inline(always)]
                || dot_product(a, b),
            );
        }
        println!("{level:?}: {result} in {:.2} µs", start.elapsed().as_secs_f64() * 1e6 / 10_000.0);
    }
}
