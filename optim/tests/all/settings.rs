//! Settings out of range are refused by name, with the range.

use alexnet_optim::{Adam, AdamW, Lars, Optimizer, RmsProp, Sgd, Update, UpdateRule};
use proptest::prelude::*;
use tensor::Cpu;

use crate::common::{step, vector};

#[track_caller]
fn refused(rule: impl UpdateRule<Cpu<f64>> + 'static, expected: &str) {
    let error = Optimizer::new(rule).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn rules() {
    let sgd = Sgd::default();
    let adam = Adam::default();
    refused(Sgd { momentum: 1.0, ..sgd }, "momentum must be at least 0 and below 1, got 1");
    refused(Sgd { momentum: -0.1, ..sgd }, "momentum must be at least 0 and below 1, got -0.1");
    refused(Sgd { momentum: f64::NAN, ..sgd }, "momentum must be at least 0 and below 1, got NaN");
    refused(Sgd { weight_decay: -1.0, ..sgd }, "weight_decay must be a finite number of at least 0, got -1");
    refused(Adam { beta1: 1.5, ..adam }, "beta1 must be at least 0 and below 1, got 1.5");
    refused(Adam { beta2: f64::INFINITY, ..adam }, "beta2 must be at least 0 and below 1, got inf");
    refused(Adam { epsilon: 0.0, ..adam }, "epsilon must be a finite number above 0, got 0");
    refused(
        Adam { weight_decay: f64::INFINITY, ..adam },
        "weight_decay must be a finite number of at least 0, got inf",
    );
}

#[test]
fn other_rules() {
    let adamw = AdamW::default();
    let rmsprop = RmsProp::default();
    let lars = Lars::default();
    refused(AdamW { beta1: 1.0, ..adamw }, "beta1 must be at least 0 and below 1, got 1");
    refused(AdamW { weight_decay: -1.0, ..adamw }, "weight_decay must be a finite number of at least 0, got -1");
    refused(RmsProp { alpha: 1.0, ..rmsprop }, "alpha must be at least 0 and below 1, got 1");
    refused(RmsProp { epsilon: 0.0, ..rmsprop }, "epsilon must be a finite number above 0, got 0");
    refused(RmsProp { momentum: 1.0, ..rmsprop }, "momentum must be at least 0 and below 1, got 1");
    refused(
        RmsProp { weight_decay: f64::NAN, ..rmsprop },
        "weight_decay must be a finite number of at least 0, got NaN",
    );
    refused(Lars { trust: 0.0, ..lars }, "trust must be a finite number above 0, got 0");
    refused(Lars { momentum: -0.5, ..lars }, "momentum must be at least 0 and below 1, got -0.5");
    refused(Lars { weight_decay: -1.0, ..lars }, "weight_decay must be a finite number of at least 0, got -1");
}

#[test]
fn rates_and_multipliers() {
    let mut sgd = Optimizer::new(Sgd::default()).unwrap();
    let mut w = vector(&[1.0]);
    for rate in [-0.1, f64::NAN, f64::INFINITY] {
        let error = step(&mut sgd, rate, &mut w, &[1.0]).unwrap_err();
        assert_eq!(error.to_string(), format!("lr must be a finite number of at least 0, got {rate}"));
    }
    let gradient = vector(&[1.0]);
    let update = Update { name: "fc8.bias", value: &mut w, gradient: &gradient, lr_mult: f64::NAN, decay_mult: 1.0 };
    let error = sgd.step(0.1, vec![update]).unwrap_err();
    assert!(error.to_string().starts_with("lr_mult of `fc8.bias` must be a finite number"), "{error}");
    let update = Update { name: "fc8.bias", value: &mut w, gradient: &gradient, lr_mult: 1.0, decay_mult: -2.0 };
    let error = sgd.step(0.1, vec![update]).unwrap_err();
    assert!(error.to_string().starts_with("decay_mult of `fc8.bias` must be"), "{error}");
    assert_eq!(w.to_vec().unwrap(), [1.0]);
}

#[cfg(feature = "serde")]
#[test]
fn rules_are_text() {
    use alexnet_optim::Rule;
    let rule: Rule = toml::from_str("kind = \"adamw\"").unwrap();
    assert_eq!(rule, AdamW::default().into());
    let rule: Rule = toml::from_str("kind = \"rmsprop\"\ncentered = true").unwrap();
    assert_eq!(rule, RmsProp { centered: true, ..RmsProp::default() }.into());
    let rule: Rule = toml::from_str("kind = \"lars\"\ntrust = 0.5").unwrap();
    assert_eq!(rule, Lars { trust: 0.5, ..Lars::default() }.into());
    let rule: Rule = toml::from_str("kind = \"sgd\"\nmomentum = 0.5\nnesterov = true").unwrap();
    assert_eq!(rule, Sgd { momentum: 0.5, weight_decay: 0.0005, nesterov: true }.into());
    let rule: Rule = toml::from_str("kind = \"adam\"\nepsilon = 1e-7").unwrap();
    assert_eq!(rule, Adam { epsilon: 1e-7, ..Adam::default() }.into());
    let former: Rule = toml::from_str("kind = \"sgd\"\ndecay = 0.25").unwrap();
    assert_eq!(former, Sgd { weight_decay: 0.25, ..Sgd::default() }.into());
    assert!(toml::from_str::<Rule>("kind = \"sgd\"\nbeta1 = 0.5").unwrap_err().to_string().contains("beta1"));
}

proptest! {
    /// Settings of any numbers are refused, or train without NaN.
    #[test]
    fn no_setting_gets_through_that_makes_nan(
        momentum in proptest::num::f64::ANY,
        decay in proptest::num::f64::ANY,
        rate in proptest::num::f64::ANY,
    ) {
        let valid = (0.0..1.0).contains(&momentum) && decay >= 0.0 && decay.is_finite();
        let made = Optimizer::new(Sgd { momentum, weight_decay: decay, nesterov: false });
        prop_assert_eq!(made.is_ok(), valid);
        let mut w = vector(&[0.0]);
        if let Ok(mut sgd) = made {
            let taken = step(&mut sgd, rate, &mut w, &[0.0]);
            prop_assert_eq!(taken.is_ok(), rate >= 0.0 && rate.is_finite());
        }
    }
}
