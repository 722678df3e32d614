//! The arguments of a layer's forward pass.

use tensor::Backend;

use crate::network::Mode;
use crate::ops::Stage;
use crate::{Error, Parameter, Pass, Result, Var};

/// A layer's position in a network and the mode of the pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerPosition<'a> {
    /// The number of its random stream: its own number in a network that is the first module of a pass.
    pub number: usize,
    /// The shape of its input for one image.
    pub input: &'a [usize],
    /// Training or test.
    pub mode: Mode,
}

impl LayerPosition<'_> {
    /// Height and width of its input.
    pub fn map_size(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.input.get(axis).copied().unwrap_or(1))
    }
}

/// Pass, parameters and position of one layer in a network.
pub(crate) struct ForwardContext<'a, B: Backend> {
    pub pass: &'a mut Pass<B>,
    pub position: LayerPosition<'a>,
    /// The layer's parameters, in the order of its shape rule.
    pub parameters: &'a [Parameter<B>],
    /// The layers after it that are computed with it.
    pub stages: &'a [Stage],
}

impl<B: Backend> ForwardContext<'_, B> {
    /// The first parameter.
    ///
    /// # Errors
    /// [`Error::Tape`] if it is missing.
    pub fn weight(&mut self) -> Result<Var<B>> {
        let missing = || Error::tape("network", "the layer's parameters are missing");
        Ok(self.pass.parameter(self.parameters.first().ok_or_else(missing)?))
    }

    /// The second parameter, if there is one.
    pub fn bias(&mut self) -> Option<Var<B>> {
        self.parameters.get(1).map(|bias| self.pass.parameter(bias))
    }
}
