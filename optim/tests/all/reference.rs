//! Steps against the formulas in plain loops, over random settings, gradients and rates.

use alexnet_optim::{Adam, Error, Optimizer, Rule, Sgd, Update};
use proptest::prelude::*;
use tensor::{Cpu, Tensor};

use crate::common::{assert_close, cpu, step, vector};

const LEN: usize = 5;
const STEPS: usize = 40;

/// A gradient and a rate for every step.
fn run() -> impl Strategy<Value = Vec<([f64; LEN], f64)>> {
    proptest::collection::vec((proptest::array::uniform5(-2.0..2.0), 0.0..0.2), STEPS)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sgd_is_the_papers_formula(
        start in proptest::array::uniform5(-3.0f64..3.0),
        run in run(),
        momentum in 0.0..0.99,
        decay in 0.0..0.1,
        nesterov: bool,
    ) {
        let mut optimizer = Optimizer::new(Sgd { momentum, weight_decay: decay, nesterov }).unwrap();
        let mut w = vector(&start);
        let mut plain = start;
        let mut v = [0.0; LEN];
        for (g, rate) in &run {
            step(&mut optimizer, *rate, &mut w, g).unwrap();
            for i in 0..LEN {
                let push = -decay * rate * plain[i] - rate * g[i];
                v[i] = momentum * v[i] + push;
                plain[i] += if nesterov { momentum * v[i] + push } else { v[i] };
            }
            assert_close(&w.to_vec().unwrap(), &plain, 1e-11);
        }
    }

    #[test]
    fn adam_is_algorithm_1(
        start in proptest::array::uniform5(-3.0f64..3.0),
        run in run(),
        betas in (0.0..0.99, 0.0..0.999),
        epsilon in 1e-8..1e-2,
        decay in 0.0..0.1,
        epsilon_hat: bool,
    ) {
        let (beta1, beta2) = betas;
        let mut optimizer = Optimizer::new(Adam { beta1, beta2, epsilon, weight_decay: decay, epsilon_hat }).unwrap();
        let mut w = vector(&start);
        let mut plain = start;
        let mut m = [0.0; LEN];
        let mut v = [0.0; LEN];
        for (t, (g, rate)) in (1..).zip(&run) {
            step(&mut optimizer, *rate, &mut w, g).unwrap();
            for i in 0..LEN {
                let g = g[i] + decay * plain[i];
                m[i] = beta1 * m[i] + (1.0 - beta1) * g;
                v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
                let c1 = 1.0 - beta1.powi(t);
                let c2 = 1.0 - beta2.powi(t);
                plain[i] -= if epsilon_hat {
                    rate * c2.sqrt() / c1 * m[i] / (v[i].sqrt() + epsilon)
                } else {
                    rate * (m[i] / c1) / ((v[i] / c2).sqrt() + epsilon)
                };
            }
            assert_close(&w.to_vec().unwrap(), &plain, 1e-9);
        }
    }

    /// PyTorch: b <- momentum b + g + decay w; w <- w - rate b. With v = -rate b the paper's v <- momentum v - decay rate w
    /// - rate g is PyTorch's first line times -rate, and w + v is its second: equal while the rate is. When the rate
    /// changes from r to s, PyTorch's next step takes all of b at s, so the velocity must be scaled by s / r to agree.
    #[test]
    fn pytorch_is_the_same_with_its_velocity_rescaled(
        start in proptest::array::uniform5(-3.0f64..3.0),
        gradients in proptest::collection::vec(proptest::array::uniform5(-2.0..2.0), STEPS),
        momentum in 0.0..0.99,
        decay in 0.0..0.1,
        nesterov: bool,
    ) {
        let mut optimizer = Optimizer::new(Sgd { momentum, weight_decay: decay, nesterov }).unwrap();
        let mut w = vector(&start);
        let mut torch = start;
        let mut buffer = [0.0; LEN];
        let rate_at = |t: usize| if t < STEPS / 2 { 0.1 } else { 0.01 };
        for (t, g) in gradients.iter().enumerate() {
            let rate = rate_at(t);
            if t > 0 && rate != rate_at(t - 1) {
                let mut state = optimizer.state().unwrap();
                state.tensors[0].1 = state.tensors[0].1.scale(rate / rate_at(t - 1)).unwrap();
                optimizer.load_state(state).unwrap();
            }
            step(&mut optimizer, rate, &mut w, g).unwrap();
            for i in 0..LEN {
                let g = g[i] + decay * torch[i];
                buffer[i] = momentum * buffer[i] + g;
                torch[i] -= rate * if nesterov { g + momentum * buffer[i] } else { buffer[i] };
            }
            assert_close(&w.to_vec().unwrap(), &torch, 1e-10);
        }
    }

    #[test]
    fn multipliers_are_those_of_rate_and_decay(
        start in proptest::array::uniform5(-3.0f64..3.0),
        run in run(),
        rate_factor in 0.1..3.0,
        decay_factor in 0.0..3.0,
    ) {
        let mut a = vector(&start);
        let mut b = vector(&start);
        let mut plain = Optimizer::new(Sgd { momentum: 0.9, weight_decay: 0.01 * decay_factor, nesterov: false }).unwrap();
        let mut multiplied = Optimizer::new(Sgd { momentum: 0.9, weight_decay: 0.01, nesterov: false }).unwrap();
        for (g, rate) in &run {
            step(&mut plain, rate * rate_factor, &mut a, g).unwrap();
            let gradient = vector(g);
            let update = Update { lr_mult: rate_factor, decay_mult: decay_factor, ..Update::new("w", &mut b, &gradient) };
            multiplied.step(*rate, vec![update]).unwrap();
        }
        prop_assert_eq!(a.to_vec().unwrap(), b.to_vec().unwrap());
    }
}

#[test]
fn a_multiplier_of_0_freezes_a_parameter_and_its_state() {
    let mut sgd = Optimizer::new(Sgd::default()).unwrap();
    let mut w = vector(&[1.0, 2.0]);
    let gradient = vector(&[0.5, 0.5]);
    let frozen = |sgd: &mut Optimizer<_>, w: &mut Tensor<_>, rate: f64| {
        sgd.step(0.1, vec![Update { name: "w", value: w, gradient: &gradient, lr_mult: rate, decay_mult: 1.0 }])
            .unwrap();
    };
    frozen(&mut sgd, &mut w, 0.0);
    assert_eq!(w.to_vec().unwrap(), [1.0, 2.0]);
    assert!(sgd.state().unwrap().tensors.is_empty(), "no memory is spent on a parameter never trained");
    frozen(&mut sgd, &mut w, 1.0);
    let moved = w.to_vec().unwrap();
    let velocity = sgd.state().unwrap().tensors[0].1.to_vec().unwrap();
    assert_ne!(moved, [1.0, 2.0]);
    frozen(&mut sgd, &mut w, 0.0);
    assert_eq!(w.to_vec().unwrap(), moved, "neither momentum nor decay moves a frozen parameter");
    assert_eq!(sgd.state().unwrap().tensors[0].1.to_vec().unwrap(), velocity);
    assert_eq!(sgd.steps(), 3);
}

/// A parameter that joins late starts with its own bias correction.
#[test]
fn adam_counts_steps_by_parameter() {
    let mut adam = Optimizer::new(Adam::default()).unwrap();
    let mut early = vector(&[1.0]);
    let mut late = vector(&[1.0]);
    for _ in 0..10 {
        step(&mut adam, 0.01, &mut early, &[0.3]).unwrap();
    }
    let gradient = Tensor::from_slice(&cpu(), &[1], &[0.3]).unwrap();
    adam.step(
        0.01,
        vec![Update { name: "late", value: &mut late, gradient: &gradient, lr_mult: 1.0, decay_mult: 1.0 }],
    )
    .unwrap();
    assert_close(&late.to_vec().unwrap(), &[1.0 - 0.01], 1e-6);
}

fn update<'a>((i, value): (usize, &'a mut Tensor<Cpu<f64>>), g: &'a [Tensor<Cpu<f64>>]) -> Update<'a, Cpu<f64>> {
    Update { name: ["a", "b"][i], value, gradient: &g[i], lr_mult: 1.0, decay_mult: 1.0 }
}

/// A step whose parameters are given one by one has the bits of one that is given all.
#[test]
fn a_step_in_parts_is_the_step() {
    let rules: [Rule; 2] = [
        Sgd { momentum: 0.9, weight_decay: 1e-3, nesterov: false }.into(),
        Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 1e-3, epsilon_hat: false }.into(),
    ];
    for rule in rules {
        let mut whole = Optimizer::new(rule).unwrap();
        let mut parts = Optimizer::new(rule).unwrap();
        let start = [vector(&[1.0, -2.0]), vector(&[0.5])];
        let mut a = start.clone();
        let mut b = start;
        for number in 1..4 {
            let g = [vector(&[0.1, 0.2 * f64::from(number)]), vector(&[-0.3])];
            whole.step(0.1, a.iter_mut().enumerate().map(|one| update(one, &g)).collect()).unwrap();
            let mut step = parts.begin(0.1).unwrap();
            for i in [1, 0] {
                step.update(vec![update((i, &mut b[i]), &g)]).unwrap();
            }
            assert!(matches!(step.update(vec![update((0, &mut b[0]), &g)]), Err(Error::Duplicate { .. })));
        }
        assert_eq!(a.map(|t| t.to_vec().unwrap()), b.map(|t| t.to_vec().unwrap()));
        let [one, other] = [&whole, &parts].map(|o| o.state().unwrap());
        assert_eq!((one.steps, one.tensors.len()), (other.steps, other.tensors.len()));
        for ((name, a), (other, b)) in one.tensors.iter().zip(&other.tensors) {
            assert_eq!((name, a.to_vec().unwrap()), (other, b.to_vec().unwrap()));
        }
        assert!(matches!(parts.begin(-1.0).map(|_| ()), Err(Error::Setting { .. })));
        assert_eq!(parts.steps(), 3);
    }
}
