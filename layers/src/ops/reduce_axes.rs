//! Sums, means, maxima and minima over axes, and the logarithm of the softmax.

use tensor::{Backend, Tensor};

use crate::Result;
use crate::tape::{Backward, InputGrads, Tape, Var};

/// The input's shape, the shape of the result with its axes kept, and the factor of each value.
struct SavedSum {
    x_shape: Vec<usize>,
    kept_shape: Vec<usize>,
    factor: f64,
}

/// The input: the maxima are computed again, as cheap as keeping their positions.
struct SavedExtremum<B: Backend> {
    x: Tensor<B>,
    axes: Vec<usize>,
    is_max: bool,
}

/// The output.
struct SavedLogSoftmax<B: Backend> {
    y: Tensor<B>,
}

/// Axes are listed in any order. With `keep_axes`, the result has length 1 along them, so that it broadcasts with the
/// input; without, it lacks them.
///
/// ```
/// use alexnet_layers::Tape;
/// use alexnet_layers::tensor::{Cpu, Tensor};
///
/// let mut tape = Tape::new();
/// let x = tape.parameter(Tensor::from_slice(&Cpu::<f64>::new(1)?, &[2, 2], &[1.0, 5.0, 3.0, 2.0])?);
/// let largest = tape.max_axes(&x, &[1], false)?;
/// assert_eq!(largest.value().to_vec()?, [5.0, 3.0]);
/// let loss = tape.sum(&largest)?;
/// assert_eq!(tape.backward(&loss)?.get(&x).unwrap().to_vec()?, [0.0, 1.0, 1.0, 0.0]);
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
impl<B: Backend> Tape<B> {
    /// The sum over `axes`.
    pub fn sum_axes(&mut self, x: &Var<B>, axes: &[usize], keep_axes: bool) -> Result<Var<B>> {
        let y = x.value().sum_axes(axes, keep_axes)?;
        self.record("sum_axes", &[x], y, || SavedSum::new(x.shape(), axes, 1.0))
    }

    /// The mean over `axes`.
    pub fn mean_axes(&mut self, x: &Var<B>, axes: &[usize], keep_axes: bool) -> Result<Var<B>> {
        let y = x.value().mean_axes(axes, keep_axes)?;
        let factor = y.len() as f64 / x.value().len().max(1) as f64;
        self.record("mean_axes", &[x], y, || SavedSum::new(x.shape(), axes, factor))
    }

    /// The largest value over `axes`. Of equal maxima the first in row-major order gets the gradient, as in max-pooling.
    pub fn max_axes(&mut self, x: &Var<B>, axes: &[usize], keep_axes: bool) -> Result<Var<B>> {
        let y = x.value().max_axes(axes, keep_axes)?;
        let axes = axes.to_vec();
        self.record("max_axes", &[x], y, || SavedExtremum { x: x.value().clone(), axes, is_max: true })
    }

    /// The smallest value over `axes`. Of equal minima the first in row-major order gets the gradient.
    pub fn min_axes(&mut self, x: &Var<B>, axes: &[usize], keep_axes: bool) -> Result<Var<B>> {
        let y = x.value().min_axes(axes, keep_axes)?;
        let axes = axes.to_vec();
        self.record("min_axes", &[x], y, || SavedExtremum { x: x.value().clone(), axes, is_max: false })
    }

    /// The logarithm of the softmax along the last axis. For the loss of labels,
    /// [`cross_entropy`](Self::cross_entropy) is faster.
    pub fn log_softmax(&mut self, x: &Var<B>) -> Result<Var<B>> {
        let y = x.value().log_softmax()?;
        let kept = y.clone();
        self.record("log_softmax", &[x], y, || SavedLogSoftmax { y: kept })
    }
}

impl SavedSum {
    fn new(x_shape: &[usize], axes: &[usize], factor: f64) -> Self {
        let mut kept_shape = x_shape.to_vec();
        for &axis in axes {
            kept_shape[axis] = 1;
        }
        Self { x_shape: x_shape.to_vec(), kept_shape, factor }
    }
}

impl<B: Backend> Backward<B> for SavedSum {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(0, || {
            let dy = dy.reshape(&self.kept_shape)?;
            let dy = if self.factor == 1.0 { dy } else { dy.scale(self.factor)? };
            dy.broadcast_to(&self.x_shape)
        })
    }
}

impl<B: Backend> Backward<B> for SavedExtremum<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        let Self { x, axes, is_max } = &*self;
        grads.add(0, || if *is_max { dy.max_axes_dx(x, axes) } else { dy.min_axes_dx(x, axes) })
    }
}

impl<B: Backend> Backward<B> for SavedLogSoftmax<B> {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(0, || dy.log_softmax_dx(&self.y))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gradient_check::Device;
    use crate::ops::testing::{check, distinct, normal};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn gradients(axes in prop::collection::vec((1usize..5, any::<bool>()), 0..5), keep: bool, seed: u64) {
            let shape: Vec<usize> = axes.iter().map(|axis| axis.0).collect();
            // The last axes first.
            let reduced: Vec<usize> = (0..axes.len()).rev().filter(|&axis| axes[axis].1).collect();
            let x = [("x", normal(&shape, seed))];
            check(&x, |tape, p| tape.sum_axes(&p[0], &reduced, keep))?;
            check(&x, |tape, p| tape.mean_axes(&p[0], &reduced, keep))?;
            let x = [("x", distinct(&shape, seed))];
            check(&x, |tape, p| tape.max_axes(&p[0], &reduced, keep))?;
            check(&x, |tape, p| tape.min_axes(&p[0], &reduced, keep))?;
        }

        #[test]
        fn gradients_of_the_logarithm_of_the_softmax(shape in prop::collection::vec(1usize..5, 1..4), seed: u64) {
            check(&[("x", normal(&shape, seed) * 3.0)], |tape, p| tape.log_softmax(&p[0]))?;
        }
    }

    /// At label l of each row, minus the logarithm of the softmax is the cross-entropy.
    #[test]
    fn the_logarithm_of_the_softmax_is_that_of_the_cross_entropy() {
        let device = Device::new(1).unwrap();
        let logits = Tensor::from_array(&device, normal(&[4, 7], 3).view()).unwrap();
        let labels = [6u32, 0, 3, 3];
        let logarithms = logits.log_softmax().unwrap().to_vec().unwrap();
        let losses = logits.cross_entropy(&tensor::IntTensor::from_slice(&device, &labels).unwrap()).unwrap();
        for (row, (loss, label)) in losses.to_vec().unwrap().into_iter().zip(labels).enumerate() {
            assert!((loss + logarithms[7 * row + label as usize]).abs() < 1e-14);
        }
    }
}
