//! The reports of a run beside its metrics: TensorBoard, parameters and warnings.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use layers::Model;
use optim::GradientObserver;
use tensor::Backend;

use super::NetworkLearner;
use super::board::Board;
use super::dead_units::DeadUnits;
use super::parameter_report::{self, Before};
use super::start_watch::StartWatch;
use crate::log::{Csv, EpochLine, StepLine, ValidationLine};
use crate::position::Position;
use crate::{Config, Result};

/// The reports of a run.
pub(super) struct Reports {
    board: Board,
    parameters: Csv,
    batches_per_epoch: usize,
    /// Batches of a step.
    accumulate: usize,
    /// The parameters before the step that is the last of an epoch.
    before: Option<Before>,
    start: StartWatch,
    dead_units: Arc<Mutex<DeadUnits>>,
    /// Whether all steps of the epoch were taken in this session.
    is_whole_epoch: bool,
    /// Messages for the user that were not shown.
    pub notes: Vec<String>,
}

impl Reports {
    /// Opens the reports of a run at `position`. `labels` has the number of training images of each class.
    pub fn open(
        folder: &Path,
        position: &Position,
        batches_per_epoch: usize,
        config: &Config,
        model: &Model,
        labels: &[u64],
        class_weights: &[f32],
    ) -> Result<Self> {
        let accumulate = config.run.accumulate;
        let steps_per_epoch = batches_per_epoch.div_ceil(accumulate) as u64;
        let (board, note) = Board::open(folder, position.step, steps_per_epoch, config, model);
        // At the end of an epoch, its rows are there although it is not yet complete.
        let last_epoch = position.epoch + u64::from(position.batch == batches_per_epoch);
        let parameters = parameter_report::open_csv(&folder.join("parameters.csv"), last_epoch)?;
        let start = StartWatch::new(labels, class_weights);
        let dead_units =
            Arc::new(Mutex::new(DeadUnits::new(model, steps_per_epoch as usize, config.run.batch * accumulate)));
        let is_whole_epoch = position.batch == 0;
        let notes = note.into_iter().collect();
        Ok(Self {
            board,
            parameters,
            batches_per_epoch,
            accumulate,
            before: None,
            start,
            dead_units,
            is_whole_epoch,
            notes,
        })
    }

    /// The observer of gradients that looks for dead units.
    pub fn observer<B: Backend>(&self) -> GradientObserver<B> {
        let dead_units = Arc::clone(&self.dead_units);
        GradientObserver::new(move |name, gradient| lock(&dead_units).observe(name, gradient))
    }

    /// A step begins.
    pub fn step_begins<B: Backend<Scalar = f32>>(&mut self, learner: &NetworkLearner<B>) -> Result<()> {
        lock(&self.dead_units).begin_step();
        if learner.progress().batch + self.accumulate >= self.batches_per_epoch {
            self.before = Some(Before::read(&learner.module)?);
        }
        Ok(())
    }

    /// A step was taken.
    pub fn step_ends<B: Backend<Scalar = f32>>(&mut self, learner: &NetworkLearner<B>) -> Result<()> {
        let Some(before) = self.before.take() else { return Ok(()) };
        let parameters = before.compare(&learner.module)?;
        let step = learner.progress().step;
        let epoch = learner.progress().epoch + 1;
        self.notes.extend(parameter_report::append(&mut self.parameters, epoch, step, &parameters));
        self.notes.extend(self.board.parameters(step, &parameters, &learner.module));
        Ok(())
    }

    /// Writes what is still in memory.
    pub fn flush(&mut self) {
        self.notes.extend(self.board.flush());
    }

    /// The metrics of a step were read.
    pub fn step(&mut self, line: &StepLine) {
        self.notes.extend(self.board.step(line));
        self.notes.extend(self.start.observe(line.step, line.loss));
    }

    /// An epoch ended, with its validation if there was one.
    pub fn epoch(&mut self, epoch: &EpochLine, validation: Option<&ValidationLine>) {
        self.notes.extend(self.board.epoch(epoch, validation));
        let is_whole = std::mem::replace(&mut self.is_whole_epoch, true);
        let (shares, note) = lock(&self.dead_units).end_epoch(epoch.epoch, is_whole);
        self.notes.extend(note);
        self.notes.extend(self.board.dead_units(epoch.step, &shares));
    }
}

/// The lock of a watch. A panic leaves it as it was before or after a gradient.
fn lock(watch: &Mutex<DeadUnits>) -> MutexGuard<'_, DeadUnits> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}
