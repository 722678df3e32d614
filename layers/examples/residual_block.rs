//! The block of a ResNet (He et al., 2016) in code, and a check of its gradients.
use alexnet_layers::gradient_check::{Device, GradientCheck, projection};
use alexnet_layers::model::Conv;
use alexnet_layers::nn::{BatchNorm, Conv2d, Initializer, Linear, Sequential};
use alexnet_layers::tensor::ops::Activation;
use alexnet_layers::tensor::random::{Stream, purpose};
use alexnet_layers::tensor::{Backend, Tensor};
use alexnet_layers::{Mode, Module, Parameters, Pass, Result, Var, model::GlobalAveragePool, parameters};

struct Residual<B: Backend> {
    conv1: Conv2d<B>,
    norm1: BatchNorm<B>,
    conv2: Conv2d<B>,
    norm2: BatchNorm<B>,
    /// Where the shape changes.
    shortcut: Option<Conv2d<B>>,
}

parameters! { Residual { conv1, norm1, conv2, norm2, shortcut } }

impl<B: Backend> Residual<B> {
    fn new(init: &mut Initializer<B>, inputs: usize, outputs: usize, stride: usize) -> Result<Self> {
        let changes = inputs != outputs || stride != 1;
        let projection = Conv::new(outputs, 1).stride(stride).without_bias();
        Ok(Self {
            conv1: Conv2d::new(init, inputs, &Conv::new(outputs, 3).stride(stride).padding(1).without_bias())?,
            norm1: BatchNorm::new(init, outputs)?,
            conv2: Conv2d::new(init, outputs, &Conv::new(outputs, 3).padding(1).without_bias())?,
            norm2: BatchNorm::new(init, outputs)?,
            shortcut: changes.then(|| Conv2d::new(init, inputs, &projection)).transpose()?,
        })
    }
}

impl<B: Backend> Module<B> for Residual<B> {
    fn forward(&self, x: &Var<B>, pass: &mut Pass<B>) -> Result<Var<B>> {
        let y = self.norm1.forward(&self.conv1.forward(x, pass)?, pass)?;
        let y = pass.tape.activation(&y, Activation::Relu)?;
        let y = self.norm2.forward(&self.conv2.forward(&y, pass)?, pass)?;
        let shortcut = match &self.shortcut {
            Some(projection) => projection.forward(x, pass)?,
            None => x.clone(),
        };
        let sum = pass.tape.add(&y, &shortcut)?;
        pass.tape.activation(&sum, Activation::Relu)
    }
}

/// Prints the largest error of each parameter's gradient, and fails if one is too large.
pub fn main() -> Result<()> {
    let device = Device::new(2)?;
    let mut init = Initializer::new(&device, 1);
    let network = Sequential::new()
        .then(Residual::new(&mut init, 3, 4, 2)?)
        .then(Residual::new(&mut init, 4, 4, 1)?)
        .then(GlobalAveragePool)
        .then(Linear::new(&mut init, &[4], 3)?);
    let x = Tensor::normal(&device, &[3, 7, 7, 3], 0.0, 1.0, Stream::new(1, purpose::USER, 0))?;
    assert_eq!(network.predict(x.clone())?.shape(), [3, 3]);
    println!("{} parameters", network.parameter_count());

    let x = Var::constant(x);
    let report = GradientCheck::default().run_module(&network, Mode::Train { seed: 1, step: 0 }, |pass| {
        let y = network.forward(&x, pass)?;
        projection(&mut pass.tape, &y)
    })?;
    println!("{report}");
    report.within(1e-6)
}
