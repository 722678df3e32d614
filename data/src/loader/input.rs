//! What a network expects of its images.

use ndarray::Array3;

/// What a network expects of its images: `(pixel * scale - mean) / deviation` of a square crop, where pixels are 0 to
/// 255. Colours are R, G, B throughout; `bgr` reverses them at the very end.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Side of the crop; 224 in the paper.
    pub crop: usize,
    /// Blue, green, red in the output.
    pub bgr: bool,
    /// What pixels are multiplied by.
    pub scale: f32,
    /// What is subtracted, on the scaled range.
    pub mean: Mean,
    /// What R, G and B are divided by.
    pub deviation: Option<[f32; 3]>,
}

/// What is subtracted from scaled pixels.
#[derive(Clone, Debug, PartialEq)]
pub enum Mean {
    /// Nothing.
    None,
    /// One value for R, G and B each.
    Rgb([f32; 3]),
    /// An image `[size, size, 3]` of the stored images' size (paper, section 2). It is cropped at the same place, and
    /// mirrored with the image.
    Image(Array3<f32>),
}

/// What is cut from an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Views {
    /// The centre.
    #[default]
    Centre,
    /// Upper left, upper right, lower left, lower right, centre; then the same mirrored (paper, section 4.1).
    Ten,
}

impl Views {
    /// Crops an image.
    pub fn count(self) -> usize {
        match self {
            Self::Centre => 1,
            Self::Ten => 10,
        }
    }
}
