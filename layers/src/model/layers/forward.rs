//! The arguments of a layer's forward pass.

use tensor::{Backend, Tensor};

use crate::network::Mode;
use crate::ops::Stage;
use crate::{Error, Result, Tape, Var};

/// A layer's position in a network and the mode of the pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerPosition<'a> {
    /// Its number in the network, which is part of dropout's random stream.
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

/// Tape, parameters and position of one layer in a forward pass.
pub(crate) struct ForwardContext<'a, B: Backend> {
    pub tape: &'a mut Tape<B>,
    pub position: LayerPosition<'a>,
    /// The layer's parameters, in the order of its shape rule.
    pub parameters: &'a [Var<B>],
    /// The layers after it that are computed with it.
    pub stages: &'a [Stage],
    /// New values of parameters that are running statistics, by their number among the layer's parameters.
    pub statistics: Vec<(usize, Tensor<B>)>,
}

impl<'a, B: Backend> ForwardContext<'a, B> {
    /// The first parameter.
    ///
    /// # Errors
    /// [`Error::Tape`] if it is missing.
    pub fn weight(&self) -> Result<&'a Var<B>> {
        let missing = || Error::tape("network", "the layer's parameters are missing");
        self.parameters.first().ok_or_else(missing)
    }

    /// The second parameter, if there is one.
    pub fn bias(&self) -> Option<&'a Var<B>> {
        self.parameters.get(1)
    }
}
