//! A watch over the start of a training: AlexNet fails by never leaving the loss of guessing.

/// Steps before the first check, and between checks.
const FIRST: u64 = 300;
const EVERY: u64 = 100;
/// No check after this step.
const LAST: u64 = 2000;
/// A loss this much below that of guessing, as a fraction, is learning.
const LEARNED: f64 = 0.005;
/// A loss this much above that of guessing is another fault.
const ABOVE: f64 = 0.05;

/// Compares the loss of the first steps with that of a network that knows nothing but how frequent the classes are.
pub(super) struct StartWatch {
    /// Loss of the best guess without looking, in nats: the entropy of the training labels, weighted by class.
    guessing: f64,
    /// Loss of equal probabilities.
    equal: f64,
    classes: usize,
    sum: f64,
    steps: u64,
    is_said: bool,
}

impl StartWatch {
    /// A watch for training images of which there are so many in each class, whose losses have these weights: one for each
    /// class, or none.
    pub fn new(labels: &[u64], class_weights: &[f32]) -> Self {
        let total = labels.iter().sum::<u64>().max(1) as f64;
        let weight = |class: usize| class_weights.get(class).map_or(1.0, |weight| f64::from(*weight));
        let weighted = |(class, count): (usize, &u64)| *count as f64 / total * weight(class);
        let shares: Vec<f64> = labels.iter().enumerate().map(weighted).collect();
        let sum: f64 = shares.iter().sum();
        let guessing = shares.iter().filter(|share| **share > 0.0).map(|share| -share * (share / sum).ln()).sum();
        let equal = sum * (labels.len() as f64).ln();
        Self { guessing, equal, classes: labels.len(), sum: 0.0, steps: 0, is_said: false }
    }

    /// Takes the loss of a step into account. Returns a warning, once, if the network has not begun to learn.
    pub fn observe(&mut self, step: u64, loss: f64) -> Option<String> {
        if self.is_said || step > LAST || self.guessing <= 0.0 {
            return None;
        }
        self.sum += loss;
        self.steps += 1;
        if !step.is_multiple_of(EVERY) {
            return None;
        }
        let steps = std::mem::take(&mut self.steps);
        let mean = std::mem::take(&mut self.sum) / steps as f64;
        let is_stuck = mean > self.guessing * (1.0 - LEARNED) && mean < self.equal * (1.0 + ABOVE);
        // After a resume, a few steps say nothing.
        if step < FIRST || steps < EVERY || !is_stuck {
            return None;
        }
        self.is_said = true;
        Some(format!(
            "after {step} steps the loss is {mean:.3}, that of guessing among {} classes ({:.3}): the network has not begun \
             to learn. A deep network can take long to begin, or never do; another optim.lr (ten times smaller or larger), \
             optim.warmup_epochs = 1, another run.seed, or optim.kind = \"adam\" with optim.lr = 0.0001 often helps",
            self.classes, self.guessing
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_warning(labels: &[u64], loss: impl Fn(u64) -> f64) -> Option<(u64, String)> {
        first_weighted_warning(labels, &[], loss)
    }

    fn first_weighted_warning(
        labels: &[u64],
        class_weights: &[f32],
        loss: impl Fn(u64) -> f64,
    ) -> Option<(u64, String)> {
        let mut watch = StartWatch::new(labels, class_weights);
        let mut found = None;
        for step in 1..=3000 {
            if let Some(text) = watch.observe(step, loss(step)) {
                assert!(found.is_none(), "said twice");
                found = Some((step, text));
            }
        }
        found
    }

    #[test]
    fn a_loss_that_stays_at_guessing_is_said_once() {
        let guessing = 10.0_f64.ln();
        let (step, text) = first_warning(&[50; 10], |step| guessing + 0.01 * (step as f64).sin()).unwrap();
        assert_eq!(step, 300);
        assert!(text.contains("among 10 classes (2.303)"), "{text}");
        // Classes of other frequencies: knowing them is not learning either.
        let entropy = -(0.9_f64 * 0.9_f64.ln() + 0.1 * 0.1_f64.ln());
        assert!(first_warning(&[90, 10], |_| entropy).is_some());
    }

    #[test]
    fn a_loss_that_falls_or_explodes_is_not() {
        assert_eq!(first_warning(&[50; 10], |step| 2.303 - 0.0002 * step as f64), None);
        assert_eq!(first_warning(&[50; 10], |_| 7.0), None);
        // One class: there is nothing to guess.
        assert_eq!(first_warning(&[50], |_| 0.0), None);
    }

    #[test]
    fn a_late_start_is_not_said_before_step_300() {
        let guessing = 10.0_f64.ln();
        assert_eq!(first_warning(&[50; 10], |step| if step <= 290 { guessing } else { 1.0 }), None);
    }

    /// Weighted losses have another loss of guessing.
    #[test]
    fn class_weights_are_taken_into_account() {
        let guessing = 5.0 * 10.0_f64.ln();
        let (_, text) = first_weighted_warning(&[50; 10], &[5.0; 10], |_| guessing).unwrap();
        assert!(text.contains("(11.513)"), "{text}");
        assert_eq!(first_weighted_warning(&[50; 10], &[5.0; 10], |_| 0.9 * guessing), None);
        assert_eq!(first_weighted_warning(&[50; 10], &[], |_| guessing), None);
        // Two classes of shares 3/4 and 1/4, whose weights make them equal.
        let equal = 1.5 * 2.0_f64.ln();
        assert!(first_weighted_warning(&[75, 25], &[1.0, 3.0], |_| equal).is_some());
        assert_eq!(first_weighted_warning(&[75, 25], &[1.0, 3.0], |_| 0.9 * equal), None);
    }
}
