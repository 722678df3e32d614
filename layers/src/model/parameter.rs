//! A network's parameters: names, shapes, layouts.

use tensor::{Backend, Tensor};

use crate::init::Init;

/// One parameter of a network, without its values.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// The layer's name, then `.weight`, `.bias`, `.running_mean` or `.running_var`.
    pub name: String,
    /// The name in files for other programs, such as `features.0.weight`; `name` unless the model file gives one.
    pub export: String,
    /// Lengths of the axes, in the layout's order.
    pub shape: Vec<usize>,
    /// The meaning of the axes.
    pub layout: Layout,
    /// The distribution of its initial values.
    pub init: Init,
    /// Fan-in and fan-out: the inputs that each output sums, and the outputs that each input contributes to. A bias has
    /// those of its layer.
    pub fans: [usize; 2],
    /// Multiplies the learning rate.
    pub rate: f64,
    /// Multiplies the weight decay.
    pub decay: f64,
    /// Whether gradient descent changes it. The running statistics of a batch norm are stored but not trained.
    pub trained: bool,
}

impl ParameterSpec {
    /// The number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no values. Parameters of a checked model have at least one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The meaning of a parameter's axes. It decides the permutation of the axes in files for other programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `[c]`, or a local layer's bias `[oh, ow, out]`.
    Vector,
    /// `[out, kernel height, kernel width, in / groups]`.
    Conv,
    /// `[out, in]`.
    Linear,
    /// `[out, in]` of a linear layer on a flattened map: `in` runs over height, width, channels, channels innermost
    /// (PyTorch and Caffe flatten channels outermost).
    LinearAfterFlatten {
        /// Height of the map.
        height: usize,
        /// Width of the map.
        width: usize,
        /// Channels of the map.
        channels: usize,
    },
    /// `[oh * ow, out, kernel height, kernel width, in / groups]`.
    Local,
}

/// One parameter of a network and its values.
#[derive(Clone, Debug)]
pub struct Parameter<B: Backend> {
    /// Its name, shape and settings.
    pub spec: ParameterSpec,
    /// Its values.
    pub value: Tensor<B>,
}
