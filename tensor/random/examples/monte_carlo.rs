//! Estimates pi from random points on several threads; the sum is the same for any number of them.
//!
//! `cargo run -p alexnet-random --example monte_carlo`

use std::thread;

use alexnet_random::{Stream, purpose};

const POINTS: u64 = 1_000_000;

/// Number of the points `from..to` that lie in the quarter of the unit circle.
fn hits(stream: Stream, from: u64, to: u64) -> u64 {
    let is_inside = |point: &u64| {
        let x = stream.uniform(2 * point);
        let y = stream.uniform(2 * point + 1);
        x * x + y * y < 1.0
    };
    (from..to).filter(is_inside).count() as u64
}

fn main() {
    let stream = Stream::new(2012, purpose::USER, 0);
    for threads in [1, 2, 5] {
        let part = POINTS / threads;
        let workers: Vec<_> =
            (0..threads).map(|t| thread::spawn(move || hits(stream, t * part, (t + 1) * part))).collect();
        let inside: u64 = workers.into_iter().map(|worker| worker.join().unwrap_or(0)).sum();
        println!("{threads} threads: {inside} of {POINTS} inside, pi is about {}", 4.0 * inside as f64 / POINTS as f64);
    }
}
