//! ReLU, tanh and the logistic function.

use tensor::ops::Activation;
use tensor::{Backend, Tensor};

use crate::Result;
use crate::tape::{Backward, InputGrads, Tape, Var};

/// The output: all three gradients follow from it.
struct Saved<B: Backend> {
    f: Activation,
    y: Tensor<B>,
}

impl<B: Backend> Tape<B> {
    /// f of each value; any shape (paper, section 3.1).
    pub fn activation(&mut self, x: &Var<B>, f: Activation) -> Result<Var<B>> {
        let y = x.value().activation(f)?;
        self.record("activation", &[x], y.clone(), || Saved { f, y })
    }
}

impl<B: Backend> Backward<B> for Saved<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(0, || dy.into_activation_dx(self.f, &self.y))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ops::testing::{check, distinct};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn gradients(shape in prop::collection::vec(1usize..5, 1..4), seed: u64) {
            for f in [Activation::Relu, Activation::Tanh, Activation::Logistic] {
                check(&[("x", distinct(&shape, seed))], |tape, p| tape.activation(&p[0], f))?;
            }
        }
    }
}
