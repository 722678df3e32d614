//! Dropout in training (paper, section 4.2).

use tensor::ops::Dropout;
use tensor::random::Stream;
use tensor::{Backend, Tensor};

use crate::Result;
use crate::tape::{Backward, Sink, Tape, Var};

/// No mask: it follows from the stream.
struct Saved {
    spec: Dropout,
    stream: Stream,
}

impl<B: Backend> Tape<B> {
    /// Sets each value to zero with probability `spec.p`, drawn from `stream`; any shape. At test,
    /// [`scale`](Self::scale) by [`Dropout::test_factor`] instead.
    pub fn dropout(&mut self, x: &Var<B>, spec: &Dropout, stream: Stream) -> Result<Var<B>> {
        let y = x.value().dropout(spec, stream)?;
        self.record("dropout", &[x], y, || Saved { spec: *spec, stream })
    }
}

impl<B: Backend> Backward<B> for Saved {
    fn backward(self: Box<Self>, dy: Tensor<B>, sink: &mut Sink<'_, B>) -> Result<()> {
        sink.add(0, || dy.dropout(&self.spec, self.stream))
    }
}
