//! Maps of vectors.

use alexnet_similarity::ndarray::Array2;
use alexnet_similarity::{Error, MapOptions, map};

/// Three groups far from each other.
fn groups(count: usize) -> Array2<f32> {
    Array2::from_shape_fn((count, 6), |(row, column)| {
        (row % 3 * 40) as f32 * f32::from(u8::from(column % 3 == row % 3))
            + ((row * 31 + column * 17) % 13) as f32 * 0.2
    })
}

#[test]
fn groups_stay_together_and_a_seed_gives_the_same_map() {
    let vectors = groups(90);
    let options = MapOptions { perplexity: 10.0, steps: 500, seed: 3 };
    let mut steps = 0;
    let points = map(&vectors, &options, |step| steps = step).unwrap();
    assert_eq!(steps, 500);
    assert_eq!(map(&vectors, &options, |_| ()).unwrap(), points);
    assert_ne!(map(&vectors, &MapOptions { seed: 4, ..options }, |_| ()).unwrap(), points);
    let distance = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
    // The nearest point of each is of its group.
    for (own, &point) in points.iter().enumerate() {
        let others = (0..points.len()).filter(|&other| other != own);
        let nearest = others.min_by(|&a, &b| distance(point, points[a]).total_cmp(&distance(point, points[b])));
        assert_eq!(nearest.unwrap() % 3, own % 3);
    }
}

#[test]
fn equal_vectors_have_a_map_and_too_few_have_none() {
    let points = map(&Array2::zeros((20, 3)), &MapOptions { steps: 50, ..MapOptions::default() }, |_| ()).unwrap();
    assert!(points.iter().flatten().all(|value| value.is_finite()), "{points:?}");
    let options = MapOptions::default();
    assert!(matches!(map(&groups(7), &options, |_| ()), Err(Error::Number { found: 7, .. })));
    for perplexity in [0.0, -1.0, f64::NAN] {
        assert!(map(&groups(20), &MapOptions { perplexity, ..options }, |_| ()).is_err());
    }
}
