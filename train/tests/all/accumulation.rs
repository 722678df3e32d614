//! Steps of several batches.

use alexnet_train::checkpoint::Checkpoint;
use alexnet_train::log::{StepLine, read};
use alexnet_train::run::{Run, checkpoints};
use alexnet_train::step::{Accumulation, StepOptions, step};
use alexnet_train::trainer::Trainer;
use alexnet_train::{BatchLoss, Result};
use layers::{Model, Module, Network, Var};
use optim::{Clipping, Optimizer, Sgd};
use proptest::prelude::*;
use tensor::{Cpu, Tensor};

use crate::support::{MODEL, World, train_until};

type OnCpu = Cpu<f32>;

/// The small network without dropout, whose masks would depend on the batch.
fn model() -> Model {
    let mut model = Model::parse(MODEL, "small").unwrap();
    model.set_dropout(0.0).unwrap();
    model
}

fn weights(network: &Network<OnCpu>) -> Vec<f32> {
    network.parameters().iter().flat_map(|p| p.value.to_vec().unwrap()).collect()
}

fn optimizer(clip: bool) -> Optimizer<OnCpu> {
    let sgd = Optimizer::new(Sgd::default()).unwrap();
    if clip { sgd.with_clipping(Clipping::GlobalNorm(0.05)).unwrap() } else { sgd }
}

/// The images of some batches: their lengths, and the pixels of all.
fn images(pixels: &[f32]) -> Tensor<OnCpu> {
    let shape = [pixels.len() / 192, 8, 8, 3];
    Tensor::from_slice(&OnCpu::new(1).unwrap(), &shape, pixels).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However the images are divided into batches, the step is that of one batch, to rounding.
    #[test]
    fn batches_together_equal_one_large_batch(
        lengths in proptest::collection::vec(1usize..6, 1..5), seed in 0u64..1000, clip: bool,
    ) {
        let total: usize = lengths.iter().sum();
        let stream = tensor::random::Stream::new(seed, 77, 0);
        let pixels: Vec<f32> = (0..total as u64 * 192).map(|i| stream.uniform(i) - 0.5).collect();
        let labels: Vec<u32> = (0..total).map(|i| (i as u64 * 7 + seed) as u32 % 3).collect();
        let options = StepOptions { seed, step: 0, learning_rate: 0.1, require_finite_loss: true };
        let cpu = OnCpu::new(1).unwrap();
        let mut whole = Network::new(&cpu, &model(), seed).unwrap();
        let loss = step(&mut whole, &mut optimizer(clip), images(&pixels), &labels, options).unwrap().read().unwrap();

        let mut parts = Network::new(&cpu, &model(), seed).unwrap();
        let before = weights(&parts);
        let mut gathered = Accumulation::new();
        let mut at = 0;
        for &length in &lengths {
            let part = images(&pixels[at * 192..(at + length) * 192]);
            let labels = &labels[at..at + length];
            gathered
                .add(&mut parts, options, |network, pass| -> Result<_> {
                    BatchLoss::cross_entropy(&network.forward(&Var::constant(part), pass)?, labels, pass)
                })
                .unwrap();
            at += length;
        }
        let metrics = gathered.update(&mut parts, &mut optimizer(clip), options.learning_rate).unwrap();
        let sum: f64 = metrics.iter().map(|m| m.read().unwrap()).map(|m| m.loss * m.examples as f64).sum();
        prop_assert!((sum / total as f64 - loss.loss).abs() < 1e-5);
        let whole = weights(&whole);
        let parts = weights(&parts);
        let change = whole.iter().zip(&before).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let difference = whole.iter().zip(&parts).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        prop_assert!(change > 0.0 && difference <= 1e-4 * change + 1e-7, "{difference} of {change}");
    }
}

/// A run of batches of 7 of which four make a step equals one with a batch of all 24 images, in steps, logs and weights.
#[test]
fn a_run_counts_steps_as_one_with_the_large_batch() {
    let world = World::new();
    let run = |name: &str, more: &str| {
        let common = "[optim]\nschedule = 'constant'\n[data]\nshuffle = 'none'\n[run]\ncheckpoint_steps = 0\n";
        let config = world.config(&format!("{common}{more}"));
        let mut model = world.model();
        model.set_dropout(0.0).unwrap();
        let run = Run::create(&world.path(name), &config, &model).unwrap();
        let mut trainer = Trainer::new(run, &OnCpu::new(1).unwrap(), &model, world.packs.clone(), None).unwrap();
        assert_eq!(trainer.total_steps(), if more.contains("= 3") { 6 } else { 3 });
        train_until(&mut trainer, u64::MAX).unwrap();
        let log: Vec<StepLine> = read(&world.path(name).join("log.jsonl")).unwrap();
        (log, weights(trainer.network()))
    };
    let (large, expected) = run("large", "batch = 24");
    let (gathered, found) = run("gathered", "batch = 7\naccumulate = 4");
    assert_eq!((large.len(), gathered.len()), (3, 3));
    for (a, b) in large.iter().zip(&gathered) {
        assert_eq!((a.step, a.epoch, a.rate, a.top1_error), (b.step, b.epoch, b.rate, b.top1_error));
        assert!((a.loss - b.loss).abs() < 1e-4, "{a:?} {b:?}");
    }
    let difference = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference < 1e-4, "{difference}");
    // Three of four batches, and then the one that is left.
    let (steps, _) = run("rest", "batch = 7\naccumulate = 3");
    assert_eq!(steps.iter().map(|line| line.epoch).collect::<Vec<_>>(), [1, 1, 2, 2, 3, 3]);
    let (_, last) = checkpoints(&world.path("rest")).unwrap().pop().unwrap();
    let position = Checkpoint::load(&last).unwrap().state.position;
    assert_eq!((position.step, position.epoch, position.batch), (6, 3, 0));
}
