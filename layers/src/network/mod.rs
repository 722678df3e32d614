//! A model with parameters, ready to run.

mod compile;
mod parameters;

use tensor::ops::BatchStatistics;
use tensor::random::{Stream, purpose};
use tensor::{Backend, Tensor};

use crate::model::{Model, Parameter};
use crate::{Error, Result, Tape, Var};
use compile::{Node, Operation, compile};

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

/// The result of a forward pass.
pub struct Pass<B: Backend> {
    /// The network's output before the softmax, `[n, classes]`.
    pub logits: Var<B>,
    /// Each of [`Network::parameters`] on the tape; none for those without a gradient: running statistics, and parameters
    /// whose learning rate is 0.
    pub parameters: Vec<Option<Var<B>>>,
    /// New running statistics, by index in [`Network::parameters`], for the training step to store there.
    pub statistics: Vec<(usize, Tensor<B>)>,
}

/// A network on a device.
#[derive(Clone, Debug)]
pub struct Network<B: Backend> {
    device: B,
    model: Model,
    nodes: Vec<Node>,
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
        Self::from_parts(device, model, parameters)
    }

    fn from_parts(device: &B, model: &Model, parameters: Vec<Parameter<B>>) -> Result<Self> {
        let nodes = compile(model, model.layers.len())?;
        Ok(Self { device: device.clone(), model: model.clone(), nodes, parameters })
    }

    /// The device that holds the parameters.
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
        self.run(tape, images, mode, &self.nodes)
    }

    /// Logits `[n, classes]` of images, in use.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn predict(&self, images: Tensor<B>) -> Result<Tensor<B>> {
        Ok(self.forward(&mut Tape::inference(), images, Mode::Test)?.logits.into_value())
    }

    /// The output of the layer of this name, in use: of a convolution the values before the ReLU that follows.
    ///
    /// # Errors
    /// [`Error::Model`] if there is no such layer, else as [`forward`](Self::forward).
    pub fn activations(&self, images: Tensor<B>, layer: &str) -> Result<Tensor<B>> {
        let nodes = compile(&self.model, self.model.find_layer(layer)? + 1)?;
        Ok(self.run(&mut Tape::inference(), images, Mode::Test, &nodes)?.logits.into_value())
    }

    /// Runs nodes; the `logits` are the output of the last one.
    fn run(&self, tape: &mut Tape<B>, images: Tensor<B>, mode: Mode, nodes: &[Node]) -> Result<Pass<B>> {
        self.check_images(&images)?;
        let parameters: Vec<Var<B>> = self
            .parameters
            .iter()
            .map(|p| if is_trainable(p) { tape.parameter(p.value.clone()) } else { Var::constant(p.value.clone()) })
            .collect();
        let mut executor = Executor { network: self, tape, mode, parameters, statistics: Vec::new() };
        let mut x = Var::constant(images);
        for node in nodes {
            let layer = &self.model.layers[node.layer].name;
            executor.tape.set_scope(&self.device, layer);
            x = executor.node(&x, node).map_err(|e| Error::Layer { layer: layer.clone(), source: Box::new(e) })?;
        }
        executor.tape.set_scope(&self.device, "");
        let Executor { parameters, statistics, .. } = executor;
        let parameters =
            parameters.into_iter().zip(&self.parameters).map(|(var, p)| is_trainable(p).then_some(var)).collect();
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

/// Whether gradient descent changes a parameter; no gradient is computed for a frozen one.
fn is_trainable<B: Backend>(parameter: &Parameter<B>) -> bool {
    parameter.spec.trained && parameter.spec.rate > 0.0
}

/// Runs the nodes of one forward pass.
struct Executor<'a, B: Backend> {
    network: &'a Network<B>,
    tape: &'a mut Tape<B>,
    mode: Mode,
    parameters: Vec<Var<B>>,
    statistics: Vec<(usize, Tensor<B>)>,
}

impl<B: Backend> Executor<'_, B> {
    fn node(&mut self, x: &Var<B>, node: &Node) -> Result<Var<B>> {
        let first = node.parameter;
        let w = self.parameters.get(first);
        let b = self.parameters.get(first + 1).filter(|_| node.bias);
        let missing = || Error::Tape { op: "network", what: "the layer's parameters are missing".into() };
        match &node.operation {
            Operation::Conv(spec) => self.tape.conv2d(x, w.ok_or_else(missing)?, b, spec, &node.stages),
            Operation::Local(spec) => self.tape.local2d(x, w.ok_or_else(missing)?, b, spec, &node.stages),
            Operation::Linear => {
                let rows = if x.shape().len() == 2 { x.clone() } else { self.tape.flatten(x)? };
                self.tape.linear(&rows, w.ok_or_else(missing)?, b, &node.stages)
            }
            Operation::Activation(f) => self.tape.activation(x, *f),
            Operation::Stages => self.tape.stages(x, &node.stages),
            Operation::AveragePool(spec) => self.tape.pool(x, spec),
            Operation::Dropout(spec) => match self.mode {
                Mode::Train { seed, step } if spec.p > 0.0 => {
                    let stream = Stream::new(seed, purpose::DROPOUT + node.layer as u32, step);
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
