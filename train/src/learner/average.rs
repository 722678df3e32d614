//! The exponential moving average of weights.

use layers::Parameters;
use ndarray::ArrayD;
use tensor::{Backend, Tensor};

use crate::{Error, Result};

/// The exponential moving average of a module's parameters, running statistics included (Polyak and Juditsky, 1992):
/// after each step, mean <- mean + (1 - decay) (w - mean). Its errors are often lower than those of the last weights.
///
/// ```
/// use alexnet_train::WeightAverage;
/// use alexnet_train::layers::{Model, Network};
/// use alexnet_train::tensor::{Cpu, Tensor};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let mut network = Network::new(&cpu, &Model::preset("linear")?, 1)?;
/// let mut average = WeightAverage::new(&network, 0.75);
/// let name = network.parameters()[0].spec.name.clone();
/// let ones = Tensor::full(&cpu, &network.parameters()[0].spec.shape.clone(), 1.0)?;
/// let before = average.values()[0].1.to_vec()?[0];
/// network.parameters_mut()[0].value = ones;
/// average.update(&network)?;
/// assert_eq!(average.values()[0].0, name);
/// assert!((average.values()[0].1.to_vec()?[0] - (0.75 * before + 0.25)).abs() < 1e-6);
/// # Ok::<(), alexnet_train::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct WeightAverage<B: Backend> {
    decay: f64,
    warmup: bool,
    updates: u64,
    values: Vec<(String, Tensor<B>)>,
}

impl<B: Backend> WeightAverage<B> {
    /// The average of a module that was not trained yet: its weights. `decay` is in [0, 1). They share memory until the
    /// first update.
    pub fn new<M: Parameters<B> + ?Sized>(module: &M, decay: f64) -> Self {
        let values = module.named_parameters().into_iter().map(|(name, p)| (name, p.value.clone())).collect();
        Self { decay, warmup: false, updates: 0, values }
    }

    /// The same with a decay that rises: after `n` updates it is at most 1 - (1 + n)^(-2/3), as in timm's
    /// `--model-ema-warmup`. The first weights, which are random, are then soon forgotten.
    pub fn warmup(self, warmup: bool) -> Self {
        Self { warmup, ..self }
    }

    /// Number of updates.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// The averages by the names of the parameters.
    pub fn values(&self) -> &[(String, Tensor<B>)] {
        &self.values
    }

    /// The decay of the next update.
    pub fn decay(&self) -> f64 {
        let risen = 1.0 - (1.0 + self.updates as f64).powf(-2.0 / 3.0);
        if self.warmup { self.decay.min(risen) } else { self.decay }
    }

    /// Takes the weights of a module after a step into account.
    ///
    /// # Errors
    /// Those of the device.
    pub fn update<M: Parameters<B> + ?Sized>(&mut self, module: &M) -> Result<()> {
        let share = 1.0 - self.decay();
        for ((_, mean), (_, parameter)) in self.values.iter_mut().zip(module.named_parameters()) {
            let difference = parameter.value.subtract(mean)?;
            mean.add_scaled(share, &difference)?;
        }
        self.updates += 1;
        Ok(())
    }

    /// Exchanges the weights of the module and their averages.
    pub(crate) fn swap<M: Parameters<B> + ?Sized>(&mut self, module: &mut M) {
        for ((_, mean), (_, parameter)) in self.values.iter_mut().zip(module.named_parameters_mut()) {
            std::mem::swap(mean, &mut parameter.value);
        }
    }
}

impl<B: Backend<Scalar = f32>> WeightAverage<B> {
    /// The averages on the host.
    pub(crate) fn to_arrays(&self) -> Result<Vec<(String, ArrayD<f32>)>> {
        self.values.iter().map(|(name, value)| Ok((name.clone(), value.to_array()?))).collect()
    }

    /// Continues from saved averages of the same module.
    pub(crate) fn restore(&mut self, saved: &[(String, ArrayD<f32>)], updates: u64) -> Result<()> {
        let mut values = Vec::new();
        for (name, mean) in &self.values {
            let found = saved.iter().find(|(known, values)| known == name && values.shape() == mean.shape());
            let missing = || Error::setting("average of the weights", format!("the checkpoint has none of {name}"));
            let (_, found) = found.ok_or_else(missing)?;
            values.push((name.clone(), Tensor::from_array(mean.device(), found.view())?));
        }
        self.values = values;
        self.updates = updates;
        Ok(())
    }
}
