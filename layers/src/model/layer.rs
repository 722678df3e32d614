//! The kinds of layers and their settings.

use tensor::ops::{Activation, Conv2d, Dropout, Edge, Lrn, Padding, Pool2d, PoolKind};

use crate::init::Init;

/// One layer of a model file.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSpec {
    /// Its name, unique in the network.
    pub name: String,
    /// Its parameters' first name in files for other programs, for instance `features.0`.
    pub export: Option<String>,
    /// What it does.
    pub kind: LayerKind,
}

/// What a layer does.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerKind {
    /// Convolution (paper, section 3.5).
    Conv(Conv),
    /// A convolution whose every position has kernels of its own.
    Local(Conv),
    /// Every output from every input; a map is flattened first.
    Linear(Linear),
    /// ReLU (paper, section 3.1), tanh or the logistic function.
    Activation(Activation),
    /// Local response normalisation (paper, section 3.3).
    Lrn(Lrn),
    /// Max or average pooling (paper, section 3.4).
    Pool(Pool),
    /// Dropout (paper, section 4.2).
    Dropout(Dropout),
    /// Batch normalisation of each channel.
    BatchNorm(BatchNorm),
    /// A map as one row: height, width, channels, channels innermost.
    Flatten,
    /// Probabilities from logits; only at the end. A forward pass gives the logits.
    Softmax,
}

impl LayerKind {
    /// The kinds' names in a model file.
    pub const NAMES: &[&str] = &[
        "conv",
        "local",
        "linear",
        "relu",
        "tanh",
        "logistic",
        "lrn",
        "max-pool",
        "average-pool",
        "dropout",
        "batch-norm",
        "flatten",
        "softmax",
    ];

    /// The kind's name in a model file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Conv(_) => "conv",
            Self::Local(_) => "local",
            Self::Linear(_) => "linear",
            Self::Activation(Activation::Relu) => "relu",
            Self::Activation(Activation::Tanh) => "tanh",
            Self::Activation(Activation::Logistic) => "logistic",
            Self::Lrn(_) => "lrn",
            Self::Pool(Pool { kind: PoolKind::Max, .. }) => "max-pool",
            Self::Pool(_) => "average-pool",
            Self::Dropout(_) => "dropout",
            Self::BatchNorm(_) => "batch-norm",
            Self::Flatten => "flatten",
            Self::Softmax => "softmax",
        }
    }
}

/// A convolution, or a local layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// Output channels.
    pub filters: usize,
    /// Height and width of a kernel.
    pub kernel: [usize; 2],
    /// Steps between windows: rows, columns.
    pub stride: [usize; 2],
    /// Zeros around the input.
    pub padding: Pad,
    /// Parts of the channels that do not see each other.
    pub groups: usize,
    /// Its parameters.
    pub learned: Learned,
}

impl Conv {
    /// The tensor operation for an input of this height and width, without a fused ReLU.
    pub fn operation(&self, input: [usize; 2]) -> Conv2d {
        let padding = self.padding.around(input, self.kernel, self.stride);
        Conv2d { stride: self.stride, padding, groups: self.groups }
    }
}

/// A fully connected layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// Outputs.
    pub units: Units,
    /// Its parameters.
    pub learned: Learned,
}

/// Outputs of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// One for each of the model's classes.
    Classes,
    /// This many.
    Number(usize),
}

/// How a layer's weights and bias begin and learn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learned {
    /// First weights.
    pub init: Init,
    /// First biases; `None` for a layer without.
    pub bias: Option<Init>,
    /// Multiplies the learning rate of the weights.
    pub weight_rate: f64,
    /// Multiplies the learning rate of the bias.
    pub bias_rate: f64,
    /// Multiplies the decay of the weights.
    pub weight_decay: f64,
    /// Multiplies the decay of the bias.
    pub bias_decay: f64,
}

/// Max or average pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// What becomes of a window's values.
    pub kind: PoolKind,
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Steps between windows: rows, columns.
    pub stride: [usize; 2],
    /// Places around the image where windows may stand.
    pub padding: Pad,
    /// Where the last window may stand.
    pub edge: Edge,
}

impl Pool {
    /// The tensor operation for an input of this height and width.
    pub fn operation(&self, input: [usize; 2]) -> Pool2d {
        let padding = self.padding.around(input, self.kernel, self.stride);
        Pool2d { kind: self.kind, kernel: self.kernel, stride: self.stride, padding, edge: self.edge }
    }
}

/// Zeros around a layer's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pad {
    /// This many on each side.
    Sides(Padding),
    /// TensorFlow's `same`: as many as make the output `ceil(input / stride)`.
    Same,
}

impl Pad {
    fn around(self, input: [usize; 2], kernel: [usize; 2], stride: [usize; 2]) -> Padding {
        match self {
            Self::Sides(padding) => padding,
            Self::Same => Padding::same(input, kernel, stride),
        }
    }
}

/// Batch normalisation (Ioffe and Szegedy, 2015).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// Added to the variance.
    pub epsilon: f64,
    /// The new batch's share of the running statistics (PyTorch's sense; Keras' momentum is 1 less this).
    pub momentum: f64,
    /// Multiplies the learning rate of scale and shift.
    pub rate: f64,
    /// Multiplies the decay of scale and shift.
    pub decay: f64,
}
