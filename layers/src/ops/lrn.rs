//! Local response normalisation (paper, section 3.3).

use tensor::ops::Lrn;
use tensor::{Backend, Tensor};

use crate::Result;
use crate::tape::{Backward, Sink, Tape, Var};

/// The input and the base k + alpha * sum of squares.
struct Saved<B: Backend> {
    spec: Lrn,
    x: Tensor<B>,
    base: Tensor<B>,
}

impl<B: Backend> Tape<B> {
    /// Divides each value of `[n, h, w, c]` by a power of the squares around it.
    pub fn lrn(&mut self, x: &Var<B>, spec: &Lrn) -> Result<Var<B>> {
        let (y, base) = x.value().lrn(spec)?;
        self.record("lrn", &[x], y, || Saved { spec: *spec, x: x.value().clone(), base })
    }
}

impl<B: Backend> Backward<B> for Saved<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, sink: &mut Sink<'_, B>) -> Result<()> {
        sink.add(0, || dy.lrn_dx(&self.spec, &self.x, &self.base))
    }
}
