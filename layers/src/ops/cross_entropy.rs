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
