//! The input format of a network.

use ndarray::Array3;

/// Input format of a network: `(pixel * scale - mean) / deviation` of a square crop, for pixel values of 0 to 255.
/// Channels are R, G, B throughout; `bgr` reverses them in the output.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Side length of the crop in pixels; 224 in the paper.
    pub crop: usize,
    /// Output channels in the order blue, green, red.
    pub bgr: bool,
    /// Factor applied to the pixels.
    pub scale: f32,
    /// Mean to subtract from the scaled pixels.
    pub mean: Mean,
    /// Standard deviations to divide R, G and B by; `None` for no division.
    pub deviation: Option<[f32; 3]>,
}

/// Mean to subtract from the scaled pixels.
#[derive(Clone, Debug, PartialEq)]
pub enum Mean {
    /// No mean.
    None,
    /// One value each for R, G and B.
    Rgb([f32; 3]),
    /// An image `[size, size, 3]` of the same size as the stored images (paper, section 2), cropped and mirrored like
    /// them.
    Image(Array3<f32>),
}

/// Crops taken from an image without random cropping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Views {
    /// The centre crop.
    #[default]
    Centre,
    /// The four corners (upper left, upper right, lower left, lower right) and the centre, then the same mirrored
    /// (paper, section 4.1).
    Ten,
}

impl Views {
    /// Number of crops per image.
    pub fn count(self) -> usize {
        match self {
            Self::Centre => 1,
            Self::Ten => 10,
        }
    }
}
