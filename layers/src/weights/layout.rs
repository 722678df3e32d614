//! Conversion between this crate's axes of parameters and those of other frameworks.
//!
//! | layout | this crate's | PyTorch's, Caffe's, ONNX's | Keras' |
//! |---|---|---|---|
//! | vector | `[c]` | the same | the same |
//! | convolution | `[out, kh, kw, in / groups]` | `[out, in / groups, kh, kw]` | `[kh, kw, in / groups, out]` |
//! | linear | `[out, in]` | the same | `[in, out]` |
//! | linear on a flattened map | `in` runs over h, w, c | `in` runs over c, h, w | `in` runs over h, w, c |
//! | local | `[oh * ow, out, kh, kw, in / groups]` | `[oh * ow, out, in / groups, kh, kw]` | `[oh * ow, kh, kw, in / groups, out]` |
//!
//! None of them has a locally connected layer today: the kernels of each position are laid out as a convolution's there,
//! and the bias stays `[oh, ow, out]`.

use ndarray::{ArrayD, ArrayViewD, IxDyn, ShapeError};

use crate::model::{Layout, ParameterSpec};

/// The order of a parameter's axes in a framework.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AxisOrder {
    /// PyTorch's, which Caffe and ONNX share: outputs, inputs, height, width.
    PyTorch,
    /// Keras': height, width, inputs, outputs.
    Keras,
}

impl AxisOrder {
    /// The axis of this crate's layout for each axis of the framework's; None if they are the same.
    fn permutation(self, layout: Layout) -> Option<&'static [usize]> {
        match (self, layout) {
            (_, Layout::Vector) | (Self::PyTorch, Layout::Linear) => None,
            (Self::PyTorch, Layout::Conv | Layout::LinearAfterFlatten { .. }) => Some(&[0, 3, 1, 2]),
            (Self::PyTorch, Layout::Local) => Some(&[0, 1, 4, 2, 3]),
            (Self::Keras, Layout::Conv) => Some(&[1, 2, 3, 0]),
            (Self::Keras, Layout::Linear) => Some(&[1, 0]),
            (Self::Keras, Layout::LinearAfterFlatten { .. }) => Some(&[1, 2, 3, 0]),
            (Self::Keras, Layout::Local) => Some(&[0, 2, 3, 4, 1]),
        }
    }

    /// The shape that a parameter has in the framework.
    pub fn shape(self, spec: &ParameterSpec) -> Vec<usize> {
        let axes = self.separate_axes(spec);
        match (spec.layout, axes.as_slice()) {
            (Layout::LinearAfterFlatten { .. }, &[height, width, channels, out]) if self == Self::Keras => {
                vec![height * width * channels, out]
            }
            (Layout::LinearAfterFlatten { .. }, _) => spec.shape.clone(),
            _ => axes,
        }
    }

    /// The framework's axes, with those of a flattened map separate.
    fn separate_axes(self, spec: &ParameterSpec) -> Vec<usize> {
        let ours = unfolded(spec);
        match self.permutation(spec.layout) {
            None => ours,
            Some(order) => order.iter().map(|&axis| ours[axis]).collect(),
        }
    }

    /// A parameter in the framework's order, row-major.
    ///
    /// # Errors
    /// If `ours` has another number of values than the specification.
    pub fn from_own(self, spec: &ParameterSpec, ours: ArrayViewD<'_, f32>) -> Result<ArrayD<f32>, ShapeError> {
        let Some(order) = self.permutation(spec.layout) else { return Ok(ours.as_standard_layout().into_owned()) };
        let contiguous = ours.as_standard_layout();
        let unfolded = contiguous.view().into_shape_with_order(IxDyn(&unfolded(spec)))?;
        let permuted = unfolded.permuted_axes(IxDyn(order)).as_standard_layout().into_owned();
        permuted.into_shape_with_order(IxDyn(&self.shape(spec)))
    }

    /// A parameter in the framework's order, converted to this crate's, row-major.
    ///
    /// # Errors
    /// If `theirs` has another number of values than the specification.
    pub fn into_own(self, spec: &ParameterSpec, theirs: ArrayD<f32>) -> Result<ArrayD<f32>, ShapeError> {
        let Some(order) = self.permutation(spec.layout) else { return Ok(theirs) };
        let unfolded = theirs.into_shape_with_order(IxDyn(&self.separate_axes(spec)))?;
        let permuted = unfolded.permuted_axes(IxDyn(&inverse(order))).as_standard_layout().into_owned();
        permuted.into_shape_with_order(IxDyn(&spec.shape))
    }
}

/// The inverse permutation of `order`.
fn inverse(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    for (to, &from) in order.iter().enumerate() {
        inverse[from] = to;
    }
    inverse
}

/// The shape in this crate's layout, with the axes of a flattened map separate.
fn unfolded(spec: &ParameterSpec) -> Vec<usize> {
    match (spec.layout, spec.shape.as_slice()) {
        (Layout::LinearAfterFlatten { height, width, channels }, &[out, _]) => vec![out, height, width, channels],
        (_, shape) => shape.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Dimension;
    use proptest::prelude::*;

    use super::*;

    fn specs(out: usize, [height, width]: [usize; 2], channels: usize) -> Vec<ParameterSpec> {
        let spec = |shape: &[usize], layout| ParameterSpec::new("w", shape).layout(layout);
        let flat = Layout::LinearAfterFlatten { height, width, channels };
        vec![
            spec(&[out], Layout::Vector),
            spec(&[out, height, width, channels], Layout::Conv),
            spec(&[out, channels], Layout::Linear),
            spec(&[out, height * width * channels], flat),
            spec(&[6, out, height, width, channels], Layout::Local),
        ]
    }

    proptest! {
        #[test]
        fn there_and_back_changes_nothing(out in 1usize..5, h in 1usize..4, w in 1usize..4, channels in 1usize..4) {
            for spec in specs(out, [h, w], channels) {
                let values = ArrayD::from_shape_fn(IxDyn(&spec.shape), |i| {
                    i.slice().iter().fold(0.0, |number, &axis| number * 7.0 + axis as f32)
                });
                for axes in [AxisOrder::PyTorch, AxisOrder::Keras] {
                    let theirs = axes.from_own(&spec, values.view()).unwrap();
                    prop_assert_eq!(theirs.shape(), axes.shape(&spec));
                    prop_assert_eq!(&axes.into_own(&spec, theirs).unwrap(), &values);
                }
            }
        }

        #[test]
        fn each_value_stands_in_its_frameworks_place(out in 1usize..5, h in 1usize..4, w in 1usize..4, c in 1usize..4) {
            let [_, conv, _, flat, _] = specs(out, [h, w], c).try_into().unwrap();
            let number = |o: usize, y: usize, x: usize, i: usize| (((o * h + y) * w + x) * c + i) as f32;
            let kernels = ArrayD::from_shape_fn(IxDyn(&conv.shape), |i| number(i[0], i[1], i[2], i[3]));
            let matrix = kernels.clone().into_shape_with_order(IxDyn(&flat.shape)).unwrap();
            let torch = AxisOrder::PyTorch.from_own(&conv, kernels.view()).unwrap();
            let keras = AxisOrder::Keras.from_own(&conv, kernels.view()).unwrap();
            let torch_flat = AxisOrder::PyTorch.from_own(&flat, matrix.view()).unwrap();
            let keras_flat = AxisOrder::Keras.from_own(&flat, matrix.view()).unwrap();
            for (o, y, x, i) in places(out, h, w, c) {
                prop_assert_eq!(torch[[o, i, y, x]], number(o, y, x, i));
                prop_assert_eq!(keras[[y, x, i, o]], number(o, y, x, i));
                prop_assert_eq!(torch_flat[[o, (i * h + y) * w + x]], number(o, y, x, i));
                prop_assert_eq!(keras_flat[[(y * w + x) * c + i, o]], number(o, y, x, i));
            }
        }
    }

    fn places(out: usize, h: usize, w: usize, c: usize) -> Vec<(usize, usize, usize, usize)> {
        ndarray::indices((out, h, w, c)).into_iter().collect()
    }
}
