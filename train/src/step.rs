//! One training step: section 5 of the paper.

use layers::{Mode, Network, Tape};
use optim::{Optimizer, Update};
use tensor::{Backend, Ints, Tensor};

use crate::{Error, Result, diagnose};

/// What a step showed, before its update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Mean cross-entropy of the batch, in nats.
    pub loss: f64,
    /// Pictures whose label was not the first guess.
    pub wrong: usize,
}

/// Forward, loss, backward, update. `images` are a network's input, [`Preparer`](crate::feed::Preparer) makes them;
/// `step` counts from 0 and keys the dropout masks.
///
/// # Errors
/// [`Error::Diverged`] before anything is changed if the loss is not finite; errors of the parts.
pub fn step<B: Backend<Elem = f32>>(
    network: &mut Network<B>,
    optimizer: &mut Optimizer<B>,
    images: Tensor<B>,
    labels: &[u32],
    seed: u64,
    step: u64,
    rate: f64,
) -> Result<Outcome> {
    let device = network.device().clone();
    let labels = Ints::from_slice(&device, labels)?;

    let mut tape = Tape::new();
    let pass = network.forward(&mut tape, images.clone(), Mode::Train { seed, step })?;
    let loss = tape.cross_entropy(&pass.logits, &labels)?;
    let outcome = Outcome { loss: loss.value().scalar()?, wrong: wrong(pass.logits.value(), &labels)? };
    if !outcome.loss.is_finite() {
        let place = diagnose::first_not_finite(network, images)?;
        return Err(Error::Diverged { step: step + 1, loss: outcome.loss, place, kept: String::new() });
    }
    let mut gradients = tape.backward(&loss)?;

    let mut taken = Vec::with_capacity(pass.parameters.len());
    for variable in &pass.parameters {
        taken.push(variable.as_ref().and_then(|v| gradients.take(v)));
    }
    let statistics = pass.statistics;
    drop((pass.logits, pass.parameters, gradients));

    let updates = network
        .parameters_mut()
        .iter_mut()
        .zip(&taken)
        .filter_map(|(parameter, gradient)| {
            let gradient = gradient.as_ref()?;
            let spec = &parameter.spec;
            Some(Update { name: &spec.name, value: &mut parameter.value, gradient, rate: spec.rate, decay: spec.decay })
        })
        .collect();
    optimizer.step(rate, updates)?;
    for (index, value) in statistics {
        network.parameters_mut()[index].value = value;
    }
    Ok(outcome)
}

fn wrong<B: Backend>(logits: &Tensor<B>, labels: &Ints<B>) -> Result<usize> {
    Ok(logits.label_rank(labels)?.to_vec()?.into_iter().filter(|&rank| rank > 0).count())
}
