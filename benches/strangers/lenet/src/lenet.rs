use alexnet_layers::model::Conv;
use alexnet_layers::nn::{Conv2d, Initializer, Linear};
use alexnet_layers::ops::Stage;
use alexnet_layers::tensor::Backend;
use alexnet_layers::tensor::ops::{Pool2d, PoolKind};
use alexnet_layers::{Module, Pass, Result, Var, parameters};

pub struct LeNet<B: Backend> {
    conv1: Conv2d<B>,
    conv2: Conv2d<B>,
    fc1: Linear<B>,
    fc2: Linear<B>,
    fc3: Linear<B>,
}

parameters! { LeNet { conv1, conv2, fc1, fc2, fc3 } }

impl<B: Backend> LeNet<B> {
    pub fn new(device: &B) -> Result<Self> {
        let mut init = Initializer::new(device, 1);
        Ok(Self {
            conv1: Conv2d::new(&mut init, 1, &Conv::new(6, 5).padding(2))?,
            conv2: Conv2d::new(&mut init, 6, &Conv::new(16, 5))?,
            fc1: Linear::new(&mut init, &[5, 5, 16], 120)?,
            fc2: Linear::new(&mut init, &[120], 84)?,
            fc3: Linear::new(&mut init, &[84], 10)?,
        })
    }
}

impl<B: Backend> Module<B> for LeNet<B> {
    fn forward(&self, x: &Var<B>, pass: &mut Pass<B>) -> Result<Var<B>> {
        let relu_pool = [Stage::Relu, Stage::Pool(Pool2d::new(PoolKind::Max, 2, 2))];
        let x = self.conv1.forward_stages(x, &relu_pool, pass)?;
        let x = self.conv2.forward_stages(&x, &relu_pool, pass)?;
        let x = self.fc1.forward_stages(&x, &[Stage::Relu], pass)?;
        let x = self.fc2.forward_stages(&x, &[Stage::Relu], pass)?;
        self.fc3.forward(&x, pass)
    }
}
