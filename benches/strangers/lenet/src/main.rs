//! LeNet-5 and a residual network, each trained on generated images by SGD with momentum.

mod lenet;
mod residual;

use alexnet_layers::tensor::random::{Stream, purpose};
use alexnet_layers::tensor::{Cpu, IntTensor, Tensor};
use alexnet_layers::{Mode, Module, Pass, Var};
use alexnet_optim::{Optimizer, Sgd, Update};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const SIDE: usize = 28;

/// Images `[n, 28, 28, 1]` of noise with a bright bar, whose position is the label.
fn images(n: usize, step: u64) -> (Vec<f32>, Vec<u32>) {
    let [noise, draws] = [0, 1].map(|number| Stream::new(1, purpose::USER + number, step));
    let labels: Vec<u32> = (0..n as u64).map(|i| draws.below(i, 10)).collect();
    let is_lit = |i: usize| (i % SIDE) * 10 / SIDE == labels[i / SIDE / SIDE] as usize;
    let pixels = (0..n * SIDE * SIDE).map(|i| noise.uniform(i as u64) - 0.5 + f32::from(u8::from(is_lit(i))));
    (pixels.collect(), labels)
}

/// Trains a network and returns the first and the last loss.
fn train(mut network: impl Module<Cpu<f32>>, device: &Cpu<f32>, steps: u64) -> Result<[f64; 2]> {
    let mut sgd = Optimizer::new(Sgd::default())?;
    let mut losses = Vec::new();
    for step in 0..steps {
        let (pixels, labels) = images(32, step);
        let x = Var::constant(Tensor::from_slice(device, &[32, SIDE, SIDE, 1], &pixels)?);
        let mut pass = Pass::new(Mode::Train { seed: 1, step });
        let logits = network.forward(&x, &mut pass)?;
        let loss = pass.tape.cross_entropy(&logits, &IntTensor::from_slice(device, &labels)?)?;
        losses.push(loss.value().scalar()?);
        let gradients = pass.backward(&loss)?;
        let mut update = sgd.begin(0.02)?;
        gradients.update(&mut network, |name, parameter, gradient| {
            update.update(vec![Update::new(name, &mut parameter.value, &gradient)])
        })?;
    }
    Ok([losses[0], losses[losses.len() - 1]])
}

fn main() -> Result<()> {
    let cpu = Cpu::<f32>::new(2)?;
    for (name, [first, last]) in [
        ("LeNet-5", train(lenet::LeNet::new(&cpu)?, &cpu, 80)?),
        ("residual network", train(residual::network(&cpu)?, &cpu, 120)?),
    ] {
        println!("{name}: loss {first:.3} -> {last:.3}");
        assert!(last < 0.3 * first, "the loss must fall");
    }
    Ok(())
}
