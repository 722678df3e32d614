//! The test of a classifier.

use serde::Serialize;

use crate::bootstrap::{self, Interval};
use crate::calibration::{Calibration, CalibrationSums};
use crate::confusion::Confusion;
use crate::per_class::{ClassMeans, ClassReport};
use crate::roc::Roc;
use crate::temperature::{Sample, TemperatureScaling};
use crate::{Error, Result};

/// Rounding of a softmax may exceed 1 by this.
const ROUNDING: f32 = 1e-3;

/// Sums over the images of a test. It keeps 12 bytes an image, and 8 more of two classes. To fit a temperature, it keeps up
/// to 16 MiB of probabilities as well.
///
/// ```
/// use alexnet_classification::Classification;
///
/// let mut test = Classification::new(2);
/// let outcome = test.add(1, &[0.75, 0.25])?;
/// assert_eq!((outcome.predicted, outcome.rank), (0, 1));
/// assert!(test.add(2, &[0.5, 0.5]).is_err(), "the classes are 0 and 1");
/// assert_eq!(test.images(), 1);
/// # Ok::<(), alexnet_classification::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Classification {
    outcomes: Vec<Outcome>,
    confusion: Confusion,
    calibration: CalibrationSums,
    /// Of two classes: the probability of class 1 and whether it is the label.
    scores: Vec<(f32, bool)>,
    /// Sum of losses in double precision.
    loss: f64,
    /// Images that a temperature is fitted to, if one is wanted.
    sample: Option<Sample>,
}

/// The test of one image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The most probable class; of equals the first.
    pub predicted: u32,
    /// Number of classes that are more probable than the label, or as probable and before it: 0 is a hit.
    pub rank: u32,
    /// Minus the logarithm of the label's probability, in nats; of a probability of 0, that of the smallest positive number.
    pub loss: f32,
    /// The probability of the most probable class.
    pub confidence: f32,
}

/// Loss and errors of a test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Mean of -log(probability of the label), in nats.
    pub loss: f64,
    /// Fraction of images whose label was not the most probable class.
    pub top1_error: f64,
    /// Fraction of images whose label was not among the five most probable classes.
    pub top5_error: f64,
}

/// The results of a test. Errors, precision and recall are fractions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Number of images.
    pub images: usize,
    /// Mean of -log(probability of the label), in nats.
    pub loss: f64,
    /// Fraction of images whose label was not the most probable class.
    pub top1_error: f64,
    /// Fraction of images whose label was not among the five most probable classes.
    pub top5_error: f64,
    /// 95 % interval of the loss; of no images, none.
    pub loss_interval: Option<Interval>,
    /// 95 % interval of the top-1 error.
    pub top1_interval: Option<Interval>,
    /// 95 % interval of the top-5 error.
    pub top5_interval: Option<Interval>,
    /// Means over the classes that have images.
    pub mean: ClassMeans,
    /// Each class, in order.
    pub classes: Vec<ClassReport>,
    /// Calibration of the predicted classes' probabilities.
    pub calibration: Calibration,
    /// The temperature that fits best; none if it was not asked for or cannot be found.
    pub temperature: Option<TemperatureScaling>,
    /// The ROC curve of class 1, of two classes that both have images.
    pub roc: Option<Roc>,
}

impl Classification {
    /// A test of a classifier of this many classes, without images yet.
    pub fn new(classes: usize) -> Self {
        Self {
            outcomes: Vec::new(),
            confusion: Confusion::new(classes),
            calibration: CalibrationSums::default(),
            scores: Vec::new(),
            loss: 0.0,
            sample: None,
        }
    }

    /// The same, whose [report](Self::report) has a [temperature](TemperatureScaling).
    pub fn fitting_temperature(self) -> Self {
        let sample = Sample::new(self.classes());
        Self { sample: Some(sample), ..self }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.confusion.classes()
    }

    /// Number of images so far.
    pub fn images(&self) -> usize {
        self.outcomes.len()
    }

    /// Counts an image with its label and the probabilities of all classes.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Label`] and [`Error::Probability`]; the image is not counted then.
    pub fn add(&mut self, label: usize, probabilities: &[f32]) -> Result<Outcome> {
        let outcome = self.outcome(label, probabilities)?;
        self.loss -= loss_of(probabilities[label]);
        self.outcomes.push(outcome);
        self.confusion.add(label, outcome.predicted as usize);
        self.calibration.add(outcome.confidence, outcome.rank == 0);
        if let [_, score] = probabilities {
            self.scores.push((*score, label == 1));
        }
        if let Some(sample) = &mut self.sample {
            sample.offer(label, probabilities);
        }
        Ok(outcome)
    }

    fn outcome(&self, label: usize, probabilities: &[f32]) -> Result<Outcome> {
        let classes = self.classes();
        if probabilities.len() != classes {
            return Err(Error::Length { found: probabilities.len(), classes });
        }
        if label >= classes {
            return Err(Error::Label { label, classes });
        }
        let is_wrong = |value: &f32| !(-ROUNDING..=1.0 + ROUNDING).contains(value);
        if let Some((class, &value)) = probabilities.iter().enumerate().find(|(_, value)| is_wrong(value)) {
            return Err(Error::Probability { class, value });
        }
        let own = probabilities[label];
        let is_before = |class: usize, value: f32| value > own || (value == own && class < label);
        let rank = probabilities.iter().enumerate().filter(|&(class, &value)| is_before(class, value)).count();
        let mut predicted = 0;
        for (class, &value) in probabilities.iter().enumerate() {
            if value > probabilities[predicted] {
                predicted = class;
            }
        }
        let loss = -loss_of(own) as f32;
        let confidence = probabilities[predicted];
        Ok(Outcome { predicted: predicted as u32, rank: rank as u32, loss, confidence })
    }

    /// The outcome of each image, in the order in which they were added.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// The counts of labels and predictions.
    pub fn confusion(&self) -> &Confusion {
        &self.confusion
    }

    /// Loss and errors so far, without intervals.
    pub fn figures(&self) -> Figures {
        let n = self.images().max(1) as f64;
        let share_from = |rank: u32| self.outcomes.iter().filter(|outcome| outcome.rank >= rank).count() as f64 / n;
        Figures { loss: self.loss / n, top1_error: share_from(1), top5_error: share_from(5) }
    }

    /// The results so far. The intervals follow from the seed, on any number of threads.
    pub fn report(&self, seed: u64) -> Report {
        let Figures { loss, top1_error, top5_error } = self.figures();
        let classes = ClassReport::of(&self.confusion);
        let [top1_interval, top5_interval, loss_interval] = bootstrap::intervals(&self.outcomes, seed);
        Report {
            images: self.images(),
            loss,
            top1_error,
            top5_error,
            loss_interval,
            top1_interval,
            top5_interval,
            mean: ClassMeans::of(&classes),
            classes,
            calibration: self.calibration.finish(),
            temperature: self.sample.as_ref().and_then(Sample::fit),
            roc: Roc::of(&self.scores),
        }
    }
}

/// The logarithm of a probability.
fn loss_of(probability: f32) -> f64 {
    f64::from(probability.max(f32::MIN_POSITIVE)).ln()
}
