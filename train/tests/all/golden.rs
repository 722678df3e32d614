//! Ten training steps of two small networks against PyTorch and Keras: `tests/golden/training.safetensors`, made by
//! `tests/golden/make.py`. The losses, and all weights after each step, are compared in f64 and, in f32, through
//! [`step`](alexnet_train::step::step).

use std::collections::BTreeMap;
use std::path::Path;

use alexnet_train::step::{StepOptions, step};
use layers::model::Model;
use layers::{Mode, Module, Network, Pass, Var};
use ndarray::{Array4, ArrayD, Axis, Ix4, IxDyn, Slice};
use optim::{Adam, Optimizer, Rule, Sgd, Update};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tensor::{Cpu, Element, IntTensor, Tensor};

const BATCH: usize = 4;
const STEPS: usize = 10;

struct Goldens(BTreeMap<String, ArrayD<f64>>);

impl Goldens {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/training.safetensors");
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        Self(file.iter().map(|(name, view)| (name.to_string(), array(&view))).collect())
    }

    fn get(&self, name: &str) -> &ArrayD<f64> {
        self.0.get(name).unwrap_or_else(|| panic!("no {name} in the file"))
    }

    /// Images and labels of a step: batches in order, repeated.
    fn batch(&self, step: usize) -> (Array4<f64>, Vec<u32>) {
        let images = self.get("pictures");
        let labels = self.get("labels");
        let start = step * BATCH % images.len_of(Axis(0));
        let rows = Slice::from(start..start + BATCH);
        let images = images.slice_axis(Axis(0), rows).to_owned().into_dimensionality::<Ix4>().unwrap();
        (images, labels.slice_axis(Axis(0), rows).iter().map(|&label| label as u32).collect())
    }
}

fn array(view: &TensorView) -> ArrayD<f64> {
    let values: Vec<f64> = match view.dtype() {
        Dtype::F64 => view.data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
        Dtype::F32 => view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect(),
        Dtype::U32 => view.data().chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap()).into()).collect(),
        other => panic!("the script writes no {other:?}"),
    };
    ArrayD::from_shape_vec(IxDyn(view.shape()), values).unwrap()
}

/// The network of `tests/golden/NAME.toml` with the first weights of the file.
fn network<E: Element>(goldens: &Goldens, name: &str) -> Network<Cpu<E>> {
    let text = match name {
        "paper" => include_str!("../golden/paper.toml"),
        _ => include_str!("../golden/keras.toml"),
    };
    let device = Cpu::new(2).unwrap();
    let mut network = Network::new(&device, &Model::parse(text, name).unwrap(), 1).unwrap();
    for parameter in network.parameters_mut() {
        let values = goldens.get(&format!("{name}/0/{}", parameter.spec.name)).mapv(E::of);
        assert_eq!(values.shape(), parameter.spec.shape, "{}", parameter.spec.name);
        parameter.value = Tensor::from_array(&device, &values).unwrap();
    }
    network
}

/// The same step as the crate's, in any precision.
fn any_step<E: Element>(
    network: &mut Network<Cpu<E>>,
    optimizer: &mut Optimizer<Cpu<E>>,
    images: &Array4<f64>,
    labels: &[u32],
    rate: f64,
) -> f64 {
    let device = network.device().clone();
    let images = Tensor::from_array(&device, images.mapv(E::of).view().into_dyn()).unwrap();
    let labels = IntTensor::from_slice(&device, labels).unwrap();
    let mut pass = Pass::new(Mode::Train { seed: 1, step: 0 });
    let logits = network.forward(&Var::constant(images), &mut pass).unwrap();
    let loss = pass.tape.cross_entropy(&logits, &labels).unwrap();
    let gradients = pass.backward(&loss).unwrap();
    let updates = network.parameters_mut().iter_mut().map(|parameter| Update {
        gradient: gradients.get(parameter).unwrap(),
        name: &parameter.spec.name,
        value: &mut parameter.value,
        lr_mult: parameter.spec.rate,
        decay_mult: parameter.spec.decay,
    });
    optimizer.step(rate, updates.collect()).unwrap();
    loss.value().scalar().unwrap()
}

/// Compares the losses and, after each step, all weights. `limit` is a fraction of the largest value of a tensor.
fn follow<E: Element>(
    name: &str,
    rule: impl Into<Rule>,
    limit: f64,
    mut step: impl FnMut(&mut Network<Cpu<E>>, &mut Optimizer<Cpu<E>>, usize, (Array4<f64>, Vec<u32>), f64) -> f64,
) {
    let goldens = Goldens::read();
    let mut network = network::<E>(&goldens, name);
    let mut optimizer = Optimizer::new(rule.into()).unwrap();
    let losses = goldens.get(&format!("{name}/loss"));
    let rates = goldens.get(&format!("{name}/rate"));
    assert_eq!(losses.shape(), [STEPS]);
    for i in 0..STEPS {
        let loss = step(&mut network, &mut optimizer, i, goldens.batch(i), rates[i]);
        let error = (loss - losses[i]).abs() / losses[i];
        assert!(error <= limit, "{name}, step {}: loss {loss}, not {}", i + 1, losses[i]);
        for parameter in network.parameters() {
            let key = format!("{name}/{}/{}", i + 1, parameter.spec.name);
            let error = relative_error(&parameter.value, goldens.get(&key));
            assert!(error <= limit, "{key}: relative error {error:e}, at most {limit:e} expected");
        }
    }
}

fn relative_error<E: Element>(got: &Tensor<Cpu<E>>, expected: &ArrayD<f64>) -> f64 {
    let got = got.to_array().unwrap();
    assert_eq!(got.shape(), expected.shape());
    let largest = expected.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    let errors = got.iter().zip(expected).map(|(g, e)| (g.f64() - e).abs() / largest);
    errors.fold(0.0, |most, error| if error > most || error.is_nan() { error } else { most })
}

/// Keras adds epsilon before the bias correction.
fn keras_adam() -> Adam {
    Adam { epsilon: 1e-7, epsilon_hat: true, ..Adam::default() }
}

fn follow_in_f64(name: &str, rule: impl Into<Rule>) {
    follow::<f64>(name, rule, 1e-12, |network, optimizer, _, (images, labels), rate| {
        any_step(network, optimizer, &images, &labels, rate)
    });
}

fn follow_through_the_crate(name: &str, rule: impl Into<Rule>) {
    follow::<f32>(name, rule, 1e-5, |network, optimizer, i, (images, labels), rate| {
        let images = Tensor::from_array(network.device(), images.mapv(|v| v as f32).view().into_dyn()).unwrap();
        let options = StepOptions { seed: 1, step: i as u64, learning_rate: rate, require_finite_loss: true };
        step(network, optimizer, images, &labels, options).unwrap().read().unwrap().loss
    });
}

#[test]
fn sgd_follows_the_paper_in_f64() {
    follow_in_f64("paper", Sgd::default());
}

#[test]
fn sgd_follows_the_paper_in_f32() {
    follow_through_the_crate("paper", Sgd::default());
}

#[test]
fn adam_follows_keras_in_f64() {
    follow_in_f64("keras", keras_adam());
}

#[test]
fn adam_follows_keras_in_f32() {
    follow_through_the_crate("keras", keras_adam());
}
