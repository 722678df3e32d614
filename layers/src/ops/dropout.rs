//! Dropout in training (paper, section 4.2).

use tensor::ops::Dropout;
use tensor::random::Stream;
use tensor::{Backend, Tensor};

use crate::Result;
use crate::tape::{Backward, InputGrads, Tape, Var};

/// The mask follows from the stream and is not saved.
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
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(0, || dy.dropout(&self.spec, self.stream))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tensor::ops::DropoutScale;

    use super::*;
    use crate::gradient_check::Device;
    use crate::ops::testing::{check, normal};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn gradients(shape in prop::collection::vec(1usize..5, 1..4), p in 0.0f64..0.95, seed: u64, step: u64) {
            for scale in [DropoutScale::AtTest, DropoutScale::InTraining] {
                let spec = Dropout { p, scale };
                let stream = Stream::new(seed, 5, step);
                check(&[("x", normal(&shape, seed))], |tape, v| tape.dropout(&v[0], &spec, stream))?;
            }
        }
    }

    #[test]
    fn the_gradient_is_zero_exactly_where_the_output_is() {
        let device = Device::new(1).unwrap();
        let spec = Dropout { p: 0.5, scale: DropoutScale::InTraining };
        let mut tape = Tape::new();
        let x = tape.parameter(Tensor::full(&device, &[1000], 1.0).unwrap());
        let y = tape.dropout(&x, &spec, Stream::new(1, 2, 3)).unwrap();
        let loss = tape.sum(&y).unwrap();
        let gradients = tape.backward(&loss).unwrap();
        let dx = gradients.get(&x).unwrap().to_vec().unwrap();
        assert_eq!(dx, y.value().to_vec().unwrap());
        assert!(dx.contains(&0.0) && dx.contains(&2.0));
    }
}
