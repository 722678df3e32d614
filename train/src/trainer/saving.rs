//! What a run keeps: when it saves, what a checkpoint holds, which one is best.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use data::Pack;
use tensor::Backend;

use super::{Event, Trainer};
use crate::checkpoint::{self, Checkpoint, RunState};
use crate::run::{Best, Run};
use crate::{Error, Result, diagnose};

/// When the last checkpoint was written, and how long that took.
pub(super) struct LastSave {
    at: Instant,
    took: Duration,
}

/// The checkpoints that must not be removed.
#[derive(Debug, Default)]
pub(super) struct SavedCheckpoints {
    /// Step of the newest one that was read back well.
    newest: Option<u64>,
    /// The one that validated best.
    best: Option<Best>,
    /// A better validation, whose checkpoint is not saved yet.
    pending: Option<Best>,
}

impl SavedCheckpoints {
    /// Of a run that resumes from a checkpoint. `best.toml` is written after the checkpoint that it names, so it may be
    /// older than the checkpoint's word; it is believed about later checkpoints, which the run will come to again.
    pub fn resumed(run: &Run, state: &RunState) -> Result<Self> {
        let saved: Vec<u64> = crate::run::checkpoints(run.folder())?.into_iter().map(|(step, _)| step).collect();
        let noted = run.best()?.filter(|best| saved.contains(&best.step));
        let later = noted.as_ref().is_some_and(|best| best.step > state.position.step);
        let known = if later || state.best.is_none() { noted.clone() } else { state.best.clone() };
        if let Some(best) = known.as_ref().filter(|best| noted.as_ref() != Some(*best)) {
            run.set_best(best)?;
        }
        Ok(Self { newest: Some(state.position.step), best: known, pending: None })
    }

    /// Takes a validation into account. Equal errors leave the earlier one best.
    pub fn observe(&mut self, step: u64, top1_error: f64) {
        let better = self.best.as_ref().is_none_or(|best| top1_error < best.top1_error || best.step == step);
        self.pending = better.then_some(Best { step, top1_error });
    }

    /// The best once the checkpoint of `step` is saved.
    fn best_with(&self, step: u64) -> Option<&Best> {
        self.pending.as_ref().filter(|best| best.step == step).or(self.best.as_ref())
    }

    fn is_pending(&self, step: u64) -> bool {
        self.pending.as_ref().is_some_and(|best| best.step == step)
    }
}

/// Epochs shorter than this many saves do not each end in one: saving takes at most a twentieth of the time.
const SAVES_APART: u32 = 20;

impl<B: Backend<Scalar = f32>> Trainer<B> {
    /// Whether an epoch's end is to be saved: if it is the best so far, or saves are not too close.
    pub(super) fn save_is_due(&self) -> bool {
        self.saved.is_pending(self.position.step)
            || self.last_save.as_ref().is_none_or(|last| last.at.elapsed() >= last.took * SAVES_APART)
    }

    pub(super) fn save(&mut self, on_event: &mut dyn FnMut(Event<'_>)) -> Result<PathBuf> {
        // A loss that is not finite must be known before anything takes the place of the last good checkpoint.
        self.flush_metrics(on_event)?;
        let begun = Instant::now();
        let path = self.run.checkpoint_path(self.position.step);
        if let Some(name) = diagnose::parameter_not_finite(&self.network)? {
            let place = format!("parameter {name}");
            let error = Error::diverged(self.position.step, f64::NAN, place, "before saving");
            return Err(self.with_checkpoint_hint(error));
        }
        let checkpoint = Checkpoint::of(&self.network, &self.optimizer, self.state(), &self.packs, &self.means)?;
        match checkpoint.save(&path) {
            Err(error) if error.is_disk_full() && self.make_room()? > 0 => {
                on_event(Event::Note(format!("{error}; an older checkpoint was removed to make room")));
                checkpoint.save(&path)?;
            }
            other => other?,
        }
        if let Err(error) = self.tidy() {
            on_event(Event::Note(format!("{error}; training goes on")));
        }
        self.last_save = Some(LastSave { at: Instant::now(), took: begun.elapsed() });
        on_event(Event::Saved(&path));
        Ok(path)
    }

    /// After a save, which was read back well: notes which checkpoint is best, and removes those that are not kept.
    fn tidy(&mut self) -> Result<()> {
        let step = self.position.step;
        self.saved.newest = Some(step);
        let best = self.saved.best_with(step).cloned();
        if self.saved.is_pending(step) {
            best.as_ref().map_or(Ok(()), |best| self.run.set_best(best))?;
            self.saved = SavedCheckpoints { newest: Some(step), best: best.clone(), pending: None };
        }
        self.run.prune(step, self.config.run.keep_checkpoints, best.map(|best| best.step))?;
        Ok(())
    }

    /// Removes what a successful save would, and never the newest checkpoint that a run can go on from.
    fn make_room(&self) -> Result<usize> {
        let Some(newest) = self.saved.newest else { return Ok(0) };
        let best = self.saved.best.as_ref().map(|best| best.step);
        self.run.prune(newest, self.config.run.keep_checkpoints.saturating_sub(1), best)
    }

    /// Saves a last time, with a second try: all since the checkpoint before depends on it.
    pub(super) fn save_at_the_end(&mut self, on_event: &mut dyn FnMut(Event<'_>)) -> Result<PathBuf> {
        let error = match self.save(on_event) {
            Err(error) if !matches!(error, Error::Diverged { .. }) => error,
            other => return other,
        };
        on_event(Event::Note(format!("{error}; trying once more")));
        self.save(on_event).map_err(|error| Error::Unsaved { source: Box::new(error), kept: self.kept() })
    }

    /// Saves; a full disk is told and does not end the run, broken weights do.
    pub(super) fn save_on_the_way(&mut self, on_event: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        match self.save(on_event) {
            Err(error @ Error::Diverged { .. }) => Err(error),
            Err(error) => {
                on_event(Event::Note(format!("{error}; training goes on")));
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
            best: self.saved.best_with(self.position.step).cloned(),
            config: self.config.clone(),
        }
    }

    pub(super) fn save_and_stop(&mut self, signal: usize, on_event: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let saved = Some(self.save_at_the_end(on_event)?);
        Err(Error::Stopped { signal, saved })
    }

    /// A diverged run's message says what there is to go on from.
    pub(super) fn with_checkpoint_hint(&self, error: Error) -> Error {
        let Error::Diverged { step, loss, place, stopped, .. } = error else { return error };
        Error::Diverged { step, loss, place, stopped, kept: self.kept() }
    }

    fn kept(&self) -> String {
        match crate::run::checkpoints(self.run.folder()).as_deref() {
            Ok([.., (_, path)]) => format!("the last good checkpoint is {}", path.display()),
            Ok([]) => "there is no checkpoint yet".to_string(),
            Err(error) => error.to_string(),
        }
    }
}
