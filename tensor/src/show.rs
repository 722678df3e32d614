//! Values of tensors as text.

use std::fmt;

use ndarray::ArrayView1;

use crate::{Backend, IntTensor, Tensor};

/// The values in nested brackets, a row to a line. Of many values only the first and the last of each axis, unless the
/// format has a `#`. A precision holds for each value: `{:.3}`. The values are downloaded; where that fails, the error
/// stands in their place.
impl<B: Backend> fmt::Display for Tensor<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_array() {
            Ok(values) => values.fmt(f),
            Err(error) => write!(f, "<{error}>"),
        }
    }
}

/// Shape, device and values, as [`Display`](fmt::Display) shows them.
impl<B: Backend> fmt::Debug for Tensor<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor(shape {:?} on {:?}, {self})", self.shape(), self.device())
    }
}

/// The values in brackets, as those of a [`Tensor`].
impl<B: Backend> fmt::Display for IntTensor<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_vec() {
            Ok(values) => ArrayView1::from(&values).fmt(f),
            Err(error) => write!(f, "<{error}>"),
        }
    }
}

/// Device and values.
impl<B: Backend> fmt::Debug for IntTensor<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IntTensor({} on {:?}, {self})", self.len(), self.device())
    }
}
