//! Steps of AdamW, RMSprop and LARS against their formulas in plain loops, as PyTorch's documentation and the papers write
//! them, over random settings, gradients and rates.

use alexnet_optim::{AdamW, Lars, Optimizer, RmsProp};
use proptest::prelude::*;

use crate::common::{assert_close, step, vector};

const LEN: usize = 5;
const STEPS: usize = 40;

/// A gradient and a rate for every step.
fn run() -> impl Strategy<Value = Vec<([f64; LEN], f64)>> {
    proptest::collection::vec((proptest::array::uniform5(-2.0..2.0), 0.0..0.2), STEPS)
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// torch.optim.AdamW: theta <- theta - gamma lambda theta, then Adam without weight decay.
    #[test]
    fn adamw_is_pytorchs(
        start in proptest::array::uniform5(-3.0f64..3.0),
        run in run(),
        betas in (0.0..0.99, 0.0..0.999),
        epsilon in 1e-8..1e-2,
        weight_decay in 0.0..0.5,
    ) {
        let (beta1, beta2) = betas;
        let mut optimizer = Optimizer::new(AdamW { beta1, beta2, epsilon, weight_decay, epsilon_hat: false }).unwrap();
        let mut w = vector(&start);
        let mut plain = start;
        let mut m = [0.0; LEN];
        let mut v = [0.0; LEN];
        for (t, (g, rate)) in (1..).zip(&run) {
            step(&mut optimizer, *rate, &mut w, g).unwrap();
            for i in 0..LEN {
                plain[i] -= rate * weight_decay * plain[i];
                m[i] = beta1 * m[i] + (1.0 - beta1) * g[i];
                v[i] = beta2 * v[i] + (1.0 - beta2) * g[i] * g[i];
                let m_hat = m[i] / (1.0 - beta1.powi(t));
                let v_hat = v[i] / (1.0 - beta2.powi(t));
                plain[i] -= rate * m_hat / (v_hat.sqrt() + epsilon);
            }
            assert_close(&w.to_vec().unwrap(), &plain, 1e-9);
        }
    }

    /// torch.optim.RMSprop: v <- alpha v + (1 - alpha) g^2, less the square of the mean gradient if centred;
    /// b <- mu b + g / (sqrt(v) + epsilon); theta <- theta - gamma b.
    #[test]
    fn rmsprop_is_pytorchs(
        start in proptest::array::uniform5(-3.0f64..3.0),
        run in run(),
        alpha in 0.1..0.999,
        epsilon in 1e-4..1e-2,
        momentum in prop_oneof![Just(0.0), 0.0..0.95],
        weight_decay in prop_oneof![Just(0.0), 0.0..0.1],
        centered: bool,
    ) {
        let mut optimizer = Optimizer::new(RmsProp { alpha, epsilon, momentum, weight_decay, centered }).unwrap();
        let mut w = vector(&start);
        let mut plain = start;
        let mut v = [0.0; LEN];
        let mut mean = [0.0; LEN];
        let mut b = [0.0; LEN];
        for (g, rate) in &run {
            step(&mut optimizer, *rate, &mut w, g).unwrap();
            for i in 0..LEN {
                let g = g[i] + weight_decay * plain[i];
                v[i] = alpha * v[i] + (1.0 - alpha) * g * g;
                mean[i] = alpha * mean[i] + (1.0 - alpha) * g;
                let square = if centered { (v[i] - mean[i] * mean[i]).max(0.0) } else { v[i] };
                b[i] = momentum * b[i] + g / (square.sqrt() + epsilon);
                plain[i] -= rate * b[i];
            }
            assert_close(&w.to_vec().unwrap(), &plain, 1e-7);
        }
    }

    /// You, Gitman and Ginsburg, algorithm 1: lambda <- eta ||w|| / (||g|| + beta ||w||);
    /// v <- m v + gamma lambda (g + beta w); w <- w - v.
    #[test]
    fn lars_is_algorithm_1(
        start in proptest::array::uniform5(-3.0f64..3.0),
        run in run(),
        trust in 1e-3..1.0,
        momentum in 0.0..0.95,
        weight_decay in 0.0..0.1,
    ) {
        let mut optimizer = Optimizer::new(Lars { trust, momentum, weight_decay }).unwrap();
        let mut w = vector(&start);
        let mut plain = start;
        let mut v = [0.0; LEN];
        for (g, rate) in &run {
            step(&mut optimizer, *rate, &mut w, g).unwrap();
            let local = trust * norm(&plain) / (norm(g) + weight_decay * norm(&plain));
            for i in 0..LEN {
                v[i] = momentum * v[i] + rate * local * (g[i] + weight_decay * plain[i]);
                plain[i] -= v[i];
            }
            assert_close(&w.to_vec().unwrap(), &plain, 1e-9);
        }
    }

    /// The length of LARS's first step does not depend on the gradient's.
    #[test]
    fn lars_ignores_the_scale_of_the_gradient(g in proptest::array::uniform5(0.1f64..2.0), factor in 1e-3..1e3f64) {
        let moved = |factor: f64| {
            let mut lars = Optimizer::new(Lars { weight_decay: 0.0, ..Lars::default() }).unwrap();
            let mut w = vector(&[1.0; LEN]);
            step(&mut lars, 0.5, &mut w, &g.map(|g| g * factor)).unwrap();
            w.to_vec().unwrap()
        };
        assert_close(&moved(factor), &moved(1.0), 1e-12);
    }
}

/// A parameter of zeros, or one without a gradient, is updated as by SGD.
#[test]
fn lars_of_a_norm_of_zero() {
    let mut lars = Optimizer::new(Lars { trust: 0.001, momentum: 0.0, weight_decay: 0.5 }).unwrap();
    let mut w = vector(&[0.0, 0.0]);
    step(&mut lars, 0.5, &mut w, &[1.0, -2.0]).unwrap();
    assert_eq!(w.to_vec().unwrap(), [-0.5, 1.0]);
    step(&mut lars, 0.5, &mut w, &[0.0, 0.0]).unwrap();
    assert_eq!(w.to_vec().unwrap(), [-0.375, 0.75]);
}

/// A constant gradient has no deviation; rounding must not make its estimate negative, whose root would be NaN.
#[test]
fn centred_rmsprop_of_a_constant_gradient() {
    let rule = RmsProp { alpha: 0.3, centered: true, epsilon: 1.0, ..RmsProp::default() };
    let mut rmsprop = Optimizer::new(rule).unwrap();
    let mut w = vector(&[0.0; 3]);
    for _ in 0..200 {
        step(&mut rmsprop, 0.01, &mut w, &[0.1, 0.7, 1e-3]).unwrap();
    }
    assert!(w.to_vec().unwrap().iter().all(|w| w.is_finite() && *w < 0.0));
}
