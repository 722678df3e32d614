//! The learning-rate range test (Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3):
//! a short training in which the rate rises from step to step, to find the range in which the loss falls.

use std::ops::ControlFlow;
use std::sync::Arc;

use data::Loader;
use layers::{Model, Network, Pass};
use serde::Serialize;
use tensor::Backend;

use crate::device_loader::{DeviceBatch, DeviceLoader};
use crate::learner::{Callback, Event, Learner};
use crate::starting_weights::StartingWeights;
use crate::step::classify;
use crate::trainer::{NetworkLearner, Trainer, loader_options};
use crate::{Config, Error, MetricsPolicy, Packs, Result, Stop, Targets};

/// Rates and length of a range test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RangeTestOptions {
    /// Learning rate of the first step.
    pub from: f64,
    /// Learning rate of the last step.
    pub to: f64,
    /// Number of steps; the rate rises by the same factor from each to the next.
    pub steps: u64,
}

impl Default for RangeTestOptions {
    fn default() -> Self {
        Self { from: 1e-7, to: 10.0, steps: 100 }
    }
}

impl RangeTestOptions {
    /// The learning rate of a step, from 0.
    fn rate(&self, step: u64) -> f64 {
        let share = step as f64 / (self.steps.max(2) - 1) as f64;
        self.from * (self.to / self.from).powf(share)
    }
}

/// A step of a range test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RangePoint {
    /// Its learning rate.
    pub rate: f64,
    /// The loss of its batch, before the update.
    pub loss: f64,
    /// The exponential mean of the losses so far.
    pub smoothed: f64,
}

/// The result of a range test.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RangeTest {
    /// The steps, with rising rates, up to the one at which the loss diverged.
    pub points: Vec<RangePoint>,
    /// Whether the loss diverged.
    pub diverged: bool,
    /// The rate at which the smoothed loss falls most steeply, over the logarithm of the rate.
    pub steepest: Option<f64>,
    /// A tenth of the rate at which the smoothed loss is lowest.
    pub tenth_of_lowest: Option<f64>,
}

/// Weight of the past in the exponential mean.
const SMOOTHING: f64 = 0.9;
/// The loss has diverged at this many times its lowest smoothed value.
const DIVERGENCE: f64 = 4.0;
/// The loss has risen at this many times the highest smoothed value of the first steps.
const RISE: f64 = 1.1;
/// Steps that show the loss at the start and its noise, before the rate has an effect.
const FIRST_STEPS: usize = 10;
/// Points on either side of the one at which the slope is measured.
const SLOPE_REACH: usize = 3;

impl RangeTest {
    /// Adds a step; returns whether the loss diverged.
    fn add(&mut self, rate: f64, loss: f64) -> bool {
        let n = self.points.len() as i32;
        let before = self.points.last().map_or(0.0, |point| point.smoothed * (1.0 - SMOOTHING.powi(n)));
        let smoothed = (SMOOTHING * before + (1.0 - SMOOTHING) * loss) / (1.0 - SMOOTHING.powi(n + 1));
        let lowest = self.points.iter().map(|point| point.smoothed).fold(f64::INFINITY, f64::min);
        if !smoothed.is_finite() || smoothed > DIVERGENCE * lowest {
            self.diverged = true;
            return true;
        }
        self.points.push(RangePoint { rate, loss, smoothed });
        false
    }

    /// The points before the loss rises above that of the first steps. Where it falls later, it recovers from a rate that
    /// is too large.
    fn stable(&self) -> &[RangePoint] {
        let start = self.points.iter().take(FIRST_STEPS).map(|point| point.smoothed).fold(f64::MIN, f64::max);
        let end = self.points.iter().position(|point| point.smoothed > RISE * start);
        &self.points[..end.unwrap_or(self.points.len())]
    }

    /// Sets the suggested rates.
    fn suggest(&mut self) {
        let points = self.stable();
        let numbered = points.iter().enumerate();
        let lowest = numbered.min_by(|(_, a), (_, b)| a.smoothed.total_cmp(&b.smoothed));
        let Some((lowest_at, lowest)) = lowest.filter(|(_, lowest)| lowest.smoothed < points[0].smoothed) else {
            return;
        };
        let tenth_of_lowest = Some(lowest.rate / 10.0);
        let slope = |at: usize| {
            let first = &points[at - SLOPE_REACH];
            let last = &points[at + SLOPE_REACH];
            (last.smoothed - first.smoothed) / (last.rate / first.rate).ln()
        };
        let inner = SLOPE_REACH..points.len().saturating_sub(SLOPE_REACH).min(lowest_at + 1);
        let steepest = inner.min_by(|a, b| slope(*a).total_cmp(&slope(*b)));
        let steepest = steepest.filter(|at| slope(*at) < 0.0).map(|at| points[at].rate);
        self.tenth_of_lowest = tenth_of_lowest;
        self.steepest = steepest;
    }

    /// The suggested learning rate: that of the steepest descent.
    pub fn suggestion(&self) -> Option<f64> {
        self.steepest.or(self.tenth_of_lowest)
    }
}

/// Runs a range test of a configuration, from the weights that its run would start with, on its images with their
/// augmentation. No run is touched. Calls `progress` with the number of steps taken.
///
/// # Errors
/// [`Error::Stopped`] after a request to stop; [`Error::Setting`] where configuration, network and packs do not fit; those of
/// the parts.
pub fn range_test<B: Backend<Scalar = f32>>(
    device: &B,
    config: &Config,
    model: &Model,
    packs: &Packs,
    options: RangeTestOptions,
    stop: &Stop,
    mut progress: impl FnMut(u64),
) -> Result<RangeTest> {
    let input = Trainer::<B>::check(config, model, packs)?;
    let loader = Loader::new(Arc::clone(&packs.train), input, loader_options(config, model)?)?;
    let loader = DeviceLoader::new(device, loader)?;
    let network = StartingWeights::network(device, config, model)?;
    let mut learner = Learner::new(network, config.optim.optimizer()?)?
        .learning_rate(1.0)
        .seed(config.run.seed)
        .steps(options.steps)
        .accumulate(config.run.accumulate)
        .metrics_policy(MetricsPolicy::EachStep);
    let smoothing = config.data.label_smoothing;
    let class_weights = &config.data.class_weights.of(&packs.train)?;
    let loss = |network: &Network<B>, batch: DeviceBatch<B>, pass: &mut Pass<B>| {
        let images = loader.input(&batch)?;
        let targets = Targets { labels: &batch.labels, mixed: &batch.mixed, smoothing, class_weights };
        classify(network, images, targets, pass, true)
    };
    let mut ramp = Ramp { options, test: RangeTest::default(), stop, progress: &mut progress };
    let ended = learner.fit(&loader, loss, &mut [&mut ramp]);
    let mut test = ramp.test;
    match ended {
        Err(Error::Diverged { .. }) => test.diverged = true,
        other => drop(other?),
    }
    stop.check()?;
    test.suggest();
    Ok(test)
}

/// The callback that raises the rate and notes the loss.
struct Ramp<'a> {
    options: RangeTestOptions,
    test: RangeTest,
    stop: &'a Stop,
    progress: &'a mut dyn FnMut(u64),
}

impl<B: Backend<Scalar = f32>> Callback<B, Network<B>> for Ramp<'_> {
    fn on_event(&mut self, event: Event<'_>, learner: &mut NetworkLearner<B>) -> Result<ControlFlow<String>> {
        match event {
            Event::StepBegins if self.stop.is_requested() => return Ok(ControlFlow::Break("stopped".into())),
            Event::StepBegins => learner.rate_factor = self.options.rate(learner.progress().step),
            Event::Step(report) => {
                (self.progress)(report.step);
                if self.test.add(report.learning_rate, report.metrics.loss) {
                    return Ok(ControlFlow::Break("the loss diverged".into()));
                }
            }
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test_of(loss: impl Fn(f64) -> f64) -> RangeTest {
        let options = RangeTestOptions::default();
        let mut test = RangeTest::default();
        for rate in (0..options.steps).map(|step| options.rate(step)) {
            if test.add(rate, loss(rate)) {
                break;
            }
        }
        test.suggest();
        test
    }

    #[test]
    fn rates_rise_by_one_factor() {
        let options = RangeTestOptions::default();
        let is_close = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
        assert!(is_close(options.rate(0), 1e-7) && is_close(options.rate(99), 10.0));
        assert!(is_close(options.rate(34) / options.rate(33), options.rate(1) / options.rate(0)));
    }

    #[test]
    fn the_steepest_descent_is_found_and_the_divergence() {
        // Falls around 1e-3, and explodes above 0.1.
        let test = test_of(|rate| 2.0 - 1.5 / (1.0 + (1e-3 / rate).powi(2)) + (rate / 0.1).powi(3));
        let steepest = test.steepest.unwrap();
        assert!((5e-4..5e-3).contains(&steepest), "{steepest}");
        let tenth = test.tenth_of_lowest.unwrap();
        assert!((5e-4..1e-2).contains(&tenth), "{tenth}");
        assert!(test.diverged && test.points.last().unwrap().rate < 10.0);
        assert_eq!(test.suggestion(), test.steepest);
    }

    /// The loss falls around 0.01, is thrown up at 1 without diverging, and recovers.
    #[test]
    fn a_recovery_is_no_descent() {
        let thrown_up = |rate: f64| if rate > 0.5 { 3.0 * (1.0 / rate).min(1.0) } else { 0.0 };
        let test = test_of(|rate| 2.0 - 0.5 / (1.0 + (1e-2 / rate).powi(2)) + thrown_up(rate));
        let steepest = test.steepest.unwrap();
        assert!(!test.diverged && (3e-3..1e-1).contains(&steepest), "{steepest}");
        assert!(test.tenth_of_lowest.unwrap() < 0.1);
    }

    /// After a rise above the start, nothing counts, not even a lower loss.
    #[test]
    fn a_lower_loss_after_a_rise_is_not_taken() {
        let after = |rate: f64| if rate > 2.0 { 0.5 } else { 4.0 };
        let test = test_of(|rate| if rate > 0.5 { after(rate) } else { 2.0 - 0.5 / (1.0 + (1e-2 / rate).powi(2)) });
        assert!(test.steepest.unwrap() < 0.1 && test.tenth_of_lowest.unwrap() < 0.1, "{test:?}");
    }

    /// A fall from a wave that is below the start is steeper than the descent, and comes after the lowest loss.
    #[test]
    fn a_fall_after_the_lowest_loss_is_no_descent() {
        let wave = |rate: f64| if (0.3..2.0).contains(&rate) { 0.4 } else { 0.0 };
        let test = test_of(|rate| 2.0 - 0.5 / (1.0 + (1e-3 / rate).powf(0.5)) + wave(rate));
        assert!(test.steepest.unwrap() < 0.3, "{:?}", test.steepest);
    }

    /// The losses of a trained network are small, and differ much from batch to batch.
    #[test]
    fn noise_is_no_rise() {
        let noise = |rate: f64| 1.0 + 0.8 * (rate.ln() * 1e4).sin();
        let test = test_of(|rate| noise(rate) * 0.05 * (0.2 + 0.8 / (1.0 + (rate / 1e-2).powi(2))));
        let lowest = test.tenth_of_lowest.unwrap();
        assert!(lowest > 3e-3, "{lowest}");
    }

    #[test]
    fn a_loss_that_never_falls_suggests_nothing() {
        assert_eq!(test_of(|rate| 1.0 + rate).suggestion(), None);
        let infinite = test_of(|rate| if rate > 1e-6 { f64::NAN } else { 1.0 });
        assert!(infinite.diverged && infinite.points.iter().all(|point| point.rate <= 1e-6));
    }

    #[test]
    fn the_mean_of_equal_losses_is_the_loss() {
        let test = test_of(|_| 0.7);
        assert_eq!(test.points.len(), 100);
        assert!(test.points.iter().all(|point| (point.smoothed - 0.7).abs() < 1e-9));
    }
}
