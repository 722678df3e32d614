//! Whole networks: a training step (without loading) and a prediction, in images per second.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use layers::{Mode, Model, Module, Network, Pass, Var};
use tensor::random::{Stream, purpose};
use tensor::{Cpu, IntTensor, Tensor};

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

fn images(cpu: &Cpu<f32>, model: &Model, batch: usize) -> Tensor<Cpu<f32>> {
    let shape = [batch, model.input.crop, model.input.crop, 3];
    Tensor::normal(cpu, &shape, 0.0, 1.0, Stream::new(1, purpose::USER, 0)).unwrap()
}

fn gradients(c: &mut Criterion) {
    let mut group = c.benchmark_group("forward and backward");
    group.sample_size(10);
    for name in ["paper", "one-weird-trick", "keras", "cifar-18pct"] {
        let cpu = Cpu::<f32>::new(threads()).unwrap();
        let model = Model::preset(name).unwrap();
        let network = Network::new(&cpu, &model, 1).unwrap();
        let batch = 32;
        let x = images(&cpu, &model, batch);
        let labels = IntTensor::from_slice(&cpu, &vec![1; batch]).unwrap();
        group.throughput(Throughput::Elements(batch as u64));
        group.bench_function(format!("{name}, batch {batch}"), |b| {
            b.iter(|| {
                let mut pass = Pass::new(Mode::Train { seed: 1, step: 0 });
                let logits = network.forward(&Var::constant(x.clone()), &mut pass).unwrap();
                let loss = pass.tape.cross_entropy(&logits, &labels).unwrap();
                black_box(pass.backward(&loss).unwrap());
            });
        });
    }
}

fn predictions(c: &mut Criterion) {
    let mut group = c.benchmark_group("prediction");
    group.sample_size(10);
    for name in ["paper", "one-weird-trick", "keras"] {
        let cpu = Cpu::<f32>::new(threads()).unwrap();
        let model = Model::preset(name).unwrap();
        let network = Network::new(&cpu, &model, 1).unwrap();
        for batch in [1, 32] {
            let x = images(&cpu, &model, batch);
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(format!("{name}, batch {batch}"), |b| {
                b.iter(|| black_box(network.predict(x.clone()).unwrap()));
            });
        }
    }
}

criterion_group!(benches, gradients, predictions);
criterion_main!(benches);
