//! A network's parameters: names, shapes, layouts.

use crate::init::Init;

/// One parameter of a layer or a network, without its values.
///
/// ```
/// use alexnet_layers::{Init, Layout, ParameterSpec};
///
/// let weight = ParameterSpec::new("weight", &[10, 64]).layout(Layout::Linear).init(Init::HeNormal).fans([64, 10]);
/// assert_eq!(weight.len(), 640);
/// assert!(weight.is_trainable());
/// assert!(!ParameterSpec::new("running_mean", &[64]).statistic().is_trainable());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ParameterSpec {
    /// Its name: in a [`Network`](crate::Network) the layer's name, then `.weight`, `.bias`, `.running_mean` or
    /// `.running_var`; in a layer of [`nn`](crate::nn) `weight` and so on.
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
    /// A trained parameter with multipliers of 1: a vector of zeros, unless other methods say more.
    pub fn new(name: &str, shape: &[usize]) -> Self {
        Self {
            name: name.into(),
            export: name.into(),
            shape: shape.to_vec(),
            layout: Layout::Vector,
            init: Init::Constant(0.0),
            fans: [1, 1],
            rate: 1.0,
            decay: 1.0,
            trained: true,
        }
    }

    /// The same parameter with this meaning of its axes.
    pub fn layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// The same parameter with this distribution of initial values.
    pub fn init(self, init: Init) -> Self {
        Self { init, ..self }
    }

    /// The same parameter with this fan-in and fan-out.
    pub fn fans(self, fans: [usize; 2]) -> Self {
        Self { fans, ..self }
    }

    /// The same parameter with these multipliers of the learning rate and the weight decay.
    pub fn multipliers(self, rate: f64, decay: f64) -> Self {
        Self { rate, decay, ..self }
    }

    /// The same parameter as a running statistic: stored, but not trained.
    pub fn statistic(self) -> Self {
        Self { rate: 0.0, decay: 0.0, trained: false, ..self }
    }

    /// Whether gradient descent changes it: no gradient is computed for a running statistic or a rate of 0.
    pub fn is_trainable(&self) -> bool {
        self.trained && self.rate > 0.0
    }

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
#[non_exhaustive]
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
