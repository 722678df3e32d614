//! The operations of a [`Tape`](crate::Tape), one file each: forward, the values saved for backward (`Saved`), backward,
//! and a test of the gradients against finite differences.
//!
//! Shapes and settings are those of the operations of the same name in [`tensor::ops`]. Errors are theirs, as
//! [`Error::Tensor`](crate::Error::Tensor), and [`Error::Tape`](crate::Error::Tape) for a value of another tape.

mod activation;
mod adaptive_pool;
mod batch_norm;
mod conv2d;
mod cross_entropy;
mod dropout;
mod elementwise;
mod epilogue;
mod linear;
mod local2d;
mod lrn;
mod matmul;
mod mean_squared_error;
mod pool;
mod reduce;
mod reduce_axes;
mod reshape;
mod strided;
#[cfg(test)]
pub(crate) mod testing;
mod unary;

pub use epilogue::Stage;
