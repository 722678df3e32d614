//! Softmax and cross-entropy, fused: the loss of the paper (section 3).

use tensor::{Backend, IntTensor, Tensor};

use crate::tape::{Backward, InputGrads, Tape, Var};
use crate::{Error, Result};

/// Logits and labels: the softmax is computed again, as cheap as keeping it.
struct Saved<B: Backend> {
    logits: Tensor<B>,
    labels: IntTensor<B>,
    /// One-hot labels minus the targets, where these differ.
    onehot_minus_targets: Option<Tensor<B>>,
}

impl<B: Backend> Tape<B> {
    /// The mean over the rows of logits `[n, c]` of -log softmax at the row's label, in nats: `[1]`. Labels must be
    /// below c.
    pub fn cross_entropy(&mut self, logits: &Var<B>, labels: &IntTensor<B>) -> Result<Var<B>> {
        let loss = logits.value().cross_entropy(labels)?.mean()?;
        self.record("cross_entropy", &[logits], loss, || Saved {
            logits: logits.value().clone(),
            labels: labels.clone(),
            onehot_minus_targets: None,
        })
    }

    /// The same for soft targets t (mixup, CutMix, label smoothing), whose loss is `log sum e^x - t x`.
    /// `onehot_minus_targets` `[n, c]` is the one-hot labels minus t. Its product with x is added to the loss of the
    /// labels.
    pub fn soft_cross_entropy(
        &mut self,
        logits: &Var<B>,
        labels: &IntTensor<B>,
        onehot_minus_targets: &Tensor<B>,
    ) -> Result<Var<B>> {
        if onehot_minus_targets.shape() != logits.shape() {
            let shapes = [logits.shape(), onehot_minus_targets.shape()];
            let what = format!("logits of shape {:?} and targets of shape {:?} differ", shapes[0], shapes[1]);
            return Err(Error::tape("soft_cross_entropy", what));
        }
        let rows = labels.len().max(1) as f64;
        let mut loss = logits.value().cross_entropy(labels)?.mean()?;
        loss.add_scaled(1.0 / rows, &logits.value().multiply(onehot_minus_targets)?.sum()?)?;
        self.record("soft_cross_entropy", &[logits], loss, || Saved {
            logits: logits.value().clone(),
            labels: labels.clone(),
            onehot_minus_targets: Some(onehot_minus_targets.clone()),
        })
    }
}

impl<B: Backend> Backward<B> for Saved<B> {
    /// dlogits = (softmax - one-hot label + onehot_minus_targets) dloss / n.
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        let factor = grads.factor(&dy)? / self.labels.len().max(1) as f64;
        grads.add(0, || {
            let mut dlogits = self.logits.cross_entropy_dx(&self.labels, factor)?;
            if let Some(onehot_minus_targets) = &self.onehot_minus_targets {
                dlogits.add_scaled(factor, onehot_minus_targets)?;
            }
            Ok(dlogits)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tensor::random::Stream;

    use super::*;
    use crate::gradient_check::{Device, GradientCheck};
    use crate::ops::testing::{TOLERANCE, check, normal};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn gradients(n in 1usize..6, c in 1usize..8, seed: u64, size in 0.1f64..10.0) {
            let stream = Stream::new(seed, 9, 0);
            let labels: Vec<u32> = (0..n as u64).map(|i| stream.below(i, c as u32)).collect();
            let labels = IntTensor::from_slice(&Device::new(1).unwrap(), &labels).unwrap();
            let logits = [("logits", normal(&[n, c], seed) * size)];
            // As a term of a larger loss, and as the loss itself, whose own gradient is known to be 1.
            check(&logits, |tape, p| tape.cross_entropy(&p[0], &labels))?;
            let report = GradientCheck::default().run(&logits, |tape, p| tape.cross_entropy(&p[0], &labels));
            report.and_then(|report| report.within(TOLERANCE)).map_err(|e| TestCaseError::fail(e.to_string()))?;
        }
    }

    /// Against the definition: minus the targets times the logarithm of the softmax.
    #[test]
    fn soft_targets_cost_their_cross_entropy_and_have_its_gradient() {
        proptest!(ProptestConfig::with_cases(24), |(n in 1usize..6, c in 1usize..8, seed: u64, size in 0.1f64..10.0)| {
            let device = Device::new(1).unwrap();
            let stream = Stream::new(seed, 9, 0);
            let labels: Vec<u32> = (0..n as u64).map(|i| stream.below(i, c as u32)).collect();
            let mut targets: Vec<f64> = (0..n * c).map(|i| f64::from(stream.uniform(100 + i as u64)) + 0.01).collect();
            for row in targets.chunks_mut(c) {
                let sum: f64 = row.iter().sum();
                row.iter_mut().for_each(|t| *t /= sum);
            }
            let own = |i: usize| f64::from(u8::from(labels[i / c] as usize == i % c));
            let onehot_minus_targets: Vec<f64> = targets.iter().enumerate().map(|(i, t)| own(i) - t).collect();
            let onehot_minus_targets = Tensor::from_slice(&device, &[n, c], &onehot_minus_targets).unwrap();
            let labels = IntTensor::from_slice(&device, &labels).unwrap();
            let logits = [("logits", normal(&[n, c], seed) * size)];
            check(&logits, |tape, p| tape.soft_cross_entropy(&p[0], &labels, &onehot_minus_targets))?;

            let values = Tensor::from_array(&device, logits[0].1.view()).unwrap();
            let softmax = values.softmax().unwrap().to_vec().unwrap();
            let plain = -targets.iter().zip(&softmax).map(|(t, p)| t * p.ln()).sum::<f64>() / n as f64;
            let loss = Tape::new().soft_cross_entropy(&Var::constant(values), &labels, &onehot_minus_targets).unwrap();
            prop_assert!((loss.value().scalar().unwrap() - plain).abs() < 1e-9 * (1.0 + plain));
        });
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_number_of_classes() {
        let device = Device::new(1).unwrap();
        let logits = Var::constant(Tensor::full(&device, &[3, 1000], 7.0).unwrap());
        let labels = IntTensor::from_slice(&device, &[0, 500, 999]).unwrap();
        let loss = Tape::new().cross_entropy(&logits, &labels).unwrap();
        assert_eq!(loss.shape(), [1]);
        assert!((loss.value().scalar().unwrap() - 1000f64.ln()).abs() < 1e-12);
    }

    /// One row would be repeated for all.
    #[test]
    fn targets_of_another_shape_are_refused() {
        let device = Device::new(1).unwrap();
        let logits = Var::constant(Tensor::zeros(&device, &[2, 3]).unwrap());
        let labels = IntTensor::from_slice(&device, &[0, 1]).unwrap();
        let targets = Tensor::zeros(&device, &[1, 3]).unwrap();
        let error = Tape::new().soft_cross_entropy(&logits, &labels, &targets).unwrap_err().to_string();
        assert!(error.contains("[2, 3]") && error.contains("[1, 3]"), "{error}");
    }
}
