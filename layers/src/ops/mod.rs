//! The operations of a [`Tape`](crate::Tape), one file each: forward, what backward needs of it (`Saved`), backward,
//! and a test of the gradients against finite differences.
//!
//! Shapes and settings are those of the operations of the same name in [`tensor::ops`]. Errors are theirs, as
//! [`Error::Tensor`](crate::Error::Tensor), and [`Error::Tape`](crate::Error::Tape) for a value of another tape.

mod activation;
mod batch_norm;
mod conv2d;
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

/// The gradient before a ReLU that was fused into an operation with output `y`; None: there was none.
fn undo_relu<B: Backend>(dy: Tensor<B>, y: Option<Tensor<B>>) -> tensor::Result<Tensor<B>> {
    match y {
        Some(y) => dy.into_activation_dx(Activation::Relu, &y),
        None => Ok(dy),
    }
}
