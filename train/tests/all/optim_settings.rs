//! Settings of the optimizer and the schedule, by their effect.

use alexnet_train::config::parse_table;
use alexnet_train::{Config, Result};
use optim::{Adam, AdamW, Clipping, Lars, Optimizer, RmsProp, Rule, Schedule, ScheduleRule, Sgd, Update};
use tensor::{Cpu, Tensor};

fn config(text: &str) -> Result<Config> {
    Config::from_overrides(&[("test".into(), parse_table("test", text)?)])
}

/// Weights after some steps with gradients that depend on them.
fn steps(optimizer: &mut Optimizer<Cpu<f64>>) -> Vec<f64> {
    let mut w = Tensor::from_slice(&Cpu::new(1).unwrap(), &[3], &[0.5, -1.5, 2.0]).unwrap();
    for _ in 0..5 {
        let gradient = w.mul_add_scalar(2.0, 0.1).unwrap();
        optimizer.step(0.1, vec![Update::new("w", &mut w, &gradient)]).unwrap();
    }
    w.to_vec().unwrap()
}

fn of_rule(rule: impl Into<Rule>) -> Optimizer<Cpu<f64>> {
    Optimizer::new(rule.into()).unwrap()
}

#[test]
fn settings_of_each_rule() {
    let rmsprop = RmsProp { alpha: 0.8, epsilon: 1e-3, momentum: 0.5, weight_decay: 0.1, centered: true };
    let adam = Adam { beta1: 0.8, beta2: 0.9, epsilon: 1e-3, weight_decay: 0.1, epsilon_hat: true };
    let cases: [(&str, Rule); 5] = [
        (
            "kind = 'sgd'\nmomentum = 0.5\nnesterov = true",
            Sgd { momentum: 0.5, weight_decay: 0.1, nesterov: true }.into(),
        ),
        ("kind = 'adam'\nbeta1 = 0.8\nbeta2 = 0.9\nepsilon = 1e-3\nepsilon_hat = true", adam.into()),
        (
            "kind = 'adamw'\nbeta1 = 0.8\nbeta2 = 0.9\nepsilon = 1e-3\nepsilon_hat = true",
            AdamW { beta1: 0.8, beta2: 0.9, epsilon: 1e-3, weight_decay: 0.1, epsilon_hat: true }.into(),
        ),
        ("kind = 'rmsprop'\nalpha = 0.8\nepsilon = 1e-3\nmomentum = 0.5\ncentered = true", rmsprop.into()),
        ("kind = 'lars'\ntrust = 0.5\nmomentum = 0.5", Lars { trust: 0.5, momentum: 0.5, weight_decay: 0.1 }.into()),
    ];
    for (text, rule) in cases {
        let config = config(&format!("[optim]\nweight_decay = 0.1\n{text}")).unwrap();
        assert_eq!(steps(&mut config.optim.optimizer().unwrap()), steps(&mut of_rule(rule)), "{text}");
    }
}

#[test]
fn clipping() {
    for (text, clipping) in [("clip_value", Clipping::Value(0.25)), ("clip_norm", Clipping::GlobalNorm(0.25))] {
        let clipped = config(&format!("[optim]\n{text} = 0.25")).unwrap();
        let mut expected = of_rule(Sgd::default()).with_clipping(clipping).unwrap();
        assert_eq!(steps(&mut clipped.optim.optimizer().unwrap()), steps(&mut expected));
        assert_ne!(steps(&mut clipped.optim.optimizer().unwrap()), steps(&mut of_rule(Sgd::default())));
    }
}

#[test]
fn a_warm_up_of_a_cosine() {
    let text =
        "[optim]\nschedule = 'cosine'\ndecay_epochs = 20\nend_factor = 0.1\nwarmup_epochs = 5\nwarmup_factor = 0.2";
    let schedule = config(text).unwrap().optim.schedule().unwrap();
    let then = Box::new(ScheduleRule::Cosine { epochs: 20.0, end: 0.1 });
    let expected = Schedule::new(ScheduleRule::Warmup { epochs: 5.0, start: 0.2, then }).unwrap();
    for epoch in [0.0, 1.0, 4.9, 5.0, 12.0, 20.0, 25.0] {
        assert_eq!(schedule.rate(0.5, epoch), expected.rate(0.5, epoch), "epoch {epoch}");
    }
    assert!((schedule.rate(0.5, 0.0) - 0.1).abs() < 1e-12);
}

#[test]
fn one_cycle_is_pytorchs_unless_told_otherwise() {
    let of =
        |text: &str| config(&format!("[optim]\nschedule = 'one-cycle'\n{text}")).unwrap().optim.schedule().unwrap();
    let schedule = of("decay_epochs = 10\nrise = 0.2\nstart_factor = 0.1\nend_factor = 0.5");
    for (epoch, rate) in [(0.0, 0.1), (1.0, 0.55), (2.0, 1.0), (6.0, 0.75), (10.0, 0.5), (12.0, 0.5)] {
        assert!((schedule.rate(1.0, epoch) - rate).abs() < 1e-12, "epoch {epoch}: {}", schedule.rate(1.0, epoch));
    }
    let default = of("decay_epochs = 10");
    assert!((default.rate(1.0, 0.0) - 0.04).abs() < 1e-12);
    assert_eq!(default.rate(1.0, 3.0), 1.0);
}

#[test]
fn values_out_of_range() {
    for (text, expected) in [
        ("alpha = 1.0", "optim.alpha: must be in [0, 1), got 1.0"),
        ("trust = 0.0", "optim.trust: must be above 0, got 0.0"),
        ("clip_value = -1.0", "optim.clip_value: must be a finite number of at least 0, got -1.0"),
        ("warmup_epochs = nan", "optim.warmup_epochs: must be in [0, 1000000000], got nan"),
        ("warmup_epochs = 1e300", "optim.warmup_epochs: must be in [0, 1000000000], got 1e300"),
        ("decay_epochs = 1e10", "optim.decay_epochs: must be in [0, 1000000000], got 10000000000.0"),
        ("period = inf", "optim.period: must be in (0, 1000000000], got inf"),
        ("drop_epochs = [1, 1e300]", "optim.drop_epochs: must be rising numbers in (0, 1000000000], got [1.0, 1e300]"),
        ("warmup_factor = 1.5", "optim.warmup_factor: must be in [0, 1], got 1.5"),
    ] {
        let error = config(&format!("[optim]\n{text}")).unwrap_err().to_string();
        assert!(error.ends_with(expected), "{error}");
    }
}
