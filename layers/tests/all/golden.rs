//! Every layer's forward and backward against PyTorch and TensorFlow: `tests/golden/layers.safetensors`, made by
//! `tests/golden/make.py`. The settings here repeat those of the script's cases of the same name.

use std::collections::BTreeSet;

use alexnet_layers::ops::Stage;
use alexnet_layers::{Mode, Model, Module, Network, Pass, Result, Tape, Var};
use safetensors::Dtype;
use tensor::ops::{
    Activation, AlphaScaling, BatchStatistics, Conv2d, Lrn, Padding, Pool2d, PoolKind, Region, RoundMode,
};
use tensor::{Cpu, Element, IntTensor, Tensor};

use crate::goldens::{Goldens, relative_error};

type T<E> = Tape<Cpu<E>>;
type V<E> = Var<Cpu<E>>;

const CASES: [fn() -> Vec<&'static str>; 6] = [
    || names(convolutions()),
    || names(local_layers()),
    || names(poolings()),
    || names(norms()),
    || names(activations()),
    || OTHERS.to_vec(),
];

const OTHERS: &[&str] = &[
    "batch-norm",
    "batch-norm-eval",
    "batch-norm-rows",
    "batch-norm-rows-eval",
    "cross-entropy",
    "cross-entropy-large",
    "flatten-linear",
    "linear",
    "linear-no-bias",
    "linear-relu",
    "network",
    "softmax",
    "softmax-large",
];

fn names<S>(cases: Vec<(&'static str, S)>) -> Vec<&'static str> {
    cases.into_iter().map(|(name, _)| name).collect()
}

fn padding([top, bottom, left, right]: [usize; 4]) -> Padding {
    Padding { top, bottom, left, right }
}

fn convolutions() -> Vec<(&'static str, Conv2d)> {
    let plain = Conv2d::default();
    let one = Padding::all(1);
    vec![
        ("conv2d", plain),
        ("conv2d-no-bias", Conv2d { padding: one, ..plain }),
        ("conv2d-groups", Conv2d { padding: one, groups: 2, ..plain }),
        ("conv2d-depthwise", Conv2d { padding: one, groups: 4, ..plain }),
        ("conv2d-stride", Conv2d { stride: [2, 3], groups: 2, ..plain }),
        ("conv2d-stride-over-kernel", Conv2d { stride: [3, 3], ..plain }),
        ("conv2d-asymmetric", Conv2d { stride: [2, 2], padding: padding([1, 2, 0, 2]), ..plain }),
        ("conv2d-paper-conv1", Conv2d { stride: [4, 4], padding: padding([0, 3, 0, 3]), ..plain }),
        ("conv2d-relu", Conv2d { padding: one, groups: 2, ..plain }),
        ("conv2d-same", Conv2d { padding: Padding::same([6, 5], [5, 5], [1, 1]), ..plain }),
        ("conv2d-same-even", Conv2d { stride: [2, 2], padding: Padding::same([8, 7], [4, 3], [2, 2]), ..plain }),
        (
            "conv2d-same-keras-conv1",
            Conv2d { stride: [4, 4], padding: Padding::same([24, 24], [11, 11], [4, 4]), ..plain },
        ),
    ]
}

fn local_layers() -> Vec<(&'static str, Conv2d)> {
    let plain = Conv2d::default();
    vec![
        ("local2d", plain),
        ("local2d-groups", Conv2d { stride: [2, 2], padding: Padding::all(1), groups: 2 }),
        ("local2d-asymmetric", Conv2d { padding: padding([0, 1, 1, 0]), ..plain }),
    ]
}

fn poolings() -> Vec<(&'static str, Pool2d)> {
    use PoolKind::{Average, AverageWithPadding, Max};
    let pool = |kind| Pool2d::new(kind, 3, 2);
    let ceil = |pool: Pool2d| Pool2d { round_mode: RoundMode::Ceil, ..pool };
    let padded = |pool: Pool2d| Pool2d { padding: Padding::all(1), ..pool };
    let same = |pool: Pool2d| Pool2d { padding: Padding::same([8, 7], pool.kernel, pool.stride), ..pool };
    vec![
        ("max-pool-floor", pool(Max)),
        ("max-pool-ceil", ceil(pool(Max))),
        ("max-pool-padded", Pool2d { kernel: [3, 2], stride: [2, 1], ..padded(pool(Max)) }),
        ("max-pool-padded-ceil", ceil(padded(pool(Max)))),
        ("max-pool-gaps", Pool2d::new(Max, 2, 3)),
        ("max-pool-ties", pool(Max)),
        ("max-pool-same", same(pool(Max))),
        ("average-pool", pool(Average)),
        ("average-pool-ceil", ceil(pool(Average))),
        ("average-pool-padded", padded(pool(Average))),
        ("average-pool-padding-counts", padded(pool(AverageWithPadding))),
        ("average-pool-padding-counts-ceil", ceil(padded(pool(AverageWithPadding)))),
        ("average-pool-global", Pool2d { kernel: [3, 4], stride: [3, 4], ..pool(Average) }),
        ("average-pool-same", same(pool(Average))),
    ]
}

fn norms() -> Vec<(&'static str, Lrn)> {
    let lrn = |size, alpha, beta, k, alpha_scaling| Lrn {
        size,
        alpha,
        beta,
        k,
        region: Region::AcrossChannels,
        alpha_scaling,
    };
    let within = Lrn { region: Region::WithinChannel, ..lrn(5, 1.0, 0.75, 1.0, AlphaScaling::Mean) };
    vec![
        ("lrn-paper", Lrn::paper()),
        ("lrn-even", lrn(4, 0.3, 0.5, 1.0, AlphaScaling::Mean)),
        ("lrn-few-channels", lrn(9, 2.0, 0.75, 1.0, AlphaScaling::Mean)),
        ("lrn-tensorflow-paper", Lrn::paper()),
        ("lrn-tensorflow", lrn(3, 0.3, 0.5, 1.0, AlphaScaling::Sum)),
        ("lrn-within-map", within),
    ]
}

fn activations() -> Vec<(&'static str, Activation)> {
    vec![("relu", Activation::Relu), ("tanh", Activation::Tanh), ("logistic", Activation::Logistic)]
}

/// The golden file and a device.
struct Check<E: Element> {
    goldens: Goldens,
    device: Cpu<E>,
}

impl<E: Element> Check<E> {
    fn new() -> Self {
        Self { goldens: Goldens::read("layers.safetensors"), device: Cpu::new(2).unwrap() }
    }

    fn tensor(&self, case: &str, name: &str) -> Tensor<Cpu<E>> {
        self.goldens.tensor(&self.device, &format!("{case}/{name}"))
    }

    /// Forward of the inputs by these names (of which the file may lack some: biases), and backward from its dy.
    fn layer(&self, case: &str, inputs: &[&str], forward: impl Fn(&mut T<E>, &[&V<E>]) -> Result<V<E>>) {
        let mut tape = Tape::new();
        let there = |name: &&&str| self.goldens.0.contains_key(&format!("{case}/{name}"));
        let inputs: Vec<&str> = inputs.iter().filter(there).copied().collect();
        let leaves: Vec<V<E>> = inputs.iter().map(|name| tape.parameter(self.tensor(case, name))).collect();
        let y = forward(&mut tape, &leaves.iter().collect::<Vec<_>>()).unwrap();
        self.expect(case, "y", y.value());
        let dy = Var::constant(self.tensor(case, "dy"));
        let weighted = tape.multiply(&y, &dy).unwrap();
        let loss = tape.sum(&weighted).unwrap();
        let gradients = tape.backward(&loss).unwrap();
        for (leaf, name) in leaves.iter().zip(&inputs) {
            self.expect(case, &format!("d{name}"), gradients.get(leaf).unwrap());
        }
    }

    fn expect(&self, case: &str, name: &str, got: &Tensor<Cpu<E>>) {
        let what = format!("{case}/{name}");
        let golden = self.goldens.get(&what);
        let precision = if E::NAME == "f32" { Dtype::F32 } else { golden.precision };
        let limit = if precision == Dtype::F32 { 2e-6 } else { 1e-13 };
        let error = relative_error(&what, got, &golden.array);
        assert!(error <= limit, "{what} in {}: relative error {error:e}, at most {limit:e} expected", E::NAME);
    }

    fn statistics(&self, case: &str) -> BatchStatistics<Cpu<E>> {
        BatchStatistics { mean: self.tensor(case, "mean"), variance: self.tensor(case, "variance") }
    }
}

/// Runs a generic check in both precisions.
macro_rules! in_both_precisions {
    ($($name:ident: $check:ident;)*) => {$(
        #[test]
        fn $name() {
            $check(&Check::<f32>::new());
            $check(&Check::<f64>::new());
        }
    )*};
}

in_both_precisions! {
    convolution_agrees: check_convolutions;
    local_layers_agree: check_local_layers;
    pooling_agrees: check_poolings;
    response_normalisation_agrees: check_norms;
    activations_agree: check_activations;
    linear_layers_agree: check_linear;
    batch_norm_agrees: check_batch_norm;
    softmax_and_cross_entropy_agree: check_softmax;
    a_network_at_test_and_its_running_statistics_agree: check_network;
}

#[test]
fn every_case_in_the_file_is_checked() {
    let goldens = Goldens::read("layers.safetensors");
    let in_file: BTreeSet<&str> = goldens.0.keys().map(|name| name.split('/').next().unwrap()).collect();
    let checked: BTreeSet<&str> = CASES.iter().flat_map(|cases| cases()).collect();
    assert_eq!(in_file, checked);
}

fn check_convolutions<E: Element>(check: &Check<E>) {
    for (case, spec) in convolutions() {
        let inputs = ["x", "w", "b"];
        let forward =
            |stages: &[Stage], tape: &mut T<E>, v: &[&V<E>]| tape.conv2d(v[0], v[1], v.get(2).copied(), &spec, stages);
        if case != "conv2d-relu" {
            check.layer(case, &inputs, |tape, v| forward(&[], tape, v));
            continue;
        }
        check.layer(case, &inputs, |tape, v| forward(&[Stage::Relu], tape, v));
        check.layer(case, &inputs, |tape, v| {
            let y = forward(&[], tape, v)?;
            tape.activation(&y, Activation::Relu)
        });
    }
}

fn check_local_layers<E: Element>(check: &Check<E>) {
    for (case, spec) in local_layers() {
        check.layer(case, &["x", "w", "b"], |tape, v| tape.local2d(v[0], v[1], Some(v[2]), &spec, &[]));
    }
}

fn check_poolings<E: Element>(check: &Check<E>) {
    for (case, spec) in poolings() {
        check.layer(case, &["x"], |tape, v| tape.pool(v[0], &spec));
    }
}

fn check_norms<E: Element>(check: &Check<E>) {
    for (case, spec) in norms() {
        check.layer(case, &["x"], |tape, v| tape.lrn(v[0], &spec));
    }
}

fn check_activations<E: Element>(check: &Check<E>) {
    for (case, f) in activations() {
        check.layer(case, &["x"], |tape, v| tape.activation(v[0], f));
    }
}

fn check_linear<E: Element>(check: &Check<E>) {
    let inputs = ["x", "w", "b"];
    check.layer("linear", &inputs, |tape, v| tape.linear(v[0], v[1], Some(v[2]), &[]));
    check.layer("linear-no-bias", &inputs, |tape, v| tape.linear(v[0], v[1], None, &[]));
    check.layer("linear-relu", &inputs, |tape, v| tape.linear(v[0], v[1], Some(v[2]), &[Stage::Relu]));
    check.layer("linear-relu", &inputs, |tape, v| {
        let y = tape.linear(v[0], v[1], Some(v[2]), &[])?;
        tape.activation(&y, Activation::Relu)
    });
    check.layer("flatten-linear", &inputs, |tape, v| {
        let rows = tape.flatten(v[0])?;
        tape.linear(&rows, v[1], None, &[])
    });
}

fn check_batch_norm<E: Element>(check: &Check<E>) {
    const EPSILON: f64 = 1e-3;
    for case in ["batch-norm", "batch-norm-rows"] {
        check.layer(case, &["x", "gamma", "beta"], |tape, v| {
            let (y, statistics) = tape.batch_norm(v[0], v[1], v[2], EPSILON)?;
            check.expect(case, "mean", &statistics.mean);
            check.expect(case, "variance", &statistics.variance);
            Ok(y)
        });
    }
    for case in ["batch-norm-eval", "batch-norm-rows-eval"] {
        let statistics = check.statistics(case);
        check.layer(case, &["x", "gamma", "beta"], |tape, v| {
            tape.batch_norm_with(v[0], v[1], v[2], &statistics, EPSILON)
        });
    }
}

fn check_softmax<E: Element>(check: &Check<E>) {
    for case in ["softmax", "softmax-large"] {
        check.expect(case, "y", &check.tensor(case, "x").softmax().unwrap());
    }
    for case in ["cross-entropy", "cross-entropy-large"] {
        let labels: Vec<u32> =
            check.goldens.get(&format!("{case}/labels")).array.iter().map(|&label| label as u32).collect();
        let labels = IntTensor::from_slice(&check.device, &labels).unwrap();
        let mut tape = Tape::new();
        let x = tape.parameter(check.tensor(case, "x"));
        let loss = tape.cross_entropy(&x, &labels).unwrap();
        check.expect(case, "loss", loss.value());
        check.expect(case, "dx", tape.backward(&loss).unwrap().get(&x).unwrap());
    }
}

const NETWORK: &str = r#"
classes = 5

[input]
crop = 2

[[layer]]
name = "norm"
kind = "batch-norm"
epsilon = 1e-3
momentum = 0.2

[[layer]]
name = "drop"
kind = "dropout"
p = 0.4
scale = "in-training"

[[layer]]
name = "fc"
kind = "linear"
units = "classes"
"#;

fn check_network<E: Element>(check: &Check<E>) {
    for (text, y) in [(NETWORK, "y"), (&NETWORK.replace("in-training", "at-test"), "y_at_test")] {
        let model = Model::parse(text, "the test's text").unwrap();
        let mut network = Network::new(&check.device, &model, 1).unwrap();
        for parameter in network.parameters_mut() {
            parameter.value = check.tensor("network", &parameter.spec.name);
        }
        let x = check.tensor("network", "x");
        check.expect("network", y, &network.predict(x.clone()).unwrap());

        let mut pass = Pass::new(Mode::Train { seed: 1, step: 1 });
        network.forward(&Var::constant(x), &mut pass).unwrap();
        let statistics = pass.into_statistics();
        assert_eq!(statistics.len(), 2);
        for parameter in network.parameters().iter().filter(|p| !p.spec.trained) {
            let name = parameter.spec.name.trim_start_matches("norm.");
            check.expect("network", name, statistics.get(parameter).unwrap());
        }
    }
}
