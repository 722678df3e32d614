//! Six steps on gradients a * w, against weights that PyTorch 2.15 and Keras 3.15 reach in f64 from the same start.
//!
//! PyTorch: `torch.optim.SGD([w], lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=...)`,
//! `torch.optim.Adam([w], lr=0.1, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.01)`;
//! Keras: `SGD(0.1, momentum=0.9, nesterov=...)`, `Adam(0.1, beta_1=0.8, beta_2=0.95, epsilon=1e-3)`,
//! `AdamW(0.1, beta_1=0.8, beta_2=0.95, epsilon=1e-3, weight_decay=0.01)`.

use alexnet_optim::{Adam, AdamW, Optimizer, Schedule, ScheduleRule, Sgd, UpdateRule};
use tensor::Cpu;

use crate::common::{assert_close, step, vector};

const START: [f64; 3] = [0.5, -1.5, 2.0];
const A: [f64; 3] = [1.0, 2.0, -0.5];

/// The weights after six steps, of which an epoch has one.
fn six_steps(rule: impl UpdateRule<Cpu<f64>> + 'static, schedule: ScheduleRule) -> Vec<f64> {
    let schedule = Schedule::new(schedule).unwrap();
    let mut optimizer = Optimizer::new(rule).unwrap();
    let mut w = vector(&START);
    for epoch in 0..6 {
        let g: Vec<f64> = w.to_vec().unwrap().iter().zip(A).map(|(w, a)| a * w).collect();
        step(&mut optimizer, schedule.rate(0.1, f64::from(epoch)), &mut w, &g).unwrap();
    }
    w.to_vec().unwrap()
}

fn sgd(decay: f64, nesterov: bool) -> Sgd {
    Sgd { momentum: 0.9, weight_decay: decay, nesterov }
}

#[test]
fn pytorch_sgd() {
    let plain = six_steps(sgd(0.01, false), ScheduleRule::Constant);
    assert_close(&plain, &[-0.13226444314200503, 1.065825594538214, 4.051377984845003], 1e-12);
    let nesterov = six_steps(sgd(0.01, true), ScheduleRule::Constant);
    assert_close(&nesterov, &[-0.1300584568984837, 0.5952326014592416, 4.80978717992711], 1e-12);
}

#[test]
fn keras_sgd() {
    let plain = six_steps(sgd(0.0, false), ScheduleRule::Constant);
    assert_close(&plain, &[-0.12830400000000008, 1.0634610000000002, 4.09996434375], 1e-12);
    let nesterov = six_steps(sgd(0.0, true), ScheduleRule::Constant);
    assert_close(&nesterov, &[-0.12744194328450004, 0.5970272010240002, 4.882254589774407], 1e-12);
}

/// Keras keeps the rate inside the velocity, as the paper does: they agree also where the rate drops. 1e-6: it computes
/// the rates of a schedule in f32.
#[test]
fn keras_sgd_with_a_drop() {
    let drop = ScheduleRule::Steps { drop_epochs: vec![3.0], factor: 0.1 };
    let dropped = six_steps(sgd(0.0, false), drop);
    assert_close(&dropped, &[-0.05188803300000008, 1.3327199040000004, 3.37096637128125], 1e-6);
}

#[test]
fn pytorch_adam() {
    let adam = Adam { beta1: 0.8, beta2: 0.95, epsilon: 1e-3, weight_decay: 0.01, epsilon_hat: false };
    let w = six_steps(adam, ScheduleRule::Constant);
    assert_close(&w, &[-0.03205443757997184, -0.9113002214306173, 2.6040663136090165], 1e-12);
}

#[test]
fn keras_adam() {
    let adam = Adam { beta1: 0.8, beta2: 0.95, epsilon: 1e-3, weight_decay: 0.0, epsilon_hat: true };
    let w = six_steps(adam, ScheduleRule::Constant);
    assert_close(&w, &[-0.030333438347290118, -0.9116643896898694, 2.6030463345038837], 1e-6);
}

#[test]
fn keras_adamw() {
    let adamw = AdamW { beta1: 0.8, beta2: 0.95, epsilon: 1e-3, weight_decay: 0.01, epsilon_hat: true };
    let w = six_steps(adamw, ScheduleRule::Constant);
    assert_close(&w, &[-0.03140932043413292, -0.9043761850553251, 2.5894997828343467], 1e-6);
}
