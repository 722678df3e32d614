//! A model with parameters, ready to run.

mod compile;
mod parameters;

use tensor::random::{Stream, purpose};
use tensor::{Backend, Tensor};

use crate::model::{ForwardContext, LayerPosition, LayerShape, Model, Parameter};
use crate::ops::Stage;
use crate::{Error, Result, Tape, Var};
use compile::{Node, compile};

/// Training or test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Dropout sets values to 0, and batch norms use the statistics of the batch.
    Train {
        /// The run's seed.
        seed: u64,
        /// The training step. Seed and step decide which values dropout sets to 0.
        step: u64,
    },
    /// Nothing is random, and batch norms use their running statistics.
    Test,
}

/// The result of a forward pass.
pub struct ForwardOutput<B: Backend> {
    /// The network's output before the softmax, `[n, classes]`.
    pub logits: Var<B>,
    /// Each of [`Network::parameters`] on the tape. None for parameters without a gradient: running statistics, and
    /// parameters whose learning rate is 0.
    pub parameters: Vec<Option<Var<B>>>,
    /// New running statistics, by index in [`Network::parameters`]. The training step stores them there.
    pub statistics: Vec<(usize, Tensor<B>)>,
}

/// A network on a device.
#[derive(Clone, Debug)]
pub struct Network<B: Backend> {
    device: B,
    model: Model,
    shapes: Vec<LayerShape>,
    nodes: Vec<Node>,
    parameters: Vec<Parameter<B>>,
}

impl<B: Backend> Network<B> {
    /// The network of a model, with parameters drawn from their initial distributions. Each parameter has a random stream
    /// of its own, so the same seed gives the same network on every device.
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
        let shapes = model.shapes()?;
        let nodes = compile(model, &shapes, model.layers.len());
        Ok(Self { device: device.clone(), model: model.clone(), shapes, nodes, parameters })
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

    /// All parameters, to be changed. Their shapes must stay the same.
    pub fn parameters_mut(&mut self) -> &mut [Parameter<B>] {
        &mut self.parameters
    }

    /// Runs the network on images `[n, crop, crop, 3]` that are normalised as [`Model::input`] says.
    ///
    /// # Errors
    /// [`tensor::Error::Shape`] for images of another shape; [`Error::Layer`] with the layer in which a kernel failed.
    pub fn forward(&self, tape: &mut Tape<B>, images: Tensor<B>, mode: Mode) -> Result<ForwardOutput<B>> {
        self.run(tape, images, mode, &self.nodes)
    }

    /// Logits `[n, classes]` of images, in test mode.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn predict(&self, images: Tensor<B>) -> Result<Tensor<B>> {
        Ok(self.forward(&mut Tape::inference(), images, Mode::Test)?.logits.into_value())
    }

    /// The output of the layer of this name, in test mode. For a convolution these are the values before the ReLU that
    /// follows it.
    ///
    /// # Errors
    /// [`Error::Model`] if there is no such layer, else as [`forward`](Self::forward).
    pub fn activations(&self, images: Tensor<B>, layer: &str) -> Result<Tensor<B>> {
        let nodes = compile(&self.model, &self.shapes, self.model.find_layer(layer)? + 1);
        Ok(self.run(&mut Tape::inference(), images, Mode::Test, &nodes)?.logits.into_value())
    }

    /// Runs nodes; the `logits` are the output of the last one.
    fn run(&self, tape: &mut Tape<B>, images: Tensor<B>, mode: Mode, nodes: &[Node]) -> Result<ForwardOutput<B>> {
        self.check_images(&images)?;
        let parameters: Vec<Var<B>> = self
            .parameters
            .iter()
            .map(|p| if is_trainable(p) { tape.parameter(p.value.clone()) } else { Var::constant(p.value.clone()) })
            .collect();
        let mut statistics = Vec::new();
        let mut x = Var::constant(images);
        for node in nodes {
            let layer = &self.model.layers[node.layers.start];
            tape.set_scope(&self.device, &layer.name);
            let mut context = ForwardContext {
                tape,
                position: self.position(node.layers.start, mode),
                parameters: parameters.get(node.parameters.clone()).unwrap_or_default(),
                stages: &self.epilogue(node, mode),
                statistics: Vec::new(),
            };
            let y = layer.kind.forward(&x, &mut context);
            x = y.map_err(|e| Error::Layer { layer: layer.name.clone(), source: Box::new(e) })?;
            let first = node.parameters.start;
            statistics.extend(context.statistics.into_iter().map(|(number, value)| (first + number, value)));
        }
        tape.set_scope(&self.device, "");
        let parameters =
            parameters.into_iter().zip(&self.parameters).map(|(var, p)| is_trainable(p).then_some(var)).collect();
        Ok(ForwardOutput { logits: x, parameters, statistics })
    }

    fn position(&self, layer: usize, mode: Mode) -> LayerPosition<'_> {
        LayerPosition { number: layer, input: &self.shapes[layer].input, mode }
    }

    /// The stages after a node's first layer.
    fn epilogue(&self, node: &Node, mode: Mode) -> Vec<Stage> {
        let stage = |layer: usize| self.model.layers[layer].kind.as_layer().stage(&self.position(layer, mode));
        node.layers.clone().skip(1).filter_map(stage).collect()
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
