//! The state of a run at one step, saved from where its tensors are.

use std::path::Path;

use layers::Network;
use layers::weights::Weights;
use layers::weights::hdf5_file::{self, Parts, TensorSource};
use optim::Optimizer;
use tensor::{Backend, Tensor};

use crate::checkpoint::{AVERAGE, RunState};
use crate::packs::{PackMeans, Packs};
use crate::run::Run;
use crate::{Error, Result, WeightAverage};

/// The source of a [checkpoint](crate::checkpoint::Checkpoint). The tensors stay on their device: on the CPU a
/// checkpoint is saved without a copy of them.
pub(crate) struct Snapshot<'a, B: Backend> {
    /// Network, classes and means, without tensors.
    description: Weights,
    state: RunState,
    network: &'a Network<B>,
    optimizer: Vec<(String, Tensor<B>)>,
    average: Option<&'a WeightAverage<B>>,
}

impl<'a, B: Backend<Scalar = f32>> Snapshot<'a, B> {
    /// The state of a run.
    ///
    /// # Errors
    /// Those of the optimizer.
    pub fn of(
        network: &'a Network<B>,
        optimizer: &Optimizer<B>,
        average: Option<&'a WeightAverage<B>>,
        state: RunState,
        packs: &Packs,
        means: &PackMeans,
    ) -> Result<Self> {
        let description = Weights {
            model: Some(network.model().clone()),
            tensors: Vec::new(),
            classes: packs.train.classes().to_vec(),
            mean_image: means.image.clone(),
            mean_rgb: means.rgb,
            exif_orientation: packs.train.exif_orientation(),
        };
        Ok(Self { description, state, network, optimizer: optimizer.state()?.tensors, average })
    }

    /// Sets the network that the file names.
    pub fn with_model(mut self, model: &layers::Model) -> Self {
        self.description.model = Some(model.clone());
        self
    }

    /// Position, schedule and configuration.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// Writes the checkpoint so that a crash leaves the old one or the new one, after reading back what was written.
    ///
    /// # Errors
    /// Those of [`hdf5_file::save_parts`]: the old file is kept.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(&self.state).map_err(|e| Error::file(path, format!("cannot be written: {e}")))?;
        let mut tensors: Vec<_> =
            self.optimizer.iter().map(|(name, tensor)| TensorSource::of_tensor(name, tensor)).collect();
        let average = self.average.map(WeightAverage::values).unwrap_or_default();
        tensors
            .extend(average.iter().map(|(name, tensor)| TensorSource::of_tensor(format!("{AVERAGE}{name}"), tensor)));
        let training = Some((text.as_str(), tensors));
        let parts = Parts { description: &self.description, parameters: self.parameters(), training };
        Ok(hdf5_file::save_parts(path, &parts)?)
    }

    /// Writes the weights that a validation tests, their moving average if there is one, as the best of the run.
    ///
    /// # Errors
    /// Those of [`Weights::save_as_hdf5`]: the old file is kept.
    pub fn save_best_weights(&self, run: &Run) -> Result<()> {
        let parameters = match self.average {
            Some(average) => {
                average.values().iter().map(|(name, tensor)| TensorSource::of_tensor(name, tensor)).collect()
            }
            None => self.parameters(),
        };
        run.save_best_weights(&Parts { description: &self.description, parameters, training: None })
    }

    fn parameters(&self) -> Vec<TensorSource<'_>> {
        let parameters = self.network.parameters().iter();
        parameters.map(|parameter| TensorSource::of_tensor(&parameter.spec.name, &parameter.value)).collect()
    }
}
