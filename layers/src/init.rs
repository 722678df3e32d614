//! Initial values of parameters.

use tensor::random::Stream;
use tensor::{Backend, Tensor};

use crate::Result;

/// The distribution that a parameter's first values are drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All values the same.
    Constant(f64),
    /// The normal distribution (paper, section 5: mean 0, deviation 0.01).
    Normal {
        /// Its mean.
        mean: f64,
        /// Its standard deviation.
        std: f64,
    },
    /// Evenly distributed in `[low, high)`.
    Uniform {
        /// The lower end.
        low: f64,
        /// The upper end.
        high: f64,
    },
    /// Uniform within +-sqrt(6 / (fan in + fan out)) (Glorot and Bengio, 2010), also called Xavier; Keras' default.
    GlorotUniform,
    /// Normal with deviation sqrt(2 / (fan in + fan out)).
    GlorotNormal,
    /// Uniform within +-sqrt(6 / fan in) (He et al., 2015), also called Kaiming.
    HeUniform,
    /// Normal with deviation sqrt(2 / fan in).
    HeNormal,
    /// Uniform within +-1 / sqrt(fan in): what PyTorch gives weights and biases of convolutions and linear layers.
    TorchDefault,
}

impl Init {
    /// The names that a model file gives the distributions, as `kind`.
    pub const KINDS: &[&str] = &[
        "constant",
        "normal",
        "uniform",
        "glorot-uniform",
        "xavier-uniform",
        "glorot-normal",
        "xavier-normal",
        "he-uniform",
        "kaiming-uniform",
        "he-normal",
        "kaiming-normal",
        "torch-default",
    ];

    /// The same distribution as [`Constant`](Self::Constant), [`Normal`](Self::Normal) or [`Uniform`](Self::Uniform),
    /// for a layer each of whose outputs sums `fan_in` inputs and each of whose inputs goes into `fan_out` outputs.
    pub fn resolve(self, [fan_in, fan_out]: [usize; 2]) -> Self {
        let fan_in = fan_in.max(1) as f64;
        let fan_out = fan_out.max(1) as f64;
        let within = |bound: f64| Self::Uniform { low: -bound, high: bound };
        let around_zero = |variance: f64| Self::Normal { mean: 0.0, std: variance.sqrt() };
        match self {
            Self::GlorotUniform => within((6.0 / (fan_in + fan_out)).sqrt()),
            Self::GlorotNormal => around_zero(2.0 / (fan_in + fan_out)),
            Self::HeUniform => within((6.0 / fan_in).sqrt()),
            Self::HeNormal => around_zero(2.0 / fan_in),
            Self::TorchDefault => within(1.0 / fan_in.sqrt()),
            plain => plain,
        }
    }

    /// A tensor of `shape`, drawn on the device: value i is draw i of `stream`, so it does not depend on the device.
    ///
    /// # Errors
    /// Those of [`Tensor::normal`]: a shape of too many values, or no memory.
    pub fn tensor<B: Backend>(
        self,
        device: &B,
        shape: &[usize],
        fans: [usize; 2],
        stream: Stream,
    ) -> Result<Tensor<B>> {
        Ok(match self.resolve(fans) {
            Self::Constant(value) => Tensor::full(device, shape, value)?,
            Self::Normal { mean, std } => Tensor::normal(device, shape, mean, std, stream)?,
            Self::Uniform { low, high } => Tensor::uniform(device, shape, low, high, stream)?,
            _ => unreachable!("resolve leaves these three"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_follow_from_the_fans() {
        // PyTorch's nn.Linear(100, 50): bound 0.1. Keras' Dense(50) on 100: sqrt(6 / 150) = 0.2.
        assert_eq!(Init::TorchDefault.resolve([100, 50]), Init::Uniform { low: -0.1, high: 0.1 });
        assert_eq!(Init::GlorotUniform.resolve([100, 50]), Init::Uniform { low: -0.2, high: 0.2 });
        assert_eq!(Init::HeNormal.resolve([50, 7]), Init::Normal { mean: 0.0, std: 0.2 });
        assert_eq!(Init::GlorotNormal.resolve([150, 50]), Init::Normal { mean: 0.0, std: 0.1 });
        assert_eq!(Init::HeUniform.resolve([24, 1]), Init::Uniform { low: -0.5, high: 0.5 });
        assert_eq!(Init::Constant(1.0).resolve([3, 3]), Init::Constant(1.0));
    }
}
