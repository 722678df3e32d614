//! Shapes and constants of a graph's values, known without computing the graph.

use ndarray::ArrayD;

use layers::model::Conv;

use super::tensor::Floats;

/// A value of the graph.
#[derive(Clone)]
pub(super) enum Value<'a> {
    /// Constant numbers.
    Floats(Floats<'a>),
    /// Whole numbers: lengths, axes, indices.
    Lengths(Vec<Length>),
    /// Whole numbers in rows, as torch turns the pads of its layers into ONNX'.
    Table(Vec<Vec<Length>>),
    /// The images on their way through the layers.
    Images(Images),
    /// Some channels of the images: a group of a convolution that is written as several.
    Part(Box<Part>),
    /// A constant that is not read, and why.
    Unread(String),
    /// The images' squares on their way to the divisor of a response normalisation.
    Squares(Squares),
}

/// A whole number, or the number of images, which is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Number(i64),
    Batch,
}

/// The output of the chain's layers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Images {
    /// The number of layers before it.
    pub layers: usize,
    /// Lengths of the axes after the first.
    pub dims: Vec<usize>,
    /// Whether channels come last, also before the map was flattened.
    pub channels_last: bool,
    /// Rows above, columns on the left, rows below, columns on the right that a node added, and their value.
    pub pads: Option<([usize; 4], f32)>,
}

/// Some channels of the images.
#[derive(Clone)]
pub(super) struct Part {
    /// The number of layers before the images.
    pub layers: usize,
    /// The first channel.
    pub start: usize,
    /// The number of channels.
    pub len: usize,
    /// The convolution of these channels, once it is known.
    pub conv: Option<PartConv>,
}

/// The convolution of one group.
#[derive(Clone)]
pub(super) struct PartConv {
    pub settings: Conv,
    pub weight: ArrayD<f32>,
    pub bias: Option<ArrayD<f32>>,
    pub relu: bool,
    pub name: String,
}

/// `(k + alpha * mean of squares over a window) ^ beta`, as far as it is computed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Squares {
    /// The number of layers before the images.
    pub layers: usize,
    /// Lengths of the axes after the first.
    pub dims: Vec<usize>,
    /// Zeros before and after each of these axes, added and not yet averaged.
    pub pads: Vec<[usize; 2]>,
    /// The window, once it is known.
    pub window: Option<Window>,
    /// Multiplies the mean.
    pub alpha: f64,
    /// Is added.
    pub k: f64,
    /// The exponent.
    pub beta: f64,
}

/// The window of a response normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    /// This many adjacent channels.
    Channels(usize),
    /// This many adjacent rows and columns.
    Pixels(usize),
}
