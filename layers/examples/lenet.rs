//! LeNet-5 (LeCun et al., 1998, with ReLU and max-pooling) in code, trained on generated images: a bright bar in noise,
//! whose position is the class.
use alexnet_layers::model::Conv;
use alexnet_layers::nn::{Conv2d, Initializer, Linear};
use alexnet_layers::ops::Stage;
use alexnet_layers::tensor::ops::{Pool2d, PoolKind};
use alexnet_layers::tensor::random::{Stream, purpose};
use alexnet_layers::tensor::{Backend, Cpu, IntTensor, Tensor};
use alexnet_layers::{Mode, Module, Parameters, Pass, Result, Var, parameters};

struct LeNet<B: Backend> {
    conv1: Conv2d<B>,
    conv2: Conv2d<B>,
    fc1: Linear<B>,
    fc2: Linear<B>,
    fc3: Linear<B>,
}

parameters! { LeNet { conv1, conv2, fc1, fc2, fc3 } }

impl<B: Backend> LeNet<B> {
    fn new(device: &B, seed: u64) -> Result<Self> {
        let mut init = Initializer::new(device, seed);
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

const SIDE: usize = 28;

/// Images `[n, 28, 28, 1]` and labels from 0 to 9.
fn images(n: usize, step: u64) -> (Vec<f32>, Vec<u32>) {
    let [noise, draws] = [0, 1].map(|number| Stream::new(1, purpose::USER + number, step));
    let labels: Vec<u32> = (0..n as u64).map(|i| draws.below(i, 10)).collect();
    let is_lit = |i: usize| (i % SIDE) * 10 / SIDE == labels[i / SIDE / SIDE] as usize;
    let pixels = (0..n * SIDE * SIDE).map(|i| noise.uniform(i as u64) - 0.5 + f32::from(u8::from(is_lit(i))));
    (pixels.collect(), labels)
}

/// Prints the loss as it falls, and fails if it does not.
pub fn main() -> Result<()> {
    let cpu = Cpu::<f32>::new(2)?;
    let mut network = LeNet::new(&cpu, 1)?;
    println!("LeNet has {} parameters", network.parameter_count());
    let mut losses = Vec::new();
    for step in 0..60 {
        let (pixels, labels) = images(32, step);
        let x = Var::constant(Tensor::from_slice(&cpu, &[32, SIDE, SIDE, 1], &pixels)?);
        let mut pass = Pass::new(Mode::Train { seed: 1, step });
        let logits = network.forward(&x, &mut pass)?;
        let loss = pass.tape.cross_entropy(&logits, &IntTensor::from_slice(&cpu, &labels)?)?;
        losses.push(loss.value().scalar()?);
        let gradients = pass.backward(&loss)?;
        gradients.update(&mut network, |_, parameter, gradient| parameter.value.add_scaled(-0.1, &gradient))?;
    }
    losses.iter().step_by(10).for_each(|loss| println!("loss {loss:.4}"));
    assert!(losses[59] < 0.3 * losses[0], "the loss must fall: {losses:?}");
    Ok(())
}
