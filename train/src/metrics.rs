//! The numbers that steps show: read at once, or, where reading waits for the device, many steps' at a time.

use std::time::{Duration, Instant};

use tensor::Backend;

use crate::Result;
use crate::log::StepLine;
use crate::step::{Outcome, Shown};

/// When loss and hits of a step are read from the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// At each step, before its update: a loss that is not finite changes nothing.
    EachStep,
    /// Of many steps together, so that the device need not be waited for: when so many steps are unread or so much time
    /// has passed. A loss that is not finite is found as late.
    Together {
        /// The most steps.
        steps: usize,
        /// The longest time.
        within: Duration,
    },
}

impl Reading {
    /// Each step's, unless the device works while the program goes on: then up to 32 steps' twice a second.
    pub fn of<B: Backend>(device: &B) -> Self {
        if device.is_asynchronous() {
            Self::Together { steps: 32, within: Duration::from_millis(500) }
        } else {
            Self::EachStep
        }
    }
}

/// A step that was done.
pub(crate) struct Done<B: Backend> {
    pub step: u64,
    pub epoch: u64,
    pub rate: f64,
    pub images: usize,
    pub shown: Numbers<B>,
}

/// What it showed.
pub(crate) enum Numbers<B: Backend> {
    Read(Outcome),
    Unread(Shown<B>),
}

/// A step's line of the log, with what the epoch's sums take of it.
pub(crate) struct Told {
    pub line: StepLine,
    pub outcome: Outcome,
    pub images: usize,
}

/// Steps that were done and not told yet.
pub(crate) struct Metrics<B: Backend> {
    pub reading: Reading,
    waiting: Vec<Done<B>>,
    begun: Instant,
}

impl<B: Backend<Scalar = f32>> Metrics<B> {
    pub fn new(reading: Reading) -> Self {
        Self { reading, waiting: Vec::new(), begun: Instant::now() }
    }

    /// From now on time counts for the images a second.
    pub fn begin(&mut self) {
        self.begun = Instant::now();
    }

    pub fn add(&mut self, done: Done<B>) {
        self.waiting.push(done);
    }

    /// Whether it is time to read.
    pub fn are_due(&self) -> bool {
        match self.reading {
            Reading::EachStep => !self.waiting.is_empty(),
            Reading::Together { steps, within } => {
                self.waiting.len() >= steps || (!self.waiting.is_empty() && self.begun.elapsed() >= within)
            }
        }
    }

    /// Reads what waits, in order. Images a second are those of all these steps, since the read before.
    pub fn read(&mut self) -> Result<Vec<Told>> {
        let waiting = std::mem::take(&mut self.waiting);
        let unread = waiting.iter().filter_map(|done| match &done.shown {
            Numbers::Read(_) => None,
            Numbers::Unread(shown) => Some(shown),
        });
        let mut read = Shown::read(&unread.collect::<Vec<_>>())?.into_iter();
        let images: usize = waiting.iter().map(|done| done.images).sum();
        let images_per_s = images as f64 / self.begun.elapsed().as_secs_f64().max(1e-9);
        self.begin();
        let tell = |done: Done<B>| {
            let outcome = match done.shown {
                Numbers::Read(outcome) => Some(outcome),
                Numbers::Unread(_) => read.next(),
            }?;
            let line = StepLine {
                step: done.step,
                epoch: done.epoch,
                loss: outcome.loss,
                top1_error: outcome.wrong as f64 / done.images.max(1) as f64,
                rate: done.rate,
                images_per_s,
            };
            Some(Told { line, outcome, images: done.images })
        };
        Ok(waiting.into_iter().filter_map(tell).collect())
    }
}
