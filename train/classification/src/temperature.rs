//! Temperature scaling: logits divided by one number, so that confidence fits accuracy (Guo and others: "On Calibration
//! of Modern Neural Networks", 2017, section 4.2).

use serde::Serialize;

use crate::calibration::CalibrationSums;

/// Probabilities that a sample keeps: 16 MiB.
const MAX_VALUES: usize = 4 << 20;
/// Lowest and highest temperature that is looked for.
const RANGE: [f64; 2] = [0.05, 20.0];
/// Steps of the search, which needs about six.
const MAX_STEPS: usize = 60;
/// Images that a temperature is fitted to, at least.
const MIN_IMAGES: usize = 20;

/// The temperature with the lowest mean loss, and the results with it.
///
/// Loss and calibration error are cross-validated: each half of the images is judged with the temperature of the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TemperatureScaling {
    /// Temperature that the logits are divided by: above 1 if the network is too sure.
    pub temperature: f64,
    /// Number of images that it was fitted to: all, or a part of them at even distances.
    pub images: usize,
    /// Mean loss of these images as they are, in nats.
    pub loss_before: f64,
    /// Mean loss with scaled logits, in nats.
    pub loss: f64,
    /// Expected calibration error with scaled logits, a fraction.
    pub expected_error: f64,
}

/// Divides the logits behind an image's probabilities by a temperature: each probability `p` becomes proportional to
/// `p^(1/T)`. A temperature of 1 changes nothing, and neither does any if a probability is not a number.
///
/// ```
/// let mut row = [0.8, 0.2];
/// alexnet_classification::scale_probabilities(&mut row, 2.0);
/// assert!((row[0] - 2.0 / 3.0).abs() < 1e-6);
/// ```
pub fn scale_probabilities(row: &mut [f32], temperature: f64) {
    if temperature == 1.0 || row.iter().any(|value| !value.is_finite()) {
        return;
    }
    let logs: Vec<f64> = row.iter().map(|&value| f64::from(log_of(value)) / temperature).collect();
    let highest = logs.iter().copied().fold(f64::MIN, f64::max);
    let sum: f64 = logs.iter().map(|log| (log - highest).exp()).sum();
    for (value, log) in row.iter_mut().zip(logs) {
        *value = ((log - highest).exp() / sum) as f32;
    }
}

/// The logarithm of a probability; of 0, that of the smallest positive number.
fn log_of(probability: f32) -> f32 {
    probability.max(f32::MIN_POSITIVE).ln()
}

/// Logarithms of the probabilities of images at even distances, as many as the memory allows.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    classes: usize,
    /// Images from one of the sample to the next.
    distance: usize,
    /// Number of images so far, whether they are in the sample or not.
    seen: usize,
    labels: Vec<u32>,
    logs: Vec<f32>,
    /// Values in `logs` at most.
    capacity: usize,
}

impl Sample {
    pub fn new(classes: usize) -> Self {
        Self::with_capacity(classes, MAX_VALUES)
    }

    fn with_capacity(classes: usize, capacity: usize) -> Self {
        Self { classes, distance: 1, seen: 0, labels: Vec::new(), logs: Vec::new(), capacity }
    }

    /// Takes an image, if it is its turn.
    pub fn offer(&mut self, label: usize, probabilities: &[f32]) {
        let place = self.seen;
        self.seen += 1;
        if place.is_multiple_of(self.distance) && self.logs.len() + self.classes > self.capacity {
            self.drop_every_second();
        }
        if place.is_multiple_of(self.distance) {
            self.labels.push(label as u32);
            self.logs.extend(probabilities.iter().map(|&value| log_of(value)));
        }
    }

    fn drop_every_second(&mut self) {
        let kept = self.labels.len().div_ceil(2);
        for image in 0..kept {
            self.labels[image] = self.labels[2 * image];
            let from = 2 * image * self.classes;
            self.logs.copy_within(from..from + self.classes, image * self.classes);
        }
        self.labels.truncate(kept);
        self.logs.truncate(kept * self.classes);
        self.distance *= 2;
    }

    /// The label and the logarithms of the probabilities of each image of a part.
    fn part(&self, part: Part) -> impl Iterator<Item = (usize, &[f32])> {
        let images = self.labels.iter().zip(self.logs.chunks_exact(self.classes.max(1)));
        let is_in = move |number: usize| part.remainder.is_none_or(|remainder| number % 2 == remainder);
        let inside = images.enumerate().filter(move |(number, _)| is_in(*number));
        inside.map(|(_, (&label, logs))| (label as usize, logs))
    }

    /// The best temperature with its results; none of few images, of one class, or if the loss falls up to the end of the
    /// range, as it does if all images are hits.
    pub fn fit(&self) -> Option<TemperatureScaling> {
        if self.labels.len() < MIN_IMAGES || self.classes < 2 {
            return None;
        }
        let halves = [self.best(Part::EVEN)?, self.best(Part::ODD)?];
        let temperature = self.best(Part::ALL)?;
        let mut sums = CalibrationSums::default();
        let mut loss = 0.0;
        for (part, temperature) in [(Part::EVEN, halves[1]), (Part::ODD, halves[0])] {
            for (label, logs) in self.part(part) {
                let image = Moments::of(logs, 1.0 / temperature);
                loss += image.log_sum - f64::from(logs[label]) / temperature;
                let (predicted, highest) = highest(logs);
                let confidence = (f64::from(highest) / temperature - image.log_sum).exp();
                sums.add(confidence as f32, predicted == label);
            }
        }
        let images = self.labels.len();
        let before = self.part(Part::ALL).map(|(label, logs)| -f64::from(logs[label])).sum::<f64>();
        Some(TemperatureScaling {
            temperature,
            images,
            loss_before: before / images as f64,
            loss: loss / images as f64,
            expected_error: sums.finish().expected_error,
        })
    }

    /// The temperature with the lowest loss. The loss is convex in the factor 1/T: Newton's steps, within bounds that
    /// halve where a step leaves them.
    fn best(&self, part: Part) -> Option<f64> {
        let mut low = 1.0 / RANGE[1];
        let mut high = 1.0 / RANGE[0];
        if self.slope(part, low).0 >= 0.0 || self.slope(part, high).0 <= 0.0 {
            return None;
        }
        let mut factor = 1.0;
        for _ in 0..MAX_STEPS {
            let (slope, curvature) = self.slope(part, factor);
            if slope > 0.0 {
                high = factor;
            } else {
                low = factor;
            }
            let newton = factor - slope / curvature;
            let next = if newton > low && newton < high { newton } else { (low + high) / 2.0 };
            let is_close = (next - factor).abs() <= 1e-9 * factor;
            factor = next;
            if is_close {
                break;
            }
        }
        Some(1.0 / factor)
    }

    /// First and second derivative of the summed loss by the factor.
    fn slope(&self, part: Part, factor: f64) -> (f64, f64) {
        let mut slope = 0.0;
        let mut curvature = 0.0;
        for (label, logs) in self.part(part) {
            let image = Moments::of(logs, factor);
            slope += image.mean - f64::from(logs[label]);
            curvature += image.variance;
        }
        (slope, curvature)
    }
}

/// The images of a sample with even or odd numbers, or all.
#[derive(Clone, Copy)]
struct Part {
    remainder: Option<usize>,
}

impl Part {
    const ALL: Self = Self { remainder: None };
    const EVEN: Self = Self { remainder: Some(0) };
    const ODD: Self = Self { remainder: Some(1) };
}

/// An image's distribution over the classes, proportional to `exp(factor * log)`.
struct Moments {
    /// The logarithm of the sum of `exp(factor * log)`.
    log_sum: f64,
    /// Mean of the logs.
    mean: f64,
    /// Their variance.
    variance: f64,
}

impl Moments {
    fn of(logs: &[f32], factor: f64) -> Self {
        let top = f64::from(highest(logs).1);
        let mut sum = 0.0;
        let mut first = 0.0;
        let mut second = 0.0;
        for &log in logs {
            // From the highest one, so that nothing overflows.
            let log = f64::from(log) - top;
            let weight = (factor * log).exp();
            sum += weight;
            first += weight * log;
            second += weight * log * log;
        }
        let mean = first / sum;
        Self { log_sum: sum.ln() + factor * top, mean: mean + top, variance: second / sum - mean * mean }
    }
}

/// The first highest value, and its place.
fn highest(logs: &[f32]) -> (usize, f32) {
    logs.iter().enumerate().fold((0, f32::MIN), |best, (place, &log)| if log > best.1 { (place, log) } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_keeps_images_at_even_distances() {
        let mut sample = Sample::with_capacity(2, 20);
        for image in 0..100 {
            sample.offer(image, &[0.5, 0.5]);
        }
        assert_eq!(sample.labels, [0, 16, 32, 48, 64, 80, 96]);
        assert_eq!(sample.logs.len(), 14);
    }

    #[test]
    fn a_dropped_image_takes_its_own_probabilities_along() {
        let mut sample = Sample::with_capacity(1, 4);
        for image in 0..8u8 {
            sample.offer(usize::from(image), &[1.0 / f32::from(image + 1)]);
        }
        let found: Vec<_> = sample.part(Part::ALL).map(|(label, logs)| (label, (-logs[0]).exp().round())).collect();
        assert_eq!(found, [(0, 1.0), (2, 3.0), (4, 5.0), (6, 7.0)]);
    }
}
