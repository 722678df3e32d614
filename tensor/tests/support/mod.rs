//! Helpers of the kernel tests: devices, values, comparisons, finite differences.
#![allow(dead_code, reason = "each test file uses a part")]

use std::fmt::Debug;
use std::sync::LazyLock;

use alexnet_tensor::random::{Stream, purpose};
use alexnet_tensor::{Cpu, Element, Error, Result, Tensor};

/// Double precision on two threads.
pub fn cpu64() -> &'static Cpu<f64> {
    static CPU: LazyLock<Cpu<f64>> = LazyLock::new(|| Cpu::new(2).expect("two threads"));
    &CPU
}

/// Single precision on two threads.
pub fn cpu32() -> &'static Cpu<f32> {
    static CPU: LazyLock<Cpu<f32>> = LazyLock::new(|| Cpu::new(2).expect("two threads"));
    &CPU
}

/// `len` values in [-2, 2), all different in practice.
pub fn values(seed: u64, len: usize) -> Vec<f64> {
    let stream = Stream::new(seed, purpose::USER, 0);
    (0..len as u64).map(|i| 4.0 * f64::from(stream.uniform(i)) - 2.0).collect()
}

/// `len` random bytes.
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let stream = Stream::new(seed, purpose::USER, 2);
    (0..len as u64).map(|i| (stream.uniform(i) * 256.0) as u8).collect()
}

/// `len` values at least 0.01 from each other and from 0, in random order: finite differences meet no ties.
pub fn apart(seed: u64, len: usize) -> Vec<f64> {
    let order = Stream::new(seed, purpose::USER, 1).permutation(len as u32);
    order.iter().map(|&i| 0.01 * (f64::from(i) - (len / 2) as f64 + 0.5) * 2.0).collect()
}

/// Uploads values in double precision.
pub fn tensor64(shape: &[usize], x: &[f64]) -> Tensor<Cpu<f64>> {
    Tensor::from_slice(cpu64(), shape, x).expect("as many values as the shape holds")
}

/// Uploads values in single precision.
pub fn tensor32(shape: &[usize], x: &[f64]) -> Tensor<Cpu<f32>> {
    tensor_on(cpu32(), shape, x)
}

/// Uploads values to `cpu`.
pub fn tensor_on<E: Element>(cpu: &Cpu<E>, shape: &[usize], x: &[f64]) -> Tensor<Cpu<E>> {
    let x: Vec<E> = x.iter().map(|&v| E::of(v)).collect();
    Tensor::from_slice(cpu, shape, &x).expect("as many values as the shape holds")
}

/// Zeros in double precision.
pub fn zeros64(shape: &[usize]) -> Tensor<Cpu<f64>> {
    Tensor::zeros(cpu64(), shape).expect("zeros")
}

/// Downloads a tensor.
pub fn host<E: Element>(tensor: &Tensor<Cpu<E>>) -> Vec<f64> {
    tensor.to_vec().expect("a download").into_iter().map(Element::f64).collect()
}

/// The distance of two vectors, relative to the norm of the longer.
pub fn relative_error(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
    let distance = norm(&mut a.iter().zip(b).map(|(a, b)| a - b));
    let longer = norm(&mut a.iter().copied()).max(norm(&mut b.iter().copied()));
    if distance == 0.0 { 0.0 } else { distance / longer }
}

/// The transpose of x `[rows, columns]`.
pub fn transposed(rows: usize, columns: usize, x: &[f64]) -> Vec<f64> {
    (0..x.len()).map(|i| x[i % rows * columns + i / rows]).collect()
}

/// The message of the error that `result` holds.
pub fn error_message<T: Debug>(result: Result<T>) -> String {
    result.expect_err("an error").to_string()
}

/// Fails unless `result` is an [`Error::Shape`] of the operation `expected_op`.
pub fn assert_shape_error<T: Debug>(result: Result<T>, expected_op: &str) {
    match result {
        Err(Error::Shape { op, .. }) => assert_eq!(op, expected_op),
        other => panic!("expected a shape error of {expected_op}, got {other:?}"),
    }
}

/// Fails unless `result` is an [`Error::Argument`] whose message contains `text`.
pub fn assert_argument_error<T: Debug>(result: Result<T>, text: &str) {
    match result {
        Err(Error::Argument { what, .. }) => assert!(what.contains(text), "{what}"),
        other => panic!("expected an argument error with {text:?}, got {other:?}"),
    }
}

/// Fails if two vectors differ anywhere by more than `tolerance` times the larger of 1 and the expected value.
pub fn assert_close(got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len());
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        let near = (g - e).abs() <= tolerance * e.abs().max(1.0);
        assert!(near, "value {i}: got {g:e}, expected {e:e}, tolerance {tolerance:e}");
    }
}

/// The gradient of sum_i dy_i f(x)_i by central differences.
pub fn finite_differences(x: &[f64], dy: &[f64], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    const EPSILON: f64 = 1e-5;
    let mut x = x.to_vec();
    let mut gradient = Vec::with_capacity(x.len());
    for i in 0..x.len() {
        let value = x[i];
        x[i] = value + EPSILON;
        let above = f(&x);
        x[i] = value - EPSILON;
        let below = f(&x);
        x[i] = value;
        let rise: f64 = above.iter().zip(&below).zip(dy).map(|((a, b), dy)| dy * (a - b)).sum();
        gradient.push(rise / (2.0 * EPSILON));
    }
    gradient
}

/// Fails unless the work has the same bits on 1, 2 and 3 threads, in single and double precision.
pub fn assert_same_bits(work32: impl Fn(&Cpu<f32>) -> Vec<Vec<f32>>, work64: impl Fn(&Cpu<f64>) -> Vec<Vec<f64>>) {
    assert_same_on_threads("f32", |threads| {
        let results = work32(&Cpu::new(threads).expect("threads"));
        results.into_iter().flatten().map(f32::to_bits).collect()
    });
    assert_same_on_threads("f64", |threads| {
        let results = work64(&Cpu::new(threads).expect("threads"));
        results.into_iter().flatten().map(f64::to_bits).collect()
    });
}

fn assert_same_on_threads<T: PartialEq>(format: &str, bits: impl Fn(usize) -> Vec<T>) {
    let on_one = bits(1);
    for threads in [2, 3] {
        assert!(bits(threads) == on_one, "{format}: {threads} threads differ from 1");
    }
}
