//! Copies in another order: permuted axes, slices, concatenation and repetition.

use std::ops::Range;

use tensor::{Backend, Tensor};

use crate::Result;
use crate::tape::{Backward, InputGrads, Tape, Var};

/// The way back.
struct SavedPermute {
    axes: Vec<usize>,
}

/// The input's shape, and the slice.
struct SavedSlice {
    x_shape: Vec<usize>,
    ranges: Vec<Range<usize>>,
    steps: Vec<usize>,
}

/// The inputs' shapes.
struct SavedConcat {
    axis: usize,
    shapes: Vec<Vec<usize>>,
}

/// The input's shape.
struct SavedBroadcast {
    x_shape: Vec<usize>,
}

impl<B: Backend> Tape<B> {
    /// The axes in another order: axis i of the result is axis `axes[i]` of x.
    pub fn permute(&mut self, x: &Var<B>, axes: &[usize]) -> Result<Var<B>> {
        let y = x.value().permute(axes)?;
        self.record("permute", &[x], y, || SavedPermute { axes: inverse(axes) })
    }

    /// Two axes exchanged.
    pub fn transpose(&mut self, x: &Var<B>, a: usize, b: usize) -> Result<Var<B>> {
        let y = x.value().transpose(a, b)?;
        self.record("transpose", &[x], y, || {
            let mut axes: Vec<usize> = (0..x.shape().len()).collect();
            axes.swap(a, b);
            SavedPermute { axes }
        })
    }

    /// A part of each axis. Axes without a range, the last ones, are taken whole. The gradient elsewhere is 0.
    ///
    /// ```
    /// use alexnet_layers::Tape;
    /// use alexnet_layers::tensor::{Cpu, Tensor};
    ///
    /// let mut tape = Tape::new();
    /// let x = tape.parameter(Tensor::zeros(&Cpu::<f64>::new(1)?, &[4])?);
    /// let part = tape.slice(&x, &[1..3])?;
    /// let loss = tape.sum(&part)?;
    /// assert_eq!(tape.backward(&loss)?.get(&x).unwrap().to_vec()?, [0.0, 1.0, 1.0, 0.0]);
    /// # Ok::<(), alexnet_layers::Error>(())
    /// ```
    pub fn slice(&mut self, x: &Var<B>, ranges: &[Range<usize>]) -> Result<Var<B>> {
        self.slice_with_steps(x, ranges, &vec![1; ranges.len()])
    }

    /// Every `steps[i]`-th position of `ranges[i]`, for each axis i that has a range.
    pub fn slice_with_steps(&mut self, x: &Var<B>, ranges: &[Range<usize>], steps: &[usize]) -> Result<Var<B>> {
        let y = x.value().slice_with_steps(ranges, steps)?;
        self.record("slice", &[x], y, || SavedSlice {
            x_shape: x.shape().to_vec(),
            ranges: ranges.to_vec(),
            steps: steps.to_vec(),
        })
    }

    /// The values one after the other along `axis`. The other axes have the same lengths.
    pub fn concat(&mut self, inputs: &[&Var<B>], axis: usize) -> Result<Var<B>> {
        let tensors: Vec<&Tensor<B>> = inputs.iter().map(|var| var.value()).collect();
        let y = Tensor::concat(&tensors, axis)?;
        let shapes = || inputs.iter().map(|var| var.shape().to_vec()).collect();
        self.record("concat", inputs, y, || SavedConcat { axis, shapes: shapes() })
    }

    /// The values repeated along new leading axes and along axes of length 1, so that the result has `shape`. The gradient
    /// is summed over them. Elementwise operations do this by themselves.
    pub fn broadcast_to(&mut self, x: &Var<B>, shape: &[usize]) -> Result<Var<B>> {
        let y = x.value().broadcast_to(shape)?;
        self.record("broadcast_to", &[x], y, || SavedBroadcast { x_shape: x.shape().to_vec() })
    }
}

/// The order of axes that undoes `axes`.
fn inverse(axes: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; axes.len()];
    for (i, &axis) in axes.iter().enumerate() {
        inverse[axis] = i;
    }
    inverse
}

impl<B: Backend> Backward<B> for SavedPermute {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(0, || dy.permute(&self.axes))
    }
}

impl<B: Backend> Backward<B> for SavedSlice {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(0, || dy.slice_dx(&self.x_shape, &self.ranges, &self.steps))
    }
}

impl<B: Backend> Backward<B> for SavedConcat {
    /// Each input's part of dy.
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        let mut start = 0;
        for (i, shape) in self.shapes.iter().enumerate() {
            let mut ranges: Vec<Range<usize>> = shape.iter().map(|&len| 0..len).collect();
            ranges[self.axis] = start..start + shape[self.axis];
            start = ranges[self.axis].end;
            grads.add(i, || dy.slice(&ranges))?;
        }
        Ok(())
    }
}

impl<B: Backend> Backward<B> for SavedBroadcast {
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
        grads.add(0, || dy.broadcast_dx(&self.x_shape))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tensor::random::{Stream, purpose};

    use crate::ops::testing::{check, normal};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn gradients_of_permutations(shape in prop::collection::vec(1usize..4, 0..5), seed: u64) {
            let order = Stream::new(seed, purpose::USER, 1).permutation(shape.len() as u32);
            let axes: Vec<usize> = order.iter().map(|&axis| axis as usize).collect();
            let x = [("x", normal(&shape, seed))];
            check(&x, |tape, p| tape.permute(&p[0], &axes))?;
            if let (Some(&a), Some(&b)) = (axes.first(), axes.last()) {
                check(&x, |tape, p| tape.transpose(&p[0], a, b))?;
            }
        }

        #[test]
        fn gradients_of_slices(axes in prop::collection::vec((0usize..3, 1usize..4, 0usize..3, 1usize..4), 1..4), seed: u64) {
            let shape: Vec<usize> = axes.iter().map(|(before, taken, after, _)| before + taken + after).collect();
            let ranges: Vec<_> = axes.iter().map(|(before, taken, _, _)| *before..before + taken).collect();
            let steps: Vec<usize> = axes.iter().map(|axis| axis.3).collect();
            let x = [("x", normal(&shape, seed))];
            check(&x, |tape, p| tape.slice_with_steps(&p[0], &ranges, &steps))?;
            check(&x, |tape, p| tape.slice(&p[0], &ranges[..1]))?;
        }

        #[test]
        fn gradients_of_concatenations(
            shape in prop::collection::vec(1usize..4, 1..4),
            lengths in prop::collection::vec(0usize..4, 1..4),
            axis in 0usize..4,
            seed: u64,
        ) {
            let axis = axis % shape.len();
            let shape_of = |&len: &usize| (0..shape.len()).map(|i| if i == axis { len } else { shape[i] }).collect();
            let shapes: Vec<Vec<usize>> = lengths.iter().map(shape_of).collect();
            let values = shapes.iter().zip(seed..).map(|(shape, seed)| ("part", normal(shape, seed)));
            let parameters: Vec<_> = values.collect();
            check(&parameters, |tape, p| tape.concat(&p.iter().collect::<Vec<_>>(), axis))?;
            // One value twice.
            check(&parameters[..1], |tape, p| tape.concat(&[&p[0], &p[0]], axis))?;
        }

        #[test]
        fn gradients_of_repetition(axes in prop::collection::vec((1usize..4, any::<bool>()), 0..4), leading in 0usize..2, seed: u64) {
            let shape: Vec<usize> = axes.iter().map(|&(len, repeated)| if repeated { 1 } else { len }).collect();
            let target: Vec<usize> = (0..leading).map(|_| 2).chain(axes.iter().map(|axis| axis.0)).collect();
            check(&[("x", normal(&shape, seed))], |tape, p| tape.broadcast_to(&p[0], &target))?;
        }
    }
}
