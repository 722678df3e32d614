//! Exact nearest neighbours by Euclidean distance.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::product::multiply_transposed;
use crate::{Error, Result};

/// Values of the product of two blocks: 16 MiB.
const PRODUCTS: usize = 4 << 20;
/// The most queries of a block.
const QUERIES: usize = 1024;
/// Products whose least one is compared at once.
const CHUNK: usize = 64;
/// Half the distance from 1 to the next f32: the largest relative error of a rounding.
const ROUNDING: f64 = f32::EPSILON as f64 / 2.0;
/// The largest value of a vector: sums of its squares stay far below the largest f32.
const LARGEST: f32 = 1e15;

/// A vector near a query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Neighbour {
    /// The vector's number, in the order in which vectors were added.
    pub index: usize,
    /// Its Euclidean distance from the query.
    pub distance: f64,
}

/// A search for the nearest of many vectors, which come block by block and are not kept.
///
/// The result is exact: that of a comparison of all vectors in double precision, with equal distances sorted by index.
/// Most of the work is a matrix product in single precision, for |x - y|² = |x|² - 2 x y + |y|²; a bound of its rounding
/// errors (Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1) says which vectors it cannot rule out,
/// and those are compared in double precision.
///
/// ```
/// use alexnet_similarity::NeighbourSearch;
/// use alexnet_similarity::ndarray::array;
///
/// let mut search = NeighbourSearch::new(array![[0.0, 0.0], [5.0, 5.0]], 2)?;
/// search.add(array![[3.0, 4.0], [1.0, 0.0]].view())?;
/// search.add(array![[5.0, 5.0]].view())?;
/// let found = search.finish();
/// assert_eq!((found[0][0].index, found[0][0].distance), (1, 1.0));
/// assert_eq!((found[0][1].index, found[0][1].distance), (0, 5.0));
/// assert_eq!((found[1][0].index, found[1][0].distance), (2, 0.0));
/// # Ok::<(), alexnet_similarity::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct NeighbourSearch {
    queries: Array2<f32>,
    /// |x|² of the queries.
    squares: Vec<f64>,
    count: usize,
    /// Of each query, by rising squared distance and index.
    nearest: Vec<Vec<Candidate>>,
    /// The number of vectors so far.
    added: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate {
    square: f64,
    index: usize,
}

/// Vectors of a block with what the search needs of them.
struct Block<'a> {
    vectors: ArrayView2<'a, f32>,
    first: usize,
    /// |y|².
    squares: Vec<f32>,
    /// |y|.
    lengths: Vec<f32>,
}

impl NeighbourSearch {
    /// A search for the `count` vectors nearest to each query, a row of `queries`.
    ///
    /// # Errors
    /// [`Error::Number`] for a count of 0; [`Error::NotFinite`] with the row.
    pub fn new(queries: Array2<f32>, count: usize) -> Result<Self> {
        if count == 0 {
            return Err(Error::Number { name: "the number of neighbours", found: 0, expected: "at least 1".into() });
        }
        let squares = squares(queries.view(), 0)?;
        let nearest = vec![Vec::with_capacity(count.min(1 << 10) + 1); queries.nrows()];
        Ok(Self { queries, squares, count, nearest, added: 0 })
    }

    /// Compares the queries with the vectors that follow, a row each.
    ///
    /// # Errors
    /// [`Error::Length`] if they have another length than the queries; [`Error::NotFinite`] with the number of the vector
    /// among all. Nothing is added then.
    pub fn add(&mut self, vectors: ArrayView2<f32>) -> Result<()> {
        if vectors.ncols() != self.queries.ncols() {
            return Err(Error::Length { expected: self.queries.ncols(), found: vectors.ncols() });
        }
        let all_squares = squares(vectors, self.added)?;
        let queries = self.queries.nrows().clamp(1, QUERIES);
        let rows = (PRODUCTS / queries).max(1);
        let mut products = vec![0.0; queries * rows.min(vectors.nrows())];
        for (part, squares) in vectors.axis_chunks_iter(Axis(0), rows).zip(all_squares.chunks(rows)) {
            let block = Block {
                vectors: part,
                first: self.added,
                squares: squares.iter().map(|&square| square as f32).collect(),
                lengths: squares.iter().map(|&square| square.sqrt() as f32).collect(),
            };
            for first in (0..self.queries.nrows()).step_by(queries) {
                let end = (first + queries).min(self.queries.nrows());
                self.compare(first..end, &block, &mut products[..(end - first) * part.nrows()]);
            }
            self.added += part.nrows();
        }
        Ok(())
    }

    /// Compares some queries with a block.
    fn compare(&mut self, queries: std::ops::Range<usize>, block: &Block, products: &mut [f32]) {
        let rows = self.queries.slice(s![queries.clone(), ..]);
        multiply_transposed(rows, block.vectors, products);
        let nearest = &mut self.nearest[queries.clone()];
        let squares = &self.squares[queries];
        let count = self.count;
        let of_query = products.par_chunks(block.vectors.nrows().max(1)).zip(nearest).zip(squares).enumerate();
        of_query.for_each(|(row, ((products, nearest), &square))| {
            Query { vector: rows.row(row), square, count, nearest }.take(block, products);
        });
    }

    /// The number of vectors that were added.
    pub fn len(&self) -> usize {
        self.added
    }

    /// Whether no vector was added.
    pub fn is_empty(&self) -> bool {
        self.added == 0
    }

    /// The neighbours of each query, the nearest first; as many as were added if those are fewer.
    pub fn finish(self) -> Vec<Vec<Neighbour>> {
        let neighbour = |found: &Candidate| Neighbour { index: found.index, distance: found.square.sqrt() };
        self.nearest.iter().map(|nearest| nearest.iter().map(neighbour).collect()).collect()
    }
}

/// A query, in a comparison with a block.
struct Query<'a> {
    vector: ArrayView1<'a, f32>,
    square: f64,
    count: usize,
    nearest: &'a mut Vec<Candidate>,
}

impl Query<'_> {
    /// Takes the nearest of a block, given the products of its vectors with the query.
    fn take(&mut self, block: &Block, products: &[f32]) {
        // The error of a product of k terms is at most k roundings of |x| |y|; 16 more are for the steps that follow, and
        // those of the squares are beside it.
        let margin = ((2 * self.vector.len() + 32) as f64 * ROUNDING * self.square.sqrt()) as f32;
        let keep = 1.0 - 16.0 * ROUNDING as f32;
        let mut limit = self.limit();
        if self.nearest.len() < self.count && products.len() > self.count {
            limit = limit.min(self.first_limit(block, products, margin));
        }
        let chunks = products.chunks(CHUNK).zip(block.squares.chunks(CHUNK)).zip(block.lengths.chunks(CHUNK));
        for (number, ((products, squares), lengths)) in chunks.enumerate() {
            // Lower bounds of |y|² - 2 x y.
            let mut bounds = [f32::INFINITY; CHUNK];
            let values = products.iter().zip(squares).zip(lengths);
            for (bound, ((&product, &square), &length)) in bounds.iter_mut().zip(values) {
                *bound = square * keep - 2.0 * product - margin * length;
            }
            if bounds.iter().fold(f32::INFINITY, |least, &bound| least.min(bound)) > limit {
                continue;
            }
            for (place, &bound) in bounds[..products.len()].iter().enumerate() {
                if bound <= limit {
                    self.offer(block, number * CHUNK + place);
                    limit = limit.min(self.limit());
                }
            }
        }
    }

    /// The largest |y|² - 2 x y of a vector that may still be among the nearest.
    fn limit(&self) -> f32 {
        match self.nearest.last() {
            Some(last) if self.nearest.len() == self.count => above(last.square - self.square, self.square),
            _ => f32::INFINITY,
        }
    }

    /// A limit for the first block, from upper bounds: as many vectors as are searched for are nearer.
    fn first_limit(&self, block: &Block, products: &[f32], margin: f32) -> f32 {
        let more = 1.0 + 16.0 * ROUNDING as f32;
        let values = products.iter().zip(&block.squares).zip(&block.lengths);
        let bound =
            |((&product, &square), &length): ((&f32, &f32), &f32)| square * more - 2.0 * product + margin * length;
        let mut bounds: Vec<f32> = values.map(bound).collect();
        let (_, limit, _) = bounds.select_nth_unstable_by(self.count - 1, f32::total_cmp);
        above(f64::from(*limit), self.square)
    }

    /// Compares a vector of the block in double precision, and keeps it if it is among the nearest.
    fn offer(&mut self, block: &Block, row: usize) {
        let other = block.vectors.row(row);
        let square = squared_distance(self.vector, other);
        let index = block.first + row;
        // Vectors come by rising index: of equal ones the first stays.
        let place = self.nearest.partition_point(|found| found.square <= square);
        if place < self.count {
            self.nearest.insert(place, Candidate { square, index });
            self.nearest.truncate(self.count);
        }
    }
}

/// An f32 that is surely not below `value`, a difference of squares of about `scale`. Products of small numbers may have
/// been rounded to 0, each by less than 1e-37.
fn above(value: f64, scale: f64) -> f32 {
    (value + 16.0 * ROUNDING * (value.abs() + scale) + 1e-30) as f32
}

/// |x - y|².
fn squared_distance(x: ArrayView1<f32>, y: ArrayView1<f32>) -> f64 {
    let difference = |(x, y): (&f32, &f32)| {
        let difference = f64::from(*x) - f64::from(*y);
        difference * difference
    };
    match (x.as_slice(), y.as_slice()) {
        // Several sums, so that they can be computed at once.
        (Some(x), Some(y)) => {
            let mut sums = [0.0; 8];
            let chunks = x.chunks_exact(8).zip(y.chunks_exact(8));
            for (x, y) in chunks {
                for (sum, pair) in sums.iter_mut().zip(x.iter().zip(y)) {
                    *sum += difference(pair);
                }
            }
            let rest = x.len() / 8 * 8;
            sums.iter().sum::<f64>() + x[rest..].iter().zip(&y[rest..]).map(difference).sum::<f64>()
        }
        _ => x.iter().zip(y).map(difference).sum(),
    }
}

/// |x|², in several sums, so that they can be computed at once.
fn sum_of_squares(vector: ArrayView1<f32>) -> f64 {
    let square = |&value: &f32| f64::from(value) * f64::from(value);
    let Some(values) = vector.as_slice() else { return vector.iter().map(square).sum() };
    let chunks = values.chunks_exact(8);
    let rest: f64 = chunks.remainder().iter().map(square).sum();
    let mut sums = [0.0; 8];
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += square(value));
    }
    sums.iter().sum::<f64>() + rest
}

/// Whether a value is none, or too large for its square.
pub(crate) fn is_too_large(value: f32) -> bool {
    value.is_nan() || value.abs() >= LARGEST
}

/// |x|² of each row. `first` is the number of the first.
fn squares(vectors: ArrayView2<f32>, first: usize) -> Result<Vec<f64>> {
    let square = |row: usize| {
        let vector = vectors.row(row);
        match vector.iter().find(|value| is_too_large(**value)) {
            Some(&value) => Err(Error::NotFinite { vector: first + row, value }),
            None => Ok(sum_of_squares(vector)),
        }
    };
    (0..vectors.nrows()).into_par_iter().map(square).collect()
}
