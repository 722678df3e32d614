//! Adaptive and global average pooling.

use tensor::{Backend, Tensor};

use crate::Result;
use crate::tape::{Backward, InputGrads, Tape, Var};

/// The input's shape.
struct Saved {
    x_shape: Vec<usize>,
}

impl<B: Backend> Tape<B> {
    /// Averages `[n, h, w, c]` to `[n, output height, output width, c]`.
    pub fn adaptive_average_pool(&mut self, x: &Var<B>, output: [usize; 2]) -> Result<Var<B>> {
        let y = x.value().adaptive_average_pool(output)?;
        self.record("adaptive_average_pool", &[x], y, || Saved { x_shape: x.shape().to_vec() })
    }

    /// The mean of each channel of each image: `[n, h, w, c]` to `[n, c]`.
    ///
    /// ```
    /// use alexnet_layers::{Tape, Var};
    /// use alexnet_layers::tensor::{Cpu, Tensor};
    ///
    /// let maps = Var::constant(Tensor::zeros(&Cpu::<f32>::new(1)?, &[8, 7, 7, 64])?);
    /// assert_eq!(Tape::new().global_average_pool(&maps)?.shape(), [8, 64]);
    /// # Ok::<(), alexnet_layers::Error>(())
    /// ```
    pub fn global_average_pool(&mut self, x: &Var<B>) -> Result<Var<B>> {
        let means = self.adaptive_average_pool(x, [1, 1])?;
        self.flatten(&means)
    }
}

impl<B: Backend> Backward<B> for Saved {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(0, || dy.adaptive_average_pool_dx(&self.x_shape))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::ops::testing::{check, normal};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn gradients(shape in [1usize..3, 1usize..9, 1usize..9, 1usize..4], output in [1usize..9, 1usize..9], seed: u64) {
            let x = [("x", normal(&shape, seed))];
            check(&x, |tape, p| tape.adaptive_average_pool(&p[0], output))?;
            check(&x, |tape, p| {
                let means = tape.global_average_pool(&p[0])?;
                assert_eq!(means.shape(), [shape[0], shape[3]]);
                Ok(means)
            })?;
        }
    }
}
