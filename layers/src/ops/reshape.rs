//! Reshapes, which move no value.

use tensor::{Backend, Tensor};

use crate::tape::{Backward, InputGrads, Tape, Var};
use crate::{Error, Result};

/// The input's shape.
struct Saved {
    x_shape: Vec<usize>,
}

impl<B: Backend> Tape<B> {
    /// The same values, row-major, under another shape.
    pub fn reshape(&mut self, x: &Var<B>, shape: &[usize]) -> Result<Var<B>> {
        let y = x.value().clone().reshape(shape)?;
        self.record("reshape", &[x], y, || Saved { x_shape: x.shape().to_vec() })
    }

    /// One row for each image: `[n, ...]` to `[n, product of the others]`. A row of an NHWC image is in the order height,
    /// width, channel.
    pub fn flatten(&mut self, x: &Var<B>) -> Result<Var<B>> {
        let (n, rest) =
            x.shape().split_first().ok_or_else(|| Error::tape("flatten", "expected at least 1 axis, got shape []"))?;
        let shape = [*n, rest.iter().product()];
        self.reshape(x, &shape)
    }
}

impl<B: Backend> Backward<B> for Saved {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(0, || dy.reshape(&self.x_shape))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gradient_check::Device;
    use crate::ops::testing::{check, normal};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn gradients(shape in [1usize..4, 1usize..4, 1usize..4, 1usize..4], seed: u64) {
            let [n, h, w, c] = shape;
            let x = [("x", normal(&shape, seed))];
            check(&x, |tape, p| tape.reshape(&p[0], &[h * w, n * c]))?;
            check(&x, |tape, p| {
                let rows = tape.flatten(&p[0])?;
                assert_eq!(rows.shape(), [n, h * w * c]);
                Ok(rows)
            })?;
        }
    }

    #[test]
    fn a_shape_of_another_size_is_refused() {
        let device = Device::new(1).unwrap();
        let x = Var::constant(Tensor::zeros(&device, &[2, 3]).unwrap());
        let error = Tape::new().reshape(&x, &[4, 2]).unwrap_err();
        assert!(error.to_string().contains("6 values"), "{error}");
    }
}
