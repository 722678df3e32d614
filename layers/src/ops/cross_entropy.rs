//! Softmax and cross-entropy, fused: the loss of the paper (section 3).

use tensor::{Backend, Ints, Tensor};

use crate::Result;
use crate::tape::{Backward, Sink, Tape, Var};

/// Logits and labels: the softmax is computed again, as cheap as keeping it.
struct Saved<B: Backend> {
    logits: Tensor<B>,
    labels: Ints<B>,
}

impl<B: Backend> Tape<B> {
    /// The mean over the rows of logits `[n, c]` of -log softmax at the row's label, in nats: `[1]`. Labels must be
    /// below c.
    pub fn cross_entropy(&mut self, logits: &Var<B>, labels: &Ints<B>) -> Result<Var<B>> {
        let loss = logits.value().cross_entropy(labels)?.mean()?;
        self.record("cross_entropy", &[logits], loss, || Saved {
            logits: logits.value().clone(),
            labels: labels.clone(),
        })
    }
}

impl<B: Backend> Backward<B> for Saved<B> {
    /// dlogits = (softmax - one-hot label) dloss / n.
    fn backward(self: Box<Self>, dy: Tensor<B>, sink: &mut Sink<'_, B>) -> Result<()> {
        let factor = sink.factor(&dy)? / self.labels.len().max(1) as f64;
        sink.add(0, || self.logits.cross_entropy_dx(&self.labels, factor))
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
            let labels = Ints::from_slice(&Device::new(1).unwrap(), &labels).unwrap();
            let logits = [("logits", normal(&[n, c], seed) * size)];
            // As a term of a larger loss, and as the loss itself, whose own gradient is known to be 1.
            check(&logits, |tape, p| tape.cross_entropy(&p[0], &labels))?;
            let report = GradientCheck::default().run(&logits, |tape, p| tape.cross_entropy(&p[0], &labels));
            report.and_then(|report| report.within(TOLERANCE)).map_err(|e| TestCaseError::fail(e.to_string()))?;
        }
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_number_of_classes() {
        let device = Device::new(1).unwrap();
        let logits = Var::constant(Tensor::full(&device, &[3, 1000], 7.0).unwrap());
        let labels = Ints::from_slice(&device, &[0, 500, 999]).unwrap();
        let loss = Tape::new().cross_entropy(&logits, &labels).unwrap();
        assert_eq!(loss.shape(), [1]);
        assert!((loss.value().scalar().unwrap() - 1000f64.ln()).abs() < 1e-12);
    }
}
