//! The search against a comparison of all vectors in double precision.

use alexnet_similarity::ndarray::{Array2, ArrayView1, Axis, array, s};
use alexnet_similarity::{Error, Neighbour, NeighbourSearch};
use proptest::prelude::*;

fn distance(x: ArrayView1<f32>, y: ArrayView1<f32>) -> f64 {
    x.iter().zip(y).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum::<f64>().sqrt()
}

/// The indices of the nearest, and their distances, by sorting all.
fn plainly(queries: &Array2<f32>, vectors: &Array2<f32>, count: usize) -> Vec<Vec<(usize, f64)>> {
    let of_query = |query: ArrayView1<f32>| {
        let mut all: Vec<(usize, f64)> =
            vectors.rows().into_iter().map(|row| distance(query, row)).enumerate().collect();
        all.sort_by(|a, b| a.1.total_cmp(&b.1));
        all.truncate(count);
        all
    };
    queries.rows().into_iter().map(of_query).collect()
}

fn search(queries: &Array2<f32>, vectors: &Array2<f32>, count: usize, block: usize) -> Vec<Vec<Neighbour>> {
    let mut search = NeighbourSearch::new(queries.clone(), count).unwrap();
    for part in vectors.axis_chunks_iter(Axis(0), block) {
        search.add(part).unwrap();
    }
    assert_eq!(search.len(), vectors.nrows());
    search.finish()
}

fn check(queries: &Array2<f32>, vectors: &Array2<f32>, count: usize, block: usize) {
    let expected = plainly(queries, vectors, count);
    for (found, expected) in search(queries, vectors, count, block).iter().zip(&expected) {
        assert_eq!(found.len(), expected.len());
        for (found, &(_, distance)) in found.iter().zip(expected) {
            assert!((found.distance - distance).abs() <= 1e-12 * distance, "{found:?}, {distance}");
        }
        let numbers = |neighbours: &[Neighbour]| neighbours.iter().map(|found| found.index).collect::<Vec<_>>();
        // Sums in another order differ in the last bits, which may swap what is equally near; whole numbers do not.
        let is_whole = queries.iter().chain(vectors).all(|value| value.fract() == 0.0);
        if is_whole {
            assert_eq!(numbers(found), expected.iter().map(|(index, _)| *index).collect::<Vec<_>>());
        }
    }
}

/// Whole numbers: many equal distances. Others lie far from 0, where single precision loses all of a difference.
fn values(kind: u8) -> BoxedStrategy<f32> {
    match kind {
        0 => (-2i8..3).prop_map(f32::from).boxed(),
        1 => (0u16..200).prop_map(|n| 1000.0 + f32::from(n) * 1e-3).boxed(),
        2 => (-50i8..50).prop_map(|n| f32::from(n) * 1e-24).boxed(),
        _ => (-1.0f32..1.0).prop_map(|x| x.max(0.0)).boxed(),
    }
}

fn matrices() -> impl Strategy<Value = (Array2<f32>, Array2<f32>)> {
    (1usize..6, 1usize..200, 1usize..20, 0u8..4).prop_flat_map(|(queries, rows, columns, kind)| {
        let matrix = move |rows: usize| {
            proptest::collection::vec(values(kind), rows * columns)
                .prop_map(move |values| Array2::from_shape_vec((rows, columns), values).unwrap())
        };
        (matrix(queries), matrix(rows))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_nearest_are_those_of_all_pairs((queries, vectors) in matrices(), count in 1usize..12, block in 1usize..250) {
        check(&queries, &vectors, count, block);
    }
}

/// A query that is among the vectors is at distance 0 from itself and from its copies, first the first.
#[test]
fn equal_vectors_have_distance_0() {
    let mut vectors =
        Array2::from_shape_fn((300, 64), |(row, column)| ((row * 37 + column * 11) % 101) as f32 * 0.123 + 900.0);
    let copy = vectors.row(41).to_owned();
    vectors.row_mut(200).assign(&copy);
    let queries = vectors.slice(s![41..42, ..]).to_owned();
    // Rows repeat after 101.
    let found: Vec<(usize, f64)> =
        search(&queries, &vectors, 4, 64)[0].iter().map(|found| (found.index, found.distance)).collect();
    assert_eq!(found, [(41, 0.0), (142, 0.0), (200, 0.0), (243, 0.0)]);
}

/// More queries and vectors than a block has of either.
#[test]
fn blocks_are_joined() {
    let value = |(row, column): (usize, usize)| ((row * 7919 + column * 104_729) % 1009) as f32;
    check(&Array2::from_shape_fn((1030, 3), value), &Array2::from_shape_fn((5000, 3), value), 6, 4500);
}

#[test]
fn wrong_vectors_are_refused() {
    assert!(matches!(NeighbourSearch::new(array![[1.0]], 0), Err(Error::Number { .. })));
    let bad = NeighbourSearch::new(array![[1.0], [f32::NAN]], 1).unwrap_err();
    assert!(bad.to_string().contains("vector 1 has a value NaN"), "{bad}");
    let mut search = NeighbourSearch::new(array![[1.0, 2.0]], 3).unwrap();
    assert_eq!(search.add(array![[1.0]].view()), Err(Error::Length { expected: 2, found: 1 }));
    search.add(array![[1.0, 2.0]].view()).unwrap();
    let bad = search.add(array![[0.0, 0.0], [1e20, 0.0]].view()).unwrap_err();
    assert_eq!(bad, Error::NotFinite { vector: 2, value: 1e20 });
    assert_eq!((search.len(), search.finish()[0].len()), (1, 1));
}
