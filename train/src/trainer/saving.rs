//! What a run keeps: when it saves, what a checkpoint holds, which one is best.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use data::Pack;
use tensor::Backend;

use super::{Event, Trainer};
use crate::checkpoint::{self, Checkpoint, RunState};
use crate::run::Best;
use crate::{Error, Result, diagnose};

/// When the last checkpoint was written, and how long that took.
pub(super) struct LastSave {
    at: Instant,
    took: Duration,
}

/// Epochs shorter than this many saves do not each end in one: saving takes at most a twentieth of the time.
const SAVES_APART: u32 = 20;

impl<B: Backend<Elem = f32>> Trainer<B> {
    /// Whether an epoch's end is to be saved: if it is the best so far, or saves are not too close.
    pub(super) fn save_is_due(&self) -> bool {
        let best = self.run.best().is_some_and(|best| best.step == self.position.step);
        best || self.last_save.as_ref().is_none_or(|last| last.at.elapsed() >= last.took * SAVES_APART)
    }

    pub(super) fn keep_if_best(&mut self, top1_error: f64, watch: &mut dyn FnMut(Event<'_>)) {
        if self.run.best().is_some_and(|best| best.top1_error <= top1_error && best.step != self.position.step) {
            return;
        }
        let best = Best { step: self.position.step, top1_error };
        if let Err(error) = self.run.set_best(&best) {
            watch(Event::Note(format!("{error}; training goes on")));
        }
    }

    pub(super) fn save(&mut self, watch: &mut dyn FnMut(Event<'_>)) -> Result<PathBuf> {
        // A loss that is not finite must be known before anything takes the place of the last good checkpoint.
        self.tell_metrics(watch)?;
        let begun = Instant::now();
        let path = self.run.checkpoint_path(self.position.step);
        if let Some(name) = diagnose::parameter_not_finite(&self.network)? {
            let place = format!("parameter {name}");
            let error = Error::diverged(self.position.step, f64::NAN, place, "before saving");
            return Err(self.name_what_is_kept(error));
        }
        Checkpoint::of(&self.network, &self.optimizer, self.state(), &self.packs, &self.means)?.save(&path)?;
        if let Err(error) = self.run.prune(self.config.run.keep) {
            watch(Event::Note(format!("{error}; training goes on")));
        }
        self.last_save = Some(LastSave { at: Instant::now(), took: begun.elapsed() });
        watch(Event::Saved(&path));
        Ok(path)
    }

    /// Saves; a full disk is told and does not end the run, broken weights do.
    pub(super) fn save_on_the_way(&mut self, watch: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        match self.save(watch) {
            Err(error @ Error::Diverged { .. }) => Err(error),
            Err(error) => {
                watch(Event::Note(format!("{error}; training goes on")));
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    fn state(&self) -> RunState {
        RunState {
            version: checkpoint::VERSION,
            train_fingerprint: self.packs.train.fingerprint().to_string(),
            val_fingerprint: self.packs.val.as_deref().map_or("", Pack::fingerprint).to_string(),
            optimizer_steps: self.optimizer.steps(),
            position: self.position.clone(),
            schedule: self.schedule.state().clone(),
            config: self.config.clone(),
        }
    }

    pub(super) fn save_and_stop(&mut self, signal: usize, watch: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let saved = Some(self.save(watch)?);
        Err(Error::Stopped { signal, saved })
    }

    /// A diverged run's message says what there is to go on from.
    pub(super) fn name_what_is_kept(&self, error: Error) -> Error {
        let Error::Diverged { step, loss, place, stopped, .. } = error else { return error };
        let kept = match crate::run::checkpoints(self.run.folder()).last() {
            Some((_, path)) => format!("the last good checkpoint is {}", path.display()),
            None => "there is no checkpoint yet".to_string(),
        };
        Error::Diverged { step, loss, place, stopped, kept }
    }
}
