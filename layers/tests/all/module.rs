//! Modules: names of parameters, passes, and a network in code against the same network as a text.

use alexnet_layers::gradient_check::{GradientCheck, projection};
use alexnet_layers::model::Conv;
use alexnet_layers::nn::{BatchNorm, Conv2d, Initializer, Linear, Sequential};
use alexnet_layers::ops::Stage;
use alexnet_layers::{
    Error, Init, Mode, Model, Module, Network, Parameter, ParameterSpec, Parameters, Pass, Result, Tape, Var,
    parameters,
};
use proptest::prelude::*;
use tensor::ops::{Activation, Dropout, DropoutScale, Pool2d, PoolKind};
use tensor::profiled::Call;
use tensor::random::{Stream, purpose};
use tensor::{Backend, Cpu, IntTensor, Profiled, Tensor};

type Device = Cpu<f64>;

const TRAIN: Mode = Mode::Train { seed: 3, step: 5 };

fn device() -> Device {
    Device::new(1).unwrap()
}

fn normal(shape: &[usize], seed: u64) -> Tensor<Device> {
    Tensor::normal(&device(), shape, 0.0, 1.0, Stream::new(seed, purpose::USER, 0)).unwrap()
}

fn names(module: &impl Parameters<Device>) -> Vec<String> {
    module.named_parameters().into_iter().map(|(name, _)| name).collect()
}

/// The network of `TEXT`.
struct Small<B: Backend> {
    conv1: Conv2d<B>,
    norm1: BatchNorm<B>,
    fc2: Linear<B>,
    drop2: Dropout,
    fc3: Linear<B>,
}

parameters! { Small { conv1, norm1, fc2, fc3 } }

const TEXT: &str = r#"
name = "small"
classes = 3
input.crop = 8
layer = [
    { name = "conv1", kind = "conv", filters = 4, kernel = 3, padding = 1 },
    { name = "norm1", kind = "batch-norm" },
    { name = "relu1", kind = "relu" },
    { name = "pool1", kind = "max-pool", kernel = 2 },
    { name = "fc2", kind = "linear", units = 5 },
    { name = "relu2", kind = "relu" },
    { name = "drop2", kind = "dropout", p = 0.0, scale = "at-test" },
    { name = "fc3", kind = "linear", units = "classes" },
]
"#;

impl<B: Backend> Small<B> {
    fn new(device: &B, seed: u64) -> Result<Self> {
        let mut init = Initializer::new(device, seed);
        Ok(Self {
            conv1: Conv2d::new(&mut init, 3, &Conv::new(4, 3).padding(1))?,
            norm1: BatchNorm::new(&mut init, 4)?,
            fc2: Linear::new(&mut init, &[4, 4, 4], 5)?,
            drop2: Dropout { p: 0.0, scale: DropoutScale::AtTest },
            fc3: Linear::new(&mut init, &[5], 3)?,
        })
    }
}

impl<B: Backend> Module<B> for Small<B> {
    fn forward(&self, x: &Var<B>, pass: &mut Pass<B>) -> Result<Var<B>> {
        let x = self.conv1.forward(x, pass)?;
        let x = self.norm1.forward(&x, pass)?;
        let x = pass.tape.stages(&x, &[Stage::Relu, Stage::Pool(Pool2d::new(PoolKind::Max, 2, 2))])?;
        let x = self.fc2.forward_stages(&x, &[Stage::Relu], pass)?;
        let x = self.drop2.forward(&x, pass)?;
        self.fc3.forward(&x, pass)
    }
}

/// Logits, then by parameter the gradient or the new running statistic.
fn results(module: &impl Module<Device>, x: &Tensor<Device>) -> Vec<Vec<f64>> {
    let mut pass = Pass::new(TRAIN);
    let logits = module.forward(&Var::constant(x.clone()), &mut pass).unwrap();
    let labels = IntTensor::from_slice(&device(), &vec![1; x.shape()[0]]).unwrap();
    let loss = pass.tape.cross_entropy(&logits, &labels).unwrap();
    let gradients = pass.backward(&loss).unwrap();
    let of_parameter = |(name, p): (String, &Parameter<Device>)| {
        let result = gradients.get(p).or(gradients.statistics.get(p));
        result.unwrap_or_else(|| panic!("{name}")).to_vec().unwrap()
    };
    let parameters = module.named_parameters().into_iter().map(of_parameter);
    std::iter::once(logits.value().to_vec().unwrap()).chain(parameters).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// The same names, initial values, logits, gradients, running statistics and predictions, bit for bit.
    #[test]
    fn a_network_in_code_is_that_of_its_text(seed: u64, n in 2usize..5) {
        let in_code = Small::new(&device(), seed).unwrap();
        let network = Network::new(&device(), &Model::parse(TEXT, "small").unwrap(), seed).unwrap();
        prop_assert_eq!(names(&in_code), names(&network));
        for ((name, one), other) in in_code.named_parameters().into_iter().zip(network.parameters()) {
            prop_assert_eq!(&one.spec.shape, &other.spec.shape);
            prop_assert_eq!(one.spec.layout, other.spec.layout, "{}", name);
            prop_assert_eq!(one.value.to_vec().unwrap(), other.value.to_vec().unwrap(), "{}", name);
        }
        let x = normal(&[n, 8, 8, 3], seed);
        prop_assert_eq!(results(&in_code, &x), results(&network, &x));
        let predictions = [in_code.predict(x.clone()).unwrap(), network.predict(x).unwrap()];
        prop_assert_eq!(predictions[0].to_vec().unwrap(), predictions[1].to_vec().unwrap());
    }

    /// Handed over one by one, the gradients are the same.
    #[test]
    fn gradients_one_by_one_are_those_together(seed: u64) {
        let small = Small::new(&device(), seed).unwrap();
        let x = normal(&[2, 8, 8, 3], seed);
        let together = results(&small, &x);
        let mut pass = Pass::new(TRAIN);
        let logits = small.forward(&Var::constant(x), &mut pass).unwrap();
        let labels = IntTensor::from_slice(&device(), &[1, 1]).unwrap();
        let loss = pass.tape.cross_entropy(&logits, &labels).unwrap();
        let mut taken = Vec::new();
        let statistics = pass
            .backward_each(loss, |id, gradient| {
                taken.push((id, gradient));
                Ok::<_, Error>(())
            })
            .unwrap();
        prop_assert_eq!(statistics.len(), 2);
        prop_assert_eq!(taken.first().map(|(id, _)| *id), Some(small.fc3.weight.id()), "the last layer comes first");
        for ((_, parameter), expected) in small.named_parameters().into_iter().zip(&together[1..]) {
            let gradient = taken.iter().find(|(id, _)| *id == parameter.id()).map(|(_, gradient)| gradient);
            prop_assert_eq!(&gradient.or(statistics.get(parameter)).unwrap().to_vec().unwrap(), expected);
        }
    }

    /// `visit` and `visit_mut` agree, and the path of the fields is the name.
    #[test]
    fn names_are_paths(blocks in 0usize..4, skip: bool, pair: bool) {
        let mut init = Initializer::new(&device(), 1);
        let mut linear = || Linear::new(&mut init, &[2], 2).unwrap();
        let mut expected = Vec::new();
        for number in 0..blocks {
            expected.extend([format!("blocks.{number}.weight"), format!("blocks.{number}.bias")]);
        }
        if skip {
            expected.extend(["skip.weight".to_owned(), "skip.bias".to_owned()]);
        }
        expected.extend(["0.weight", "0.bias", "1.weight", "1.bias"].map(|name| format!("pair.{name}")));
        expected.extend(["2.weight", "2.bias"].map(|name| format!("chain.{name}")));
        let mut nested = Nested {
            blocks: (0..blocks).map(|_| linear()).collect(),
            skip: skip.then(|| Box::new(linear())),
            pair: [linear(), linear()],
            chain: Sequential::new().then(Activation::Relu).then(Activation::Tanh).then(linear()),
            _epsilon: f64::from(u8::from(pair)),
        };
        prop_assert_eq!(names(&nested), expected.clone());
        let mutable: Vec<String> = nested.named_parameters_mut().into_iter().map(|(name, _)| name).collect();
        prop_assert_eq!(mutable, expected.clone());
        let mut prefixed = Vec::new();
        nested.visit("net", &mut |name, _| prefixed.push(name.to_owned()));
        prop_assert_eq!(prefixed, expected.iter().map(|name| format!("net.{name}")).collect::<Vec<_>>());
        prop_assert_eq!(nested.parameter_count(), 6 * expected.len() / 2);
    }
}

struct Nested<B: Backend> {
    blocks: Vec<Linear<B>>,
    skip: Option<Box<Linear<B>>>,
    pair: [Linear<B>; 2],
    chain: Sequential<B>,
    _epsilon: f64,
}

parameters! { Nested { blocks, skip, pair, chain } }

#[test]
fn a_network_within_a_module_has_its_prefix() {
    let network = Network::new(&device(), &Model::preset("linear").unwrap(), 1).unwrap();
    let mut found = Vec::new();
    network.visit("backbone", &mut |name, _| found.push(name.to_owned()));
    assert_eq!(found, ["backbone.fc.weight", "backbone.fc.bias"]);
}

#[test]
fn the_gradients_of_a_parameter_used_twice_are_summed() {
    let spec = ParameterSpec::new("w", &[2]);
    let w = Parameter::new(spec, Tensor::from_slice(&device(), &[2], &[3.0, -1.0]).unwrap());
    let mut pass = Pass::new(TRAIN);
    let [one, two] = [pass.parameter(&w), pass.parameter(&w)];
    let product = pass.tape.multiply(&one, &two).unwrap();
    let loss = pass.tape.sum(&product).unwrap();
    let gradients = pass.backward(&loss).unwrap();
    assert_eq!(gradients.get(&w).unwrap().to_vec().unwrap(), [6.0, -2.0]);
}

#[test]
fn a_clone_is_another_parameter() {
    let spec = ParameterSpec::new("w", &[1]);
    let w = Parameter::new(spec, Tensor::full(&device(), &[1], 2.0).unwrap());
    let other = w.clone();
    let mut pass = Pass::new(TRAIN);
    let [one, two] = [pass.parameter(&w), pass.parameter(&other)];
    let product = pass.tape.multiply(&one, &two).unwrap();
    let loss = pass.tape.sum(&product).unwrap();
    let gradients = pass.backward(&loss).unwrap();
    for parameter in [&w, &other] {
        assert_eq!(gradients.get(parameter).unwrap().to_vec().unwrap(), [2.0]);
    }
}

#[test]
fn a_frozen_parameter_is_a_constant() {
    for spec in [ParameterSpec::new("w", &[1]).multipliers(0.0, 1.0), ParameterSpec::new("w", &[1]).statistic()] {
        let w = Parameter::new(spec, Tensor::full(&device(), &[1], 2.0).unwrap());
        assert!(!Pass::new(TRAIN).parameter(&w).requires_grad());
    }
    let w = Parameter::new(ParameterSpec::new("w", &[1]), Tensor::full(&device(), &[1], 2.0).unwrap());
    assert!(Pass::new(TRAIN).parameter(&w).requires_grad());
    assert!(!Pass::new(Mode::Test).parameter(&w).requires_grad(), "nothing is recorded in test mode");
    assert!(Pass::with_tape(Tape::new(), Mode::Test).parameter(&w).requires_grad());
}

/// Each dropout of a pass draws from a stream of its own, numbered in order; networks take a number for each layer.
#[test]
fn dropouts_are_numbered() {
    let mut pass = Pass::<Device>::new(TRAIN);
    let stream = |number| Some(Stream::new(3, purpose::DROPOUT + number, 5));
    assert_eq!([pass.dropout_stream(), pass.dropout_stream()], [stream(0), stream(1)]);
    let network = Network::new(&device(), &Model::parse(TEXT, "small").unwrap(), 1).unwrap();
    network.forward(&Var::constant(normal(&[2, 8, 8, 3], 1)), &mut pass).unwrap();
    assert_eq!(pass.dropout_stream(), stream(2 + 8));
    assert_eq!(Pass::<Device>::new(Mode::Test).dropout_stream(), None);
}

#[test]
fn dropout_scales_in_its_phase() {
    let x = Tensor::full(&device(), &[1000], 1.0).unwrap();
    let mean = |spec: Dropout, mode: Mode| {
        let y = spec.forward(&Var::constant(x.clone()), &mut Pass::new(mode)).unwrap();
        let values = y.value().to_vec().unwrap();
        (values.iter().sum::<f64>() / 1000.0, values.iter().copied().fold(0.0, f64::max))
    };
    let at_test = Dropout { p: 0.25, scale: DropoutScale::AtTest };
    let in_training = Dropout { p: 0.25, scale: DropoutScale::InTraining };
    assert_eq!(mean(at_test, Mode::Test), (0.75, 0.75));
    assert_eq!(mean(in_training, Mode::Test), (1.0, 1.0));
    let (kept, largest) = mean(at_test, TRAIN);
    assert!((kept - 0.75).abs() < 0.06 && largest == 1.0, "{kept}, {largest}");
    let (kept, largest) = mean(in_training, TRAIN);
    assert!((kept - 1.0).abs() < 0.08 && (largest - 4.0 / 3.0).abs() < 1e-12, "{kept}, {largest}");
}

/// A batch norm that is used twice in a pass counts both batches.
#[test]
fn statistics_follow_every_batch_of_a_pass() {
    let mut norm = BatchNorm::new(&mut Initializer::new(&device(), 1), 1).unwrap();
    let mut pass = Pass::new(TRAIN);
    for value in [1.0, 2.0] {
        let x = Tensor::from_slice(&device(), &[2, 1], &[value, value]).unwrap();
        norm.forward(&Var::constant(x), &mut pass).unwrap();
    }
    assert_eq!(norm.running_mean.value.to_vec().unwrap(), [0.0], "a pass changes nothing");
    pass.into_statistics().store(&mut norm);
    assert!((norm.running_mean.value.scalar().unwrap() - (0.9 * 0.1 + 0.2)).abs() < 1e-12);
}

#[test]
fn a_modules_gradients_are_checked() {
    let small = Small::new(&device(), 2).unwrap();
    let x = Var::constant(normal(&[3, 8, 8, 3], 4));
    for mode in [TRAIN, Mode::Test] {
        let report = GradientCheck::default().run_module(&small, mode, |pass| {
            let y = small.forward(&x, pass)?;
            projection(&mut pass.tape, &y)
        });
        let report = report.unwrap();
        assert_eq!(report.parameters.len(), 8);
        assert_eq!(report.parameters[2].name, "norm1.weight");
        report.within(1e-5).unwrap();
    }
}

#[test]
fn an_update_stops_at_the_first_error() {
    let mut small = Small::new(&device(), 2).unwrap();
    let mut pass = Pass::new(TRAIN);
    let logits = small.forward(&Var::constant(normal(&[2, 8, 8, 3], 1)), &mut pass).unwrap();
    let loss = pass.tape.sum(&logits).unwrap();
    let gradients = pass.backward(&loss).unwrap();
    let mut seen = Vec::new();
    let outcome = gradients.update(&mut small, |name, _, _| {
        seen.push(name.to_owned());
        if name == "norm1.weight" { Err(()) } else { Ok(()) }
    });
    assert_eq!(outcome, Err(()));
    assert_eq!(seen, ["conv1.weight", "conv1.bias", "norm1.weight"]);
}

#[test]
fn layers_refuse_settings_out_of_range() {
    let mut init = Initializer::new(&device(), 1);
    let conv = |init: &mut Initializer<Device>, channels, settings: Conv| {
        Conv2d::new(init, channels, &settings).unwrap_err().to_string()
    };
    assert!(conv(&mut init, 3, Conv { groups: 2, ..Conv::new(4, 3) }).contains("2 groups"));
    assert!(conv(&mut init, 0, Conv::new(4, 3)).contains("above 0"));
    assert!(conv(&mut init, 3, Conv::new(4, 3).stride(0)).contains("above 0"));
    for inputs in [&[][..], &[0], &[2, 2], &[1, 2, 3, 4]] {
        let error = Linear::new(&mut init, inputs, 3).unwrap_err().to_string();
        assert!(error.contains("expected inputs"), "{error}");
    }
    assert!(BatchNorm::new(&mut init, 0).is_err());
}

/// A parameter of an own type of layer is drawn from its distribution.
#[test]
fn parameters_are_drawn_in_order() {
    let mut init = Initializer::new(&device(), 9);
    let spec = ParameterSpec::new("w", &[5]).init(Init::Normal { mean: 1.0, std: 2.0 });
    for number in 0..3 {
        let drawn = init.parameter(spec.clone()).unwrap().value.to_vec().unwrap();
        let stream = Stream::new(9, purpose::INIT + number, 0);
        for (i, value) in drawn.into_iter().enumerate() {
            assert!((value - (1.0 + 2.0 * stream.normal(i as u64))).abs() < 1e-6);
        }
    }
}

#[test]
fn labelled_layers_have_their_paths_in_profiles() {
    let device = Profiled::new(device());
    let small = Small::new(&device, 1).unwrap();
    let x = Var::constant(Tensor::zeros(&device, &[2, 8, 8, 3]).unwrap());
    let mut pass = Pass::new(TRAIN);
    pass.label_layers(&small);
    device.begin();
    let y = small.forward(&x, &mut pass).unwrap();
    pass.tape.set_scope(&device, "");
    let loss = pass.tape.mean(&y).unwrap();
    let forward = device.end();
    device.begin();
    pass.backward(&loss).unwrap();
    let backward = device.end();

    let layers = |calls: &[Call]| {
        let mut layers: Vec<String> = calls.iter().map(|call| call.scope.to_string()).collect();
        layers.dedup();
        layers
    };
    assert_eq!(layers(&forward), ["conv1", "norm1", "fc2", "fc3", ""]);
    assert_eq!(layers(&backward), ["", "fc3", "fc2", "norm1", "conv1"]);
    let layer_of = |kernel: &str| forward.iter().find(|call| call.kernel == kernel).map(|call| call.scope.to_string());
    assert_eq!(layer_of("conv2d"), Some("conv1".into()));
}
