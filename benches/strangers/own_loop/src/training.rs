//! A network that learns the sine.

use std::path::Path;

use alexnet_train::layers::nn::{Initializer, Linear, Sequential};
use alexnet_train::layers::{Module, Var};
use alexnet_train::optim::{Adam, Optimizer, Schedule, ScheduleRule};
use alexnet_train::step::{StepOptions, step_with};
use alexnet_train::tensor::ops::Activation;
use alexnet_train::tensor::random::{Stream, purpose};
use alexnet_train::tensor::{Cpu, Tensor};
use alexnet_train::{BatchLoss, CheckpointFolder, LoopCheckpoint, Result};

pub const STEPS: u64 = 3000;

pub fn run(folder: &Path) -> Result<()> {
    let checkpoints = CheckpointFolder::open(folder, 2)?;
    let cpu = Cpu::<f32>::new(2)?;
    let mut init = Initializer::new(&cpu, 1);
    let mut network = Sequential::new()
        .then(Linear::new(&mut init, &[1], 64)?)
        .then(Activation::Tanh)
        .then(Linear::new(&mut init, &[64], 1)?);
    let mut adam = Optimizer::new(Adam::default())?;
    let schedule = Schedule::new(ScheduleRule::Cosine { epochs: STEPS as f64, end: 0.0 })?;
    let mut step = 0;
    if let Some(saved) = checkpoints.newest(&mut |warning| eprintln!("{warning}"))? {
        saved.restore_module("", &mut network)?;
        saved.restore_optimizer("", &cpu, &mut adam)?;
        step = saved.state()?;
        println!("resumed after step {step}");
    }
    while step < STEPS {
        let stream = Stream::new(1, purpose::USER, step);
        let x: Vec<f32> = (0..64).map(|i| 6.0 * stream.uniform(i) - 3.0).collect();
        let y: Vec<f32> = x.iter().map(|x| x.sin()).collect();
        let x = Var::constant(Tensor::from_slice(&cpu, &[64, 1], &x)?);
        let y = Var::constant(Tensor::from_slice(&cpu, &[64, 1], &y)?);
        let learning_rate = schedule.rate(0.01, step as f64);
        let options = StepOptions { seed: 1, step, learning_rate, require_finite_loss: true };
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
