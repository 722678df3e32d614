//! Conversion between this crate's layouts and PyTorch's.
//!
//! | layout | this crate's | PyTorch's |
//! |---|---|---|
//! | vector | `[c]` | the same |
//! | convolution | `[out, kh, kw, in / groups]` | `[out, in / groups, kh, kw]` |
//! | linear | `[out, in]` | the same |
//! | linear on a flattened map | `in` runs over h, w, c | `in` runs over c, h, w |
//! | local | `[oh * ow, out, kh, kw, in / groups]` | `[oh * ow, out, in / groups, kh, kw]` |
//!
//! PyTorch has no locally connected layer: each position's kernels are laid out as a convolution's there, and the bias
//! stays `[oh, ow, out]`.

use ndarray::{ArrayD, ArrayViewD, IxDyn, ShapeError};

use crate::model::{Layout, ParameterSpec};

/// The axis of this crate's layout for each axis of PyTorch's; None if they are the same.
fn order(layout: Layout) -> Option<&'static [usize]> {
    match layout {
        Layout::Vector | Layout::Linear => None,
        Layout::Conv | Layout::LinearAfterFlatten { .. } => Some(&[0, 3, 1, 2]),
        Layout::Local => Some(&[0, 1, 4, 2, 3]),
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

/// The shape that a parameter has in PyTorch.
pub(super) fn pytorch_shape(spec: &ParameterSpec) -> Vec<usize> {
    match (spec.layout, order(spec.layout)) {
        (Layout::LinearAfterFlatten { .. }, _) | (_, None) => spec.shape.clone(),
        (_, Some(order)) => order.iter().map(|&axis| spec.shape[axis]).collect(),
    }
}

/// A parameter in PyTorch's layout, row-major.
pub(super) fn to_pytorch(spec: &ParameterSpec, ours: ArrayViewD<'_, f32>) -> Result<ArrayD<f32>, ShapeError> {
    let Some(order) = order(spec.layout) else { return Ok(ours.as_standard_layout().into_owned()) };
    let contiguous = ours.as_standard_layout();
    let unfolded = contiguous.view().into_shape_with_order(IxDyn(&unfolded(spec)))?;
    let permuted = unfolded.permuted_axes(IxDyn(order)).as_standard_layout().into_owned();
    permuted.into_shape_with_order(IxDyn(&pytorch_shape(spec)))
}

/// A parameter in PyTorch's layout, converted to this crate's, row-major.
pub(super) fn from_pytorch(spec: &ParameterSpec, theirs: ArrayD<f32>) -> Result<ArrayD<f32>, ShapeError> {
    let Some(order) = order(spec.layout) else { return Ok(theirs) };
    let ours = unfolded(spec);
    let shape: Vec<usize> = order.iter().map(|&axis| ours[axis]).collect();
    let unfolded = theirs.into_shape_with_order(IxDyn(&shape))?;
    let permuted = unfolded.permuted_axes(IxDyn(&inverse(order))).as_standard_layout().into_owned();
    permuted.into_shape_with_order(IxDyn(&spec.shape))
}
