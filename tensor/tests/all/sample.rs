//! Tensors of random values against single values of the generator.

use alexnet_tensor::random::{Stream, purpose};
use alexnet_tensor::{Cpu, Tensor};
use proptest::prelude::*;

use crate::support::*;

const MANY: usize = 50_003;

proptest! {
    #[test]
    fn values_match_the_stream(len in 0usize..40, mean in -2.0..2.0f64, width in 0.0..3.0f64, seed: u64, step: u64) {
        check(len, mean, width, Stream::new(seed, purpose::INIT + 3, step));
    }
}

fn check(len: usize, mean: f64, width: f64, stream: Stream) {
    let normal = |i| mean + width * stream.normal(i);
    let uniform = |i| mean + width * f64::from(stream.uniform(i));
    let indices = || 0..len as u64;
    let drawn = Tensor::normal(cpu64(), &[len], mean, width, stream).expect("normal");
    assert_eq!(host(&drawn), indices().map(normal).collect::<Vec<_>>());
    let drawn = Tensor::normal(cpu32(), &[len], mean, width, stream).expect("normal");
    assert_eq!(drawn.to_vec().expect("values"), indices().map(|i| normal(i) as f32).collect::<Vec<_>>());
    let drawn = Tensor::uniform(cpu64(), &[len], mean, mean + width, stream).expect("uniform");
    assert_close(&host(&drawn), &indices().map(uniform).collect::<Vec<_>>(), 1e-14);
    let drawn = Tensor::uniform(cpu32(), &[len], mean, mean + width, stream).expect("uniform");
    assert_close(&host(&drawn), &indices().map(uniform).collect::<Vec<_>>(), 1e-6);
}

#[test]
fn long_tensors_match_the_stream() {
    check(MANY, 0.5, 0.1, Stream::new(11, purpose::USER, 2));
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    fn draw<E: alexnet_tensor::Element>(cpu: &Cpu<E>) -> Vec<Vec<E>> {
        let stream = Stream::new(5, purpose::USER, 0);
        let drawn = [Tensor::normal(cpu, &[MANY], 0.0, 0.01, stream), Tensor::uniform(cpu, &[MANY], -1.0, 1.0, stream)];
        drawn.map(|t| t.expect("a sample").to_vec().expect("a download")).to_vec()
    }
    assert_same_bits(draw, draw);
}

#[test]
fn mean_and_variance_are_as_given() {
    let stream = Stream::new(3, purpose::USER, 0);
    let moments = |x: &Tensor<Cpu<f32>>| {
        let x = host(x);
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        (mean, x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64)
    };
    let (mean, variance) = moments(&Tensor::normal(cpu32(), &[200_000], 1.0, 0.5, stream).expect("normal"));
    assert!((mean - 1.0).abs() < 0.005 && (variance - 0.25).abs() < 0.005, "{mean} {variance}");
    let uniform = Tensor::uniform(cpu32(), &[200_000], -1.0, 3.0, stream).expect("uniform");
    let (mean, variance) = moments(&uniform);
    assert!((mean - 1.0).abs() < 0.01 && (variance - 16.0 / 12.0).abs() < 0.01, "{mean} {variance}");
    assert!(host(&uniform).iter().all(|v| (-1.0..3.0).contains(v)));
}

#[test]
fn impossible_shapes_are_named() {
    let message = error_message(Tensor::normal(cpu64(), &[usize::MAX, 2], 0.0, 1.0, Stream::new(0, 0, 0)));
    assert!(message.starts_with("normal: expected a number of values that fits in memory"), "{message}");
}
