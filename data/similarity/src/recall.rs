//! The quality of an approximate search.

use crate::Neighbour;

/// The share of the true neighbours that an approximate search found: the mean over queries of the share of the first
/// `count` neighbours in `exact` that are among `found`, the indices that the search gave for the same query. 1 for no
/// queries.
///
/// ```
/// use alexnet_similarity::{Neighbour, recall};
///
/// let exact = vec![vec![Neighbour { index: 7, distance: 1.0 }, Neighbour { index: 3, distance: 2.0 }]];
/// assert_eq!(recall(&exact, &[vec![3, 9]], 2), 0.5);
/// assert_eq!(recall(&exact, &[vec![3, 9]], 1), 0.0);
/// ```
pub fn recall(exact: &[Vec<Neighbour>], found: &[Vec<usize>], count: usize) -> f64 {
    let shares = exact.iter().zip(found).filter(|(exact, _)| !exact.is_empty()).map(|(exact, found)| {
        let wanted = &exact[..exact.len().min(count)];
        let right = wanted.iter().filter(|neighbour| found.contains(&neighbour.index)).count();
        right as f64 / wanted.len() as f64
    });
    let shares: Vec<f64> = shares.collect();
    if shares.is_empty() { 1.0 } else { shares.iter().sum::<f64>() / shares.len() as f64 }
}
