//! A model with parameters, ready to run.

mod compile;
mod dense;
mod parameters;

use tensor::{Backend, Tensor};

use crate::model::{ForwardContext, LayerPosition, LayerShape, Model};
use crate::module::join;
use crate::nn::Initializer;
use crate::ops::Stage;
use crate::{Error, Module, Parameter, Parameters, Pass, Result, Var};
use compile::{Node, compile};

/// Training or test.
///
/// ```
/// use alexnet_layers::{Mode, Pass, tensor::Cpu};
///
/// let mut pass = Pass::<Cpu<f32>>::new(Mode::Train { seed: 1, step: 0 });
/// assert!(pass.dropout_stream().is_some());
/// assert!(Pass::<Cpu<f32>>::new(Mode::Test).dropout_stream().is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

/// A network on a device: a [`Module`] that follows from a [`Model`].
///
/// ```
/// use alexnet_layers::tensor::{Cpu, Tensor};
/// use alexnet_layers::{Model, Network};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let network = Network::new(&cpu, &Model::preset("cifar-18pct")?, 1)?;
/// let logits = network.predict(Tensor::zeros(&cpu, &[4, 32, 32, 3])?)?;
/// assert_eq!(logits.shape(), [4, 10]);
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
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
        let mut init = Initializer::new(device, seed);
        let parameters = model.parameters()?.into_iter().map(|spec| init.parameter(spec)).collect::<Result<_>>()?;
        Self::from_parts(device, model, parameters)
    }

    fn from_parts(device: &B, model: &Model, parameters: Vec<Parameter<B>>) -> Result<Self> {
        for layer in &model.layers {
            layer.kind.check_backend::<B>().map_err(|what| model.error(Some(&layer.name), what))?;
        }
        let shapes = model.shapes()?;
        let nodes = compile(model, &shapes, 0..model.layers.len());
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

    /// Logits `[n, classes]` of images, in test mode.
    ///
    /// # Errors
    /// [`tensor::Error::Shape`] for images of another shape; [`Error::Layer`] with the layer in which a kernel failed.
    pub fn predict(&self, images: Tensor<B>) -> Result<Tensor<B>> {
        Ok(self.run(Var::constant(images), &mut Pass::new(Mode::Test), &self.nodes)?.into_value())
    }

    /// The output of the layer of this name, in test mode. Layers after it are not computed.
    ///
    /// A forward pass computes some layers together, such as a convolution, its ReLU, response normalisation and pooling.
    /// Here they are joined up to this layer only, so that each layer has its own output: that of a convolution are the
    /// values before its ReLU (see [`Model::activated`]), that of a softmax the logits.
    ///
    /// # Errors
    /// [`Error::Model`] if there is no such layer, else as [`predict`](Self::predict).
    pub fn activations(&self, images: Tensor<B>, layer: &str) -> Result<Tensor<B>> {
        Ok(self.forward_to(&Var::constant(images), layer, &mut Pass::new(Mode::Test))?.into_value())
    }

    /// The first part of a forward pass: from images `[n, crop, crop, 3]` to the output of the layer of this name, as
    /// [`activations`](Self::activations) has it, but in the mode of `pass` and on its tape.
    ///
    /// ```
    /// use alexnet_layers::tensor::{Cpu, IntTensor, Tensor};
    /// use alexnet_layers::{Mode, Model, Network, Pass, Tape, Var};
    ///
    /// let cpu = Cpu::<f32>::new(1)?;
    /// let network = Network::new(&cpu, &Model::preset("cifar-18pct")?, 1)?;
    /// let mut pass = Pass::with_tape(Tape::new(), Mode::Test);
    /// let images = Var::constant(Tensor::full(&cpu, &[2, 32, 32, 3], 0.5)?);
    /// let maps = network.forward_to(&images, "conv3", &mut pass)?.into_value();
    /// // The gradient of a loss for the maps: they begin the second part as a parameter.
    /// let maps = pass.tape.parameter(maps);
    /// let logits = network.forward_from("conv3", &maps, &mut pass)?;
    /// let loss = pass.tape.cross_entropy(&logits, &IntTensor::from_slice(&cpu, &[3, 4])?)?;
    /// let gradients = pass.tape.backward(&loss)?;
    /// assert_eq!(gradients.get(&maps).unwrap().shape(), maps.shape());
    /// # Ok::<(), alexnet_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`activations`](Self::activations).
    pub fn forward_to(&self, images: &Var<B>, layer: &str, pass: &mut Pass<B>) -> Result<Var<B>> {
        let end = self.model.find_layer(layer)? + 1;
        self.run(images.clone(), pass, &compile(&self.model, &self.shapes, 0..end))
    }

    /// The second part of a forward pass: from the output of the layer of this name, `[n, ...]`, to the logits. In
    /// training, dropout draws other values than in one pass through the entire network.
    ///
    /// # Errors
    /// [`Error::Model`] if there is no such layer; [`tensor::Error::Shape`] for values of another shape than the layer's
    /// output; [`Error::Layer`] with the layer in which a kernel failed.
    pub fn forward_from(&self, layer: &str, output: &Var<B>, pass: &mut Pass<B>) -> Result<Var<B>> {
        let start = self.model.find_layer(layer)? + 1;
        self.run(output.clone(), pass, &compile(&self.model, &self.shapes, start..self.model.layers.len()))
    }

    /// The output of the last of `nodes`, from the input of the first.
    fn run(&self, mut x: Var<B>, pass: &mut Pass<B>, nodes: &[Node]) -> Result<Var<B>> {
        let Some(first) = nodes.first() else { return Ok(x) };
        self.check_input(x.value(), first.layers.start)?;
        let first_stream = pass.reserve_streams(self.model.layers.len() as u32) as usize;
        for node in nodes {
            let layer = &self.model.layers[node.layers.start];
            pass.tape.set_scope(&self.device, &layer.name);
            let stages = self.epilogue(node, first_stream, pass.mode());
            let mut context = ForwardContext {
                position: self.position(node.layers.start, first_stream, pass.mode()),
                pass: &mut *pass,
                parameters: self.parameters.get(node.parameters.clone()).unwrap_or_default(),
                stages: &stages,
            };
            let y = layer.kind.forward(&x, &mut context);
            x = y.map_err(|e| Error::Layer { layer: layer.name.clone(), source: Box::new(e) })?;
        }
        pass.tape.set_scope(&self.device, "");
        Ok(x)
    }

    /// A layer's position, in a pass in which the network's streams begin with number `first_stream`.
    fn position(&self, layer: usize, first_stream: usize, mode: Mode) -> LayerPosition<'_> {
        LayerPosition { number: first_stream + layer, input: &self.shapes[layer].input, mode }
    }

    /// The stages after a node's first layer.
    fn epilogue(&self, node: &Node, first_stream: usize, mode: Mode) -> Vec<Stage> {
        let stage =
            |layer: usize| self.model.layers[layer].kind.as_layer().stage(&self.position(layer, first_stream, mode));
        node.layers.clone().skip(1).filter_map(stage).collect()
    }

    /// Checks the shape of the input of a layer.
    fn check_input(&self, x: &Tensor<B>, layer: usize) -> Result<()> {
        let input = self.shapes[layer].input.as_slice();
        match x.shape() {
            [n, rest @ ..] if *n > 0 && rest == input => Ok(()),
            other => {
                let kind = if layer == 0 { "images" } else { "values" };
                let axes: Vec<String> = input.iter().map(usize::to_string).collect();
                let expected = format!("{kind} [n, {}] for the network {:?}", axes.join(", "), self.model.name);
                Err(tensor::Error::Shape { op: "forward", expected, got: other.to_vec() }.into())
            }
        }
    }
}

impl<B: Backend> Parameters<B> for Network<B> {
    fn visit<'a>(&'a self, prefix: &str, f: &mut dyn FnMut(&str, &'a Parameter<B>)) {
        for parameter in &self.parameters {
            f(&join(prefix, &parameter.spec.name), parameter);
        }
    }

    fn visit_mut<'a>(&'a mut self, prefix: &str, f: &mut dyn FnMut(&str, &'a mut Parameter<B>)) {
        for parameter in &mut self.parameters {
            let name = join(prefix, &parameter.spec.name);
            f(&name, parameter);
        }
    }
}

impl<B: Backend> Module<B> for Network<B> {
    /// Runs the network on images `[n, crop, crop, 3]` that are normalised as [`Model::input`] says. The output are the
    /// values before the softmax, `[n, classes]`.
    ///
    /// # Errors
    /// Those of [`Network::predict`].
    fn forward(&self, x: &Var<B>, pass: &mut Pass<B>) -> Result<Var<B>> {
        self.run(x.clone(), pass, &self.nodes)
    }

    fn predict(&self, x: Tensor<B>) -> Result<Tensor<B>> {
        Self::predict(self, x)
    }
}
