use alexnet_layers::model::{Conv, GlobalAveragePool};
use alexnet_layers::nn::{BatchNorm, Conv2d, Initializer, Linear, Sequential};
use alexnet_layers::tensor::Backend;
use alexnet_layers::tensor::ops::Activation;
use alexnet_layers::{Module, Pass, Result, Var, parameters};

struct Residual<B: Backend> {
    conv1: Conv2d<B>,
    norm1: BatchNorm<B>,
    conv2: Conv2d<B>,
    norm2: BatchNorm<B>,
    shortcut: Conv2d<B>,
}

parameters! { Residual { conv1, norm1, conv2, norm2, shortcut } }

impl<B: Backend> Residual<B> {
    fn new(init: &mut Initializer<B>, inputs: usize, outputs: usize, stride: usize) -> Result<Self> {
        let conv1 = Conv::new(outputs, 3).stride(stride).padding(1).without_bias();
        let conv2 = Conv::new(outputs, 3).padding(1).without_bias();
        let shortcut = Conv::new(outputs, 1).stride(stride).without_bias();
        Ok(Self {
            conv1: Conv2d::new(init, inputs, &conv1)?,
            norm1: BatchNorm::new(init, outputs)?,
            conv2: Conv2d::new(init, outputs, &conv2)?,
            norm2: BatchNorm::new(init, outputs)?,
            shortcut: Conv2d::new(init, inputs, &shortcut)?,
        })
    }
}

impl<B: Backend> Module<B> for Residual<B> {
    fn forward(&self, x: &Var<B>, pass: &mut Pass<B>) -> Result<Var<B>> {
        let y = self.norm1.forward(&self.conv1.forward(x, pass)?, pass)?;
        let y = pass.tape.activation(&y, Activation::Relu)?;
        let y = self.norm2.forward(&self.conv2.forward(&y, pass)?, pass)?;
        let shortcut = self.shortcut.forward(x, pass)?;
        let sum = pass.tape.add(&y, &shortcut)?;
        pass.tape.activation(&sum, Activation::Relu)
    }
}

pub fn network<B: Backend>(device: &B) -> Result<Sequential<B>> {
    let mut init = Initializer::new(device, 1);
    Ok(Sequential::new()
        .then(Residual::new(&mut init, 1, 8, 2)?)
        .then(Residual::new(&mut init, 8, 16, 2)?)
        .then(GlobalAveragePool)
        .then(Linear::new(&mut init, &[16], 10)?))
}
