//! A small module, batches and a loss for tests of training loops.

use alexnet_train::layers::{Init, Layout, Parameter, ParameterSpec, Pass, Result as LayersResult, Var, parameters};
use alexnet_train::optim::{Adam, Optimizer, Rule, Schedule, ScheduleRule, Sgd};
use alexnet_train::tensor::ops::Activation;
use alexnet_train::tensor::random::{Stream, purpose};
use alexnet_train::tensor::{Backend, Cpu, Tensor};
use alexnet_train::{BatchLoss, Batches, Learner, Result};

pub type OnCpu = Cpu<f32>;

/// Two linear layers with a ReLU and dropout between, and a running statistic.
#[derive(Clone)]
pub struct Small<B: Backend> {
    pub first: Parameter<B>,
    pub second: Parameter<B>,
    pub bias: Parameter<B>,
    pub mean: Parameter<B>,
}

parameters! { Small { first, second, bias, mean } }

impl Small<OnCpu> {
    pub fn new(seed: u64) -> Self {
        let cpu = OnCpu::new(1).unwrap();
        let weight = |name: &str, shape: &[usize], number: u32| {
            let spec = ParameterSpec::new(name, shape).layout(Layout::Linear).init(Init::HeNormal);
            Parameter::draw(&cpu, spec.fans([shape[1], shape[0]]), Stream::new(seed, purpose::INIT + number, 0))
                .unwrap()
        };
        let bias = ParameterSpec::new("bias", &[2]).multipliers(2.0, 0.0);
        let mean = ParameterSpec::new("mean", &[1]).statistic();
        Self {
            first: weight("first", &[5, 3], 0),
            second: weight("second", &[2, 5], 1),
            bias: Parameter::new(bias, Tensor::zeros(&cpu, &[2]).unwrap()),
            mean: Parameter::new(mean, Tensor::zeros(&cpu, &[1]).unwrap()),
        }
    }

    pub fn bits(&self) -> Vec<Vec<u32>> {
        let of = |p: &Parameter<OnCpu>| p.value.to_vec().unwrap().into_iter().map(f32::to_bits).collect();
        [&self.first, &self.second, &self.bias, &self.mean].map(of).to_vec()
    }
}

impl<B: Backend> Small<B> {
    fn forward(&self, x: &Var<B>, pass: &mut Pass<B>) -> LayersResult<Var<B>> {
        let first = pass.parameter(&self.first);
        let hidden = pass.tape.linear(x, &first, None, &[])?;
        let mut hidden = pass.tape.activation(&hidden, Activation::Relu)?;
        if let Some(stream) = pass.dropout_stream() {
            // A mask from the stream, so that a resume must number its steps as before.
            let mask: Vec<B::Scalar> = (0..hidden.value().len() as u64)
                .map(|i| alexnet_train::tensor::Element::of(if stream.uniform(i) < 0.25 { 0.0 } else { 1.0 }))
                .collect();
            let mask = Tensor::from_slice(hidden.value().device(), hidden.shape(), &mask)?;
            hidden = pass.tape.multiply(&hidden, &Var::constant(mask))?;
            let mut mean = pass.statistic(&self.mean).clone();
            mean.add_scaled(0.1, &hidden.value().mean()?)?;
            pass.set_statistic(&self.mean, mean);
        }
        let second = pass.parameter(&self.second);
        let bias = pass.parameter(&self.bias);
        pass.tape.linear(&hidden, &second, Some(&bias), &[])
    }
}

/// Rows of three values with a label each. The length and values of a batch follow from epoch and number.
pub struct Rows {
    pub batches: usize,
}

/// The batch of an epoch and a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub epoch: u64,
    pub number: usize,
    pub values: Vec<f32>,
    pub labels: Vec<u32>,
}

impl Rows {
    pub fn batch(&self, epoch: u64, number: usize) -> Row {
        let stream = Stream::new(9, purpose::USER, epoch * 1000 + number as u64);
        let rows = 1 + (epoch as usize + 2 * number) % 4;
        let values: Vec<f32> = (0..3 * rows as u64).map(|i| stream.normal(i) as f32).collect();
        let labels = values.chunks(3).map(|row| u32::from(row[0] + row[1] > 0.0)).collect();
        Row { epoch, number, values, labels }
    }
}

impl Batches for Rows {
    type Batch = Row;

    fn batches_per_epoch(&self) -> usize {
        self.batches
    }

    fn batches(&self, epoch: u64, first: usize) -> impl Iterator<Item = Result<Row>> {
        (first..self.batches).map(move |number| Ok(self.batch(epoch, number)))
    }
}

/// Cross-entropy, the number of wrong rows, and the mean of the logits.
pub fn loss(module: &Small<OnCpu>, row: Row, pass: &mut Pass<OnCpu>) -> Result<BatchLoss<OnCpu>> {
    let device = module.first.value.device();
    let x = Tensor::from_slice(device, &[row.labels.len(), 3], &row.values)?;
    let logits = module.forward(&Var::constant(x), pass)?;
    let mean = pass.tape.mean(&logits)?;
    Ok(BatchLoss::cross_entropy(&logits, &row.labels, pass)?.with_mean("logit", &mean))
}

pub fn rule(adam: bool) -> Rule {
    if adam { Rule::Adam(Adam { weight_decay: 1e-3, ..Adam::default() }) } else { Rule::Sgd(Sgd::default()) }
}

/// A learner of [`Small`] with a rate that falls in each epoch.
pub fn learner(adam: bool, epochs: u64) -> Learner<OnCpu, Small<OnCpu>> {
    let schedule = Schedule::new(ScheduleRule::Exponential { gamma: 0.7 }).unwrap();
    let optimizer = Optimizer::new(rule(adam)).unwrap();
    Learner::new(Small::new(3), optimizer).unwrap().learning_rate(0.05).schedule(schedule).epochs(epochs).seed(4)
}
