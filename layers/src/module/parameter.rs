//! A parameter: settings, values and identity.

use std::sync::atomic::{AtomicU64, Ordering};

use tensor::random::Stream;
use tensor::{Backend, Tensor};

use super::Parameters;
use crate::Result;
use crate::model::ParameterSpec;

/// One parameter of a module, with its values.
///
/// Each has an identity, by which a [`Pass`](super::Pass) and the gradients know it. A clone is another parameter.
///
/// ```
/// use alexnet_layers::tensor::{Cpu, Tensor};
/// use alexnet_layers::{Parameter, ParameterSpec};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let bias = Parameter::new(ParameterSpec::new("bias", &[3]), Tensor::zeros(&cpu, &[3])?);
/// assert_ne!(bias.id(), bias.clone().id());
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct Parameter<B: Backend> {
    /// Its name in its layer, shape and settings.
    pub spec: ParameterSpec,
    /// Its values, in the specification's shape.
    pub value: Tensor<B>,
    id: ParameterId,
}

/// The identity of a [`Parameter`]: no two parameters of a process have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParameterId(u64);

impl ParameterId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl<B: Backend> Parameter<B> {
    /// A parameter with these values.
    pub fn new(spec: ParameterSpec, value: Tensor<B>) -> Self {
        Self { spec, value, id: ParameterId::next() }
    }

    /// A parameter with values drawn from its initial distribution.
    ///
    /// # Errors
    /// Those of the device.
    pub fn draw(device: &B, spec: ParameterSpec, stream: Stream) -> Result<Self> {
        let value = spec.init.tensor(device, &spec.shape, spec.fans, stream)?;
        Ok(Self::new(spec, value))
    }

    /// Its identity.
    pub fn id(&self) -> ParameterId {
        self.id
    }
}

impl<B: Backend> Clone for Parameter<B> {
    fn clone(&self) -> Self {
        Self::new(self.spec.clone(), self.value.clone())
    }
}

impl<B: Backend> Parameters<B> for Parameter<B> {
    fn visit<'a>(&'a self, prefix: &str, f: &mut dyn FnMut(&str, &'a Parameter<B>)) {
        f(prefix, self);
    }

    fn visit_mut<'a>(&'a mut self, prefix: &str, f: &mut dyn FnMut(&str, &'a mut Parameter<B>)) {
        f(prefix, self);
    }
}
