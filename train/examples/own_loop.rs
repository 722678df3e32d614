//! A training loop of one's own that may be killed at any time and resumes with the same bits: a network learns the sine.
//!
//! `cargo run --release -p alexnet-train --example own_loop -- FOLDER`

use alexnet_train::layers::nn::{Initializer, Linear, Sequential};
use alexnet_train::layers::{Module, Var};
use alexnet_train::optim::{Adam, Optimizer};
use alexnet_train::step::{StepOptions, step_with};
use alexnet_train::tensor::ops::Activation;
use alexnet_train::tensor::random::{Stream, purpose};
use alexnet_train::tensor::{Cpu, Tensor};
use alexnet_train::{BatchLoss, CheckpointFolder, LoopCheckpoint, Result};

fn main() -> Result<()> {
    let checkpoints = CheckpointFolder::open(std::env::args().nth(1).unwrap_or("own-loop".into()), 2)?;
    let cpu = Cpu::<f32>::new(2)?;
    let mut init = Initializer::new(&cpu, 1);
    let mut network = Sequential::new()
        .then(Linear::new(&mut init, &[1], 64)?)
        .then(Activation::Tanh)
        .then(Linear::new(&mut init, &[64], 1)?);
    let mut adam = Optimizer::new(Adam::default())?;
    let mut step = 0;
    if let Some(saved) = checkpoints.newest(&mut |warning| eprintln!("{warning}"))? {
        saved.restore_module("", &mut network)?;
        saved.restore_optimizer("", &cpu, &mut adam)?;
        step = saved.state()?;
        println!("resumed after step {step}");
    }
    while step < 2000 {
        // The batch follows from the step alone, as the dropout of a network with dropout would.
        let stream = Stream::new(1, purpose::USER, step);
        let x: Vec<f32> = (0..64).map(|i| 6.0 * stream.uniform(i) - 3.0).collect();
        let y: Vec<f32> = x.iter().map(|x| x.sin()).collect();
        let x = Var::constant(Tensor::from_slice(&cpu, &[64, 1], &x)?);
        let y = Var::constant(Tensor::from_slice(&cpu, &[64, 1], &y)?);
        let options = StepOptions { seed: 1, step, learning_rate: 0.003, require_finite_loss: true };
        let metrics = step_with(&mut network, &mut adam, options, |network, pass| {
            let output = network.forward(&x, pass)?;
            let difference = pass.tape.subtract(&output, &y)?;
            let square = pass.tape.multiply(&difference, &difference)?;
            Ok(BatchLoss::new(pass.tape.mean(&square)?, 64))
        })?;
        step += 1;
        if step % 100 == 0 {
            println!("step {step}: mean squared error {:.6}", metrics.read()?.loss);
            let saved = LoopCheckpoint::new().with_module("", &network)?.with_optimizer("", &adam)?;
            checkpoints.save(step, &saved.with_state(&step)?)?;
        }
    }
    Ok(())
}
