//! Intervals by the bootstrap.

use random::{Stream, purpose};
use rayon::prelude::*;
use serde::Serialize;

use crate::Outcome;

/// Number of samples.
const SAMPLES: u64 = 1000;
/// The part of the samples that lies below an interval, and as much above it.
const TAIL: f64 = 0.025;

/// A 95 % interval: the 2.5 % and 97.5 % percentiles of a figure over 1000 samples of as many images as there are, drawn
/// with replacement (Efron: "Bootstrap Methods: Another Look at the Jackknife", 1979).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The intervals of top-1 error, top-5 error and loss; none without images.
pub(crate) fn intervals(outcomes: &[Outcome], seed: u64) -> [Option<Interval>; 3] {
    let Ok(n) = u32::try_from(outcomes.len()) else { return [None; 3] };
    if n == 0 {
        return [None; 3];
    }
    let samples: Vec<[f64; 3]> = (0..SAMPLES).into_par_iter().map(|number| sample(outcomes, n, seed, number)).collect();
    [0, 1, 2].map(|figure| Some(percentiles(samples.iter().map(|sample| sample[figure]).collect())))
}

/// The figures of one sample.
fn sample(outcomes: &[Outcome], n: u32, seed: u64, number: u64) -> [f64; 3] {
    let stream = Stream::new(seed, purpose::USER, number);
    let mut counts = [0u32; 2];
    let mut loss = 0.0;
    for block in 0..n.div_ceil(4) {
        let words = stream.block(block);
        let used = (n - 4 * block).min(4) as usize;
        for word in &words[..used] {
            // The high bits of a product: an index below n, uniform up to n / 2^32.
            let index = (u64::from(*word) * u64::from(n)) >> 32;
            let outcome = &outcomes[index as usize];
            counts[0] += u32::from(outcome.rank >= 1);
            counts[1] += u32::from(outcome.rank >= 5);
            loss += f64::from(outcome.loss);
        }
    }
    let n = f64::from(n);
    [f64::from(counts[0]) / n, f64::from(counts[1]) / n, loss / n]
}

fn percentiles(mut values: Vec<f64>) -> Interval {
    values.sort_by(f64::total_cmp);
    let last = (values.len() - 1) as f64;
    let at = |share: f64| values[(share * last).round() as usize];
    Interval { low: at(TAIL), high: at(1.0 - TAIL) }
}
