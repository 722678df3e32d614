//! Elementwise operations on two values, with broadcasting, and scaling.

use tensor::{Backend, Tensor};

use crate::Result;
use crate::tape::{Backward, InputGrads, Tape, Var};

/// The factor of b in a sum with a, and both shapes.
struct SavedSum {
    factor: f64,
    a_shape: Vec<usize>,
    b_shape: Vec<usize>,
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

/// The quotient and the divisor.
struct SavedQuotient<B: Backend> {
    a_shape: Vec<usize>,
    b: Tensor<B>,
    y: Tensor<B>,
}

/// Both values.
struct SavedExtremum<B: Backend> {
    a: Tensor<B>,
    b: Tensor<B>,
    is_max: bool,
}

/// Axes of length 1, and leading axes that only one value has, are repeated, as in [`Tensor`]'s operations of these names.
/// The gradient is summed over them.
///
/// ```
/// use alexnet_layers::Tape;
/// use alexnet_layers::tensor::{Cpu, Tensor};
///
/// let cpu = Cpu::<f64>::new(1)?;
/// let mut tape = Tape::new();
/// let x = tape.parameter(Tensor::full(&cpu, &[2, 3], 4.0)?);
/// let scale = tape.parameter(Tensor::from_slice(&cpu, &[3], &[1.0, 2.0, 3.0])?);
/// let y = tape.multiply(&x, &scale)?;
/// let loss = tape.sum(&y)?;
/// let gradients = tape.backward(&loss)?;
/// assert_eq!(gradients.get(&x).unwrap().to_vec()?, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
/// assert_eq!(gradients.get(&scale).unwrap().to_vec()?, [8.0, 8.0, 8.0]);
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
impl<B: Backend> Tape<B> {
    /// a + b.
    pub fn add(&mut self, a: &Var<B>, b: &Var<B>) -> Result<Var<B>> {
        let y = a.value().add(b.value())?;
        self.record("add", &[a, b], y, || SavedSum::new(1.0, a, b))
    }

    /// a - b.
    pub fn subtract(&mut self, a: &Var<B>, b: &Var<B>) -> Result<Var<B>> {
        let y = a.value().subtract(b.value())?;
        self.record("subtract", &[a, b], y, || SavedSum::new(-1.0, a, b))
    }

    /// a times b, value by value.
    pub fn multiply(&mut self, a: &Var<B>, b: &Var<B>) -> Result<Var<B>> {
        let y = a.value().multiply(b.value())?;
        self.record("multiply", &[a, b], y, || SavedProduct { a: a.value().clone(), b: b.value().clone() })
    }

    /// a divided by b, value by value.
    pub fn divide(&mut self, a: &Var<B>, b: &Var<B>) -> Result<Var<B>> {
        let y = a.value().divide(b.value())?;
        let quotient = y.clone();
        let saved = || SavedQuotient { a_shape: a.shape().to_vec(), b: b.value().clone(), y: quotient };
        self.record("divide", &[a, b], y, saved)
    }

    /// The smaller of a and b, value by value. Of equal values a gets the gradient.
    pub fn minimum(&mut self, a: &Var<B>, b: &Var<B>) -> Result<Var<B>> {
        let y = a.value().minimum(b.value())?;
        self.record("minimum", &[a, b], y, || SavedExtremum::new(a, b, false))
    }

    /// The larger of a and b, value by value. Of equal values a gets the gradient.
    pub fn maximum(&mut self, a: &Var<B>, b: &Var<B>) -> Result<Var<B>> {
        let y = a.value().maximum(b.value())?;
        self.record("maximum", &[a, b], y, || SavedExtremum::new(a, b, true))
    }

    /// The values times `factor`.
    pub fn scale(&mut self, x: &Var<B>, factor: f64) -> Result<Var<B>> {
        let y = x.value().scale(factor)?;
        self.record("scale", &[x], y, || SavedScale { factor })
    }

    /// The values times `factor`, plus `shift`.
    pub fn mul_add_scalar(&mut self, x: &Var<B>, factor: f64, shift: f64) -> Result<Var<B>> {
        let y = x.value().mul_add_scalar(factor, shift)?;
        self.record("mul_add_scalar", &[x], y, || SavedScale { factor })
    }
}

impl SavedSum {
    fn new<B: Backend>(factor: f64, a: &Var<B>, b: &Var<B>) -> Self {
        Self { factor, a_shape: a.shape().to_vec(), b_shape: b.shape().to_vec() }
    }
}

impl<B: Backend> SavedExtremum<B> {
    fn new(a: &Var<B>, b: &Var<B>, is_max: bool) -> Self {
        Self { a: a.value().clone(), b: b.value().clone(), is_max }
    }
}

impl<B: Backend> Backward<B> for SavedSum {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(1, || {
            let db = dy.broadcast_dx(&self.b_shape)?;
            if self.factor == 1.0 { Ok(db) } else { db.scale(self.factor) }
        })?;
        grads.add(0, || dy.broadcast_dx(&self.a_shape))
    }
}

impl<B: Backend> Backward<B> for SavedScale {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(0, || dy.scale(self.factor))
    }
}

impl<B: Backend> Backward<B> for SavedProduct<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(0, || dy.multiply(&self.b)?.broadcast_dx(self.a.shape()))?;
        grads.add(1, || dy.multiply(&self.a)?.broadcast_dx(self.b.shape()))
    }
}

impl<B: Backend> Backward<B> for SavedQuotient<B> {
    /// da = dy / b, db = -dy y / b.
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        let da = dy.divide(&self.b)?;
        grads.add(1, || da.multiply(&self.y)?.broadcast_dx(self.b.shape())?.scale(-1.0))?;
        grads.add(0, || da.broadcast_dx(&self.a_shape))
    }
}

impl<B: Backend> Backward<B> for SavedExtremum<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        let Self { a, b, is_max } = *self;
        // 1 where b was taken, 0 where a was.
        let takes_b = if is_max { a.less(&b)? } else { b.less(&a)? };
        let db = dy.multiply(&takes_b)?;
        grads.add(0, || dy.subtract(&db)?.broadcast_dx(a.shape()))?;
        grads.add(1, || db.broadcast_dx(b.shape()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tensor::ndarray::ArrayD;

    use super::*;
    use crate::gradient_check::Device;
    use crate::ops::testing::{check, distinct, normal};

    type Operation = fn(&mut Tape<Device>, &Var<Device>, &Var<Device>) -> Result<Var<Device>>;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn gradients(shape in prop::collection::vec(1usize..5, 0..4), factor in -3.0f64..3.0, seed: u64) {
            let both = [("a", normal(&shape, seed)), ("b", normal(&shape, seed.wrapping_add(1)))];
            let operations: [Operation; 3] = [Tape::add, Tape::subtract, Tape::multiply];
            for operation in operations {
                check(&both, |tape, p| operation(tape, &p[0], &p[1]))?;
                // Both inputs the same.
                check(&both[..1], |tape, p| operation(tape, &p[0], &p[0]))?;
            }
            check(&both[..1], |tape, p| tape.scale(&p[0], factor))?;
            check(&both[..1], |tape, p| tape.mul_add_scalar(&p[0], factor, 0.5))?;
        }

        /// Each axis is in both values, repeated in one or the other, or missing in front.
        #[test]
        fn gradients_of_broadcast_values(
            axes in prop::collection::vec((1usize..4, 0usize..3), 0..5), missing in [0usize..3, 0usize..3], seed: u64,
        ) {
            let shape_of = |value: usize| -> Vec<usize> {
                let lengths = axes.iter().map(|&(len, repeated)| if repeated == value { 1 } else { len });
                lengths.skip(missing[value]).collect()
            };
            // No value is near 0, nor a value of b near one of a.
            let far_from_0 = |values: ArrayD<f64>| values.mapv(|v| v + 0.3 * v.signum());
            let a = far_from_0(distinct(&shape_of(0), seed));
            let b = far_from_0(distinct(&shape_of(1), seed.wrapping_add(1))).mapv(|v| v + 0.013);
            let both = [("a", a), ("b", b)];
            let operations: [Operation; 6] =
                [Tape::add, Tape::subtract, Tape::multiply, Tape::divide, Tape::minimum, Tape::maximum];
            for operation in operations {
                check(&both, |tape, p| operation(tape, &p[0], &p[1]))?;
                check(&both, |tape, p| operation(tape, &p[1], &p[0]))?;
            }
        }
    }

    #[test]
    fn of_equal_values_the_first_gets_the_gradient() {
        let device = Device::new(1).unwrap();
        let operations: [Operation; 2] = [Tape::minimum, Tape::maximum];
        for operation in operations {
            let mut tape = Tape::new();
            let [a, b] = [0; 2].map(|_| tape.parameter(Tensor::full(&device, &[2], 3.0).unwrap()));
            let y = operation(&mut tape, &a, &b).unwrap();
            let loss = tape.sum(&y).unwrap();
            let gradients = tape.backward(&loss).unwrap();
            assert_eq!(gradients.get(&a).unwrap().to_vec().unwrap(), [1.0, 1.0]);
            assert_eq!(gradients.get(&b).unwrap().to_vec().unwrap(), [0.0, 0.0]);
        }
    }
}
