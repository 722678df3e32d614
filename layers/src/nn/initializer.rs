//! Initial values of the layers of a network.

use tensor::Backend;
use tensor::random::{Stream, purpose};

use crate::model::ParameterSpec;
use crate::{Parameter, Result};

/// The source of initial values: each parameter that it makes has a random stream of its own, numbered in the order of
/// the calls, so the same seed gives the same network on every device.
///
/// ```
/// use alexnet_layers::nn::Initializer;
/// use alexnet_layers::tensor::Cpu;
/// use alexnet_layers::{Init, ParameterSpec};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let spec = ParameterSpec::new("weight", &[3]).init(Init::Normal { mean: 0.0, std: 0.1 });
/// let [a, b] = [7, 7].map(|seed| Initializer::new(&cpu, seed).parameter(spec.clone()));
/// assert_eq!(a?.value.to_vec()?, b?.value.to_vec()?);
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Initializer<B: Backend> {
    device: B,
    seed: u64,
    next_stream: u32,
}

impl<B: Backend> Initializer<B> {
    /// Initial values of a new network on `device`.
    pub fn new(device: &B, seed: u64) -> Self {
        Self { device: device.clone(), seed, next_stream: 0 }
    }

    /// The device of the parameters.
    pub fn device(&self) -> &B {
        &self.device
    }

    /// The next parameter.
    ///
    /// # Errors
    /// Those of the device.
    pub fn parameter(&mut self, spec: ParameterSpec) -> Result<Parameter<B>> {
        let stream = Stream::new(self.seed, purpose::INIT + self.next_stream, 0);
        self.next_stream += 1;
        Parameter::draw(&self.device, spec, stream)
    }
}
