//! The operations of a [`Tape`](crate::Tape), one file each: forward, what backward needs of it (`Saved`), backward,
//! and a test of the gradients against finite differences.
//!
//! Shapes and settings are those of the operations of the same name in [`tensor::ops`]. Errors are theirs, as
//! [`Error::Tensor`](crate::Error::Tensor), and [`Error::Tape`](crate::Error::Tape) for a value of another tape.

mod activation;
mod batch_norm;
mod conv2d;
mod conv2d_lrn_pool;
mod conv2d_pool;
mod cross_entropy;
mod dropout;
mod elementwise;
mod linear;
mod local2d;
mod lrn;
mod lrn_pool;
mod matmul;
mod pool;
mod reduce;
mod reshape;
#[cfg(test)]
mod testing;

use tensor::ops::Activation;
use tensor::{Backend, Tensor};

use crate::Result;
use crate::tape::Sink;

/// The gradient before a ReLU, fused into an operation with output `y`, and before that a bias, input number `bias`, which
/// gets its own; `y` is None where there was no ReLU.
fn undo_relu_and_bias<B: Backend>(
    dy: Tensor<B>,
    y: Option<Tensor<B>>,
    bias: usize,
    sink: &mut Sink<'_, B>,
) -> Result<Tensor<B>> {
    let Some(y) = y else {
        sink.add(bias, || dy.sum_rows())?;
        return Ok(dy);
    };
    if !sink.wants(bias) {
        return Ok(dy.into_activation_dx(Activation::Relu, &y)?);
    }
    let (dy, sums) = dy.into_relu_bias_dx(&y)?;
    sink.add(bias, || Ok(sums))?;
    Ok(dy)
}
