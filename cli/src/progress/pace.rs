//! The speed of a training, and the time that is left.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The last steps from which the time of a step is taken.
const STEPS: usize = 200;

/// The times of steps and validations of this session.
#[derive(Debug)]
pub struct Pace {
    last: Instant,
    steps: VecDeque<Duration>,
    taken: usize,
    /// Begin of the validation under way.
    validation_began: Option<Instant>,
    validation: Option<Duration>,
}

impl Pace {
    /// The pace of a training that begins now.
    pub fn begin(now: Instant) -> Self {
        Self { last: now, steps: VecDeque::new(), taken: 0, validation_began: None, validation: None }
    }

    /// A step was taken.
    pub fn step(&mut self, now: Instant) {
        let step = now.duration_since(self.last);
        self.last = now;
        self.taken += 1;
        // The first one of a session is slower: caches are cold, GPUs compile.
        if self.taken == 2 {
            self.steps.clear();
        }
        self.steps.push_back(step);
        if self.steps.len() > STEPS {
            self.steps.pop_front();
        }
    }

    /// Steps taken in this session.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// A validation goes on.
    pub fn validating(&mut self, now: Instant) {
        self.validation_began.get_or_insert(self.last);
        self.last = now;
    }

    /// A validation ended.
    pub fn validated(&mut self, now: Instant) {
        let began = self.validation_began.take().unwrap_or(self.last);
        self.validation = Some(now.duration_since(began));
        self.last = now;
    }

    /// Seconds of a step; `None` before the first one.
    pub fn step_s(&self) -> Option<f64> {
        let sum: Duration = self.steps.iter().sum();
        (!self.steps.is_empty()).then(|| sum.as_secs_f64() / self.steps.len() as f64)
    }

    /// The time that `steps` steps and `validations` validations take.
    pub fn time_of(&self, steps: u64, validations: u64) -> Option<Duration> {
        let validation = self.validation.map_or(0.0, |time| time.as_secs_f64());
        let seconds = self.step_s()? * steps as f64 + validation * validations as f64;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_that_of_this_sessions_steps_and_validations() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut pace = Pace::begin(start);
        assert_eq!(pace.time_of(10, 0), None);
        // A slow first step, then three of 2 seconds.
        for seconds in [30, 32, 34, 36] {
            pace.step(at(seconds));
        }
        assert_eq!(pace.time_of(10, 0), Some(Duration::from_secs(20)));
        // A validation of 5 seconds, which is no time of the next step.
        pace.validating(at(38));
        pace.validating(at(40));
        pace.validated(at(41));
        pace.step(at(43));
        assert_eq!(pace.time_of(10, 2), Some(Duration::from_secs(30)));
        assert_eq!(pace.taken(), 5);
    }
}
