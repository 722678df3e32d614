//! One forward pass of modules, and its backward pass.

use std::collections::HashMap;

use tensor::random::{Stream, purpose};
use tensor::{Backend, Tensor};

use super::gradients::{ParameterGradients, Statistics};
use super::{Parameter, ParameterId, Parameters};
use crate::network::Mode;
use crate::{Error, Result, Tape, Var};

/// One forward pass: the tape, the mode, the parameters used so far, and new running statistics.
///
/// ```
/// use alexnet_layers::tensor::{Cpu, IntTensor, Tensor};
/// use alexnet_layers::{Mode, Model, Module, Network, Pass, Var};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let network = Network::new(&cpu, &Model::preset("linear")?, 1)?;
/// let images = Var::constant(Tensor::zeros(&cpu, &[2, 32, 32, 3])?);
/// let mut pass = Pass::new(Mode::Train { seed: 1, step: 0 });
/// let logits = network.forward(&images, &mut pass)?;
/// let loss = pass.tape.cross_entropy(&logits, &IntTensor::from_slice(&cpu, &[3, 4])?)?;
/// let gradients = pass.backward(&loss)?;
/// assert_eq!(gradients.get(&network.parameters()[1]).unwrap().shape(), [10]);
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
pub struct Pass<B: Backend> {
    /// The record of the operations; they are its methods.
    pub tape: Tape<B>,
    mode: Mode,
    /// In the order of their first use.
    variables: Vec<(ParameterId, Var<B>)>,
    places: HashMap<ParameterId, usize>,
    /// The layers of [`label_layers`](Self::label_layers), by their parameters.
    layers: HashMap<ParameterId, Box<str>>,
    statistics: Statistics<B>,
    next_stream: u32,
}

impl<B: Backend> Pass<B> {
    /// A pass in this mode. In test mode nothing is recorded, so that values are freed early; for gradients in test mode
    /// see [`with_tape`](Self::with_tape).
    pub fn new(mode: Mode) -> Self {
        let tape = match mode {
            Mode::Train { .. } => Tape::new(),
            Mode::Test => Tape::inference(),
        };
        Self::with_tape(tape, mode)
    }

    /// A pass that goes on with a tape.
    pub fn with_tape(tape: Tape<B>, mode: Mode) -> Self {
        Self {
            tape,
            mode,
            variables: Vec::new(),
            places: HashMap::new(),
            layers: HashMap::new(),
            statistics: Statistics::default(),
            next_stream: 0,
        }
    }

    /// Training or test.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// From here on, labels operations with the layer of `module` whose parameter was taken last, by its path, such as
    /// `blocks.0.conv1`: in profiles ([`tensor::Profiled`]) and in errors of the backward pass. A [`Network`](crate::Network)
    /// does so by itself. [`Tape::set_scope`] with an empty name ends the last layer before the loss.
    ///
    /// ```
    /// use alexnet_layers::nn::{Initializer, Linear, Sequential};
    /// use alexnet_layers::tensor::{Cpu, Profiled, Tensor};
    /// use alexnet_layers::{Mode, Module, Pass, Var};
    ///
    /// let device = Profiled::new(Cpu::<f32>::new(1)?);
    /// let mut init = Initializer::new(&device, 1);
    /// let network = Sequential::new().then(Linear::new(&mut init, &[6], 4)?).then(Linear::new(&mut init, &[4], 3)?);
    /// let x = Var::constant(Tensor::zeros(&device, &[2, 6])?);
    /// let mut pass = Pass::new(Mode::Test);
    /// pass.label_layers(&network);
    /// device.begin();
    /// network.forward(&x, &mut pass)?;
    /// let layers: Vec<String> = device.end().iter().map(|call| call.scope.to_string()).collect();
    /// assert_eq!(layers, ["0", "1"]);
    /// # Ok::<(), alexnet_layers::Error>(())
    /// ```
    pub fn label_layers<M: Parameters<B> + ?Sized>(&mut self, module: &M) {
        module.visit("", &mut |path, parameter| {
            let layer = path.rsplit_once('.').map_or("", |(layer, _)| layer);
            self.layers.insert(parameter.id(), layer.into());
        });
    }

    /// The parameter on the tape: the same variable each time, so that the gradients of several uses are summed. A
    /// parameter that is not trained ([`ParameterSpec::is_trainable`](crate::ParameterSpec::is_trainable)) is a constant.
    pub fn parameter(&mut self, parameter: &Parameter<B>) -> Var<B> {
        if let Some(layer) = self.layers.get(&parameter.id()) {
            self.tape.set_scope(parameter.value.device(), layer);
        }
        if let Some(&place) = self.places.get(&parameter.id()) {
            return self.variables[place].1.clone();
        }
        let value = parameter.value.clone();
        let variable = if parameter.spec.is_trainable() { self.tape.parameter(value) } else { Var::constant(value) };
        self.bind(parameter, variable.clone());
        variable
    }

    /// Uses `variable` in place of the parameter's value from here on. A gradient check of a module does this.
    pub fn bind(&mut self, parameter: &Parameter<B>, variable: Var<B>) {
        match self.places.get(&parameter.id()) {
            Some(&place) => self.variables[place].1 = variable,
            None => {
                self.places.insert(parameter.id(), self.variables.len());
                self.variables.push((parameter.id(), variable));
            }
        }
    }

    /// The random stream of the next dropout, in training; None in test mode. Streams are numbered in the order of the
    /// calls and follow from the number, the seed and the step.
    pub fn dropout_stream(&mut self) -> Option<Stream> {
        let number = self.reserve_streams(1);
        match self.mode {
            Mode::Train { seed, step } => Some(Stream::new(seed, purpose::DROPOUT + number, step)),
            Mode::Test => None,
        }
    }

    /// Takes the numbers of the next `count` streams and returns the first.
    pub(crate) fn reserve_streams(&mut self, count: u32) -> u32 {
        let first = self.next_stream;
        self.next_stream += count;
        first
    }

    /// The newest value of a running statistic: that of this pass, else the parameter's.
    pub fn statistic<'a>(&'a self, parameter: &'a Parameter<B>) -> &'a Tensor<B> {
        self.statistics.get(parameter).unwrap_or(&parameter.value)
    }

    /// Sets the new value of a running statistic. It is stored in the module after the backward pass:
    /// [`Statistics::store`].
    pub fn set_statistic(&mut self, parameter: &Parameter<B>, value: Tensor<B>) {
        self.statistics.set(parameter.id(), value);
    }

    /// The new running statistics of a pass without gradients.
    pub fn into_statistics(self) -> Statistics<B> {
        self.statistics
    }

    /// The gradients of `loss`, a single value, for all parameters that it depends on, and the new running statistics.
    ///
    /// # Errors
    /// Those of [`Tape::backward`].
    pub fn backward(self, loss: &Var<B>) -> Result<ParameterGradients<B>> {
        let Self { tape, variables, statistics, .. } = self;
        let mut gradients = tape.backward(loss)?;
        let taken = variables.into_iter().filter_map(|(id, variable)| Some((id, gradients.take(&variable)?)));
        Ok(ParameterGradients::new(taken.collect(), statistics))
    }

    /// Like [`backward`](Self::backward), but passes each parameter's gradient to `take` as soon as it is complete, so
    /// that the gradients of all are never held at once. By then the pass holds no parameter's value, so `take` may update
    /// it in place. Returns the new running statistics.
    ///
    /// # Errors
    /// Those of [`Tape::backward_each`].
    pub fn backward_each<E: From<Error>>(
        self,
        loss: Var<B>,
        mut take: impl FnMut(ParameterId, Tensor<B>) -> std::result::Result<(), E>,
    ) -> std::result::Result<Statistics<B>, E> {
        let Self { tape, variables, statistics, .. } = self;
        let ids: Vec<ParameterId> = variables.iter().map(|(id, _)| *id).collect();
        let variables = variables.into_iter().map(|(_, variable)| Some(variable)).collect();
        tape.backward_each(loss, variables, |place, gradient| take(ids[place], gradient))?;
        Ok(statistics)
    }
}
