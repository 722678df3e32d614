//! What a network's images look like to it.

/// How a stored image becomes a network's input: value = (pixel * scale - mean) / deviation, of a crop.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Height and width of stored images, in pixels.
    pub size: usize,
    /// Height and width of what the network sees, in pixels: a part of the stored image.
    pub crop: usize,
    /// The order of the colours.
    pub channels: ChannelOrder,
    /// Multiplies pixel values, which are 0 to 255.
    pub scale: f64,
    /// Subtracted from scaled values.
    pub mean: Mean,
    /// Divides what is left: red, green, blue.
    pub deviation: Option<[f64; 3]>,
}

/// The order of the colours in a network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelOrder {
    /// Red first.
    Rgb,
    /// Blue first, as OpenCV and so Caffe read images.
    Bgr,
}

/// What is subtracted from scaled pixel values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mean {
    /// Nothing.
    None,
    /// The training set's mean image, times scale (paper, section 2).
    PackImage,
    /// The training set's mean colour, times scale.
    PackRgb,
    /// These values: red, green, blue, whatever the order of the channels.
    Rgb([f64; 3]),
}
