//! Each kernel of the paper's network, forward and backward, at batch 32.
//!
//! Convolutions and matrix products are bound by arithmetic: `elements/s` are multiply-accumulates. LRN and pooling are
//! bound by memory: `bytes/s` count each tensor read or written once.

use std::hint::black_box;

use alexnet_benches::PAPER_CONVS;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tensor::ops::{Conv2d, Lrn, Padding, Pool2d, PoolKind};
use tensor::random::{Stream, purpose};
use tensor::{Algorithms, Cpu, Tensor};

const BATCH: usize = 32;

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

fn random(cpu: &Cpu<f32>, shape: &[usize]) -> Tensor<Cpu<f32>> {
    Tensor::normal(cpu, shape, 0.0, 1.0, Stream::new(1, purpose::USER, shape.len() as u64)).unwrap()
}

/// By fast algorithms where there are any for the layer, and by sums of products.
fn convolutions(c: &mut Criterion) {
    convolutions_by(c, "convolution", Algorithms::Fast);
    convolutions_by(c, "exact convolution", Algorithms::Exact);
}

fn convolutions_by(c: &mut Criterion, name: &str, algorithms: Algorithms) {
    let cpu = Cpu::<f32>::with_algorithms(threads(), algorithms).unwrap();
    let mut group = c.benchmark_group(name);
    group.sample_size(10);
    for conv in &PAPER_CONVS {
        let padding = match conv.name {
            "conv1" => Padding { bottom: conv.padding, right: conv.padding, ..Padding::default() },
            _ => Padding::all(conv.padding),
        };
        let spec = Conv2d { stride: [conv.stride; 2], padding, groups: conv.groups };
        let x = random(&cpu, &[BATCH, conv.side, conv.side, conv.channels]);
        let w = random(&cpu, &[conv.filters, conv.kernel, conv.kernel, conv.channels / conv.groups]);
        let y = x.conv2d(&spec, &w, None, false).unwrap();
        group.throughput(Throughput::Elements(BATCH as u64 * conv.macs(y.shape()[1])));
        group.bench_function(format!("{} forward", conv.name), |b| {
            b.iter(|| black_box(x.conv2d(&spec, &w, None, false).unwrap()));
        });
        group.bench_function(format!("{} dw", conv.name), |b| {
            b.iter(|| black_box(y.conv2d_dw(&spec, &x, w.shape()).unwrap()));
        });
        group.bench_function(format!("{} dx", conv.name), |b| {
            b.iter(|| black_box(y.conv2d_dx(&spec, x.shape(), &w).unwrap()));
        });
    }
}

fn fully_connected(c: &mut Criterion) {
    let cpu = Cpu::<f32>::new(threads()).unwrap();
    let mut group = c.benchmark_group("fully connected");
    group.sample_size(10);
    let x = random(&cpu, &[BATCH, 9216]);
    let w = random(&cpu, &[4096, 9216]);
    let y = x.linear(&w, None, false).unwrap();
    group.throughput(Throughput::Elements((BATCH * 9216 * 4096) as u64));
    group.bench_function("fc6 forward", |b| b.iter(|| black_box(x.linear(&w, None, false).unwrap())));
    group.bench_function("fc6 dw", |b| b.iter(|| black_box(y.linear_dw(&x).unwrap())));
    group.bench_function("fc6 dx", |b| b.iter(|| black_box(y.linear_dx(&w).unwrap())));
}

fn memory_bound(c: &mut Criterion) {
    let cpu = Cpu::<f32>::new(threads()).unwrap();
    let mut group = c.benchmark_group("memory bound");
    group.sample_size(10);
    let x = random(&cpu, &[BATCH, 55, 55, 96]);
    let bytes = x.len() as u64 * 4;
    let lrn = Lrn::paper();
    let (y, base) = x.lrn(&lrn).unwrap();
    group.throughput(Throughput::Bytes(3 * bytes));
    group.bench_function("lrn1 forward", |b| b.iter(|| black_box(x.lrn(&lrn).unwrap())));
    group.throughput(Throughput::Bytes(4 * bytes));
    group.bench_function("lrn1 backward", |b| b.iter(|| black_box(y.lrn_dx(&lrn, &x, &base).unwrap())));
    let pool = Pool2d::new(PoolKind::Max, 3, 2);
    let (pooled, positions) = x.pool(&pool).unwrap();
    group.throughput(Throughput::Bytes(bytes + 2 * 4 * pooled.len() as u64));
    group.bench_function("pool1 forward", |b| b.iter(|| black_box(x.pool(&pool).unwrap())));
    group.bench_function("pool1 backward", |b| {
        b.iter(|| black_box(pooled.pool_dx(&pool, x.shape(), positions.as_ref()).unwrap()));
    });
    let (pooled, kept) = x.lrn_max_pool(&lrn, &pool).unwrap();
    group.bench_function("lrn1 and pool1 forward", |b| b.iter(|| black_box(x.lrn_max_pool(&lrn, &pool).unwrap())));
    group.throughput(Throughput::Bytes(2 * bytes + 2 * 4 * pooled.len() as u64));
    group.bench_function("lrn1 and pool1 backward", |b| {
        b.iter(|| black_box(pooled.lrn_max_pool_dx(&lrn, &pool, &x, &kept).unwrap()));
    });
}

criterion_group!(benches, convolutions, fully_connected, memory_bound);
criterion_main!(benches);
