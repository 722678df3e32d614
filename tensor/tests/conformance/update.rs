//! Optimizer steps of one parameter and of many. They are in single precision on every device.

use alexnet_tensor::ops::{AdamStep, AdamUpdate, SgdStep, SgdUpdate};
use alexnet_tensor::{Backend, Tensor};

use crate::compare::{assert_near, bits, exact, host, weights};
use crate::devices::Tested;
use crate::support::values;

const LENGTHS: [usize; 7] = [0, 1, 2, 7, 1000, 16_386, 50_021];
const STEPS: u64 = 3;
const TOLERANCE: f64 = 1e-6;

fn sgd_settings() -> [SgdStep; 3] {
    let base = SgdStep { rate: 0.1, momentum: 0.9, decay: 5e-4, nesterov: false };
    [base, SgdStep { nesterov: true, ..base }, SgdStep { momentum: 0.0, decay: 0.0, ..base }]
}

fn adam_settings() -> [AdamStep; 3] {
    let base = AdamStep {
        rate: 0.01,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-3,
        decay: 0.01,
        decoupled: false,
        step: 1,
        epsilon_hat: false,
    };
    [base, AdamStep { epsilon_hat: true, decay: 0.0, ..base }, AdamStep { decoupled: true, decay: 0.5, ..base }]
}

/// Weights and state after some steps.
fn run_sgd<B: Backend>(s: SgdStep, mut w: Tensor<B>, g: impl Fn(u64) -> Tensor<B>) -> [Tensor<B>; 2] {
    let mut v = Tensor::zeros(w.device(), w.shape()).expect("zeros");
    for t in 1..=STEPS {
        w.sgd_step(&s, &mut v, &g(t)).expect("a step");
    }
    [w, v]
}

fn run_adam<B: Backend>(s: AdamStep, mut w: Tensor<B>, g: impl Fn(u64) -> Tensor<B>) -> [Tensor<B>; 3] {
    let [mut m, mut v] = [(); 2].map(|()| Tensor::zeros(w.device(), w.shape()).expect("zeros"));
    for step in 1..=STEPS {
        w.adam_step(&AdamStep { step, ..s }, &mut m, &mut v, &g(step)).expect("a step");
    }
    [w, m, v]
}

pub fn sgd<B: Tested>(device: &B) {
    for (s, len) in sgd_settings().into_iter().flat_map(|s| LENGTHS.map(|len| (s, len))) {
        let w = values(1, len);
        let g = |t| values(10 + t, len);
        let got = run_sgd(s, weights(device, &[len], &w), |t| weights(device, &[len], &g(t)));
        let expected = run_sgd(s, exact(&[len], &w), |t| exact(&[len], &g(t)));
        for (got, expected) in got.iter().zip(&expected) {
            assert_near(&host(got), &expected.to_vec().expect("values"), |_| 4.0, TOLERANCE);
        }
    }
}

pub fn adam<B: Tested>(device: &B) {
    for (s, len) in adam_settings().into_iter().flat_map(|s| LENGTHS.map(|len| (s, len))) {
        let w = values(2, len);
        let g = |t| values(20 + t, len);
        let got = run_adam(s, weights(device, &[len], &w), |t| weights(device, &[len], &g(t)));
        let expected = run_adam(s, exact(&[len], &w), |t| exact(&[len], &g(t)));
        for (got, expected) in got.iter().zip(&expected) {
            assert_near(&host(got), &expected.to_vec().expect("values"), |_| 4.0, TOLERANCE);
        }
    }
}

/// The lengths of a network's parameters: for every width of vectors, below and above the chunk of a block of threads,
/// and more parameters than some devices can bind at once.
fn network() -> Vec<usize> {
    let few = [5000, 1, 96, 10, 0, 4096, 4099, 34_848, 3, 16_384];
    few.into_iter().chain((1..60).map(|i| i * 4)).collect()
}

fn all_bits<B: Tested>(tensors: &[Tensor<B>]) -> Vec<Vec<u32>> {
    tensors.iter().map(bits).collect()
}

/// Each parameter has its own settings, and the results have the same bits.
pub fn a_list_equals_single_steps<B: Tested>(device: &B) {
    let lens = network();
    let draw = |seed: u64| -> Vec<Tensor<B>> {
        lens.iter().enumerate().map(|(i, &len)| weights(device, &[len], &values(seed + i as u64, len))).collect()
    };
    let sgd = |i: usize| SgdStep { rate: 0.01 * (i + 1) as f64, ..sgd_settings()[i % 3] };
    let adam = |i: usize| AdamStep { rate: 0.01 * (i + 1) as f64, step: 1 + i as u64, ..adam_settings()[i % 3] };
    let w = draw(100);
    let m = draw(300);
    let g = draw(500);
    let v: Vec<_> = draw(700).iter().map(|v| v.multiply(v).expect("a launch")).collect();

    let mut single_w = w.clone();
    let mut single_m = m.clone();
    for (i, (w, m)) in single_w.iter_mut().zip(&mut single_m).enumerate() {
        w.sgd_step(&sgd(i), m, &g[i]).expect("a step");
    }
    let mut list_w = w.clone();
    let mut list_m = m.clone();
    let all = list_w.iter_mut().zip(&mut list_m).zip(&g).enumerate();
    let updates = all.map(|(i, ((w, v), g))| SgdUpdate { step: sgd(i), w, v, g }).collect();
    Tensor::sgd_steps(updates).expect("a step");
    assert_eq!((all_bits(&list_w), all_bits(&list_m)), (all_bits(&single_w), all_bits(&single_m)));
    assert!(lens.iter().enumerate().all(|(i, &len)| len == 0 || all_bits(&list_w[i..=i]) != all_bits(&w[i..=i])));

    let mut single_w = w.clone();
    let mut single_m = m.clone();
    let mut single_v = v.clone();
    for (i, ((w, m), v)) in single_w.iter_mut().zip(&mut single_m).zip(&mut single_v).enumerate() {
        w.adam_step(&adam(i), m, v, &g[i]).expect("a step");
    }
    let mut list_w = w.clone();
    let mut list_m = m.clone();
    let mut list_v = v.clone();
    let all = list_w.iter_mut().zip(&mut list_m).zip(&mut list_v).zip(&g).enumerate();
    let updates = all.map(|(i, (((w, m), v), g))| AdamUpdate { step: adam(i), w, m, v, g }).collect();
    Tensor::adam_steps(updates).expect("a step");
    assert_eq!(
        (all_bits(&list_w), all_bits(&list_m), all_bits(&list_v)),
        (all_bits(&single_w), all_bits(&single_m), all_bits(&single_v))
    );
    Tensor::<B>::sgd_steps(Vec::new()).expect("nothing to do");
}

/// A checkpoint that is being written shares the memory and must not see the step.
pub fn shared_tensors_do_not_change<B: Tested>(device: &B) {
    let mut w = weights(device, &[100], &values(1, 100));
    let g = weights(device, &[100], &values(2, 100));
    let mut v = Tensor::zeros(device, &[100]).expect("zeros");
    let shared = [w.clone(), v.clone()];
    let before = all_bits(&shared);
    w.sgd_step(&sgd_settings()[0], &mut v, &g).expect("a step");
    assert_eq!(all_bits(&shared), before);
    assert!(all_bits(&[w])[0] != before[0] && all_bits(&[v])[0] != before[1]);
}
