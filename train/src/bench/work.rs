//! One network with pictures of noise on its device, to be run again and again.

use layers::{Mode, Model, Network, Tape};
use optim::{Optimizer, Update};
use tensor::random::{Stream, purpose};
use tensor::{Backend, Ints, Tensor};

use crate::config::Config;
use crate::{Result, checkpoint};

/// So small that a network which learns noise stays where it is.
const RATE: f64 = 1e-6;

pub(super) struct Work<B: Backend<Elem = f32>> {
    network: Network<B>,
    optimizer: Optimizer<B>,
    images: Tensor<B>,
    labels: Ints<B>,
    steps: u64,
}

impl<B: Backend<Elem = f32>> Work<B> {
    /// Batch and optimizer are the configuration's.
    pub fn new(device: &B, model: &Model, config: &Config) -> Result<Self> {
        let (batch, crop) = (config.run.batch, model.input.crop);
        let stream = Stream::new(config.run.seed, purpose::USER, 0);
        let labels: Vec<u32> = (0..batch).map(|i| (i % model.classes) as u32).collect();
        Ok(Self {
            network: Network::new(device, model, config.run.seed)?,
            optimizer: checkpoint::optimizer(&config.optim)?,
            images: Tensor::normal(device, &[batch, crop, crop, 3], 0.0, 1.0, stream)?.to_activations()?,
            labels: Ints::from_slice(device, &labels)?,
            steps: 0,
        })
    }

    /// Forward, loss, backward, update; nothing is read back.
    pub fn train(&mut self) -> Result<()> {
        let mut tape = Tape::new();
        let mode = Mode::Train { seed: 1, step: self.steps };
        self.steps += 1;
        let pass = self.network.forward(&mut tape, self.images.clone(), mode)?;
        let loss = tape.cross_entropy(&pass.logits, &self.labels)?;
        let mut gradients = tape.backward(&loss)?;
        let taken: Vec<_> = pass.parameters.iter().map(|v| v.as_ref().and_then(|v| gradients.take(v))).collect();
        drop((pass, gradients));
        let updates = self.network.parameters_mut().iter_mut().zip(&taken);
        let updates = updates.filter_map(|(p, gradient)| {
            let (rate, decay) = (p.spec.rate, p.spec.decay);
            Some(Update { name: &p.spec.name, value: &mut p.value, gradient: gradient.as_ref()?, rate, decay })
        });
        Ok(self.optimizer.step(RATE, updates.collect())?)
    }

    /// The logits, not read back.
    pub fn predict(&self) -> Result<()> {
        self.network.predict(self.images.clone())?;
        Ok(())
    }
}
