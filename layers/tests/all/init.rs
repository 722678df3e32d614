//! Initial values: the moments and the range of each distribution.

use alexnet_layers::{Init, Network, ParameterSpec, nn::Initializer};
use proptest::prelude::*;
use tensor::Cpu;
use tensor::random::Stream;

/// Mean, standard deviation, and the smallest and the largest value if those are bounded.
struct Expected {
    mean: f64,
    std: f64,
    range: Option<[f64; 2]>,
}

fn uniform(low: f64, high: f64) -> Expected {
    Expected { mean: (low + high) / 2.0, std: (high - low) / 12f64.sqrt(), range: Some([low, high]) }
}

fn normal(mean: f64, std: f64) -> Expected {
    Expected { mean, std, range: None }
}

/// The formulas of the papers, for all distributions but the constant.
fn distributions(fan_in: usize, fan_out: usize) -> Vec<(Init, Expected)> {
    let [inputs, outputs] = [fan_in as f64, fan_out as f64];
    let glorot = (6.0 / (inputs + outputs)).sqrt();
    let he = (6.0 / inputs).sqrt();
    let torch = (1.0 / inputs).sqrt();
    vec![
        (Init::Normal { mean: 0.5, std: 2.0 }, normal(0.5, 2.0)),
        (Init::Uniform { low: -1.0, high: 3.0 }, uniform(-1.0, 3.0)),
        (Init::GlorotUniform, uniform(-glorot, glorot)),
        (Init::GlorotNormal, normal(0.0, (2.0 / (inputs + outputs)).sqrt())),
        (Init::HeUniform, uniform(-he, he)),
        (Init::HeNormal, normal(0.0, (2.0 / inputs).sqrt())),
        (Init::TorchDefault, uniform(-torch, torch)),
    ]
}

/// Even, so that values in pairs would be seen.
const COUNT: usize = 40_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn moments_are_those_of_the_formula(seed: u64, fan_in in 1usize..5000, fan_out in 1usize..5000) {
        let cpu = Cpu::<f64>::new(2).unwrap();
        for (init, expected) in distributions(fan_in, fan_out) {
            let values = init.tensor(&cpu, &[COUNT], [fan_in, fan_out], Stream::new(seed, 3, 0)).unwrap();
            let values = values.to_vec().unwrap();
            let n = COUNT as f64;
            let Expected { mean, std, range } = expected;
            let found = values.iter().sum::<f64>() / n;
            // Six standard errors: of the mean, of the variance, and of a product of neighbours.
            prop_assert!((found - mean).abs() < 6.0 * std / n.sqrt(), "{:?}: mean {}", init, found);
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
            let error = 6.0 * std.powi(2) * (2.0 / n).sqrt();
            prop_assert!((variance - std.powi(2)).abs() < error, "{:?}: variance {}", init, variance);
            let pairs = values.chunks(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum::<f64>() / (n / 2.0);
            prop_assert!(pairs.abs() < 6.0 * std.powi(2) / (n / 2.0).sqrt(), "{:?}: neighbours {}", init, pairs);
            if let Some([low, high]) = range {
                let inside = |v: &f64| (low - 1e-6..=high + 1e-6).contains(v);
                prop_assert!(values.iter().all(inside), "{:?}", init);
                let span = high - low;
                let largest = values.iter().copied().fold(low, f64::max);
                let smallest = values.iter().copied().fold(high, f64::min);
                prop_assert!(largest > high - 0.01 * span && smallest < low + 0.01 * span, "{:?}", init);
            }
        }
    }

    #[test]
    fn a_constant_is_everywhere(value in -1e3f64..1e3, len in 1usize..50) {
        let cpu = Cpu::<f64>::new(1).unwrap();
        let values = Init::Constant(value).tensor(&cpu, &[len], [3, 4], Stream::new(1, 2, 3)).unwrap();
        prop_assert_eq!(values.to_vec().unwrap(), vec![value; len]);
    }

    /// Seeds and numbers of parameters give other values, on each device the same.
    #[test]
    fn values_follow_from_seed_and_number(seed: u64) {
        let draw = |seed: u64| {
            let mut init = Initializer::new(&Cpu::<f32>::new(2).unwrap(), seed);
            let spec = ParameterSpec::new("w", &[64]).init(Init::HeNormal).fans([8, 8]);
            [0; 2].map(|_| init.parameter(spec.clone()).unwrap().value.to_vec().unwrap())
        };
        let [one, two] = draw(seed);
        prop_assert_ne!(&one, &two);
        prop_assert_eq!(draw(seed), [one.clone(), two]);
        prop_assert_ne!(&draw(seed.wrapping_add(1))[0], &one);
    }
}

/// No two parameters of a network are drawn alike.
#[test]
fn parameters_of_a_network_differ() {
    let model = alexnet_layers::Model::preset("cifar-18pct").unwrap();
    let network = Network::new(&Cpu::<f32>::new(1).unwrap(), &model, 1).unwrap();
    let mut scaled: Vec<Vec<f32>> = Vec::new();
    for parameter in network.parameters().iter().filter(|p| p.spec.name.ends_with(".weight")) {
        let values = parameter.value.to_vec().unwrap();
        scaled.push(values[..16].iter().map(|v| v / values[0]).collect());
    }
    for (i, one) in scaled.iter().enumerate() {
        assert!(scaled[..i].iter().all(|other| other != one), "parameter {i}");
    }
}
