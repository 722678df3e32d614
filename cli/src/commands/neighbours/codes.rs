//! Short binary codes beside the exact search.

use ndarray::Array2;
use serde::Serialize;
use similarity::{BinaryEncoder, Codes, Neighbour, recall};

use crate::commands::feature_source::FeatureSource;
use crate::commands::selected::spread;
use crate::failure::{Failure, Result};

/// Vectors from which codes are learned.
const SAMPLE: usize = 10_000;
/// Numbers of codes among which the neighbours are looked for.
const AMONG: [usize; 3] = [10, 100, 1000];

/// The share of the neighbours that codes find.
#[derive(Clone, Debug, Serialize)]
pub struct CodesReport {
    /// Bits of a code.
    pub bits: usize,
    /// Bytes of all codes.
    pub bytes: usize,
    pub recall: Vec<Recall>,
}

/// The share of the exact neighbours among the nearest codes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Recall {
    /// Number of nearest codes.
    pub among: usize,
    pub share: f64,
}

/// Learns codes from the images that are searched, and compares what they find for `queries` with the exact neighbours.
pub fn compare(
    searched: &FeatureSource,
    queries: &Array2<f32>,
    exact: &[Vec<Neighbour>],
    bits: usize,
    seed: u64,
) -> Result<CodesReport> {
    let failed = |error: similarity::Error| match error {
        similarity::Error::Number { .. } => Failure::Usage(format!("--codes: {error}")),
        error => Failure::Failed(format!("features: {error}")),
    };
    let sample = searched.rows(&spread(searched.len(), SAMPLE), None)?;
    let encoder = BinaryEncoder::learn(sample.view(), bits, seed).map_err(failed)?;
    let own = encoder.encode(queries.view()).map_err(failed)?;
    let mut codes: Option<Codes> = None;
    searched.blocks(None, &mut |block| {
        let more = encoder.encode(block).map_err(train::Error::other)?;
        match &mut codes {
            Some(codes) => codes.append(&more).map_err(train::Error::other),
            none => {
                *none = Some(more);
                Ok(())
            }
        }
    })?;
    let count = exact.iter().map(Vec::len).max().unwrap_or(0);
    let mut numbers: Vec<usize> = AMONG.into_iter().filter(|&among| among > count && among < searched.len()).collect();
    numbers.insert(0, count);
    let most = numbers.last().copied().unwrap_or(0);
    let found = codes.as_ref().map_or(Ok(Vec::new()), |codes| own.nearest(codes, most)).map_err(failed)?;
    let of = |among: usize| {
        let first: Vec<Vec<usize>> = found.iter().map(|found| found[..found.len().min(among)].to_vec()).collect();
        Recall { among, share: recall(exact, &first, count) }
    };
    let bytes = searched.len() * bits.div_ceil(64) * 8;
    Ok(CodesReport { bits, bytes, recall: numbers.into_iter().map(of).collect() })
}
