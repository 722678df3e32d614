//! Vectors as points of a plane, near ones near each other.

use bhtsne::{Neighbor, tSNE};
use ndarray::Array2;
use random::{Stream, purpose};
use rayon::ThreadPoolBuilder;

use crate::{Error, NeighbourSearch, Result};

/// The speed of the repulsion's approximation (Barnes and Hut): 0 is exact.
const THETA: f64 = 0.5;
/// Standard deviation of the first positions.
const START: f64 = 1e-4;

/// Options of a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MapOptions {
    /// About the number of neighbours that each point keeps; less where there are too few vectors.
    pub perplexity: f64,
    /// Steps of the descent.
    pub steps: usize,
    /// The seed of the first positions.
    pub seed: u64,
}

impl Default for MapOptions {
    fn default() -> Self {
        Self { perplexity: 30.0, steps: 1000, seed: 1 }
    }
}

/// Positions `[x, y]` of vectors in a plane by t-SNE (van der Maaten and Hinton, 2008; van der Maaten, 2014): vectors that
/// are near each other have near positions; distances between far ones mean little. The crate `bhtsne` computes it, from
/// the exact neighbours, on one thread: the same seed gives the same map. Calls `progress` after each step.
///
/// ```
/// use alexnet_similarity::{MapOptions, map};
/// use alexnet_similarity::ndarray::Array2;
///
/// // Two groups.
/// let vectors = Array2::from_shape_fn((40, 5), |(row, column)| (row % 2 * 50) as f32 + ((row * 7 + column) % 11) as f32);
/// let points = map(&vectors, &MapOptions { steps: 300, ..MapOptions::default() }, |_| ())?;
/// assert_eq!(points.len(), 40);
/// # Ok::<(), alexnet_similarity::Error>(())
/// ```
///
/// # Errors
/// [`Error::Number`] for fewer than 8 vectors, and for a perplexity below 1; [`Error::NotFinite`].
pub fn map(
    vectors: &Array2<f32>,
    options: &MapOptions,
    mut progress: impl FnMut(usize) + Send,
) -> Result<Vec<[f64; 2]>> {
    let count = vectors.nrows();
    if count < 8 {
        return Err(Error::Number {
            name: "the number of vectors of a map",
            found: count,
            expected: "at least 8".into(),
        });
    }
    if options.perplexity.is_nan() || options.perplexity < 1.0 {
        let found = options.perplexity.max(0.0) as usize;
        return Err(Error::Number { name: "the perplexity", found, expected: "at least 1".into() });
    }
    let perplexity = options.perplexity.min((count - 1) as f64 / 3.0);
    let neighbours = neighbours(vectors, (3.0 * perplexity) as usize)?;
    let start = start(count, options.seed);
    // Sums of several threads would be rounded in another order each time.
    let pool = ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|error| Error::Threads { what: error.to_string() })?;
    let flat = pool.install(|| {
        let samples = vec![(); count];
        let mut tsne: tSNE<f64, ()> = tSNE::new(&samples);
        tsne.perplexity(perplexity).epochs(options.steps).initial_embedding(start);
        tsne.epoch_callback(|step, _| progress(step + 1));
        tsne.barnes_hut_with_neighbors(THETA, &neighbours);
        tsne.embedding()
    });
    Ok(flat.chunks_exact(2).map(|point| [point[0], point[1]]).collect())
}

/// The neighbours of each vector among the others.
fn neighbours(vectors: &Array2<f32>, count: usize) -> Result<Vec<Vec<Neighbor<f64>>>> {
    let mut search = NeighbourSearch::new(vectors.clone(), count + 1)?;
    search.add(vectors.view())?;
    // Scaled, so that the distances of large values are not far from 1.
    let found = search.finish();
    let largest = found.iter().flatten().map(|near| near.distance).fold(f64::MIN_POSITIVE, f64::max);
    let others = found.into_iter().enumerate().map(|(own, near)| {
        let others = near.into_iter().filter(|near| near.index != own).take(count);
        others.map(|near| Neighbor { index: near.index, distance: near.distance / largest }).collect()
    });
    Ok(others.collect())
}

/// First positions, near 0.
fn start(count: usize, seed: u64) -> Vec<f64> {
    let stream = Stream::new(seed, purpose::USER, 0);
    (0..2 * count as u64).map(|place| START * stream.normal(place)).collect()
}
