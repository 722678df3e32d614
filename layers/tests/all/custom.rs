//! Kinds of layers that this crate does not have, in network files.

use alexnet_layers::model::{Custom, CustomLayer, CustomShape, register_layer, register_layer_for};
use alexnet_layers::ops::Stage;
use alexnet_layers::{
    Error, Init, LayerKind, Layout, Mode, Model, Module, Network, Parameter, ParameterSpec, Pass, Result, Var, summary,
};
use serde::{Deserialize, Serialize};
use tensor::random::{Stream, purpose};
use tensor::{Backend, Cpu, DryRun, IntTensor, Profiled, Tensor};

/// A linear layer on each pixel, then a ReLU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Pointwise {
    units: usize,
    #[serde(default = "unit_scale")]
    scale: f64,
}

fn unit_scale() -> f64 {
    1.0
}

impl CustomLayer for Pointwise {
    const KIND: &'static str = "pointwise";

    fn shape(&self, input: &[usize]) -> std::result::Result<CustomShape, String> {
        let &[height, width, channels] = input else { return Err(format!("needs a map, got {input:?}")) };
        let weight = ParameterSpec::new("weight", &[self.units, channels]).layout(Layout::Linear);
        let weight = weight.init(Init::HeNormal).fans([channels, self.units]);
        Ok(CustomShape {
            parameters: vec![weight],
            macs: (height * width * channels * self.units) as u64,
            ..CustomShape::new(&[height, width, self.units])
        })
    }

    fn forward<B: Backend>(&self, x: &Var<B>, parameters: &[Parameter<B>], pass: &mut Pass<B>) -> Result<Var<B>> {
        let &[n, height, width, channels] = x.shape() else { panic!("the shape rule takes maps only") };
        let weight = pass.parameter(&parameters[0]);
        let rows = pass.tape.reshape(x, &[n * height * width, channels])?;
        let rows = pass.tape.linear(&rows, &weight, None, &[Stage::Relu])?;
        let rows = pass.tape.scale(&rows, self.scale)?;
        pass.tape.reshape(&rows, &[n, height, width, self.units])
    }
}

/// Passes its input on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Identity;

impl CustomLayer for Identity {
    const KIND: &'static str = "identity";

    fn shape(&self, input: &[usize]) -> std::result::Result<CustomShape, String> {
        Ok(CustomShape::new(input))
    }

    fn forward<B: Backend>(&self, x: &Var<B>, _: &[Parameter<B>], _: &mut Pass<B>) -> Result<Var<B>> {
        Ok(x.clone())
    }
}

const LAYERS: &str = r#"
classes = 3
input.crop = 4
layer = [
    { name = "conv1", kind = "conv", filters = 2, kernel = 3 },
    { name = "mix", kind = "pointwise", export = "features.1", units = 5, scale = 0.5 },
    { name = "pool", kind = "global-average-pool" },
    { name = "same", kind = "identity" },
    { name = "fc", kind = "linear", units = "classes" },
]
"#;

fn model() -> Model {
    register_layer::<Pointwise>().unwrap();
    register_layer::<Identity>().unwrap();
    Model::parse(LAYERS, "own").unwrap()
}

fn images<B: Backend<Scalar = f32>>(device: &B) -> Tensor<B> {
    Tensor::normal(device, &[2, 4, 4, 3], 0.0, 1.0, Stream::new(1, purpose::USER, 0)).unwrap()
}

#[test]
fn own_kinds_are_read_summarised_and_written() {
    let model = model();
    let LayerKind::Custom(custom) = &model.layers[1].kind else { panic!("{:?}", model.layers[1]) };
    assert_eq!(custom.downcast_ref::<Pointwise>(), Some(&Pointwise { units: 5, scale: 0.5 }));
    assert!(custom.downcast_ref::<Identity>().is_none());
    assert_eq!(*custom, Custom::new(Pointwise { units: 5, scale: 0.5 }));
    assert_ne!(*custom, Custom::new(Pointwise { units: 5, scale: 1.0 }));
    assert_ne!(*custom, Custom::new(Identity));
    assert_eq!(Model::parse(&model.to_toml(), "again").unwrap().layers, model.layers);

    let shapes = model.shapes().unwrap();
    assert_eq!((shapes[1].kind, &shapes[1].output[..], shapes[1].macs), ("pointwise", &[2, 2, 5][..], 40));
    let weight = &shapes[1].parameters[0];
    assert_eq!((weight.name.as_str(), weight.export.as_str()), ("mix.weight", "features.1.weight"));
    assert_eq!((&shapes[2].output[..], &shapes[3].output[..]), (&[5][..], &[5][..]));
    let table = summary::table(&model, 1).unwrap();
    assert!(table.contains("pointwise") && table.contains("2 x 2 x 5"), "{table}");
    assert!(summary::keras(&model).unwrap().contains("lambda (Lambda)"));
    assert!(LayerKind::names().contains(&"pointwise"));
}

#[test]
fn own_kinds_run_and_have_gradients() {
    let cpu = Cpu::<f32>::new(1).unwrap();
    let network = Network::new(&cpu, &model(), 1).unwrap();
    let mut pass = Pass::new(Mode::Train { seed: 1, step: 0 });
    let logits = network.forward(&Var::constant(images(&cpu)), &mut pass).unwrap();
    assert_eq!(logits.shape(), [2, 3]);
    let loss = pass.tape.cross_entropy(&logits, &IntTensor::from_slice(&cpu, &[0, 2]).unwrap()).unwrap();
    let gradients = pass.backward(&loss).unwrap();
    for parameter in network.parameters() {
        assert!(gradients.get(parameter).is_some(), "{}", parameter.spec.name);
    }
    let map = network.activations(images(&cpu), "mix").unwrap();
    assert!(map.to_vec().unwrap().iter().all(|&v| v >= 0.0));

    // Profiles and predictions of memory run on wrapped devices.
    let profiled = Profiled::new(cpu.clone());
    let network = Network::new(&profiled, &model(), 1).unwrap();
    assert_eq!(network.predict(images(&profiled)).unwrap().shape(), [2, 3]);
    let dry = DryRun::new(cpu);
    let network = Network::new(&dry, &model(), 1).unwrap();
    assert_eq!(network.predict(images(&dry)).unwrap().shape(), [2, 3]);
}

#[test]
fn a_kind_is_needed_for_the_backend() {
    let model = model();
    let device = Profiled::new(Profiled::new(Cpu::<f32>::new(1).unwrap()));
    let error = Network::new(&device, &model, 1).unwrap_err().to_string();
    assert!(error.contains("\"mix\"") && error.contains("pointwise") && error.contains("Profiled<"), "{error}");
    register_layer_for::<Pointwise, Profiled<Cpu<f32>>>().unwrap();
    register_layer_for::<Identity, Profiled<Cpu<f32>>>().unwrap();
    Network::new(&device, &model, 1).unwrap();
}

#[test]
fn refusals_name_the_layer_and_near_misses() {
    model();
    let refusal = |from: &str, to: &str| {
        assert!(LAYERS.contains(from));
        Model::parse(&LAYERS.replace(from, to), "own").unwrap_err().to_string()
    };
    for (from, to, parts) in [
        ("\"pointwise\"", "\"pointwize\"", &["\"mix\"", "did you mean \"pointwise\"", "softmax, ", "identity"][..]),
        ("units = 5", "unit = 5", &["\"mix\"", "unknown key \"unit\"", "did you mean \"units\""]),
        ("units = 5, ", "", &["\"mix\"", "\"units\" is missing"]),
        ("units = 5", "units = \"five\"", &["\"mix\"", "\"units\" must be", "\"five\""]),
        ("units = 5", "units = 0", &["\"mix\"", "[2, 2, 0]"]),
        ("\"identity\"", "\"pointwise\", units = 2", &["\"same\"", "needs a map, got [5]"]),
    ] {
        let error = refusal(from, to);
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Conv;

impl CustomLayer for Conv {
    const KIND: &'static str = "conv";

    fn shape(&self, input: &[usize]) -> std::result::Result<CustomShape, String> {
        Ok(CustomShape::new(input))
    }

    fn forward<B: Backend>(&self, x: &Var<B>, _: &[Parameter<B>], _: &mut Pass<B>) -> Result<Var<B>> {
        Ok(x.clone())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OtherIdentity;

impl CustomLayer for OtherIdentity {
    const KIND: &'static str = "identity";

    fn shape(&self, input: &[usize]) -> std::result::Result<CustomShape, String> {
        Ok(CustomShape::new(input))
    }

    fn forward<B: Backend>(&self, x: &Var<B>, _: &[Parameter<B>], _: &mut Pass<B>) -> Result<Var<B>> {
        Ok(x.clone())
    }
}

#[test]
fn a_kind_has_one_type() {
    model();
    register_layer::<Identity>().unwrap();
    for error in [register_layer::<Conv>().unwrap_err(), register_layer::<OtherIdentity>().unwrap_err()] {
        assert!(matches!(error, Error::Model { .. }), "{error}");
        assert!(error.to_string().contains("cannot be registered"), "{error}");
    }
    assert!(Model::preset("paper").is_ok());
}

/// The average of a map is the average of its flattened rows.
#[test]
fn a_global_average_pool_averages_each_channel() {
    let cpu = Cpu::<f32>::new(1).unwrap();
    let network = Network::new(&cpu, &model(), 1).unwrap();
    let map = network.activations(images(&cpu), "mix").unwrap().to_vec().unwrap();
    let pooled = network.activations(images(&cpu), "pool").unwrap();
    assert_eq!(pooled.shape(), [2, 5]);
    for (i, mean) in pooled.to_vec().unwrap().into_iter().enumerate() {
        let pixels = (0..4).map(|pixel| map[i / 5 * 20 + pixel * 5 + i % 5]);
        assert!((mean - pixels.sum::<f32>() / 4.0).abs() < 1e-6);
    }
}
