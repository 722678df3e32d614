//! Optimizer steps against the formulas, over several steps.

use alexnet_tensor::ops::{AdamStep, SgdStep};
use alexnet_tensor::{Cpu, Element, Tensor};
use proptest::prelude::*;

use crate::support::*;

const STEPS: u64 = 5;

/// The gradient of step `t`.
fn gradient(len: usize, t: u64, seed: u64) -> Vec<f64> {
    values(seed.wrapping_add(t), len)
}

/// Weights and velocity after some steps; the rate falls as `rate / t`.
fn sgd<E: Element>(cpu: &Cpu<E>, s: SgdStep, len: usize, seed: u64) -> [Tensor<Cpu<E>>; 2] {
    let mut w = tensor_on(cpu, &[len], &values(seed, len));
    let mut v = Tensor::zeros(cpu, &[len]).expect("zeros");
    for t in 1..=STEPS {
        let s = SgdStep { rate: s.rate / t as f64, ..s };
        w.sgd_step(&s, &mut v, &tensor_on(cpu, &[len], &gradient(len, t, seed))).expect("sgd");
    }
    [w, v]
}

/// Section 5 of the paper, and Nesterov's momentum as in Sutskever et al. (2013): the weights move by
/// the velocity that one more step with the same gradient would give.
fn sgd_reference(s: SgdStep, len: usize, seed: u64) -> [Vec<f64>; 2] {
    let mut w = values(seed, len);
    let mut v = vec![0.0; len];
    for t in 1..=STEPS {
        let g = gradient(len, t, seed);
        let rate = s.rate / t as f64;
        for i in 0..len {
            let old = w[i];
            v[i] = s.momentum * v[i] - s.decay * rate * old - rate * g[i];
            w[i] += if s.nesterov { s.momentum * v[i] - s.decay * rate * old - rate * g[i] } else { v[i] };
        }
    }
    [w, v]
}

fn adam<E: Element>(cpu: &Cpu<E>, s: AdamStep, len: usize, seed: u64) -> [Tensor<Cpu<E>>; 3] {
    let mut w = tensor_on(cpu, &[len], &values(seed, len));
    let mut m = Tensor::zeros(cpu, &[len]).expect("zeros");
    let mut v = Tensor::zeros(cpu, &[len]).expect("zeros");
    for step in 1..=STEPS {
        let g = tensor_on(cpu, &[len], &gradient(len, step, seed));
        w.adam_step(&AdamStep { step, ..s }, &mut m, &mut v, &g).expect("adam");
    }
    [w, m, v]
}

/// Algorithm 1 of the paper by Kingma and Ba; with epsilon hat, the form at the end of its section 2. Decoupled weight decay
/// comes before the step, as in PyTorch's AdamW.
fn adam_reference(s: AdamStep, len: usize, seed: u64) -> [Vec<f64>; 3] {
    let mut w = values(seed, len);
    let mut m = vec![0.0; len];
    let mut v = vec![0.0; len];
    for t in 1..=STEPS as i32 {
        let g = gradient(len, t as u64, seed);
        for i in 0..len {
            let g = if s.decoupled { g[i] } else { g[i] + s.decay * w[i] };
            w[i] *= if s.decoupled { 1.0 - s.rate * s.decay } else { 1.0 };
            m[i] = s.beta1 * m[i] + (1.0 - s.beta1) * g;
            v[i] = s.beta2 * v[i] + (1.0 - s.beta2) * g * g;
            let c1 = 1.0 - s.beta1.powi(t);
            let c2 = 1.0 - s.beta2.powi(t);
            w[i] -= if s.epsilon_hat {
                s.rate * c2.sqrt() / c1 * m[i] / (v[i].sqrt() + s.epsilon)
            } else {
                s.rate * (m[i] / c1) / ((v[i] / c2).sqrt() + s.epsilon)
            };
        }
    }
    [w, m, v]
}

fn check<const N: usize>(double: [Tensor<Cpu<f64>>; N], single: [Tensor<Cpu<f32>>; N], expected: [Vec<f64>; N]) {
    for (i, expected) in expected.iter().enumerate() {
        assert_close(&host(&double[i]), expected, 1e-12);
        assert_close(&host(&single[i]), expected, 1e-5);
    }
}

prop_compose! {
    fn sgd_steps()(rate in 0.0..0.5f64, momentum in 0.0..0.99f64, decay in 0.0..0.1f64, nesterov: bool) -> SgdStep {
        SgdStep { rate, momentum, decay, nesterov }
    }
}

prop_compose! {
    fn adam_steps()(rate in 0.0..0.1f64, beta1 in 0.0..0.95f64, beta2 in 0.5..0.999f64, epsilon in 1e-8..1e-2f64,
                    decay in 0.0..0.1f64, decoupled: bool, epsilon_hat: bool) -> AdamStep {
        AdamStep { rate, beta1, beta2, epsilon, decay, decoupled, step: 1, epsilon_hat }
    }
}

proptest! {
    #[test]
    fn sgd_follows_the_formula(s in sgd_steps(), len in 1usize..20, seed: u64) {
        check(sgd(cpu64(), s, len, seed), sgd(cpu32(), s, len, seed), sgd_reference(s, len, seed));
    }

    #[test]
    fn adam_follows_the_formula(s in adam_steps(), len in 1usize..20, seed: u64) {
        check(adam(cpu64(), s, len, seed), adam(cpu32(), s, len, seed), adam_reference(s, len, seed));
    }
}

/// torch.optim.SGD(nesterov=True): buf <- momentum buf + g'; w <- w - rate (g' + momentum buf), g' = g + decay w.
#[test]
fn nesterov_is_pytorchs_while_the_rate_is_constant() {
    let s = SgdStep { rate: 0.05, momentum: 0.9, decay: 5e-4, nesterov: true };
    let mut ours = tensor64(&[4], &values(1, 4));
    let mut v = tensor64(&[4], &[0.0; 4]);
    let mut w = values(1, 4);
    let mut buf = [0.0; 4];
    for t in 0..20 {
        let g = values(100 + t, 4);
        ours.sgd_step(&s, &mut v, &tensor64(&[4], &g)).expect("sgd");
        for i in 0..4 {
            let g = g[i] + s.decay * w[i];
            buf[i] = s.momentum * buf[i] + g;
            w[i] -= s.rate * (g + s.momentum * buf[i]);
        }
    }
    assert_close(&host(&ours), &w, 1e-13);
}

#[test]
fn long_updates_follow_the_formula_on_any_number_of_threads() {
    let len = 40_001;
    let s = SgdStep { rate: 0.01, momentum: 0.9, decay: 5e-4, nesterov: false };
    let a = AdamStep {
        rate: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-7,
        decay: 0.0,
        decoupled: false,
        step: 1,
        epsilon_hat: true,
    };
    check(sgd(cpu64(), s, len, 1), sgd(cpu32(), s, len, 1), sgd_reference(s, len, 1));
    check(adam(cpu64(), a, len, 1), adam(cpu32(), a, len, 1), adam_reference(a, len, 1));
    fn both<E: Element>(cpu: &Cpu<E>, s: SgdStep, a: AdamStep, len: usize) -> Vec<Vec<E>> {
        let [w, v] = sgd(cpu, s, len, 1);
        let [x, m, n] = adam(cpu, a, len, 1);
        [w, v, x, m, n].iter().map(|t| t.to_vec().expect("a download")).collect()
    }
    assert_same_bits(|cpu| both(cpu, s, a, len), |cpu| both(cpu, s, a, len));
}

#[test]
fn shapes_that_differ_are_named() {
    let s = SgdStep { rate: 0.01, momentum: 0.9, decay: 0.0, nesterov: false };
    let result = zeros64(&[2, 3]).sgd_step(&s, &mut zeros64(&[2, 3]), &zeros64(&[6]));
    assert_eq!(error_message(result), "sgd: expected shape [2, 3], got shape [6]");
    let result = zeros64(&[2, 3]).sgd_step(&s, &mut zeros64(&[3, 2]), &zeros64(&[2, 3]));
    assert_eq!(error_message(result), "sgd: expected shape [2, 3], got shape [3, 2]");
    let a = AdamStep {
        rate: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-7,
        decay: 0.0,
        decoupled: false,
        step: 1,
        epsilon_hat: false,
    };
    let result = zeros64(&[2, 3]).adam_step(&a, &mut zeros64(&[2, 3]), &mut zeros64(&[2]), &zeros64(&[2, 3]));
    assert_eq!(error_message(result), "adam: expected shape [2, 3], got shape [2]");
}
