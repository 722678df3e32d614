//! A learner with a module, batches, a loss, a metric and a log of one's own: an autoencoder of images of bars, which is
//! validated, stops early and resumes with the same bits.
//!
//! `cargo run --release -p alexnet-train --example own_loss -- FOLDER`

use std::fs::OpenOptions;
use std::io::Write;
use std::ops::ControlFlow;

use alexnet_train::layers::nn::{Initializer, Linear};
use alexnet_train::layers::{Pass, Var, parameters};
use alexnet_train::optim::{Adam, Optimizer};
use alexnet_train::tensor::ops::Activation;
use alexnet_train::tensor::random::{Stream, purpose};
use alexnet_train::tensor::{Backend, Cpu, Tensor};
use alexnet_train::{BatchLoss, Callback, CheckpointFolder, EarlyStopping, Error, Event, Learner, Result};
use alexnet_train::{batches_from_fn, on_event};

const SIZE: usize = 8;
const BATCH: usize = 32;

/// Two linear layers with few values between them.
struct Autoencoder<B: Backend> {
    encoder: Linear<B>,
    decoder: Linear<B>,
}

parameters! { Autoencoder { encoder, decoder } }

type OnCpu = Cpu<f32>;
type BarLearner = Learner<OnCpu, Autoencoder<OnCpu>>;

/// Mean squared error, and the mean of the code beside it.
fn loss(module: &Autoencoder<OnCpu>, images: Tensor<OnCpu>, pass: &mut Pass<OnCpu>) -> Result<BatchLoss<OnCpu>> {
    use alexnet_train::layers::Module;
    let images = Var::constant(images);
    let code = module.encoder.forward(&images, pass)?;
    let code = pass.tape.activation(&code, Activation::Tanh)?;
    let output = module.decoder.forward(&code, pass)?;
    let difference = pass.tape.subtract(&output, &images)?;
    let square = pass.tape.multiply(&difference, &difference)?;
    let mean_square = pass.tape.mean(&square)?;
    let mean_code = pass.tape.mean(&code)?;
    Ok(BatchLoss::new(mean_square, BATCH).with_mean("code", &mean_code))
}

/// Images of a horizontal and a vertical bar each, which follow from the stream.
fn bars(device: &OnCpu, stream: Stream) -> Result<Tensor<OnCpu>> {
    let mut images = vec![0.0; BATCH * SIZE * SIZE];
    for (number, image) in images.chunks_mut(SIZE * SIZE).enumerate() {
        let place = |axis: u64| stream.below(2 * number as u64 + axis, SIZE as u32) as usize;
        let row = place(0);
        let column = place(1);
        (0..SIZE).for_each(|i| image[row * SIZE + i] = 1.0);
        (0..SIZE).for_each(|i| image[i * SIZE + column] = 1.0);
    }
    Ok(Tensor::from_slice(device, &[BATCH, SIZE * SIZE], &images)?)
}

/// A log of one's own: a line of CSV for each epoch.
struct CsvLog(std::fs::File);

impl Callback<OnCpu, Autoencoder<OnCpu>> for CsvLog {
    fn on_event(&mut self, event: Event<'_>, learner: &mut BarLearner) -> Result<ControlFlow<String>> {
        if let Event::Epoch(report) = event {
            let validation = learner.recorded("validation").unwrap_or(f64::NAN);
            let code = report.metrics.mean("code").unwrap_or(f64::NAN);
            let loss = report.metrics.mean_loss();
            writeln!(self.0, "{},{loss},{validation},{code}", report.epoch).map_err(Error::other)?;
        }
        Ok(ControlFlow::Continue(()))
    }
}

fn main() -> Result<()> {
    let checkpoints = CheckpointFolder::open(std::env::args().nth(1).unwrap_or("own-loss".into()), 2)?;
    let cpu = OnCpu::new(2)?;
    let train =
        batches_from_fn(20, |epoch, batch| bars(&cpu, Stream::new(1, purpose::USER, epoch << 32 | batch as u64)));
    let val = batches_from_fn(4, |_, batch| bars(&cpu, Stream::new(2, purpose::USER, batch as u64)));
    let mut init = Initializer::new(&cpu, 1);
    let encoder = Linear::new(&mut init, &[SIZE * SIZE], 12)?;
    let decoder = Linear::new(&mut init, &[12], SIZE * SIZE)?;
    let module = Autoencoder { encoder, decoder };
    let mut learner = Learner::new(module, Optimizer::new(Adam::default())?)?.learning_rate(0.003).epochs(200);
    let mut early = EarlyStopping::new("validation", 5).min_delta(1e-4);
    if let Some(saved) = checkpoints.newest(&mut |warning| eprintln!("{warning}"))? {
        learner.restore(&saved)?;
        early = saved.state()?;
        println!("resumed after epoch {}", learner.progress().epoch);
    }
    let path = checkpoints.path().join("log.csv");
    let mut log = CsvLog(OpenOptions::new().create(true).append(true).open(path).map_err(Error::other)?);
    let mut validate_and_save = on_event(|event: Event<'_>, learner: &mut BarLearner| {
        let Event::Epoch(report) = event else { return Ok(ControlFlow::Continue(())) };
        let validation = learner.evaluate(&val, loss)?.mean_loss();
        println!("epoch {}: {:.5}, validation {validation:.5}", report.epoch, report.metrics.mean_loss());
        learner.record("validation", validation);
        let flow = early.observe(validation);
        checkpoints.save(report.step, &learner.checkpoint()?.with_state(&early)?)?;
        Ok::<_, Error>(flow)
    });
    let ended = learner.fit(&train, loss, &mut [&mut validate_and_save, &mut log])?;
    println!("{}", ended.reason().unwrap_or("all epochs are done"));
    Ok(())
}
