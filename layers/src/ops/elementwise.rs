//! Sums, differences, products and scaling, value by value.

use tensor::{Backend, Tensor};

use crate::Result;
use crate::tape::{Backward, InputGrads, Tape, Var};

/// The factor of b in a sum with a.
struct SavedSum {
    factor: f64,
}

/// The factor.
struct SavedScale {
    factor: f64,
}

/// Both factors: each is the other's gradient.
struct SavedProduct<B: Backend> {
    a: Tensor<B>,
    b: Tensor<B>,
}

impl<B: Backend> Tape<B> {
    /// a + b, of one shape.
    pub fn add(&mut self, a: &Var<B>, b: &Var<B>) -> Result<Var<B>> {
        let y = a.value().add(b.value())?;
        self.record("add", &[a, b], y, || SavedSum { factor: 1.0 })
    }

    /// a - b, of one shape.
    pub fn subtract(&mut self, a: &Var<B>, b: &Var<B>) -> Result<Var<B>> {
        let y = a.value().subtract(b.value())?;
        self.record("subtract", &[a, b], y, || SavedSum { factor: -1.0 })
    }

    /// a times b, value by value, of one shape.
    pub fn multiply(&mut self, a: &Var<B>, b: &Var<B>) -> Result<Var<B>> {
        let y = a.value().multiply(b.value())?;
        self.record("multiply", &[a, b], y, || SavedProduct { a: a.value().clone(), b: b.value().clone() })
    }

    /// The values times `factor`.
    pub fn scale(&mut self, x: &Var<B>, factor: f64) -> Result<Var<B>> {
        let y = x.value().scale(factor)?;
        self.record("scale", &[x], y, || SavedScale { factor })
    }
}

impl<B: Backend> Backward<B> for SavedSum {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(1, || if self.factor == 1.0 { Ok(dy.clone()) } else { dy.scale(self.factor) })?;
        grads.add(0, || Ok(dy))
    }
}

impl<B: Backend> Backward<B> for SavedScale {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(0, || dy.scale(self.factor))
    }
}

impl<B: Backend> Backward<B> for SavedProduct<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(0, || dy.multiply(&self.b))?;
        grads.add(1, || dy.multiply(&self.a))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::ops::testing::{check, normal};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn gradients(shape in prop::collection::vec(1usize..5, 1..4), factor in -3.0f64..3.0, seed: u64) {
            let both = [("a", normal(&shape, seed)), ("b", normal(&shape, seed.wrapping_add(1)))];
            check(&both, |tape, p| tape.add(&p[0], &p[1]))?;
            check(&both, |tape, p| tape.subtract(&p[0], &p[1]))?;
            check(&both, |tape, p| tape.multiply(&p[0], &p[1]))?;
            check(&both[..1], |tape, p| tape.scale(&p[0], factor))?;
            // Both inputs the same.
            check(&both[..1], |tape, p| tape.add(&p[0], &p[0]))?;
            check(&both[..1], |tape, p| tape.subtract(&p[0], &p[0]))?;
            check(&both[..1], |tape, p| tape.multiply(&p[0], &p[0]))?;
        }
    }
}
