//! One network with pictures of noise on its device, to be run again and again.

use layers::{Model, Network};
use optim::Optimizer;
use tensor::random::{Stream, purpose};
use tensor::{Backend, Tensor};

use crate::config::Config;
use crate::step::step_unread;
use crate::{Result, checkpoint};

/// So small that a network which learns noise stays where it is.
const RATE: f64 = 1e-6;

pub(super) struct Work<B: Backend<Elem = f32>> {
    network: Network<B>,
    optimizer: Optimizer<B>,
    images: Tensor<B>,
    labels: Vec<u32>,
    steps: u64,
}

impl<B: Backend<Elem = f32>> Work<B> {
    /// Batch and optimizer are the configuration's.
    pub fn new(device: &B, model: &Model, config: &Config) -> Result<Self> {
        let (batch, crop) = (config.run.batch, model.input.crop);
        let stream = Stream::new(config.run.seed, purpose::USER, 0);
        Ok(Self {
            network: Network::new(device, model, config.run.seed)?,
            optimizer: checkpoint::optimizer(&config.optim)?,
            images: Tensor::normal(device, &[batch, crop, crop, 3], 0.0, 1.0, stream)?.to_activations()?,
            labels: (0..batch).map(|i| (i % model.classes) as u32).collect(),
            steps: 0,
        })
    }

    /// Forward, loss, backward, update; nothing is read back.
    pub fn train(&mut self) -> Result<()> {
        let (network, images, number) = (&mut self.network, self.images.clone(), self.steps);
        self.steps += 1;
        step_unread(network, &mut self.optimizer, images, &self.labels, 1, number, RATE).map(|_| ())
    }

    /// The logits, not read back.
    pub fn predict(&self) -> Result<()> {
        self.network.predict(self.images.clone())?;
        Ok(())
    }
}
