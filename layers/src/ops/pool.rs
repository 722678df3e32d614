//! Max and average pooling; windows may overlap (paper, section 3.4).

use tensor::ops::Pool2d;
use tensor::{Backend, Ints, Tensor};

use crate::Result;
use crate::tape::{Backward, Sink, Tape, Var};

/// Of a max-pooling the places of the maxima; of an average nothing but the input's shape.
struct Saved<B: Backend> {
    spec: Pool2d,
    x_shape: Vec<usize>,
    positions: Option<Ints<B>>,
}

impl<B: Backend> Tape<B> {
    /// Pools `[n, h, w, c]` to `[n, oh, ow, c]`.
    pub fn pool(&mut self, x: &Var<B>, spec: &Pool2d) -> Result<Var<B>> {
        let (y, positions) = x.value().pool(spec)?;
        self.record("pool", &[x], y, || Saved { spec: *spec, x_shape: x.shape().to_vec(), positions })
    }
}

impl<B: Backend> Backward<B> for Saved<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, sink: &mut Sink<'_, B>) -> Result<()> {
        sink.add(0, || dy.pool_dx(&self.spec, &self.x_shape, self.positions.as_ref()))
    }
}
