//! A network with synthetic images on its device.

use data::Views;
use layers::{Model, Network};
use optim::Optimizer;
use tensor::random::{Stream, purpose};
use tensor::{Backend, Tensor};

use super::LEARNING_RATE;
use crate::config::Config;
use crate::step::{StepOptions, step};
use crate::{Result, memory};

/// A network, and a batch of noise that stays on the device.
pub(super) struct Synthetic<B: Backend<Scalar = f32>> {
    network: Network<B>,
    optimizer: Optimizer<B>,
    images: Tensor<B>,
    labels: Vec<u32>,
    seed: u64,
    steps: u64,
}

impl<B: Backend<Scalar = f32>> Synthetic<B> {
    /// For training, with the batch size and the optimizer of the configuration.
    pub fn training(device: &B, model: &Model, config: &Config) -> Result<Self> {
        let training = Some((config.run.batch, config));
        Self::new(device, config, memory::Workload { model, training, evaluation: None, is_mapped: true })
    }

    /// For inference.
    pub fn predicting(device: &B, model: &Model, config: &Config) -> Result<Self> {
        let evaluation = Some((config.run.batch, Views::Centre));
        let work = memory::Workload { model, training: None, evaluation, is_mapped: true };
        let mut synthetic = Self::new(device, config, work)?;
        synthetic.network.to_weight_dtype()?;
        Ok(synthetic)
    }

    fn new(device: &B, config: &Config, work: memory::Workload<'_>) -> Result<Self> {
        let model = work.model;
        let batch = config.run.batch;
        let seed = config.run.seed;
        // The check of host memory counts loading and checkpoints, which a benchmark does not have.
        if !device.memory().is_some_and(|memory| memory.is_host) {
            memory::check(device, &work, batch)?;
        }
        let shape = [batch, model.input.crop, model.input.crop, 3];
        let images = Tensor::normal(device, &shape, 0.0, 1.0, Stream::new(seed, purpose::USER, 0))?;
        Ok(Self {
            network: Network::new(device, model, seed)?,
            optimizer: config.optim.optimizer()?,
            images: images.to_activation_dtype()?,
            labels: (0..batch).map(|i| (i % model.classes) as u32).collect(),
            seed,
            steps: 0,
        })
    }

    /// Runs a training step without reading its metrics.
    pub fn train(&mut self) -> Result<()> {
        self.steps += 1;
        let options =
            StepOptions { seed: self.seed, step: self.steps, learning_rate: LEARNING_RATE, require_finite_loss: false };
        step(&mut self.network, &mut self.optimizer, self.images.clone(), &self.labels, options)?;
        Ok(())
    }

    /// Computes the logits without reading them.
    pub fn predict(&self) -> Result<()> {
        Ok(self.network.predict(self.images.clone()).map(|_| ())?)
    }
}
