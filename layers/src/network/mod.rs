//! A model with parameters, ready to run.

mod parameters;
mod plan;

use tensor::ops::BatchStatistics;
use tensor::random::{Stream, purpose};
use tensor::{Backend, Tensor};

use crate::model::{Model, Parameter};
use crate::{Error, Result, Tape, Var};
use plan::{Operation, Step};

/// Whether a pass is for training or for use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Dropout drops, batch norms use the batch's own statistics.
    Train {
        /// The run's seed.
        seed: u64,
        /// The training step; with the seed it decides what is dropped.
        step: u64,
    },
    /// Nothing is random, batch norms use their running statistics.
    Test,
}

/// What a forward pass gives.
pub struct Pass<B: Backend> {
    /// The network's output before the softmax, `[n, classes]`.
    pub logits: Var<B>,
    /// For each of [`Network::parameters`], its place on the tape; none where no gradient is wanted: running
    /// statistics, and parameters whose rate is 0.
    pub parameters: Vec<Option<Var<B>>>,
    /// New running statistics, by place in [`Network::parameters`]: what a training step stores there.
    pub statistics: Vec<(usize, Tensor<B>)>,
}

/// A network on a device.
#[derive(Clone, Debug)]
pub struct Network<B: Backend> {
    device: B,
    model: Model,
    parameters: Vec<Parameter<B>>,
}

impl<B: Backend> Network<B> {
    /// The network of a model, its parameters drawn from their initial distributions: parameter number i from a stream
    /// of its own, so that the same seed gives the same network on every device.
    ///
    /// # Errors
    /// [`Error::Model`] if the layers do not fit each other; those of the device.
    pub fn new(device: &B, model: &Model, seed: u64) -> Result<Self> {
        let draw = |(number, spec): (usize, crate::model::ParameterSpec)| {
            let stream = Stream::new(seed, purpose::INIT + number as u32, 0);
            let value = spec.init.tensor(device, &spec.shape, spec.fans, stream)?;
            Ok(Parameter { spec, value })
        };
        let parameters = model.parameters()?.into_iter().enumerate().map(draw).collect::<Result<_>>()?;
        Ok(Self { device: device.clone(), model: model.clone(), parameters })
    }

    /// Where the parameters are.
    pub fn device(&self) -> &B {
        &self.device
    }

    /// The layers.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// All parameters, in the order of [`Model::parameters`].
    pub fn parameters(&self) -> &[Parameter<B>] {
        &self.parameters
    }

    /// All parameters, to be changed; their shapes must stay.
    pub fn parameters_mut(&mut self) -> &mut [Parameter<B>] {
        &mut self.parameters
    }

    /// Runs the network on images `[n, crop, crop, 3]` that are prepared as [`Model::input`] says.
    ///
    /// # Errors
    /// [`tensor::Error::Shape`] for images of another shape; [`Error::Layer`] with the layer at which a kernel failed.
    pub fn forward(&self, tape: &mut Tape<B>, images: Tensor<B>, mode: Mode) -> Result<Pass<B>> {
        self.run(tape, images, mode, self.model.layers.len())
    }

    /// Logits `[n, classes]` of images, in use.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn predict(&self, images: Tensor<B>) -> Result<Tensor<B>> {
        Ok(self.forward(&mut Tape::inference(), images, Mode::Test)?.logits.into_value())
    }

    /// The output of the layer of this name, in use. A convolution's is what it gives before the ReLU that follows.
    ///
    /// # Errors
    /// [`Error::Model`] if there is no such layer, else as [`forward`](Self::forward).
    pub fn activations(&self, images: Tensor<B>, layer: &str) -> Result<Tensor<B>> {
        let upto = self.model.find_layer(layer)? + 1;
        Ok(self.run(&mut Tape::inference(), images, Mode::Test, upto)?.logits.into_value())
    }

    /// Runs the first `upto` layers; the pass's `logits` are the last one's output.
    fn run(&self, tape: &mut Tape<B>, images: Tensor<B>, mode: Mode, upto: usize) -> Result<Pass<B>> {
        self.check_images(&images)?;
        let parameters: Vec<Var<B>> = self
            .parameters
            .iter()
            .map(|p| if learns(p) { tape.parameter(p.value.clone()) } else { Var::constant(p.value.clone()) })
            .collect();
        let mut pass = Run { network: self, tape, mode, parameters, statistics: Vec::new() };
        let mut x = Var::constant(images);
        for step in plan::steps(&self.model, upto)? {
            let layer = &self.model.layers[step.layer].name;
            pass.tape.set_scope(&self.device, layer);
            x = pass.step(&x, &step).map_err(|e| Error::Layer { layer: layer.clone(), source: Box::new(e) })?;
        }
        pass.tape.set_scope(&self.device, "");
        let Run { parameters, statistics, .. } = pass;
        let parameters =
            parameters.into_iter().zip(&self.parameters).map(|(var, p)| learns(p).then_some(var)).collect();
        Ok(Pass { logits: x, parameters, statistics })
    }

    fn check_images(&self, images: &Tensor<B>) -> Result<()> {
        let crop = self.model.input.crop;
        match images.shape() {
            [n, rest @ ..] if *n > 0 && rest == [crop, crop, 3] => Ok(()),
            other => {
                let expected = format!("images [n, {crop}, {crop}, 3] for the network {:?}", self.model.name);
                Err(tensor::Error::Shape { op: "forward", expected, got: other.to_vec() }.into())
            }
        }
    }
}

/// Whether gradient descent can change a parameter: nothing is computed for one that is frozen.
fn learns<B: Backend>(parameter: &Parameter<B>) -> bool {
    parameter.spec.trained && parameter.spec.rate > 0.0
}

/// A pass under way.
struct Run<'a, B: Backend> {
    network: &'a Network<B>,
    tape: &'a mut Tape<B>,
    mode: Mode,
    parameters: Vec<Var<B>>,
    statistics: Vec<(usize, Tensor<B>)>,
}

impl<B: Backend> Run<'_, B> {
    fn step(&mut self, x: &Var<B>, step: &Step) -> Result<Var<B>> {
        let first = step.parameter;
        let has_bias = step.bias;
        let w = self.parameters.get(first);
        let b = self.parameters.get(first + 1).filter(|_| has_bias);
        let needs = || Error::Tape { op: "network", what: "the layer's parameters are missing".into() };
        match &step.operation {
            Operation::Conv(spec) => self.tape.conv2d(x, w.ok_or_else(needs)?, b, spec),
            Operation::ConvMaxPool(conv, pool) => {
                self.tape.conv2d_relu_max_pool(x, w.ok_or_else(needs)?, b, conv, pool)
            }
            Operation::ConvLrnMaxPool(conv, lrn, pool) => {
                self.tape.conv2d_relu_lrn_max_pool(x, w.ok_or_else(needs)?, b, conv, (lrn, pool))
            }
            Operation::Local(spec) => self.tape.local2d(x, w.ok_or_else(needs)?, b, spec),
            Operation::Linear { relu } => {
                let rows = if x.shape().len() == 2 { x.clone() } else { self.tape.flatten(x)? };
                self.tape.linear(&rows, w.ok_or_else(needs)?, b, *relu)
            }
            Operation::Activation(f) => self.tape.activation(x, *f),
            Operation::Lrn(spec) => self.tape.lrn(x, spec),
            Operation::LrnMaxPool(lrn, pool) => self.tape.lrn_max_pool(x, lrn, pool),
            Operation::Pool(spec) => self.tape.pool(x, spec),
            Operation::Dropout(spec) => match self.mode {
                Mode::Train { seed, step: number } if spec.p > 0.0 => {
                    let stream = Stream::new(seed, purpose::DROPOUT + step.layer as u32, number);
                    self.tape.dropout(x, spec, stream)
                }
                Mode::Test if spec.test_factor() != 1.0 => self.tape.scale(x, spec.test_factor()),
                _ => Ok(x.clone()),
            },
            Operation::BatchNorm { epsilon, momentum } => self.batch_norm(x, first, *epsilon, *momentum),
            Operation::Flatten => self.tape.flatten(x),
        }
    }

    /// A batch norm's parameters are scale, shift, running mean and running variance from `first` on.
    fn batch_norm(&mut self, x: &Var<B>, first: usize, epsilon: f64, momentum: f64) -> Result<Var<B>> {
        let [gamma, beta, mean, variance] = &self.parameters[first..first + 4] else {
            return Err(Error::Tape { op: "batch norm", what: "the layer's parameters are missing".into() });
        };
        if self.mode == Mode::Test {
            let running = BatchStatistics { mean: mean.value().clone(), variance: variance.value().clone() };
            return self.tape.batch_norm_with(x, gamma, beta, &running, epsilon);
        }
        let (y, batch) = self.tape.batch_norm(x, gamma, beta, epsilon)?;
        // As PyTorch has it: the running variance is that of the population, the batch's own that of the sample.
        let rows = (x.value().len() / batch.mean.len().max(1)) as f64;
        let old = &self.network.parameters[first + 2..first + 4];
        for (i, (new, factor)) in [(batch.mean, 1.0), (batch.variance, rows / (rows - 1.0))].into_iter().enumerate() {
            let mut running = old[i].value.scale(1.0 - momentum)?;
            running.add_scaled(momentum * factor, &new)?;
            self.statistics.push((first + 2 + i, running));
        }
        Ok(y)
    }
}
