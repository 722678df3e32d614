//! The kernels of the CPU, a file for each family, in one program: linking one for each file took longer than testing.

#[path = "../common/mod.rs"]
mod common;
#[path = "../support/mod.rs"]
mod support;

mod activation;
mod adaptive_pool;
mod batch_norm;
mod bf16;
mod conv2d;
mod crop_and_normalize;
mod cross_entropy;
mod dropout;
mod elementwise;
mod int8;
mod linear;
mod local2d;
mod lrn;
mod lrn_pool;
mod out_of_memory;
mod own_operation;
mod pool;
mod profiled;
mod random;
mod reduce;
mod reduce_axes;
mod sample;
mod strided;
mod tensor;
mod unary;
mod update;
