//! The checkpoints of a run: when one is due, which one is best, and which ones are kept.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use layers::weights::hdf5_file::Parts;
use tensor::Backend;

use super::event::RunEvent;
use crate::Result;
use crate::checkpoint::{Checkpoint, RunState};
use crate::config::{Monitor, RunConfig};
use crate::run::{Best, Run, best_weights};
use crate::snapshot::Snapshot;

/// Saves the checkpoints of a run, and removes those that are no longer kept.
pub(super) struct CheckpointSaver {
    run: Run,
    policy: CheckpointPolicy,
    /// Step of the newest checkpoint that was read back well.
    newest: Option<u64>,
    /// The best checkpoint.
    best: Option<Best>,
    /// A better epoch whose checkpoint is not saved yet.
    pending_best: Option<Best>,
    last_save: Option<LastSave>,
    /// The time of the last save, or of the start.
    since: Instant,
}

/// The checkpoints that are due besides those of the best epochs, and the number that is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct CheckpointPolicy {
    /// Number of checkpoints to keep besides the best.
    keep: usize,
    /// Steps from one to the next; 0: any number.
    steps: u64,
    /// Epochs from one to the next; 0: any number.
    epochs: u64,
    /// Time from one to the next.
    interval: Option<Duration>,
}

impl CheckpointPolicy {
    /// The policy of the settings.
    pub fn of(config: &RunConfig) -> Self {
        let minutes = config.checkpoint_minutes;
        Self {
            keep: config.keep_checkpoints,
            steps: config.checkpoint_steps,
            epochs: config.checkpoint_epochs,
            interval: (minutes > 0.0).then(|| Duration::from_secs_f64(minutes * 60.0)),
        }
    }
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
    pub fn new(run: Run, policy: CheckpointPolicy) -> Self {
        let since = Instant::now();
        Self { run, policy, newest: None, best: None, pending_best: None, last_save: None, since }
    }

    /// A saver for a run that resumes from the checkpoint with this state. `best.toml` is written after the checkpoint
    /// that it names, so it may be older than the checkpoint's own entry. It counts for later checkpoints, which the
    /// run will reach again.
    pub fn resume(run: Run, policy: CheckpointPolicy, state: &RunState, monitor: Monitor) -> Result<Self> {
        let saved: Vec<u64> = crate::run::checkpoints(run.folder())?.into_iter().map(|(step, _)| step).collect();
        let noted = run.best()?.filter(|best| saved.contains(&best.step) && best.monitor == monitor);
        let is_later = noted.as_ref().is_some_and(|best| best.step > state.position.step);
        let best = if is_later || state.best.is_none() { noted.clone() } else { state.best.clone() };
        if let Some(best) = &best {
            let is_new = noted.as_ref() != Some(best);
            if is_new || !best_weights(run.folder()).is_file() {
                restore_best_weights(&run, best.step);
            }
            if is_new {
                run.set_best(best)?;
            }
        }
        Ok(Self { newest: Some(state.position.step), best, ..Self::new(run, policy) })
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

    /// Whether a checkpoint is due after this number of steps.
    pub fn is_due_at_step(&self, step: u64) -> bool {
        self.policy.steps > 0 && step.is_multiple_of(self.policy.steps)
    }

    /// Whether the time from one checkpoint to the next has passed.
    pub fn is_time(&self) -> bool {
        self.policy.interval.is_some_and(|interval| self.since.elapsed() >= interval)
    }

    /// Whether to save at the end of an epoch: if it is the best so far, if its number or the time says so, or if the last
    /// save is long enough ago.
    pub fn is_due_at_epoch(&self, step: u64, epoch: u64) -> bool {
        self.is_pending(step)
            || self.is_time()
            || (self.policy.epochs > 0 && epoch.is_multiple_of(self.policy.epochs))
            || self.last_save.as_ref().is_none_or(|last| last.at.elapsed() >= last.took * MIN_SAVE_INTERVAL)
    }

    fn is_pending(&self, step: u64) -> bool {
        self.pending_best.as_ref().is_some_and(|best| best.step == step)
    }

    /// Writes a checkpoint, whose preparation began at `started`. If the disk is full, an older checkpoint makes room.
    pub fn save<B: Backend<Scalar = f32>>(
        &mut self,
        snapshot: &Snapshot<'_, B>,
        started: Instant,
        on_event: &mut dyn FnMut(RunEvent<'_>),
    ) -> Result<PathBuf> {
        let step = snapshot.state().position.step;
        let path = self.run.checkpoint_path(step);
        match snapshot.save(&path) {
            Err(error) if error.is_disk_full() && self.make_room()? > 0 => {
                on_event(RunEvent::Note(format!("{error}; an older checkpoint was removed to make room")));
                snapshot.save(&path)?;
            }
            other => other?,
        }
        if let Err(error) = self.record(snapshot, on_event) {
            on_event(RunEvent::Note(format!("{error}; training continues")));
        }
        self.since = Instant::now();
        self.last_save = Some(LastSave { at: self.since, took: started.elapsed() });
        on_event(RunEvent::Saved(&path));
        Ok(path)
    }

    /// Records that a checkpoint was saved and read back well: if it is the best, writes that down and its weights, and
    /// removes the checkpoints that are no longer kept.
    fn record<B: Backend<Scalar = f32>>(
        &mut self,
        snapshot: &Snapshot<'_, B>,
        on_event: &mut dyn FnMut(RunEvent<'_>),
    ) -> Result<()> {
        let step = snapshot.state().position.step;
        self.newest = Some(step);
        let best = self.best_with(step).cloned();
        if self.is_pending(step) {
            if let Err(error) = snapshot.save_best_weights(&self.run) {
                on_event(RunEvent::Note(format!(
                    "{error}; training continues, and the checkpoint has these weights too"
                )));
            }
            if let Some(best) = &best {
                self.run.set_best(best)?;
            }
            self.best = best.clone();
            self.pending_best = None;
        }
        self.run.prune(step, self.policy.keep, best.map(|best| best.step))?;
        Ok(())
    }

    /// Removes the checkpoints that a successful save would, but never the newest that a run can resume from.
    fn make_room(&self) -> Result<usize> {
        let Some(newest) = self.newest else { return Ok(0) };
        let best = self.best.as_ref().map(|best| best.step);
        self.run.prune(newest, self.policy.keep.saturating_sub(1), best)
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

/// Writes the weights of the best checkpoint anew where a crash came between the checkpoint and them, or an early version
/// wrote none. The checkpoint has them too, so that a failure does no harm.
fn restore_best_weights(run: &Run, step: u64) {
    if let Ok(checkpoint) = Checkpoint::load(&run.checkpoint_path(step)) {
        let _ = run.save_best_weights(&Parts::of_weights(&checkpoint.tested_weights()));
    }
}

#[cfg(test)]
mod tests {
    use layers::Model;

    use super::*;
    use crate::Config;

    /// Even if saving is slow, so that the epochs in between are not saved.
    #[test]
    fn epochs_and_minutes_add_checkpoints() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.run.checkpoint_epochs = 3;
        config.run.checkpoint_steps = 7;
        let model = Model::preset("linear").unwrap();
        let run = Run::create(&folder.path().join("run"), &config, &model).unwrap();
        let mut saver = CheckpointSaver::new(run, CheckpointPolicy::of(&config.run));
        saver.last_save = Some(LastSave { at: Instant::now(), took: Duration::from_secs(3600) });
        let epochs: Vec<u64> = (1..=7).filter(|epoch| saver.is_due_at_epoch(10 * epoch, *epoch)).collect();
        assert_eq!(epochs, [3, 6]);
        let steps: Vec<u64> = (1..=20).filter(|step| saver.is_due_at_step(*step)).collect();
        assert_eq!(steps, [7, 14]);
        saver.observe(40, Monitor::default(), 0.5);
        assert!(saver.is_due_at_epoch(40, 4), "the best epoch is saved");

        assert!(!saver.is_time());
        saver.policy.interval = Some(Duration::from_secs(60));
        assert!(!saver.is_time() && !saver.is_due_at_epoch(50, 5));
        saver.policy.interval = Some(Duration::ZERO);
        assert!(saver.is_time() && saver.is_due_at_epoch(50, 5));
    }
}
