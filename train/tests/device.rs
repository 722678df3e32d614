//! Training on each device of this build: it follows the CPU, gives the same bits each time, and resumes after a stop
//! with the bits of an unstopped run.

mod support;

use alexnet_train::step::{StepOptions, step};
use alexnet_train::{Error, PendingMetrics, StepMetrics};
use layers::{Model, Network};
use optim::{Optimizer, Sgd};
use support::{World, bits, train_until};
use tensor::random::{Stream, purpose};
use tensor::{Backend, Cpu, Tensor};

const STEPS: u64 = 20;
const BATCH: usize = 6;
const CLASSES: usize = 4;

/// The paper's network with a 16th of the channels, on images as small as its five stages allow.
fn small() -> Model {
    let mut text = Model::preset("paper").unwrap().to_toml();
    for (paper, small) in [
        ("crop = 224", "crop = 95"),
        ("filters = 96", "filters = 6"),
        ("filters = 256", "filters = 16"),
        ("filters = 384", "filters = 24"),
        ("units = 4096", "units = 30"),
        ("classes = 1000", "classes = 4"),
        // With so few terms to a sum, as in the paper signals would fade.
        ("std = 0.01", "std = 0.1"),
    ] {
        text = text.replace(paper, small);
    }
    Model::parse(&text, "small").unwrap()
}

/// Noise around a value that depends on the class; the same images every fourth step.
fn batch(number: u64, crop: usize) -> (Vec<f32>, Vec<u32>) {
    let stream = Stream::new(3, purpose::USER, number % 4);
    let labels: Vec<u32> = (0..BATCH).map(|i| ((i as u64 + number) % CLASSES as u64) as u32).collect();
    let image = crop * crop * 3;
    let pixel = |i: usize| 0.5 * labels[i / image] as f32 - 0.75 + stream.uniform(i as u64) - 0.5;
    ((0..BATCH * image).map(pixel).collect(), labels)
}

/// The metrics of each step, and all weights at the end.
#[derive(Debug, PartialEq)]
struct Run {
    metrics: Vec<StepMetrics>,
    weights: Vec<(String, Vec<f32>)>,
}

fn train<B: Backend<Scalar = f32>>(device: &B, require_finite_loss: bool) -> Run {
    let model = small();
    let mut network = Network::new(device, &model, 1).unwrap();
    let mut optimizer = Optimizer::new(Sgd { momentum: 0.9, weight_decay: 5e-4, nesterov: false }).unwrap();
    let mut pending = Vec::new();
    for number in 0..STEPS {
        let (images, labels) = batch(number, model.input.crop);
        let shape = [BATCH, model.input.crop, model.input.crop, 3];
        let images = Tensor::from_slice(device, &shape, &images).unwrap().to_activation_dtype().unwrap();
        let options = StepOptions { seed: 1, step: number, learning_rate: 0.01, require_finite_loss };
        pending.push(step(&mut network, &mut optimizer, images, &labels, options).unwrap());
    }
    let metrics = PendingMetrics::read_all(&pending.iter().collect::<Vec<_>>()).unwrap();
    let host = |p: &layers::Parameter<B>| (p.spec.name.clone(), p.value.to_vec().unwrap());
    Run { metrics, weights: network.parameters().iter().map(host).collect() }
}

fn follows_the_cpu<B: Backend<Scalar = f32>>(device: &B, tolerance: f64) {
    let found = train(device, true);
    let expected = train(&Cpu::<f32>::new(2).unwrap(), true);
    for (number, (found, expected)) in found.metrics.iter().zip(&expected.metrics).enumerate() {
        let near = (found.loss - expected.loss).abs() <= tolerance * expected.loss;
        assert!(near, "step {number}: loss {} where the CPU has {}", found.loss, expected.loss);
    }
    // The same four batches at the beginning and at the end.
    let sum = |metrics: &[StepMetrics]| metrics.iter().map(|m| m.loss).sum::<f64>();
    let first = sum(&expected.metrics[..4]);
    let last = sum(&expected.metrics[STEPS as usize - 4..]);
    assert!(last < 0.97 * first, "nothing is learned: {first} to {last}");
    for ((name, found), (_, expected)) in found.weights.iter().zip(&expected.weights) {
        let length = expected.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        let pairs = found.iter().zip(expected);
        let distance = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt();
        assert!(distance <= tolerance * length, "{name}: off by {:e} of its length", distance / length);
    }
}

/// It does not matter whether the metrics are read at each step or at the end.
fn gives_the_same_bits_again<B: Backend<Scalar = f32>>(device: &B) {
    let once = train(device, true);
    assert_eq!(once, train(device, true));
    assert_eq!(once, train(device, false));
}

fn resumes_after_a_stop<B: Backend<Scalar = f32>>(device: &B) {
    let world = World::new();
    let mut whole = world.start_on(device, "whole", "");
    train_until(&mut whole, u64::MAX).unwrap();
    for stop_at in [3, 8] {
        let name = format!("stopped-{stop_at}");
        let mut trainer = world.start_on(device, &name, "");
        assert!(matches!(train_until(&mut trainer, stop_at), Err(Error::Stopped { signal: Some(2), saved: Some(_) })));
        drop(trainer);
        let mut trainer = world.resume_on(device, &name);
        train_until(&mut trainer, u64::MAX).unwrap();
        assert_eq!(bits(&trainer), bits(&whole), "stopped at {stop_at}");
    }
}

mod cpu {
    use super::*;

    #[test]
    fn gives_the_same_bits_again() {
        super::gives_the_same_bits_again(&Cpu::<f32>::new(2).unwrap());
    }

    /// The harness itself: three threads sum as two do.
    #[test]
    fn follows_the_cpu() {
        super::follows_the_cpu(&Cpu::<f32>::new(3).unwrap(), 0.0);
    }

    #[test]
    fn resumes_after_a_stop() {
        super::resumes_after_a_stop(&Cpu::<f32>::new(2).unwrap());
    }
}

#[cfg(feature = "wgpu")]
mod wgpu {
    use std::sync::LazyLock;

    use alexnet_train::Config;
    use alexnet_train::memory::{Workload, check_with, simulate_epoch};
    use data::Views;
    use tensor::Device;
    use tensor::gpu::cubecl::wgpu::WgpuRuntime;
    use tensor::gpu::{Gpu, Precision, runtime};

    use super::*;

    /// Vulkan in software.
    fn device() -> &'static Gpu<WgpuRuntime> {
        static DEVICE: LazyLock<Gpu<WgpuRuntime>> =
            LazyLock::new(|| runtime::wgpu::open_software(Precision::F32).unwrap());
        &DEVICE
    }

    #[test]
    fn follows_the_cpu() {
        super::follows_the_cpu(device(), 1e-4);
    }

    #[test]
    fn gives_the_same_bits_again() {
        super::gives_the_same_bits_again(device());
    }

    #[test]
    fn resumes_after_a_stop() {
        super::resumes_after_a_stop(device());
    }

    #[test]
    fn a_buffer_that_the_device_cannot_give_is_refused() {
        let model = small();
        let config = Config::default();
        let evaluation = Some((100, Views::Centre));
        let work = Workload { model: &model, training: Some((10_000_000, &config)), evaluation, is_mapped: false };
        let message = check_with(device(), None, &work, 10_000_000).unwrap_err().to_string();
        assert!(message.contains("in one piece, more than the device gives on wgpu"), "{message}");
        let largest: usize = message.rsplit(' ').next().unwrap().parse().unwrap();
        check_with(device(), None, &work, largest).unwrap();
        check_with(device(), None, &work, largest + 1).unwrap_err();
    }

    /// In a queue of its own, whose memory is counted by itself.
    #[test]
    fn the_plan_is_what_the_device_takes() {
        let model = small();
        let config = Config::default();
        let work = Workload {
            model: &model,
            training: Some((22, &config)),
            evaluation: Some((5, Views::Ten)),
            is_mapped: false,
        };
        let dry_run = tensor::DryRun::new(device().clone());
        simulate_epoch(&dry_run, &work, 8).unwrap();
        let taken = std::thread::spawn(move || {
            let model = small();
            let config = Config::default();
            let work = Workload {
                model: &model,
                training: Some((22, &config)),
                evaluation: Some((5, Views::Ten)),
                is_mapped: false,
            };
            let before = device().reserved_bytes().unwrap();
            simulate_epoch(device(), &work, 8).unwrap();
            device().synchronize().unwrap();
            device().reserved_bytes().unwrap() - before
        });
        let planned = dry_run.peak() as f64;
        let taken = taken.join().unwrap() as f64;
        assert!((0.95..=1.05).contains(&(planned / taken)), "{planned} bytes planned, {taken} taken");
    }
}

#[cfg(feature = "cuda")]
mod cuda {
    use tensor::gpu::{Precision, runtime};

    #[test]
    #[ignore = "needs an NVIDIA GPU"]
    fn follows_the_cpu() {
        super::follows_the_cpu(&runtime::cuda::open(0, Precision::F32).unwrap(), 1e-4);
    }

    #[test]
    #[ignore = "needs an NVIDIA GPU"]
    fn gives_the_same_bits_again() {
        for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
            super::gives_the_same_bits_again(&runtime::cuda::open(0, precision).unwrap());
        }
    }

    #[test]
    #[ignore = "needs an NVIDIA GPU"]
    fn resumes_after_a_stop() {
        super::resumes_after_a_stop(&runtime::cuda::open(0, Precision::Bf16).unwrap());
    }
}
