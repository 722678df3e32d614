//! What the kernel tests share: devices, values, comparisons, finite differences.
#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::LazyLock;

use alexnet_tensor::random::{Stream, purpose};
use alexnet_tensor::{Cpu, Element, Tensor};

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

/// `len` values at least 0.01 from each other and from 0, in random order: no ties within reach of a difference.
pub fn apart(seed: u64, len: usize) -> Vec<f64> {
    let order = Stream::new(seed, purpose::USER, 1).permutation(len as u32);
    order.iter().map(|&i| 0.01 * (f64::from(i) - (len / 2) as f64 + 0.5) * 2.0).collect()
}

pub fn tensor64(shape: &[usize], x: &[f64]) -> Tensor<Cpu<f64>> {
    Tensor::from_slice(cpu64(), shape, x).expect("as many values as the shape holds")
}

pub fn tensor32(shape: &[usize], x: &[f64]) -> Tensor<Cpu<f32>> {
    tensor_on(cpu32(), shape, x)
}

pub fn tensor_on<E: Element>(cpu: &Cpu<E>, shape: &[usize], x: &[f64]) -> Tensor<Cpu<E>> {
    let x: Vec<E> = x.iter().map(|&v| E::of(v)).collect();
    Tensor::from_slice(cpu, shape, &x).expect("as many values as the shape holds")
}

pub fn host<E: Element>(tensor: &Tensor<Cpu<E>>) -> Vec<f64> {
    tensor.to_vec().expect("a download").into_iter().map(Element::f64).collect()
}

/// The distance of two vectors relative to the longer.
pub fn relative_error(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|v| v * v).sum::<f64>().sqrt();
    let distance = norm(&mut a.iter().zip(b).map(|(a, b)| a - b));
    let longer = norm(&mut a.iter().copied()).max(norm(&mut b.iter().copied()));
    if distance == 0.0 { 0.0 } else { distance / longer }
}

/// Fails where two vectors differ by more than `tolerance` times the larger of 1 and the value.
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

/// Fails unless `work` gives the same bits on 1, 2 and 3 threads, in single and double precision.
pub fn assert_same_bits(work32: impl Fn(&Cpu<f32>) -> Vec<Vec<f32>>, work64: impl Fn(&Cpu<f64>) -> Vec<Vec<f64>>) {
    let bits32 = |threads| {
        let results = work32(&Cpu::new(threads).expect("threads"));
        results.iter().map(|r| r.iter().map(|v| v.to_bits()).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let bits64 = |threads| {
        let results = work64(&Cpu::new(threads).expect("threads"));
        results.iter().map(|r| r.iter().map(|v| v.to_bits()).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let one32 = bits32(1);
    let one64 = bits64(1);
    for threads in [2, 3] {
        assert!(bits32(threads) == one32, "f32 on {threads} threads differs from 1");
        assert!(bits64(threads) == one64, "f64 on {threads} threads differs from 1");
    }
}
