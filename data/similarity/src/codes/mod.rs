//! Short binary codes of vectors.

mod linear;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use random::{Stream, purpose};
use rayon::prelude::*;

use crate::product::multiply_transposed;
use crate::search::is_too_large;
use crate::{Error, Result};
use linear::{orthonormalize, polar, principal};

/// Iterations of the rotation; Gong and Lazebnik take 50.
const ITERATIONS: usize = 50;
/// The longest code.
const MAX_BITS: usize = 256;
/// Bits of a word of a code.
const WORD: usize = 64;

/// A rule that makes a short binary code of a vector, such that near vectors have codes of few different bits: iterative
/// quantization (Gong and Lazebnik, "Iterative Quantization: A Procrustean Approach to Learning Binary Codes", 2011). The
/// principal components of a sample are rotated until they are near the corners of a cube; a bit is the sign along one
/// axis. AlexNet's authors propose such codes in section 6.1 of the paper, there by an auto-encoder.
///
/// ```
/// use alexnet_similarity::ndarray::Array2;
/// use alexnet_similarity::{BinaryEncoder, NeighbourSearch, recall};
///
/// let vectors = Array2::from_shape_fn((400, 12), |(row, column)| ((row * row + 7 * column * row) % 97) as f32);
/// let encoder = BinaryEncoder::learn(vectors.view(), 8, 1)?;
/// let codes = encoder.encode(vectors.view())?;
/// let found = encoder.encode(vectors.slice(alexnet_similarity::ndarray::s![..5, ..]))?.nearest(&codes, 100)?;
/// let queries = vectors.slice(alexnet_similarity::ndarray::s![..5, ..]).to_owned();
/// let mut search = NeighbourSearch::new(queries, 3)?;
/// search.add(vectors.view())?;
/// assert!(recall(&search.finish(), &found, 3) > 0.3);
/// # Ok::<(), alexnet_similarity::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BinaryEncoder {
    mean: Array1<f32>,
    /// `[bits, length]`: the axes.
    axes: Array2<f32>,
}

/// Binary codes of vectors, of `bits` bits each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes {
    bits: usize,
    /// A whole number of words for each code; bits beyond the code are 0.
    words: Vec<u64>,
}

impl BinaryEncoder {
    /// Learns codes of `bits` bits from a sample of vectors, a row each. The seed is that of the first rotation.
    ///
    /// # Errors
    /// [`Error::Number`] unless there are 1 to 256 bits, and at most as many as a vector has values and as there are
    /// vectors less one; [`Error::NotFinite`] with the number of the vector.
    pub fn learn(sample: ArrayView2<f32>, bits: usize, seed: u64) -> Result<Self> {
        let most = MAX_BITS.min(sample.ncols()).min(sample.nrows().saturating_sub(1));
        if !(1..=most).contains(&bits) {
            let expected = format!("1 to {most}");
            return Err(Error::Number { name: "the number of bits of a code", found: bits, expected });
        }
        check_finite(sample)?;
        let mean = sample.mean_axis(Axis(0)).unwrap_or_default();
        let centred = &sample - &mean;
        let components = principal(centred.view(), bits, seed);
        let projected = project(centred.view(), components.view());
        let rotation = rotation(projected.view(), seed);
        let axes = rotation.t().dot(&components);
        Ok(Self { mean, axes })
    }

    /// The length of the codes.
    pub fn bits(&self) -> usize {
        self.axes.nrows()
    }

    /// The codes of vectors, a row each.
    ///
    /// # Errors
    /// [`Error::Length`] for vectors of another length than those of the sample; [`Error::NotFinite`].
    pub fn encode(&self, vectors: ArrayView2<f32>) -> Result<Codes> {
        if vectors.ncols() != self.mean.len() {
            return Err(Error::Length { expected: self.mean.len(), found: vectors.ncols() });
        }
        check_finite(vectors)?;
        let mut codes = Codes { bits: self.bits(), words: Vec::new() };
        let centred = &vectors - &self.mean;
        for row in project(centred.view(), self.axes.view()).rows() {
            for values in row.to_vec().chunks(WORD) {
                let word = values.iter().enumerate().fold(0, |word, (bit, &x)| word | u64::from(x > 0.0) << bit);
                codes.words.push(word);
            }
        }
        Ok(codes)
    }
}

impl Codes {
    /// The number of codes.
    pub fn len(&self) -> usize {
        self.words.len() / self.words_of_code()
    }

    /// Whether there are no codes.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Appends codes.
    ///
    /// # Errors
    /// [`Error::Length`] for codes of another number of bits.
    pub fn append(&mut self, other: &Self) -> Result<()> {
        self.check(other)?;
        self.words.extend(&other.words);
        Ok(())
    }

    /// Of each of these codes the `count` codes of `others` that differ from it in the fewest bits: their numbers, the
    /// nearest first, equally near ones by number.
    ///
    /// # Errors
    /// [`Error::Length`] for codes of another number of bits.
    pub fn nearest(&self, others: &Self, count: usize) -> Result<Vec<Vec<usize>>> {
        self.check(others)?;
        let words = self.words_of_code();
        let of_code = |code: &[u64]| {
            // The distance above the number, so that one comparison sorts by both.
            let key = |(number, other): (usize, &[u64])| {
                let distance: u32 = code.iter().zip(other).map(|(a, b)| (a ^ b).count_ones()).sum();
                u64::from(distance) << 48 | number as u64
            };
            let mut keys: Vec<u64> = others.words.chunks_exact(words).enumerate().map(key).collect();
            if count < keys.len() {
                keys.select_nth_unstable(count);
                keys.truncate(count);
            }
            keys.sort_unstable();
            keys.into_iter().map(|key| (key & ((1 << 48) - 1)) as usize).collect()
        };
        Ok(self.words.par_chunks_exact(words).map(of_code).collect())
    }

    /// The number of bits in which code number `own` and code number `other` of `others`, of as many bits, differ.
    ///
    /// # Panics
    /// If there is no such code.
    pub fn distance(&self, own: usize, others: &Self, other: usize) -> u32 {
        let words = self.words_of_code();
        let code = |codes: &Self, number: usize| codes.words[number * words..(number + 1) * words].to_vec();
        code(self, own).iter().zip(code(others, other)).map(|(a, b)| (a ^ b).count_ones()).sum()
    }

    fn words_of_code(&self) -> usize {
        self.bits.div_ceil(WORD).max(1)
    }

    fn check(&self, other: &Self) -> Result<()> {
        if self.bits == other.bits {
            return Ok(());
        }
        Err(Error::Length { expected: self.bits, found: other.bits })
    }
}

/// Fails unless all values are finite, and so small that sums of their squares are.
fn check_finite(vectors: ArrayView2<f32>) -> Result<()> {
    for (vector, row) in vectors.rows().into_iter().enumerate() {
        if let Some(&value) = row.iter().find(|value| is_too_large(**value)) {
            return Err(Error::NotFinite { vector, value });
        }
    }
    Ok(())
}

/// The products of vectors with axes, `[vectors, axes]`.
fn project(vectors: ArrayView2<f32>, axes: ArrayView2<f32>) -> Array2<f32> {
    let mut products = vec![0.0; vectors.nrows() * axes.nrows()];
    multiply_transposed(vectors, axes, &mut products);
    Array2::from_shape_vec((vectors.nrows(), axes.nrows()), products).unwrap_or_default()
}

/// The rotation r that makes v r nearest to the corners of a cube, `[bits, bits]`.
fn rotation(projected: ArrayView2<f32>, seed: u64) -> Array2<f32> {
    let bits = projected.ncols();
    let stream = Stream::new(seed, purpose::USER, 2);
    let mut rotation = Array2::from_shape_fn((bits, bits), |(i, j)| stream.normal((i * bits + j) as u64) as f32);
    orthonormalize(&mut rotation);
    let mut right = Array2::eye(bits);
    for _ in 0..ITERATIONS {
        let corners = project(projected, rotation.t()).mapv(|x| if x > 0.0 { 1.0 } else { -1.0 });
        // The corners' nearest rotation: the orthogonal factor of vᵀ b.
        rotation = polar(&project(projected.t(), corners.t()), &mut right);
    }
    rotation
}
