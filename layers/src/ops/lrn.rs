//! Local response normalisation (paper, section 3.3).

use tensor::ops::Lrn;
use tensor::{Backend, Tensor};

use crate::Result;
use crate::tape::{Backward, InputGrads, Tape, Var};

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
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(0, || dy.lrn_dx(&self.spec, &self.x, &self.base))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tensor::ops::{AlphaScaling, Region};

    use super::*;
    use crate::ops::testing::{check, normal};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn gradients(
            shape in [1usize..3, 1usize..5, 1usize..5, 1usize..9],
            size in 1usize..7,
            alpha in 0.0f64..1.0,
            beta in 0.1f64..1.5,
            k in 0.5f64..3.0,
            within: bool,
            mean: bool,
            seed: u64,
        ) {
            let region = if within { Region::WithinChannel } else { Region::AcrossChannels };
            let alpha_scaling = if mean { AlphaScaling::Mean } else { AlphaScaling::Sum };
            let spec = Lrn { size, alpha, beta, k, region, alpha_scaling };
            check(&[("x", normal(&shape, seed))], |tape, p| tape.lrn(&p[0], &spec))?;
        }
    }

    #[test]
    fn gradients_of_the_papers_constants() {
        // Activations of some hundreds, for which the normalisation has a strong effect.
        check(&[("x", normal(&[2, 3, 3, 16], 1) * 100.0)], |tape, p| tape.lrn(&p[0], &Lrn::paper())).unwrap();
    }
}
