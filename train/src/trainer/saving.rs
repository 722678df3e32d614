//! The checkpoints of a run: when one is due, which one is best, and which ones are kept.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::event::RunEvent;
use crate::Result;
use crate::checkpoint::{Checkpoint, RunState};
use crate::config::Monitor;
use crate::run::{Best, Run};

/// Saves the checkpoints of a run, and removes those that are no longer kept.
pub(super) struct CheckpointSaver {
    run: Run,
    /// Number of checkpoints to keep besides the best.
    keep: usize,
    /// Step of the newest checkpoint that was read back well.
    newest: Option<u64>,
    /// The best checkpoint.
    best: Option<Best>,
    /// A better epoch whose checkpoint is not saved yet.
    pending_best: Option<Best>,
    last_save: Option<LastSave>,
}

/// The end of the last save, and its duration.
struct LastSave {
    at: Instant,
    took: Duration,
}

/// An epoch ends with a save only if this many times the duration of the last save has passed since: saving takes at
/// most a twentieth of the time.
const MIN_SAVE_INTERVAL: u32 = 20;

impl CheckpointSaver {
    /// A saver for a run that has no checkpoints.
    pub fn new(run: Run, keep: usize) -> Self {
        Self { run, keep, newest: None, best: None, pending_best: None, last_save: None }
    }

    /// A saver for a run that resumes from the checkpoint with this state. `best.toml` is written after the checkpoint
    /// that it names, so it may be older than the checkpoint's own entry. It counts for later checkpoints, which the
    /// run will reach again.
    pub fn resume(run: Run, keep: usize, state: &RunState, monitor: Monitor) -> Result<Self> {
        let saved: Vec<u64> = crate::run::checkpoints(run.folder())?.into_iter().map(|(step, _)| step).collect();
        let noted = run.best()?.filter(|best| saved.contains(&best.step) && best.monitor == monitor);
        let is_later = noted.as_ref().is_some_and(|best| best.step > state.position.step);
        let best = if is_later || state.best.is_none() { noted.clone() } else { state.best.clone() };
        if let Some(best) = best.as_ref().filter(|best| noted.as_ref() != Some(*best)) {
            run.set_best(best)?;
        }
        Ok(Self { newest: Some(state.position.step), best, ..Self::new(run, keep) })
    }

    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Takes an epoch's value of the monitored metric into account. Of equal values, the earliest is best.
    pub fn observe(&mut self, step: u64, monitor: Monitor, value: f64) {
        let is_better = self.best.as_ref().is_none_or(|best| value < best.value || best.step == step);
        self.pending_best = is_better.then_some(Best { step, monitor, value });
    }

    /// The best checkpoint once that of `step` is saved.
    pub fn best_with(&self, step: u64) -> Option<&Best> {
        self.pending_best.as_ref().filter(|best| best.step == step).or(self.best.as_ref())
    }

    /// Whether to save at the end of an epoch: if it is the best so far, or the last save is long enough ago.
    pub fn is_due(&self, step: u64) -> bool {
        self.is_pending(step)
            || self.last_save.as_ref().is_none_or(|last| last.at.elapsed() >= last.took * MIN_SAVE_INTERVAL)
    }

    fn is_pending(&self, step: u64) -> bool {
        self.pending_best.as_ref().is_some_and(|best| best.step == step)
    }

    /// Writes a checkpoint, whose preparation began at `started`. If the disk is full, an older checkpoint makes room.
    pub fn save(
        &mut self,
        checkpoint: &Checkpoint,
        started: Instant,
        on_event: &mut dyn FnMut(RunEvent<'_>),
    ) -> Result<PathBuf> {
        let step = checkpoint.state.position.step;
        let path = self.run.checkpoint_path(step);
        match checkpoint.save(&path) {
            Err(error) if error.is_disk_full() && self.make_room()? > 0 => {
                on_event(RunEvent::Note(format!("{error}; an older checkpoint was removed to make room")));
                checkpoint.save(&path)?;
            }
            other => other?,
        }
        if let Err(error) = self.record(step) {
            on_event(RunEvent::Note(format!("{error}; training continues")));
        }
        self.last_save = Some(LastSave { at: Instant::now(), took: started.elapsed() });
        on_event(RunEvent::Saved(&path));
        Ok(path)
    }

    /// Records that the checkpoint of `step` was saved and read back well: writes down whether it is the best, and
    /// removes the checkpoints that are no longer kept.
    fn record(&mut self, step: u64) -> Result<()> {
        self.newest = Some(step);
        let best = self.best_with(step).cloned();
        if self.is_pending(step) {
            if let Some(best) = &best {
                self.run.set_best(best)?;
            }
            self.best = best.clone();
            self.pending_best = None;
        }
        self.run.prune(step, self.keep, best.map(|best| best.step))?;
        Ok(())
    }

    /// Removes the checkpoints that a successful save would, but never the newest that a run can resume from.
    fn make_room(&self) -> Result<usize> {
        let Some(newest) = self.newest else { return Ok(0) };
        let best = self.best.as_ref().map(|best| best.step);
        self.run.prune(newest, self.keep.saturating_sub(1), best)
    }

    /// A hint for messages: the checkpoint to resume from.
    pub fn checkpoint_hint(&self) -> String {
        match crate::run::checkpoints(self.run.folder()).as_deref() {
            Ok([.., (_, path)]) => format!("the last good checkpoint is {}", path.display()),
            Ok([]) => "there is no checkpoint yet".to_string(),
            Err(error) => error.to_string(),
        }
    }
}
