//! Mean colour, mean image and the principal components of colour (paper, section 4.1).
//!
//! The components are the eigenvectors of one symmetric 3 x 3 matrix, found by 40 lines of Jacobi rotations: a library
//! of linear algebra would take longer to build than the rest of this crate.

use ndarray::Array3;
use simd::Level;

use crate::dataset::Dataset;
use crate::decode::check_square;
use crate::error::{Error, Result};

/// Statistics of all images of a pack, for pixel values of 0 to 255. Rejected images are excluded.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Number of images.
    pub images: u64,
    /// Mean of all pixels: R, G, B.
    pub mean_rgb: [f32; 3],
    /// Mean image, `[size, size, 3]`.
    pub mean_image: Array3<f32>,
    /// Covariance of R, G and B over all pixels: `E[xy] - E[x]E[y]`.
    pub covariance: [[f64; 3]; 3],
    /// Eigenvalues of the covariance in descending order.
    pub eigenvalues: [f32; 3],
    /// `eigenvectors[k]` is the unit eigenvector (R, G, B) of eigenvalue `k`; its largest component is positive.
    pub eigenvectors: [[f32; 3]; 3],
}

/// The principal components of colour, for pixel values of 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrincipalComponents {
    /// Variances along the components, non-negative.
    pub eigenvalues: [f32; 3],
    /// `eigenvectors[k]` is the unit eigenvector (R, G, B) of eigenvalue `k`.
    pub eigenvectors: [[f32; 3]; 3],
}

impl PrincipalComponents {
    /// Checks that the eigenvalues are finite and non-negative, and the eigenvectors orthonormal.
    ///
    /// # Errors
    /// [`Error::Option`] naming the offending value.
    pub fn check(&self) -> Result<()> {
        if !self.eigenvalues.iter().all(|l| l.is_finite() && *l >= 0.0) {
            return Err(Error::option("eigenvalues", "three numbers of at least 0", format!("{:?}", self.eigenvalues)));
        }
        for (i, a) in self.eigenvectors.iter().enumerate() {
            for (j, b) in self.eigenvectors.iter().enumerate() {
                let product: f64 = a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum();
                // Published eigenvectors have four digits.
                let near = (product - f64::from(u8::from(i == j))).abs() < 0.01;
                if !near {
                    let got = format!("{:?}", self.eigenvectors);
                    return Err(Error::option("eigenvectors", "three orthogonal vectors of length 1", got));
                }
            }
        }
        Ok(())
    }
}

impl Statistics {
    /// The principal components of colour.
    pub fn components(&self) -> PrincipalComponents {
        PrincipalComponents { eigenvalues: self.eigenvalues, eigenvectors: self.eigenvectors }
    }
}

impl Statistics {
    /// The statistics of the images of a data set, as squares of its [size](Dataset::size).
    ///
    /// # Errors
    /// Those of [`Dataset::read_region`]; [`Error::Option`] if there are no images.
    pub fn of(dataset: &dyn Dataset) -> Result<Self> {
        let size = dataset.size();
        let mut builder = StatisticsBuilder::new(size)?;
        let mut pixels = vec![0; size * size * 3];
        for index in 0..dataset.len() {
            dataset.read_region(index, 0..size, 0..size, &mut pixels)?;
            builder.push(&pixels)?;
        }
        builder.finish().ok_or_else(|| Error::option("data set", "at least one image", "none"))
    }
}

/// Computes the [`Statistics`] of images that come one after another. Sums are exact, so their order does not matter.
///
/// ```
/// use alexnet_data::StatisticsBuilder;
///
/// let mut builder = StatisticsBuilder::new(1)?;
/// builder.push(&[10, 20, 30])?;
/// builder.push(&[20, 20, 20])?;
/// let statistics = builder.finish().ok_or("no image")?;
/// assert_eq!(statistics.mean_rgb, [15.0, 20.0, 25.0]);
/// assert_eq!(statistics.covariance[0], [25.0, 0.0, -25.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct StatisticsBuilder {
    size: usize,
    sums: Sums,
}

impl StatisticsBuilder {
    /// No image yet, of `size` x `size`.
    ///
    /// # Errors
    /// [`Error::Option`] for a size that is not 1 to 4096.
    pub fn new(size: usize) -> Result<Self> {
        check_square(size)?;
        Ok(Self { size, sums: Sums::new(size) })
    }

    /// Adds an image of `size * size * 3` bytes of RGB.
    ///
    /// # Errors
    /// [`Error::Option`] if it has another length.
    pub fn push(&mut self, pixels: &[u8]) -> Result<()> {
        let expected = self.size * self.size * 3;
        if pixels.len() != expected {
            return Err(Error::option("image", format!("{expected} bytes"), pixels.len()));
        }
        self.sums.add(pixels, &products(pixels));
        Ok(())
    }

    /// The statistics of the images so far; `None` if there are none.
    pub fn finish(&self) -> Option<Statistics> {
        (self.sums.images > 0).then(|| self.sums.finish(self.size))
    }
}

/// Exact integer sums over images, so neither order nor interruption changes a bit of the result.
#[derive(Clone, Debug)]
pub(crate) struct Sums {
    pub images: u64,
    /// Sum at each byte of an image.
    position_sums: Vec<u64>,
    /// Sums of the latest images, not yet added to `position_sums`: a quarter of the memory traffic per image.
    pending: Vec<u16>,
    /// Number of images in `pending`.
    pending_images: u32,
    /// Sums of RR, RG, RB, GG, GB and BB over all pixels.
    products: [u64; 6],
}

/// Number of values of 255 whose sum fits in 16 bits.
const MAX_PENDING: u32 = 257;

impl Sums {
    pub fn new(size: usize) -> Self {
        Self::from_parts(0, vec![0; size * size * 3], [0; 6])
    }

    /// Restores stored sums.
    pub fn from_parts(images: u64, position_sums: Vec<u64>, products: [u64; 6]) -> Self {
        let pending = vec![0; position_sums.len()];
        Self { images, position_sums, pending, pending_images: 0, products }
    }

    /// Adds an image and its colour products (see [`products`]).
    pub fn add(&mut self, pixels: &[u8], products: &[u64; 6]) {
        if self.pending_images == MAX_PENDING {
            self.position_sums = self.position_sums();
            self.pending.fill(0);
            self.pending_images = 0;
        }
        self.images += 1;
        self.pending_images += 1;
        for (sum, &value) in self.pending.iter_mut().zip(pixels) {
            *sum += u16::from(value);
        }
        for (sum, value) in self.products.iter_mut().zip(products) {
            *sum += value;
        }
    }

    /// Sum at each byte of an image.
    pub fn position_sums(&self) -> Vec<u64> {
        self.position_sums.iter().zip(&self.pending).map(|(&sum, &pending)| sum + u64::from(pending)).collect()
    }

    /// Sums of RR, RG, RB, GG, GB and BB over all pixels.
    pub fn products(&self) -> &[u64; 6] {
        &self.products
    }

    pub fn merge(&mut self, other: &Self) {
        self.images += other.images;
        for (sum, value) in self.position_sums.iter_mut().zip(other.position_sums()) {
            *sum += value;
        }
        for (sum, value) in self.products.iter_mut().zip(&other.products) {
            *sum += value;
        }
    }

    /// Computes the statistics; `size` is the side of an image. Requires at least one image.
    pub fn finish(&self, size: usize) -> Statistics {
        let images = self.images as f64;
        let position_sums = self.position_sums();
        let mean_image = Array3::from_shape_fn((size, size, 3), |(y, x, c)| {
            (position_sums[(y * size + x) * 3 + c] as f64 / images) as f32
        });
        let mut channel_sums = [0u64; 3];
        for pixel in position_sums.chunks_exact(3) {
            for (sum, value) in channel_sums.iter_mut().zip(pixel) {
                *sum += value;
            }
        }
        let n = u128::from(self.images) * (size * size) as u128;
        let covariance = self.covariance(channel_sums, n);
        let (eigenvalues, eigenvectors) = symmetric_eigen(covariance);
        Statistics {
            images: self.images,
            mean_rgb: channel_sums.map(|sum| (sum as f64 / n as f64) as f32),
            mean_image,
            covariance,
            eigenvalues: eigenvalues.map(|v| v as f32),
            eigenvectors: eigenvectors.map(|row| row.map(|v| v as f32)),
        }
    }

    fn covariance(&self, channel_sums: [u64; 3], n: u128) -> [[f64; 3]; 3] {
        let [rr, rg, rb, gg, gb, bb] = self.products.map(u128::from);
        let products = [[rr, rg, rb], [rg, gg, gb], [rb, gb, bb]];
        let mut covariance = [[0.0; 3]; 3];
        for (i, row) in covariance.iter_mut().enumerate() {
            for (j, value) in row.iter_mut().enumerate() {
                // Exact up to the one division, so nothing cancels.
                let scaled =
                    (products[i][j] * n) as i128 - (u128::from(channel_sums[i]) * u128::from(channel_sums[j])) as i128;
                *value = scaled as f64 / (n as f64 * n as f64);
            }
        }
        covariance
    }
}

/// Sums of RR, RG, RB, GG, GB and BB over the pixels of one image.
pub(crate) fn products(pixels: &[u8]) -> [u64; 6] {
    Level::get().without_avx512().vectorize(
        #[inline(always)]
        || products_scalar(pixels),
    )
}

/// Number of pixels whose products, at most 255 x 255 each, fit in 32 bits when summed.
const MAX_PIXELS_PER_SUM: usize = 1 << 16;

#[inline(always)]
fn products_scalar(pixels: &[u8]) -> [u64; 6] {
    let mut total = [0; 6];
    for block in pixels.as_chunks::<3>().0.chunks(MAX_PIXELS_PER_SUM) {
        // Plain loops: the compiler vectorizes them per channel.
        let mut sums = [0u32; 6];
        for pixel in block {
            let [r, g, b] = pixel.map(u32::from);
            sums.iter_mut().zip([r * r, r * g, r * b, g * g, g * b, b * b]).for_each(|(sum, value)| *sum += value);
        }
        total.iter_mut().zip(sums).for_each(|(total, sum)| *total += u64::from(sum));
    }
    total
}

/// Eigenvalues of a symmetric matrix in descending order, and their unit eigenvectors as rows (Jacobi rotations).
fn symmetric_eigen(mut a: [[f64; 3]; 3]) -> ([f64; 3], [[f64; 3]; 3]) {
    // Rows become the eigenvectors.
    let mut vectors = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    for _sweep in 0..32 {
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            if a[p][q] == 0.0 {
                continue;
            }
            let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
            let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
            let cos = 1.0 / (t * t + 1.0).sqrt();
            rotate(&mut a, &mut vectors, p, q, cos, t * cos);
        }
    }
    let mut order = [0, 1, 2];
    order.sort_by(|&i, &j| a[j][j].total_cmp(&a[i][i]));
    let oriented = |v: [f64; 3]| {
        let largest = v.into_iter().fold(0.0, |m: f64, x| if x.abs() > m.abs() { x } else { m });
        v.map(|x| x * largest.signum())
    };
    // A covariance has no negative eigenvalues; rounding may leave one just below zero.
    (order.map(|i| a[i][i].max(0.0)), order.map(|i| oriented(vectors[i])))
}

fn rotate(a: &mut [[f64; 3]; 3], vectors: &mut [[f64; 3]; 3], p: usize, q: usize, cos: f64, sin: f64) {
    for row in a.iter_mut() {
        let x = row[p];
        let y = row[q];
        row[p] = cos * x - sin * y;
        row[q] = sin * x + cos * y;
    }
    for matrix in [a, vectors] {
        let (above, below) = matrix.split_at_mut(q);
        for (x, y) in above[p].iter_mut().zip(&mut below[0]) {
            let before = *x;
            *x = cos * before - sin * *y;
            *y = sin * before + cos * *y;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
