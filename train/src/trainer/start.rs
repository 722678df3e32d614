//! The start of a run: from random weights, from a file of weights, or from a checkpoint.

use layers::Model;
use tensor::Backend;

use super::saving::{CheckpointPolicy, CheckpointSaver};
use super::session::NetworkLearner;
use crate::checkpoint::Checkpoint;
use crate::position::Position;
use crate::run::Run;
use crate::starting_weights::StartingWeights;
use crate::{Config, EarlyStopping, Result};

/// The start of a run: all it has beside its learner.
pub(super) struct Start {
    pub saver: CheckpointSaver,
    pub position: Position,
    pub early_stopping: Option<EarlyStopping>,
    /// Notes for the user.
    pub notes: Vec<String>,
}

impl Start {
    /// Begins a run: the learner gets the weights of `model.weights`, if they are given.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) if the run had checkpoints, which are gone; those of the weights.
    pub fn begin<B: Backend<Scalar = f32>>(
        run: Run,
        config: &Config,
        model: &Model,
        learner: &mut NetworkLearner<B>,
    ) -> Result<Self> {
        run.check_never_saved()?;
        if let Some(weights) = StartingWeights::load(&config.model, model)? {
            weights.apply_to_optimizer(&mut learner.optimizer, &learner.module, config)?;
            weights.apply_to(&mut learner.module)?;
        }
        learner.average = config.optim.average(&learner.module);
        Ok(Self {
            saver: CheckpointSaver::new(run, CheckpointPolicy::of(&config.run)),
            position: Position::default(),
            early_stopping: config.run.early_stopping(),
            notes: Vec::new(),
        })
    }

    /// Goes on from a checkpoint, whose settings have these differences from those of now.
    ///
    /// # Errors
    /// Those of [`Checkpoint::restore`].
    pub fn resume<B: Backend<Scalar = f32>>(
        run: Run,
        config: &Config,
        mut checkpoint: Checkpoint,
        differences: &[String],
        learner: &mut NetworkLearner<B>,
    ) -> Result<Self> {
        let step = checkpoint.state.position.step + 1;
        let notes = differences.iter().map(|what| format!("{what}: the run differs from step {step} on")).collect();
        checkpoint.state.adapt_to(config);
        let state = &checkpoint.state;
        let policy = CheckpointPolicy::of(&config.run);
        let saver = CheckpointSaver::resume(run, policy, state, config.run.monitor)?;
        let early_stopping = config.run.early_stopping().map(|early| early.resume(state.early_stopping.as_ref()));
        learner.rate_factor = state.rate_factor;
        let updates = state.average_updates;
        let saved = std::mem::take(&mut checkpoint.average);
        let position = checkpoint.restore(&mut learner.module, &mut learner.optimizer, &mut learner.schedule)?;
        learner.average = config.optim.average(&learner.module);
        // A checkpoint without an average is of a run that begins to average now.
        if let Some(average) = learner.average.as_mut().filter(|_| !saved.is_empty()) {
            average.restore(&saved, updates)?;
        }
        learner.progress = position.progress();
        Ok(Self { saver, position, early_stopping, notes })
    }
}
