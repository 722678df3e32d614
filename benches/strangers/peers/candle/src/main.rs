//! The programs of `lenet` and `rosenbrock` with candle.

mod lenet;
mod residual;
mod rosenbrock;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{ModuleT, Optimizer, SGD, VarBuilder, VarMap, loss};

const SIDE: usize = 28;

/// Images of noise with a bright bar, whose position is the label.
fn images(n: usize) -> Result<(Tensor, Tensor)> {
    let labels: Vec<u32> = (0..n as u32).map(|i| (i * 7) % 10).collect();
    let is_lit = |i: usize| (i % SIDE) * 10 / SIDE == labels[i / SIDE / SIDE] as usize;
    let bars: Vec<f32> = (0..n * SIDE * SIDE).map(|i| f32::from(u8::from(is_lit(i)))).collect();
    let shape = (n, 1, SIDE, SIDE);
    let noise = Tensor::rand(-0.5f32, 0.5, shape, &Device::Cpu)?;
    Ok(((noise + Tensor::from_vec(bars, shape, &Device::Cpu)?)?, Tensor::new(labels, &Device::Cpu)?))
}

fn train(name: &str, make: impl Fn(VarBuilder) -> Result<Box<dyn ModuleT>>, steps: usize) -> Result<()> {
    let variables = VarMap::new();
    let network = make(VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu))?;
    let mut sgd = SGD::new(variables.all_vars(), 0.1)?;
    let mut losses = Vec::new();
    for _ in 0..steps {
        let (images, labels) = images(32)?;
        let loss = loss::cross_entropy(&network.forward_t(&images, true)?, &labels)?;
        sgd.backward_step(&loss)?;
        losses.push(loss.to_scalar::<f32>()?);
    }
    println!("{name}: loss {:.3} -> {:.3}", losses[0], losses[losses.len() - 1]);
    Ok(())
}

fn main() -> Result<()> {
    train("LeNet-5", |vb| Ok(Box::new(lenet::LeNet::new(vb)?)), 80)?;
    train("residual network", |vb| Ok(Box::new(residual::Network::new(vb)?)), 120)?;
    rosenbrock::run()
}
