//! The state of a training that is shown.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tensor::Backend;
use train::log::{self, EpochLine, StepLine, ValidationLine};
use train::trainer::Trainer;

use super::curve::Curve;
use super::pace::Pace;
use super::text;

/// Lines that are kept.
const MAX_LINES: usize = 500;
/// Steps after which the time of the run is said, and seconds.
const MEASURED_STEPS: usize = 10;
const MEASURED_S: u64 = 5;

/// The state of a training.
#[derive(Debug)]
pub struct RunView {
    pub network: String,
    pub folder: PathBuf,
    /// Steps of the whole run.
    pub total: u64,
    pub steps_per_epoch: u64,
    pub classes: usize,
    /// Images of a step.
    batch: usize,
    /// Whether epochs end with a validation.
    pub validates: bool,
    pub validation_images: usize,
    /// Steps of the whole run that were taken before this session.
    pub resumed_at: u64,
    pub step: u64,
    pub last_step: Option<StepLine>,
    pub last_epoch: Option<EpochLine>,
    pub last_validation: Option<ValidationLine>,
    /// The lowest validation error, with its epoch.
    pub best: Option<(f64, u64)>,
    /// Images of the validation under way that are done.
    pub validating: Option<usize>,
    pub training_loss: Curve,
    pub training_error: Curve,
    pub validation_loss: Curve,
    pub validation_error: Curve,
    pub pace: Pace,
    /// When the first step began.
    pub began: Instant,
    pub saved: Option<(String, Instant)>,
    /// Lines that were shown: epochs and notes.
    pub lines: VecDeque<Vec<String>>,
    /// Sums of loss and error of the steps since a line was last shown, and their number.
    recent: (f64, f64, u32),
    is_time_said: bool,
    /// Whether a stop was requested.
    pub is_stopping: bool,
}

impl RunView {
    /// The state of a training before its first step of this session.
    pub fn of<B: Backend<Scalar = f32>>(trainer: &Trainer<B>) -> Self {
        let model = trainer.network().model();
        let sizes =
            [model.classes, trainer.validation_images(), trainer.config().run.batch * trainer.config().run.accumulate];
        let mut view =
            Self::new(&model.name, trainer.folder(), trainer.total_steps(), trainer.steps_per_epoch(), sizes);
        view.resumed_at = trainer.steps_done();
        view.step = trainer.steps_done();
        view
    }

    /// A training of `total` steps that has not begun; `sizes` are its classes, validation images and images of a step.
    pub fn new(network: &str, folder: &Path, total: u64, steps_per_epoch: u64, sizes: [usize; 3]) -> Self {
        let [classes, validation_images, batch] = sizes;
        let now = Instant::now();
        Self {
            network: network.into(),
            folder: folder.to_path_buf(),
            total,
            steps_per_epoch: steps_per_epoch.max(1),
            classes,
            batch,
            validates: validation_images > 0,
            validation_images,
            resumed_at: 0,
            step: 0,
            last_step: None,
            last_epoch: None,
            last_validation: None,
            best: None,
            validating: None,
            training_loss: Curve::default(),
            training_error: Curve::default(),
            validation_loss: Curve::default(),
            validation_error: Curve::default(),
            pace: Pace::begin(now),
            began: now,
            saved: None,
            lines: VecDeque::new(),
            recent: (0.0, 0.0, 0),
            is_time_said: false,
            is_stopping: false,
        }
    }

    /// Images that so many steps train on.
    pub fn images_of(&self, steps: u64) -> f64 {
        steps as f64 * self.batch as f64
    }

    /// Reads the curves of earlier sessions from the logs of a run. Logs that cannot be read are left out.
    pub fn read_logs(&mut self, folder: &Path) {
        if self.resumed_at == 0 {
            return;
        }
        for line in log::read_steps(&folder.join("log.jsonl")).unwrap_or_default() {
            self.add_step(&line);
        }
        let validations: Vec<ValidationLine> = log::read(&folder.join("validation.jsonl")).unwrap_or_default();
        validations.iter().for_each(|line| self.add_validation(line));
    }

    /// Epochs of the whole run, the last one perhaps not whole.
    pub fn epochs(&self) -> u64 {
        self.total.div_ceil(self.steps_per_epoch)
    }

    /// The epoch under way, from 1.
    pub fn epoch_under_way(&self) -> u64 {
        let epoch = match self.last_step.as_ref() {
            Some(line) if self.step.is_multiple_of(self.steps_per_epoch) && self.validating.is_none() => line.epoch + 1,
            Some(line) => line.epoch,
            None => self.step / self.steps_per_epoch + 1,
        };
        epoch.min(self.epochs())
    }

    /// The first step begins.
    pub fn begin(&mut self) {
        self.began = Instant::now();
        self.pace = Pace::begin(self.began);
    }

    /// A step was taken.
    pub fn step(&mut self, line: &StepLine) {
        self.pace.step(Instant::now());
        self.validating = None;
        self.recent.0 += line.loss;
        self.recent.1 += line.top1_error;
        self.recent.2 += 1;
        self.add_step(line);
    }

    fn add_step(&mut self, line: &StepLine) {
        self.step = line.step;
        let x = line.step as f64 / self.steps_per_epoch as f64;
        self.training_loss.push(x, line.loss);
        self.training_error.push(x, line.top1_error);
        self.last_step = Some(line.clone());
    }

    /// All steps of an epoch were taken.
    pub fn epoch(&mut self, line: &EpochLine) {
        self.last_epoch = Some(line.clone());
    }

    /// A number of validation images are done.
    pub fn validating(&mut self, done: usize) {
        self.validating = Some(done);
        self.pace.validating(Instant::now());
    }

    /// An epoch was validated.
    pub fn validated(&mut self, line: &ValidationLine) {
        self.validating = None;
        self.pace.validated(Instant::now());
        self.add_validation(line);
    }

    fn add_validation(&mut self, line: &ValidationLine) {
        let x = line.epoch as f64;
        self.validation_loss.push(x, line.loss);
        self.validation_error.push(x, line.top1_error);
        if self.best.is_none_or(|(error, _)| line.top1_error < error) {
            self.best = Some((line.top1_error, line.epoch));
        }
        self.last_validation = Some(line.clone());
    }

    /// A checkpoint was saved.
    pub fn saved(&mut self, path: &Path) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.saved = Some((name, Instant::now()));
    }

    /// Keeps a line, given as parts.
    pub fn line(&mut self, line: Vec<String>) {
        self.lines.push_back(line);
        if self.lines.len() > MAX_LINES {
            self.lines.pop_front();
        }
    }

    /// The time that is left of the run.
    pub fn time_left(&self) -> Option<Duration> {
        let steps = self.total.saturating_sub(self.step);
        let validations =
            if self.validates { self.total / self.steps_per_epoch - self.step / self.steps_per_epoch } else { 0 };
        self.pace.time_of(steps, validations)
    }

    /// The time that is left of the epoch under way.
    pub fn epoch_time_left(&self) -> Option<Duration> {
        let end = (self.epoch_under_way() * self.steps_per_epoch).min(self.total);
        self.pace.time_of(end.saturating_sub(self.step), u64::from(self.validates))
    }

    /// The line of the time that the run takes, once, when enough steps were measured.
    pub fn measured_time(&mut self) -> Option<Vec<String>> {
        let is_enough = self.pace.taken() > MEASURED_STEPS
            || (self.pace.taken() > 2 && self.began.elapsed().as_secs() >= MEASURED_S);
        if self.is_time_said || !is_enough {
            return None;
        }
        self.is_time_said = true;
        let left = self.time_left().filter(|left| left.as_secs() >= 60)?;
        let speed = self.last_step.as_ref().map(|line| text::speed(line.images_per_s))?;
        Some(vec![format!("at {speed} images/s the run takes about {} more", text::duration(left))])
    }

    /// The means of loss and error of the steps since this was last asked, and their number.
    pub fn take_recent(&mut self) -> Option<(f64, f64, u32)> {
        let (loss, error, count) = std::mem::take(&mut self.recent);
        let n = f64::from(count.max(1));
        (count > 0).then_some((loss / n, error / n, count))
    }
}
