//! Speed of the search, beside that of the matrix product that it rests on: `cargo bench -p alexnet-similarity`.

use std::time::Instant;

use alexnet_similarity::ndarray::Array2;
use alexnet_similarity::{NeighbourSearch, multiply_transposed};

/// Queries, vectors of a block, blocks, values of a vector.
const SIZES: [[usize; 4]; 3] = [[1000, 20_000, 5, 512], [1000, 4_000, 5, 4096], [8, 20_000, 5, 512]];

/// Numbers that look random, half of them 0, as after a ReLU.
fn vectors(rows: usize, columns: usize, seed: u64) -> Array2<f32> {
    let mut state = seed;
    Array2::from_shape_simple_fn((rows, columns), || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1 << 23) as f32 - 1.0).max(0.0)
    })
}

fn main() -> Result<(), alexnet_similarity::Error> {
    println!("queries x vectors x values: GFLOP/s of the product, of the search");
    for [queries, rows, blocks, columns] in SIZES {
        let block = vectors(rows, columns, 1);
        let searched = vectors(queries, columns, 2);
        let operations = (2 * queries * rows * blocks * columns) as f64 / 1e9;
        let mut products = vec![0.0; queries * rows];
        let start = Instant::now();
        for _ in 0..blocks {
            multiply_transposed(searched.view(), block.view(), &mut products);
        }
        let product = operations / start.elapsed().as_secs_f64();
        let start = Instant::now();
        let mut search = NeighbourSearch::new(searched, 6)?;
        for _ in 0..blocks {
            search.add(block.view())?;
        }
        let found = search.finish();
        let seconds = start.elapsed().as_secs_f64();
        assert!(found.iter().all(|found| found.len() == 6));
        println!("{queries} x {} x {columns}: {product:.0}, {:.0}", rows * blocks, operations / seconds);
    }
    Ok(())
}
