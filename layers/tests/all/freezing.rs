//! Layers by patterns, frozen layers, and the learning rates of single layers.

use alexnet_layers::model::BatchNorm;
use alexnet_layers::{LayerKind, Mode, Model, Module, Network, Parameters, Pass, Var, summary};
use tensor::random::{Stream, purpose};
use tensor::{Backend, Cpu, IntTensor, Profiled, Tensor};

const MODEL: &str = r#"
    name = "small"
    classes = 3
    input.crop = 8
    layer = [
        { name = "conv1", kind = "conv", filters = 4, kernel = 3, padding = 1 },
        { name = "norm1", kind = "batch-norm" },
        { name = "relu1", kind = "relu" },
        { name = "pool1", kind = "max-pool", kernel = 2, stride = 2 },
        { name = "conv2", kind = "conv", filters = 4, kernel = 3, padding = 1 },
        { name = "norm2", kind = "batch-norm" },
        { name = "relu2", kind = "relu" },
        { name = "local3", kind = "local", filters = 2, kernel = 3 },
        { name = "fc4", kind = "linear", units = "classes" },
    ]
"#;

fn model() -> Model {
    Model::parse(MODEL, "small").unwrap()
}

/// The model with the layers of a pattern frozen.
fn frozen(pattern: &str) -> Model {
    let mut model = model();
    for layer in model.select_layers(pattern).unwrap() {
        model.freeze_layer(&layer).unwrap();
    }
    model
}

#[test]
fn patterns_are_names_globs_and_ranges() {
    for (pattern, expected) in [
        ("conv1", &["conv1"][..]),
        ("conv*", &["conv1", "conv2"]),
        ("*1", &["conv1", "norm1"]),
        ("*", &["conv1", "norm1", "conv2", "norm2", "local3", "fc4"]),
        ("fc?", &["fc4"]),
        ("norm1..norm2", &["norm1", "conv2", "norm2"]),
        ("relu1..conv2", &["conv2"]),
        ("..conv2", &["conv1", "norm1", "conv2"]),
        (" local3 .. ", &["local3", "fc4"]),
    ] {
        assert_eq!(model().select_layers(pattern).unwrap(), expected, "{pattern:?}");
    }
}

#[test]
fn patterns_that_select_nothing_list_the_layers() {
    let all = "those with parameters are conv1, norm1, conv2, norm2, local3, fc4";
    for (pattern, expected) in [
        ("conv3", "\"conv3\" selects no layer; did you mean \"conv1\"?; "),
        ("features*", "\"features*\" selects no layer; "),
        ("", "\"\" selects no layer; "),
        ("pool1", "\"pool1\" selects only layers without parameters"),
        ("relu1..pool1", "\"relu1..pool1\" selects only layers without parameters"),
    ] {
        let error = model().select_layers(pattern).unwrap_err().to_string();
        assert!(error.starts_with("small: ") && error.contains(expected) && error.contains(all), "{error}");
    }
    let error = model().select_layers("fc4..conv1").unwrap_err().to_string();
    assert!(error.contains("fc4 comes after conv1; write conv1..fc4"), "{error}");
    let error = model().select_layers("conv1..fc9").unwrap_err().to_string();
    assert!(error.contains("no layer \"fc9\"") && error.contains("pool1"), "{error}");
}

#[test]
fn rates_are_multiplied_and_frozen_layers_have_none() {
    let mut model = model();
    model.multiply_rate("conv2", 0.5).unwrap();
    model.multiply_rate("conv2", 0.5).unwrap();
    model.multiply_rate("norm2", 3.0).unwrap();
    model.multiply_rate("local3", 2.0).unwrap();
    model.freeze_layer("fc4").unwrap();
    let rates: Vec<(String, f64)> = model.parameters().unwrap().into_iter().map(|p| (p.name, p.rate)).collect();
    for (name, rate) in rates {
        let (layer, parameter) = name.split_once('.').unwrap();
        let expected = match (layer, parameter) {
            (_, "running_mean" | "running_var") | ("fc4", _) => 0.0,
            ("conv2", _) => 0.25,
            ("norm2", _) => 3.0,
            ("local3", _) => 2.0,
            _ => 1.0,
        };
        assert_eq!(rate, expected, "{name}");
    }
    for (layer, factor, expected) in [
        ("relu1", 0.5, "relu1\": it has no parameters"),
        ("conv1", -1.0, "at least 0, got -1"),
        ("conv1", f64::NAN, "at least 0, got NaN"),
        ("conv9", 1.0, "no layer \"conv9\""),
    ] {
        let error = model.multiply_rate(layer, factor).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_frozen_network_is_written_and_read() {
    let model = frozen("..norm2");
    let again = Model::parse(&model.to_toml(), "again").unwrap();
    assert_eq!(again, model);
    let is_frozen = |layer: &LayerKind| matches!(layer, LayerKind::BatchNorm(BatchNorm { frozen: true, .. }));
    assert_eq!(again.layers.iter().filter(|layer| is_frozen(&layer.kind)).count(), 2);
    // Versions that know no frozen layers read all other networks.
    assert!(!self::model().to_toml().contains("frozen"));
}

#[test]
fn summaries_count_frozen_parameters() {
    let model = frozen("..norm2");
    let fixed = (4 * 27 + 4) + 8 + (4 * 36 + 4) + 8;
    let table = summary::table(&model, 1).unwrap();
    let line = table.lines().find(|line| line.contains("of these frozen")).unwrap();
    assert!(line.ends_with(&format!(" {fixed}")), "{table}");
    let keras = summary::keras(&model).unwrap();
    assert!(keras.contains(&format!("Non-trainable params: {}\n", fixed + 16)), "{keras}");
    assert!(!summary::table(&self::model(), 1).unwrap().contains("frozen"));
}

/// The kernels of each layer in a pass, in order.
type Kernels = Vec<(String, &'static str)>;

fn kernels(device: &Profiled<Cpu<f64>>, model: &Model, is_trained: bool) -> Kernels {
    let network = Network::new(device, model, 1).unwrap();
    let images = images(device);
    let labels = IntTensor::from_slice(device, &[0, 2]).unwrap();
    device.begin();
    if is_trained {
        let mut pass = Pass::new(Mode::Train { seed: 1, step: 0 });
        let logits = network.forward(&Var::constant(images), &mut pass).unwrap();
        let loss = pass.tape.cross_entropy(&logits, &labels).unwrap();
        pass.backward(&loss).unwrap();
    } else {
        network.predict(images).unwrap();
    }
    device.end().into_iter().map(|call| (call.scope.to_string(), call.kernel)).collect()
}

fn of_layers(kernels: &Kernels, layers: &[&str]) -> Kernels {
    kernels.iter().filter(|(layer, _)| layers.contains(&layer.as_str())).cloned().collect()
}

/// Layers before the first that is trained do in training what they do in a prediction.
#[test]
fn frozen_leading_layers_run_no_backward_pass() {
    let device = Profiled::new(Cpu::<f64>::new(1).unwrap());
    let model = frozen("..norm2");
    let training = kernels(&device, &model, true);
    let predicting = kernels(&device, &model, false);
    let leading = ["conv1", "norm1", "relu1", "pool1", "conv2", "norm2", "relu2"];
    assert_eq!(of_layers(&training, &leading), of_layers(&predicting, &leading));
    assert!(of_layers(&training, &["local3"]).len() > of_layers(&predicting, &["local3"]).len());
    // Without freezing they run one.
    let whole = kernels(&device, &self::model(), true);
    assert!(of_layers(&whole, &["conv1"]).len() > of_layers(&training, &["conv1"]).len());
}

/// A layer frozen behind a trained one passes the gradient on, and computes none for its parameters.
#[test]
fn a_frozen_layer_in_between_has_no_gradients_of_its_own() {
    let device = Profiled::new(Cpu::<f64>::new(1).unwrap());
    let count = |model: &Model, kernel: &str| {
        kernels(&device, model, true).iter().filter(|(layer, name)| layer == "conv2" && name.contains(kernel)).count()
    };
    assert_eq!((count(&model(), "dw"), count(&model(), "dx")), (1, 1));
    assert_eq!((count(&frozen("conv2"), "dw"), count(&frozen("conv2"), "dx")), (0, 1));
}

/// Gradients of the trained layers equal those of the whole network in which the frozen batch norms use running statistics,
/// and nothing of a frozen layer changes.
#[test]
fn frozen_batch_norms_are_in_test_mode() {
    let cpu = Cpu::<f64>::new(1).unwrap();
    let mut network = Network::new(&cpu, &frozen("..norm2"), 1).unwrap();
    network.visit_mut("", &mut |name, parameter| {
        if name.ends_with("running_var") {
            parameter.value = parameter.value.scale(2.25).unwrap();
        }
    });
    let images = images(&cpu);
    let labels = IntTensor::from_slice(&cpu, &[0, 2]).unwrap();
    let mut pass = Pass::new(Mode::Train { seed: 1, step: 0 });
    let logits = network.forward(&Var::constant(images.clone()), &mut pass).unwrap();
    assert_eq!(logits.value().to_vec().unwrap(), network.predict(images).unwrap().to_vec().unwrap());
    let loss = pass.tape.cross_entropy(&logits, &labels).unwrap();
    let gradients = pass.backward(&loss).unwrap();
    assert!(gradients.statistics.is_empty());
    for (name, parameter) in network.named_parameters() {
        let is_trained = name.starts_with("local3") || name.starts_with("fc4");
        assert_eq!(gradients.get(parameter).is_some(), is_trained, "{name}");
    }
}

fn images<B: Backend>(device: &B) -> Tensor<B> {
    Tensor::normal(device, &[2, 8, 8, 3], 0.0, 1.0, Stream::new(1, purpose::USER, 0)).unwrap()
}
