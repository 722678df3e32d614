//! Networks from models: initial values, forward passes, parameters from files.

use alexnet_layers::{Error, Mode, Model, Module, Network, Pass, Var};
use ndarray::ArrayD;
use tensor::random::{Stream, purpose};
use tensor::{Cpu, IntTensor, Tensor};

type Device = Cpu<f64>;

fn device() -> Device {
    Device::new(1).unwrap()
}

fn parse(layers: &str) -> Model {
    Model::parse(&format!("name = \"small\"\nclasses = 3\ninput.crop = 8\nlayer = [{layers}]"), "small").unwrap()
}

fn small() -> Model {
    parse(
        r#"
        { name = "conv", kind = "conv", filters = 4, kernel = 3, padding = 1, groups = 1, bias = 0.25,
          init = { kind = "normal", std = 0.5 } },
        { name = "relu", kind = "relu" },
        { name = "norm", kind = "lrn" },
        { name = "pool", kind = "max-pool", kernel = 3, stride = 2 },
        { name = "fc1", kind = "linear", units = 5, init = { kind = "torch-default" }, bias = { kind = "torch-default" } },
        { name = "relu1", kind = "relu" },
        { name = "drop", kind = "dropout", p = 0.5, scale = "at-test" },
        { name = "fc2", kind = "linear", units = "classes", init = { kind = "glorot-uniform" } },
        { name = "softmax", kind = "softmax" },
        "#,
    )
}

fn images(n: usize, seed: u64) -> Tensor<Device> {
    Tensor::normal(&device(), &[n, 8, 8, 3], 0.0, 1.0, Stream::new(seed, purpose::USER, 0)).unwrap()
}

fn parameter(network: &Network<Device>, name: &str) -> Tensor<Device> {
    network.parameters().iter().find(|p| p.spec.name == name).unwrap().value.clone()
}

fn close(a: &Tensor<Device>, b: &Tensor<Device>) {
    assert_eq!(a.shape(), b.shape());
    for (a, b) in a.to_vec().unwrap().iter().zip(b.to_vec().unwrap()) {
        assert!((a - b).abs() <= 1e-12 * (1.0 + b.abs()), "{a} and {b}");
    }
}

#[test]
fn first_values_follow_from_the_file_and_the_seed() {
    let network = Network::new(&device(), &small(), 7).unwrap();
    let values = |name: &str| parameter(&network, name).to_vec().unwrap();
    // Parameter number 0, value i: draw i of its stream.
    let stream = Stream::new(7, purpose::INIT, 0);
    for (i, value) in values("conv.weight").into_iter().enumerate() {
        assert!((value - 0.5 * stream.normal(i as u64)).abs() < 1e-6);
    }
    assert!(values("conv.bias").iter().all(|&b| b == 0.25));
    // fc1 has 3 * 3 * 4 inputs; PyTorch draws weights and biases within 1 / sqrt(36).
    for name in ["fc1.weight", "fc1.bias"] {
        let values = values(name);
        assert!(values.iter().all(|v| v.abs() <= 1.0 / 6.0), "{name}");
        assert!(values.iter().any(|v| v.abs() > 0.05), "{name}");
    }
    let bound = (6.0f64 / 8.0).sqrt();
    let largest = values("fc2.weight").into_iter().fold(0.0, |a: f64, v| a.max(v.abs()));
    assert!(largest <= bound && largest > 0.5 * bound, "{largest}");
    let again = Network::new(&device(), &small(), 7).unwrap();
    let other = Network::new(&device(), &small(), 8).unwrap();
    assert_eq!(parameter(&again, "fc1.weight").to_vec().unwrap(), values("fc1.weight"));
    assert_ne!(parameter(&other, "fc1.weight").to_vec().unwrap(), values("fc1.weight"));
}

/// The network's forward pass against the same operations written out, in training and test mode.
#[test]
fn a_pass_is_its_layers_in_order() {
    use tensor::ops::{Activation::Relu, Conv2d, Dropout, DropoutScale, Lrn, Padding, Pool2d, PoolKind};
    let network = Network::new(&device(), &small(), 1).unwrap();
    let p = |name: &str| parameter(&network, name);
    let x = images(2, 3);
    let conv = Conv2d { padding: Padding::all(1), ..Conv2d::default() };
    let conv = x.conv2d(&conv, &p("conv.weight"), Some(&p("conv.bias")), false).unwrap();
    let relu = conv.activation(Relu).unwrap();
    let (norm, _) = relu.lrn(&Lrn::paper()).unwrap();
    let (pool, _) = norm.pool(&Pool2d::new(PoolKind::Max, 3, 2)).unwrap();
    let rows = pool.reshape(&[2, 36]).unwrap();
    let fc1 = rows.linear(&p("fc1.weight"), Some(&p("fc1.bias")), true).unwrap();
    let fc2 = |x: &Tensor<Device>| x.linear(&p("fc2.weight"), Some(&p("fc2.bias")), false).unwrap();

    close(&network.predict(x.clone()).unwrap(), &fc2(&fc1.scale(0.5).unwrap()));
    close(&network.activations(x.clone(), "conv").unwrap(), &conv);
    close(&network.activations(x.clone(), "relu").unwrap(), &relu);
    close(&network.activations(x.clone(), "norm").unwrap(), &norm);
    close(&network.activations(x.clone(), "softmax").unwrap(), &network.predict(x.clone()).unwrap());

    let mask = Dropout { p: 0.5, scale: DropoutScale::AtTest };
    // "drop" is layer number 6.
    let dropped = fc1.dropout(&mask, Stream::new(11, purpose::DROPOUT + 6, 4)).unwrap();
    let mut pass = Pass::new(Mode::Train { seed: 11, step: 4 });
    let logits = network.forward(&Var::constant(x), &mut pass).unwrap();
    close(logits.value(), &fc2(&dropped));
    let labels = IntTensor::from_slice(&device(), &[0, 2]).unwrap();
    let loss = pass.tape.cross_entropy(&logits, &labels).unwrap();
    let mut gradients = pass.backward(&loss).unwrap();
    assert!(gradients.statistics.is_empty());
    for parameter in network.parameters() {
        let gradient = gradients.take(parameter).unwrap();
        assert_eq!(gradient.shape(), parameter.value.shape(), "{}", parameter.spec.name);
    }
}

#[test]
fn frozen_parameters_get_no_gradient() {
    let model = parse(
        r#"{ name = "conv", kind = "conv", filters = 2, kernel = 3, weight_rate = 0, bias_rate = 0 },
           { name = "fc", kind = "linear", units = "classes" }"#,
    );
    let network = Network::new(&device(), &model, 0).unwrap();
    let mut pass = Pass::new(Mode::Train { seed: 0, step: 0 });
    let logits = network.forward(&Var::constant(images(2, 0)), &mut pass).unwrap();
    let loss = pass.tape.sum(&logits).unwrap();
    let gradients = pass.backward(&loss).unwrap();
    let has_gradient: Vec<bool> = network.parameters().iter().map(|p| gradients.get(p).is_some()).collect();
    assert_eq!(has_gradient, [false, false, true, true]);
}

#[test]
fn batch_norm_keeps_running_statistics() {
    let model = parse(
        r#"{ name = "conv", kind = "conv", filters = 2, kernel = 3, bias = false },
           { name = "bn", kind = "batch-norm", momentum = 0.25 },
           { name = "relu", kind = "relu" },
           { name = "fc", kind = "linear", units = "classes" }"#,
    );
    let mut network = Network::new(&device(), &model, 5).unwrap();
    let names: Vec<&str> = network.parameters().iter().map(|p| p.spec.name.as_str()).collect();
    let expected = ["conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "fc.weight", "fc.bias"];
    assert_eq!(names, expected);
    let x = images(3, 2);
    let conv = network.activations(x.clone(), "conv").unwrap();
    let batch = conv.batch_statistics().unwrap();
    let mut pass = Pass::new(Mode::Train { seed: 0, step: 0 });
    let logits = network.forward(&Var::constant(x.clone()), &mut pass).unwrap();
    let [mean, variance] = [3, 4].map(|number| pass.statistic(&network.parameters()[number]).clone());
    let loss = pass.tape.sum(&logits).unwrap();
    let gradients = pass.backward(&loss).unwrap();
    let has_gradient: Vec<bool> = network.parameters().iter().map(|p| gradients.get(p).is_some()).collect();
    assert_eq!(has_gradient, [true, true, true, false, false, true, true]);

    let values = |t: &Tensor<Device>| t.to_vec().unwrap();
    // 3 images of 6 x 6: the sample's variance divides by 107 and not 108.
    for c in 0..2 {
        assert!((values(&mean)[c] - 0.25 * values(&batch.mean)[c]).abs() < 1e-12);
        let expected = 0.75 + 0.25 * values(&batch.variance)[c] * 108.0 / 107.0;
        assert!((values(&variance)[c] - expected).abs() < 1e-12);
    }
    assert_eq!(gradients.statistics.len(), 2);
    gradients.statistics.store(&mut network);
    let normal = network.activations(x, "bn").unwrap();
    let running = tensor::ops::BatchStatistics {
        mean: parameter(&network, "bn.running_mean"),
        variance: parameter(&network, "bn.running_var"),
    };
    let gamma = parameter(&network, "bn.weight");
    let beta = parameter(&network, "bn.bias");
    close(&normal, &conv.batch_norm(&running, &gamma, &beta, 1e-5).unwrap());
}

/// torchvision's AlexNet takes other sizes than 224 this way: its linear layers see a map of one size.
#[test]
fn an_adaptive_pooling_gives_linear_layers_one_size() {
    let network = |crop: usize| {
        let layers = r#"
            { name = "conv", kind = "conv", filters = 2, kernel = 3 },
            { name = "adaptive", kind = "adaptive-average-pool", output = 4 },
            { name = "fc", kind = "linear", units = "classes" },
        "#;
        let text = format!("name = \"small\"\nclasses = 3\ninput.crop = {crop}\nlayer = [{layers}]");
        Network::new(&device(), &Model::parse(&text, "small").unwrap(), 1).unwrap()
    };
    for crop in [3, 6, 9] {
        let network = network(crop);
        assert_eq!(parameter(&network, "fc.weight").shape(), [3, 32]);
        let x = Tensor::normal(&device(), &[2, crop, crop, 3], 0.0, 1.0, Stream::new(1, purpose::USER, 0)).unwrap();
        let maps = network.activations(x.clone(), "conv").unwrap();
        let rows = maps.adaptive_average_pool([4, 4]).unwrap().reshape(&[2, 32]).unwrap();
        let logits =
            rows.linear(&parameter(&network, "fc.weight"), Some(&parameter(&network, "fc.bias")), false).unwrap();
        close(&network.predict(x.clone()).unwrap(), &logits);
        let mut pass = Pass::new(Mode::Train { seed: 1, step: 0 });
        let logits = network.forward(&Var::constant(x), &mut pass).unwrap();
        let labels = IntTensor::from_slice(&device(), &[0, 2]).unwrap();
        let loss = pass.tape.cross_entropy(&logits, &labels).unwrap();
        let gradients = pass.backward(&loss).unwrap();
        assert_eq!(gradients.get(&network.parameters()[0]).unwrap().shape(), [2, 3, 3, 3]);
    }
}

#[test]
fn parameters_from_outside_are_checked_all_at_once() {
    let mut network = Network::new(&device(), &small(), 1).unwrap();
    let mut values: Vec<(String, ArrayD<f32>)> = network
        .parameters()
        .iter()
        .map(|p| (p.spec.name.clone(), p.value.to_array().unwrap().mapv(|v| v as f32 + 1.0)))
        .collect();
    values.reverse();
    let loaded = Network::with_parameters(&device(), &small(), "w.h5", &values).unwrap();
    network.set_parameters("w.h5", &values).unwrap();
    for (name, value) in &values {
        let expected: Vec<f64> = value.iter().map(|&v| f64::from(v)).collect();
        assert_eq!(parameter(&network, name).to_vec().unwrap(), expected);
        assert_eq!(parameter(&loaded, name).to_vec().unwrap(), expected);
    }

    let before = parameter(&network, "fc1.bias").to_vec().unwrap();
    let mut wrong = values.clone();
    wrong.iter_mut().for_each(|(_, value)| *value += 1.0);
    wrong.retain(|(name, _)| name != "conv.bias");
    wrong.iter_mut().find(|(name, _)| name == "fc2.weight").unwrap().1 = ArrayD::zeros(vec![5, 3]);
    wrong.push(("fc9.weight".into(), ArrayD::zeros(vec![1])));
    let error = network.set_parameters("w.h5", &wrong).unwrap_err();
    assert!(matches!(error, Error::Parameters { .. }));
    let message = error.to_string();
    for part in ["w.h5", "conv.bias", "fc9.weight", "fc2.weight", "[3, 5]", "[5, 3]"] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert_eq!(parameter(&network, "fc1.bias").to_vec().unwrap(), before, "nothing is set if one does not fit");
    values.push(values[0].clone());
    let message = network.set_parameters("w.h5", &values).unwrap_err().to_string();
    assert!(message.contains("given twice"), "{message}");
}

/// A pass in two parts is the pass in one, wherever it is cut, within an epilogue too.
#[test]
fn two_parts_of_a_pass_are_the_whole() {
    let network = Network::new(&device(), &small(), 1).unwrap();
    let whole = network.predict(images(2, 3)).unwrap();
    for layer in &network.model().layers {
        let mut pass = Pass::new(Mode::Test);
        let output = network.forward_to(&Var::constant(images(2, 3)), &layer.name, &mut pass).unwrap();
        let logits = network.forward_from(&layer.name, &output, &mut pass).unwrap();
        close(logits.value(), &whole);
    }
    let rest = network.forward_from("relu", &Var::constant(images(2, 3)), &mut Pass::new(Mode::Test));
    let error = rest.unwrap_err().to_string();
    assert!(error.contains("[n, 8, 8, 4]") && error.contains("[2, 8, 8, 3]"), "{error}");
}

#[test]
fn wrong_images_and_layers_are_named() {
    let network = Network::new(&device(), &small(), 1).unwrap();
    for shape in [vec![2, 8, 8, 1], vec![2, 3, 8, 8], vec![0, 8, 8, 3], vec![192]] {
        let error = network.predict(Tensor::zeros(&device(), &shape).unwrap()).unwrap_err().to_string();
        assert!(error.contains("[n, 8, 8, 3]") && error.contains(&format!("{shape:?}")), "{error}");
    }
    let error = network.activations(images(1, 0), "polo").unwrap_err().to_string();
    assert!(error.contains("did you mean \"pool\""), "{error}");
}

/// Every preset for small images runs and gives logits for its classes.
#[test]
fn small_presets_run_forward_and_backward() {
    for name in ["tiny", "cifar-relu", "cifar-tanh", "cifar-18pct", "cifar-11pct", "linear"] {
        let device = Cpu::<f32>::new(1).unwrap();
        let model = Model::preset(name).unwrap();
        let network = Network::new(&device, &model, 3).unwrap();
        let crop = model.input.crop;
        let x = Tensor::normal(&device, &[2, crop, crop, 3], 0.0, 60.0, Stream::new(1, purpose::USER, 0)).unwrap();
        let mut pass = Pass::new(Mode::Train { seed: 3, step: 0 });
        let logits = network.forward(&Var::constant(x), &mut pass).unwrap();
        assert_eq!(logits.shape(), [2, model.classes], "{name}");
        let labels = IntTensor::from_slice(&device, &[3, 7]).unwrap();
        let loss = pass.tape.cross_entropy(&logits, &labels).unwrap();
        let value = loss.value().scalar().unwrap();
        assert!(value.is_finite() && value > 0.0, "{name}: {value}");
        let mut gradients = pass.backward(&loss).unwrap();
        for parameter in network.parameters() {
            let gradient = gradients.take(parameter).unwrap();
            assert!(gradient.all_finite().unwrap(), "{name}: {}", parameter.spec.name);
            assert!(gradient.to_vec().unwrap().iter().any(|&g| g != 0.0), "{name}: {}", parameter.spec.name);
        }
    }
}

/// Each kernel carries its layer's name, also in backward; those after the network carry none.
#[test]
fn kernels_are_labelled_with_their_layers() {
    let profiled = tensor::Profiled::new(device());
    let network = Network::new(&profiled, &small(), 1).unwrap();
    let images = Tensor::full(&profiled, &[2, 8, 8, 3], 0.5).unwrap();
    let labels = IntTensor::from_slice(&profiled, &[0, 2]).unwrap();
    profiled.begin();
    let mut pass = Pass::new(Mode::Train { seed: 1, step: 0 });
    let logits = network.forward(&Var::constant(images), &mut pass).unwrap();
    let loss = pass.tape.cross_entropy(&logits, &labels).unwrap();
    pass.backward(&loss).unwrap();
    let calls = profiled.end();
    let layers_of = |kernel: &str| -> Vec<String> {
        calls.iter().filter(|c| c.kernel == kernel).map(|c| c.scope.to_string()).collect()
    };
    assert_eq!(layers_of("conv2d"), ["conv"]);
    assert_eq!(layers_of("conv2d dw"), ["conv"]);
    assert!(layers_of("conv2d dx").is_empty(), "no parameter needs the gradient of the images");
    assert_eq!(layers_of("linear"), ["fc1", "fc2"]);
    assert_eq!(layers_of("linear dw"), ["fc2", "fc1"]);
    assert!(layers_of("dropout").is_empty(), "it is computed with fc1");
    assert_eq!(layers_of("cross-entropy"), [""]);
    assert_eq!(layers_of("cross-entropy dx"), [""]);
}
