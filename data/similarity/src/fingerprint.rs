//! Short descriptions of images by their pixels.

use crate::{Error, Result};

/// Side of a thumbnail.
const SIDE: usize = 8;

/// The least difference of brightness that counts.
const CLEARLY: f64 = 2.0;

/// A short description of an image, 200 bytes: nearly the same for an image that was resized, compressed again, or whose
/// brightness or contrast was changed a little; another one for an image that was mirrored, rotated or cropped much.
///
/// The hash is the difference hash (N. Krawetz, "Kind of Like That", 2013): of the image's luma, averaged over 9 x 8 cells,
/// a bit for each pair of cells beside each other, set if the left one is brighter, here by more than 2 of 255, so that
/// noise in areas of one colour decides nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    hash: u64,
    thumbnail: [u8; SIDE * SIDE * 3],
}

impl Fingerprint {
    /// The fingerprint of an image of `width` x `height` pixels, rows from the top, three bytes a pixel: R, G, B.
    ///
    /// ```
    /// use alexnet_similarity::Fingerprint;
    ///
    /// let image: Vec<u8> = (0..32 * 32 * 3).map(|i| (i * i / 91 % 256) as u8).collect();
    /// let brighter: Vec<u8> = image.iter().map(|&value| value.saturating_add(2)).collect();
    /// let one = Fingerprint::new(&image, 32, 32)?;
    /// let other = Fingerprint::new(&brighter, 32, 32)?;
    /// assert!(one.hash_distance(&other) <= 6 && one.thumbnail_distance(&other) <= 3.0);
    /// # Ok::<(), alexnet_similarity::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Number`] for an image without pixels, or another number of bytes than the size says.
    pub fn new(pixels: &[u8], width: usize, height: usize) -> Result<Self> {
        if width == 0 || height == 0 || width.checked_mul(height).and_then(|n| n.checked_mul(3)) != Some(pixels.len()) {
            let expected = format!("{width} x {height} x 3, and not 0");
            return Err(Error::Number { name: "the number of bytes of an image", found: pixels.len(), expected });
        }
        let image = Pixels { pixels, width, height };
        let mut hash = 0;
        for row in 0..SIDE {
            let cells: [f64; SIDE + 1] =
                std::array::from_fn(|column| luma(image.mean([row, column], [SIDE, SIDE + 1])));
            for pair in cells.windows(2) {
                hash = hash << 1 | u64::from(pair[0] > pair[1] + CLEARLY);
            }
        }
        let mut thumbnail = [0; SIDE * SIDE * 3];
        for (cell, colour) in thumbnail.chunks_exact_mut(3).enumerate() {
            let mean = image.mean([cell / SIDE, cell % SIDE], [SIDE; 2]);
            colour.copy_from_slice(&mean.map(|value| value.round() as u8));
        }
        Ok(Self { hash, thumbnail })
    }

    /// The difference hash.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The number of bits in which two hashes differ, from 0 to 64.
    pub fn hash_distance(&self, other: &Self) -> u32 {
        (self.hash ^ other.hash).count_ones()
    }

    /// The root mean square difference of the images' colours, averaged over 8 x 8 cells: from 0 to 255.
    pub fn thumbnail_distance(&self, other: &Self) -> f64 {
        rms(&self.thumbnail, &other.thumbnail)
    }
}

/// An image of R, G and B.
struct Pixels<'a> {
    pixels: &'a [u8],
    width: usize,
    height: usize,
}

impl Pixels<'_> {
    /// The mean colour of a cell, [row, column], of as many cells as `cells` says.
    fn mean(&self, cell: [usize; 2], cells: [usize; 2]) -> [f64; 3] {
        // Cells of images that have fewer pixels are at least a pixel wide.
        let range = |place: usize, cells: usize, length: usize| {
            let start = place * length / cells;
            start..((place + 1) * length / cells).max(start + 1)
        };
        let columns = range(cell[1], cells[1], self.width);
        let mut sums = [0u64; 3];
        let mut count = 0;
        for row in range(cell[0], cells[0], self.height) {
            let start = row * self.width;
            for pixel in self.pixels[(start + columns.start) * 3..(start + columns.end) * 3].chunks_exact(3) {
                sums.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += u64::from(value));
                count += 1;
            }
        }
        sums.map(|sum| sum as f64 / f64::from(count))
    }
}

/// The brightness of a colour (ITU-R BT.601).
fn luma([red, green, blue]: [f64; 3]) -> f64 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

fn rms(a: &[u8], b: &[u8]) -> f64 {
    let sum: u64 = a.iter().zip(b).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum();
    (sum as f64 / a.len().max(1) as f64).sqrt()
}

/// The least contrast that a difference is compared with: images without any are the same if they differ by less.
const LEAST_CONTRAST: f64 = 4.0;

/// The root mean square difference of two images of the same size, as a share of their contrast: 0 for equal ones, about
/// 1.4 for those that have nothing in common. The contrast is the root mean square distance of values from the image's
/// mean, that of the image that has less, and at least 4 of 255.
///
/// # Errors
/// [`Error::Length`] for images of different sizes.
pub fn relative_difference(a: &[u8], b: &[u8]) -> Result<f64> {
    if a.len() != b.len() {
        return Err(Error::Length { expected: a.len(), found: b.len() });
    }
    Ok(rms(a, b) / contrast(a).min(contrast(b)).max(LEAST_CONTRAST))
}

/// The standard deviation of an image's values.
fn contrast(values: &[u8]) -> f64 {
    let count = values.len().max(1) as f64;
    let sum: u64 = values.iter().map(|&value| u64::from(value)).sum();
    let squares: u64 = values.iter().map(|&value| u64::from(value).pow(2)).sum();
    (squares as f64 / count - (sum as f64 / count).powi(2)).max(0.0).sqrt()
}
