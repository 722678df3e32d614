//! The product of two matrices.

use tensor::ops::MatmulOptions;
use tensor::{Backend, Tensor};

use crate::Result;
use crate::tape::{Backward, InputGrads, Tape, Var};

/// Both factors.
struct Saved<B: Backend> {
    a: Tensor<B>,
    b: Tensor<B>,
}

impl<B: Backend> Tape<B> {
    /// a b: `[m, k]` times `[k, n]` gives `[m, n]`.
    pub fn matmul(&mut self, a: &Var<B>, b: &Var<B>) -> Result<Var<B>> {
        let y = a.value().matmul(b.value())?;
        self.record("matmul", &[a, b], y, || Saved { a: a.value().clone(), b: b.value().clone() })
    }
}

impl<B: Backend> Backward<B> for Saved<B> {
    /// da = dy b^T, db = a^T dy.
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(0, || dy.matmul_with(&self.b, MatmulOptions { transpose_a: false, transpose_b: true }))?;
        grads.add(1, || self.a.matmul_with(&dy, MatmulOptions { transpose_a: true, transpose_b: false }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::ops::testing::{check, normal};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn gradients(m in 1usize..6, k in 1usize..6, n in 1usize..6, seed: u64) {
            let both = [("a", normal(&[m, k], seed)), ("b", normal(&[k, n], seed.wrapping_add(1)))];
            check(&both, |tape, p| tape.matmul(&p[0], &p[1]))?;
        }
    }
}
