//! Pictures a second of one network: `speed MODEL train|predict BATCH THREADS SECONDS`, as one line of JSON.
//!
//! A training step is forward, loss, backward and the SGD update; pictures are made once and stay. The median of all
//! steps after the first two is given, and the peak memory.

use std::error::Error;
use std::time::Instant;

use layers::{Mode, Model, Network, Tape};
use optim::{Optimizer, Sgd, Update};
use tensor::random::{Stream, purpose};
use tensor::{Cpu, Ints, Tensor};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, work, batch, threads, seconds] = args.as_slice() else {
        return Err("usage: speed MODEL train|predict BATCH THREADS SECONDS".into());
    };
    let (batch, threads, seconds): (usize, usize, f64) = (batch.parse()?, threads.parse()?, seconds.parse()?);
    let cpu = Cpu::<f32>::new(threads)?;
    let model = Model::load(model)?;
    let mut network = Network::new(&cpu, &model, 1)?;
    let shape = [batch, model.input.crop, model.input.crop, 3];
    let images = Tensor::normal(&cpu, &shape, 0.0, 1.0, Stream::new(1, purpose::USER, 0))?;
    let labels = Ints::from_slice(&cpu, &(0..batch as u32).map(|i| i % model.classes as u32).collect::<Vec<_>>())?;
    let mut optimizer = Optimizer::new(Sgd::default())?;

    let (mut times, begun) = (Vec::new(), Instant::now());
    while times.len() < 5 || begun.elapsed().as_secs_f64() < seconds {
        let at = Instant::now();
        if work == "train" {
            step(&mut network, &mut optimizer, images.clone(), &labels, times.len() as u64)?;
        } else {
            network.predict(images.clone())?.to_vec()?;
        }
        times.push(at.elapsed().as_secs_f64());
    }
    let mut steady = times.split_off(2);
    steady.sort_by(f64::total_cmp);
    let median = steady[steady.len() / 2];
    println!("{{\"images_per_s\": {:.2}, \"peak_mib\": {}}}", batch as f64 / median, peak_mib());
    Ok(())
}

fn step(
    network: &mut Network<Cpu<f32>>,
    optimizer: &mut Optimizer<Cpu<f32>>,
    images: Tensor<Cpu<f32>>,
    labels: &Ints<Cpu<f32>>,
    step: u64,
) -> Result<(), Box<dyn Error>> {
    let mut tape = Tape::new();
    let pass = network.forward(&mut tape, images, Mode::Train { seed: 1, step })?;
    let loss = tape.cross_entropy(&pass.logits, labels)?;
    let mut gradients = tape.backward(&loss)?;
    let taken: Vec<_> = pass.parameters.iter().map(|v| v.as_ref().and_then(|v| gradients.take(v))).collect();
    drop((pass, gradients));
    let updates = network
        .parameters_mut()
        .iter_mut()
        .zip(&taken)
        .filter_map(|(p, gradient)| {
            let (rate, decay) = (p.spec.rate, p.spec.decay);
            Some(Update { name: &p.spec.name, value: &mut p.value, gradient: gradient.as_ref()?, rate, decay })
        })
        .collect();
    optimizer.step(1e-4, updates)?;
    loss.value().scalar()?;
    Ok(())
}

/// The most memory the process has held, in MiB; 0 where the system does not say.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}
