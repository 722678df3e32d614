//! The memory of a batch is known before the first step, and a batch that does not fit is refused in one line.

use alexnet_train::config::OptimKind;
use alexnet_train::load::Loaded;
use alexnet_train::memory::{Workload, beside, check_with, needed, of_training, simulate_epoch};
use alexnet_train::step::{StepOptions, step};
use alexnet_train::{Config, Error};
use data::Views;
use layers::weights::Weights;
use layers::{Model, Network};
use tensor::{Cpu, Device, DryRun, Memory, Precision, Tensor};

use crate::support::World;

/// Each kind of layer that has memory of its own to speak of.
const MODEL: &str = r#"
name = "wide"
about = "Large enough for its buffers to come from the pool."
classes = 10
[input]
size = 36
crop = 32
[[layer]]
name = "conv1"
kind = "conv"
filters = 32
kernel = 5
padding = 2
[[layer]]
name = "relu1"
kind = "relu"
[[layer]]
name = "norm1"
kind = "lrn"
size = 5
alpha = 1e-4
beta = 0.75
k = 2.0
[[layer]]
name = "pool1"
kind = "max-pool"
kernel = 3
stride = 2
[[layer]]
name = "conv2"
kind = "conv"
filters = 64
kernel = 3
padding = 1
groups = 2
[[layer]]
name = "bn2"
kind = "batch-norm"
[[layer]]
name = "relu2"
kind = "relu"
[[layer]]
name = "norm2"
kind = "lrn"
size = 3
alpha = 1e-3
beta = 0.5
k = 1.0
region = "within-map"
[[layer]]
name = "pool2"
kind = "average-pool"
kernel = 3
stride = 2
[[layer]]
name = "local3"
kind = "local"
filters = 16
kernel = 3
[[layer]]
name = "tanh3"
kind = "tanh"
[[layer]]
name = "fc4"
kind = "linear"
units = 200
[[layer]]
name = "relu4"
kind = "relu"
[[layer]]
name = "drop4"
kind = "dropout"
p = 0.5
[[layer]]
name = "fc5"
kind = "linear"
units = "classes"
"#;

fn model() -> Model {
    Model::parse(MODEL, "wide").unwrap()
}

fn config(kind: OptimKind) -> Config {
    let mut config = Config::default();
    config.optim.kind = kind;
    config
}

fn gib(free: u64) -> Option<Memory> {
    Some(Memory { total: 64 << 30, free: free << 30, is_host: false })
}

#[test]
fn the_plan_is_what_the_pool_takes() {
    let model = model();
    for (kind, images, batch) in [(Some(OptimKind::Sgd), 12, 5), (Some(OptimKind::Adam), 16, 8), (None, 0, 30)] {
        let config = kind.map(config);
        let training = config.as_ref().map(|config| (images, config));
        let work = Workload { model: &model, training, evaluation: Some((7, Views::Ten)), is_mapped: false };
        let cpu = Cpu::<f32>::new(1).unwrap();
        let dry_run = DryRun::new(cpu.clone());
        simulate_epoch(&dry_run, &work, batch).unwrap();
        simulate_epoch(&cpu, &work, batch).unwrap();
        let planned = dry_run.peak() as f64;
        let real = cpu.allocated_bytes() as f64;
        // The device's figure is that after the end: short buffers, which it does not keep, are in the plan only.
        assert!(planned >= real && planned <= 1.02 * real, "{kind:?}: {planned} bytes planned, {real} taken");

        // Half the bytes of activations. Kernels without `bf16` take copies in `f32`, in another order than planned: the
        // two agree within a tenth.
        let cpu = Cpu::<f32>::new(1).unwrap().with_precision(Precision::Bf16).unwrap();
        let dry_run = DryRun::new(cpu.clone());
        simulate_epoch(&dry_run, &work, batch).unwrap();
        simulate_epoch(&cpu, &work, batch).unwrap();
        let [planned, real] = [dry_run.peak(), cpu.allocated_bytes()].map(|bytes| bytes as f64);
        assert!(planned >= 0.9 * real && planned <= 1.1 * real, "{kind:?}, bf16: {planned} planned, {real} taken");

        // On more threads which of them need a buffer at the same time is chance; the plan is the most.
        let cpu = Cpu::<f32>::new(3).unwrap();
        let dry_run = DryRun::new(cpu.clone());
        simulate_epoch(&dry_run, &work, batch).unwrap();
        simulate_epoch(&cpu, &work, batch).unwrap();
        assert!(dry_run.peak() >= cpu.allocated_bytes());
    }
}

/// The memory of the first step is enough for all later ones, also where two lengths of batches take turns.
#[test]
fn later_steps_take_no_memory_from_the_system() {
    let model = model();
    let config = config(OptimKind::Adam);
    let cpu = Cpu::<f32>::new(1).unwrap();
    let mut network = Network::new(&cpu, &model, 0).unwrap();
    let mut optimizer = config.optim.optimizer().unwrap();
    let mut train = |batch: usize| {
        let images = Tensor::zeros(&cpu, &[batch, 32, 32, 3]).unwrap();
        let options = StepOptions { seed: 0, step: 0, learning_rate: 0.0, require_finite_loss: false };
        step(&mut network, &mut optimizer, images, &vec![0; batch], options).unwrap();
        cpu.allocated_bytes()
    };
    train(16);
    let taken = train(16);
    assert!((0..3).all(|_| train(16) == taken));
    assert_eq!([train(5), train(16), train(16)], [taken; 3], "a shorter batch finds room");
}

#[test]
fn more_images_need_more() {
    let model = model();
    let config = config(OptimKind::Sgd);
    let cpu = Cpu::<f32>::new(2).unwrap();
    let peak = |batch| of_training(&cpu, &model, &config, batch).unwrap();
    let one = peak(1000);
    let ten = peak(10_000);
    assert!(ten > 8 * one && ten < 11 * one, "{one}, {ten}");
}

/// Gathered gradients, and the average of the weights, are counted: one copy of the parameters each.
#[test]
fn gathered_gradients_and_averages_need_memory() {
    let model = model();
    let cpu = Cpu::<f32>::new(1).unwrap();
    let parameters: u64 = model.parameters().unwrap().iter().map(|spec| 4 * spec.len() as u64).sum();
    let peak = |accumulate: usize, ema_decay: f64| {
        let mut config = config(OptimKind::Sgd);
        config.run.accumulate = accumulate;
        config.optim.ema_decay = ema_decay;
        of_training(&cpu, &model, &config, 2).unwrap()
    };
    let plain = peak(1, 0.0);
    assert!(peak(2, 0.0) > plain + parameters / 2, "{plain} of {parameters}");
    assert!(peak(1, 0.9) >= plain + parameters, "{plain} of {parameters}");
    assert_eq!(peak(2, 0.0), peak(5, 0.0));
}

#[test]
fn a_batch_that_does_not_fit_is_refused_with_the_largest_that_does() {
    let model = model();
    let config = config(OptimKind::Sgd);
    let cpu = Cpu::<f32>::new(2).unwrap();
    let work = Workload {
        model: &model,
        training: Some((1_000_000, &config)),
        evaluation: Some((1_000_000, Views::Centre)),
        is_mapped: false,
    };
    let error = check_with(&cpu, gib(4), &work, 1_000_000).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, Error::Memory(_)) && !message.contains('\n'), "{message}");
    assert!(message.starts_with("a batch of 1000000 needs "), "{message}");
    assert!(message.contains("GiB of memory on CPU, f32, 2 threads; 4.0 GiB are free"), "{message}");
    let largest: usize = message.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((1000..100_000).contains(&largest), "{message}");
    check_with(&cpu, gib(4), &work, largest).unwrap();
    check_with(&cpu, None, &work, 1_000_000).unwrap();

    // With the program beside it, less is left for the batch.
    let needs = |memory: Option<Memory>| -> f64 {
        let message = check_with(&cpu, memory, &work, 4000).unwrap_err().to_string();
        assert!(message.contains(" GiB of memory on "), "{message}");
        message.split_whitespace().skip_while(|word| *word != "needs").nth(1).unwrap().parse().unwrap()
    };
    let host = Some(Memory { is_host: true, ..gib(0).unwrap() });
    assert!(needs(host) > needs(gib(0)));
    let message = check_with(&cpu, gib(0), &work, 128).unwrap_err().to_string();
    assert!(message.ends_with("not even a batch of 1 fits"), "{message}");
}

/// Images that are mapped take what is kept of the file; others the batches ahead, those in use, and a part of the file.
#[test]
fn images_in_host_memory_are_counted() {
    let model = model();
    let mut config = config(OptimKind::Sgd);
    config.data.prefetch_bytes = 100 << 20;
    let cpu = Cpu::<f32>::new(1).unwrap();
    if cpu.memory().is_none() {
        return;
    }
    let needs = |images: usize, is_mapped: bool| {
        let work = Workload { model: &model, training: Some((images, &config)), evaluation: None, is_mapped };
        needed(&cpu, &work, 10).unwrap()
    };
    let image = 36 * 36 * 3;
    let kept = data::Pack::RELEASE_BYTES;
    let mapped = needs(1_000_000, true);
    assert_eq!(needs(1_000_000, false) - mapped, (100 << 20) + 3 * 10 * image + kept - (kept + 10 * image));
    assert_eq!(mapped - needs(100, true), kept + 10 * image - 100 * image);
}

#[test]
fn what_is_only_evaluated_needs_less() {
    let model = model();
    let config = config(OptimKind::Adam);
    let cpu = Cpu::<f32>::new(2).unwrap();
    let evaluation = Some((1_000_000, Views::Centre));
    let both = Workload { model: &model, training: Some((1_000_000, &config)), evaluation, is_mapped: false };
    let largest = |work: &Workload<'_>| -> usize {
        let message = check_with(&cpu, gib(2), work, 1_000_000).unwrap_err().to_string();
        message.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let trained = largest(&both);
    let tested = largest(&Workload { training: None, ..both });
    assert!(tested > trained, "{tested}, {trained}");
}

/// The machine at hand has room for a tiny network, and none for more images than it has bytes.
#[test]
fn the_machines_own_memory_is_looked_at() {
    let world = World::new();
    drop(world.start("run", ""));
    let cpu = Cpu::<f32>::new(1).unwrap();
    if cpu.memory().is_none() {
        return;
    }
    let model = model();
    let config = config(OptimKind::Sgd);
    let work = Workload { model: &model, training: Some((50_000_000, &config)), evaluation: None, is_mapped: false };
    let message = alexnet_train::memory::check(&cpu, &work, 50_000_000).unwrap_err().to_string();
    assert!(message.contains("the largest batch that fits is "), "{message}");
}

#[test]
fn weights_know_what_testing_them_takes() {
    let cpu = Cpu::<f32>::new(1).unwrap();
    if cpu.memory().is_none() {
        return;
    }
    let nothing = Weights {
        model: Some(model()),
        tensors: vec![],
        classes: vec![],
        mean_image: None,
        mean_rgb: None,
        exif_orientation: false,
    };
    let loaded = Loaded::new("weights.h5".into(), nothing);
    loaded.check_memory(&cpu, 1_000_000, Views::Centre, 1, &[]).unwrap();
    let message = loaded.check_memory(&cpu, 50_000_000, Views::Centre, 50_000_000, &[]).unwrap_err().to_string();
    assert!(
        message.starts_with("a batch of 50000000") && message.contains("the largest batch that fits is"),
        "{message}"
    );
}

/// Several networks that are averaged are on the device at once.
#[test]
fn other_networks_leave_less_memory() {
    let cpu = Cpu::<f32>::new(1).unwrap();
    let model = Model::preset("one-weird-trick").unwrap();
    let work = Workload { model: &model, training: None, evaluation: Some((8, Views::Centre)), is_mapped: false };
    let parameters: usize = model.parameters().unwrap().iter().map(|spec| spec.len()).sum();
    let memory = Memory { free: 4 * parameters as u64 * 3, ..cpu.memory().unwrap() };
    check_with(&cpu, Some(memory), &work, 1).unwrap();
    let left = beside(Some(memory), &[&model, &model]).unwrap().unwrap();
    assert_eq!(left.free, 4 * parameters as u64);
    assert!(matches!(check_with(&cpu, Some(left), &work, 1), Err(Error::Memory(_))));
    assert!(beside(None, &[&model]).unwrap().is_none());
}
