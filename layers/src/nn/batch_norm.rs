//! Batch normalisation (Ioffe and Szegedy, 2015) with running statistics.

use tensor::ops::BatchStatistics;
use tensor::{Backend, Tensor};

use super::{Initializer, invalid};
use crate::model::BatchNorm as Settings;
use crate::network::Mode;
use crate::{Module, Parameter, Pass, Result, Var, parameters};

/// Batch normalisation of each channel, the last axis, with its parameters. In training it uses the statistics of the
/// batch and moves the running ones towards them; in test mode, or if it is frozen, it uses the running ones.
///
/// ```
/// use alexnet_layers::nn::{BatchNorm, Initializer};
/// use alexnet_layers::tensor::{Cpu, Tensor};
/// use alexnet_layers::{Mode, Module, Pass, Var};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let mut norm = BatchNorm::new(&mut Initializer::new(&cpu, 1), 1)?;
/// let x = Var::constant(Tensor::from_slice(&cpu, &[4, 1], &[1.0, 3.0, 5.0, 7.0])?);
/// let mut pass = Pass::new(Mode::Train { seed: 1, step: 0 });
/// norm.forward(&x, &mut pass)?;
/// pass.into_statistics().store(&mut norm); // else with the gradients
/// assert_eq!(norm.running_mean.value.to_vec()?, [0.4]);
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BatchNorm<B: Backend> {
    /// The scale of the normalised values, `[channels]`.
    pub weight: Parameter<B>,
    /// The shift of the scaled values, `[channels]`.
    pub bias: Parameter<B>,
    /// `[channels]`.
    pub running_mean: Parameter<B>,
    /// `[channels]`, unbiased: divided by the count less 1.
    pub running_var: Parameter<B>,
    settings: Settings,
}

parameters! { BatchNorm { weight, bias, running_mean, running_var } }

impl<B: Backend> BatchNorm<B> {
    /// A normalisation of this many channels with PyTorch's defaults.
    ///
    /// # Errors
    /// Those of [`with`](Self::with).
    pub fn new(init: &mut Initializer<B>, channels: usize) -> Result<Self> {
        Self::with(init, channels, &Settings::default())
    }

    /// A normalisation of this many channels.
    ///
    /// # Errors
    /// [`tensor::Error::Argument`] for no channels, and those of the device.
    pub fn with(init: &mut Initializer<B>, channels: usize, settings: &Settings) -> Result<Self> {
        if channels == 0 {
            return Err(invalid("batch norm")("channels must be above 0".into()));
        }
        let [weight, bias, mean, variance] = settings.specs(channels);
        Ok(Self {
            weight: init.parameter(weight)?,
            bias: init.parameter(bias)?,
            running_mean: init.parameter(mean)?,
            running_var: init.parameter(variance)?,
            settings: *settings,
        })
    }
}

impl<B: Backend> Module<B> for BatchNorm<B> {
    fn forward(&self, x: &Var<B>, pass: &mut Pass<B>) -> Result<Var<B>> {
        let parameters = [&self.weight, &self.bias, &self.running_mean, &self.running_var];
        compute(&self.settings, parameters, x, pass)
    }
}

/// Normalises with scale, shift, running mean and running variance.
pub(crate) fn compute<B: Backend>(
    settings: &Settings,
    [gamma, beta, mean, variance]: [&Parameter<B>; 4],
    x: &Var<B>,
    pass: &mut Pass<B>,
) -> Result<Var<B>> {
    let gamma = pass.parameter(gamma);
    let beta = pass.parameter(beta);
    if settings.frozen || pass.mode() == Mode::Test {
        let running = BatchStatistics { mean: mean.value.clone(), variance: variance.value.clone() };
        return pass.tape.batch_norm_with(x, &gamma, &beta, &running, settings.epsilon);
    }
    let (y, batch) = pass.tape.batch_norm(x, &gamma, &beta, settings.epsilon)?;
    // As in PyTorch, the running variance is unbiased (divided by rows - 1), unlike the variance that normalises the
    // batch.
    let rows = (x.value().len() / batch.mean.len().max(1)) as f64;
    update(settings, mean, &batch.mean, 1.0, pass)?;
    update(settings, variance, &batch.variance, rows / (rows - 1.0), pass)?;
    Ok(y)
}

/// Moves a running statistic towards `factor` times that of the batch.
fn update<B: Backend>(
    settings: &Settings,
    statistic: &Parameter<B>,
    batch: &Tensor<B>,
    factor: f64,
    pass: &mut Pass<B>,
) -> Result<()> {
    let mut running = pass.statistic(statistic).scale(1.0 - settings.momentum)?;
    running.add_scaled(settings.momentum * factor, batch)?;
    pass.set_statistic(statistic, running);
    Ok(())
}
