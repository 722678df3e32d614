//! The kernels, compiled with this crate.
//!
//! Generic code is compiled in the crate that uses it, with that crate's optimisation: in a debug build a program's own
//! crate has none. So each kernel has a function for `f32` and one for `f64`, which are compiled here, as this crate is.

use super::bf16::run_in_bf16;
use super::{Buffer, Cpu};
use crate::ops::{
    activation, adaptive_pool, batch_norm, conv2d, count, cross_entropy, dropout, elementwise, linear, local2d, lrn,
    lrn_pool, pool, reduce, reduce_axes, relu_bias, sample, strided, unary, update,
};
use crate::{Dtype, Element, Kernel, Operation, Result, Workspace};

/// The CPU's implementation of an operation: a [`Kernel`], which a function of [`CompiledKernels`] calls.
pub(super) trait CpuKernel<O: Operation>: crate::Device {
    fn run(
        &self,
        op: &O,
        operands: O::In<'_, Self::FloatBuffer, Self::IntBuffer>,
    ) -> Result<O::Out<Self::FloatBuffer, Self::IntBuffer>>;

    fn executed_flops(&self, op: &O) -> f64 {
        op.flops()
    }

    fn workspace(&self, _op: &O) -> Workspace {
        Workspace::default()
    }

    fn is_fused(&self, op: &O) -> bool {
        !op.has_parts()
    }

    /// Whether the kernel reads and writes activations in `bf16`. For others, operands are widened to `f32` before, and
    /// outputs rounded after.
    fn takes_bf16(&self, _op: &O) -> bool {
        false
    }
}

/// Buffers that a kernel reads, or changes in place.
type In<'a, O, E> = <O as Operation>::In<'a, Buffer<E>, Buffer<u32>>;
/// Buffers that a kernel returns.
type Out<O, E> = <O as Operation>::Out<Buffer<E>, Buffer<u32>>;

macro_rules! compiled_kernels {
    ($($function:ident: $operation:ty;)*) => {
        /// The kernels of a number type.
        pub trait CompiledKernels: Sized + bytemuck::Pod {
            #[doc(hidden)]
            fn full(cpu: &Cpu<Self>, len: usize, value: Self) -> Result<Buffer<Self>>
            where
                Self: Element;
            $(
                #[doc(hidden)]
                fn $function(cpu: &Cpu<Self>, op: &$operation, operands: In<'_, $operation, Self>) -> Result<Out<$operation, Self>>
                where
                    Self: Element;
            )*
        }

        compiled_kernels!(f32: $($function: $operation;)*);
        compiled_kernels!(f64: $($function: $operation;)*);

        $(
            impl<E: Element> Kernel<$operation> for Cpu<E> {
                fn run(&self, op: &$operation, operands: In<'_, $operation, E>) -> Result<Out<$operation, E>> {
                    <E as CompiledKernels>::$function(self, op, operands)
                }

                fn executed_flops(&self, op: &$operation) -> f64 {
                    CpuKernel::executed_flops(self, op)
                }

                fn workspace(&self, op: &$operation) -> Workspace {
                    CpuKernel::workspace(self, op)
                }

                fn is_fused(&self, op: &$operation) -> bool {
                    CpuKernel::is_fused(self, op)
                }

                fn widens_bf16(&self, op: &$operation) -> bool {
                    self.activations() == Dtype::Bf16 && !self.takes_bf16(op)
                }
            }
        )*
    };
    ($number:ty: $($function:ident: $operation:ty;)*) => {
        impl CompiledKernels for $number {
            #[inline(never)]
            fn full(cpu: &Cpu<Self>, len: usize, value: Self) -> Result<Buffer<Self>> {
                let mut buffer = cpu.alloc(len)?;
                buffer.make_mut()?.fill(value);
                Ok(buffer)
            }
            $(
                #[inline(never)]
                fn $function(
                    cpu: &Cpu<Self>,
                    op: &$operation,
                    operands: In<'_, $operation, Self>,
                ) -> Result<Out<$operation, Self>> {
                    if cpu.activations() == Dtype::Bf16 {
                        return run_in_bf16(cpu, op, operands);
                    }
                    CpuKernel::run(cpu, op, operands)
                }
            )*
        }
    };
}

compiled_kernels! {
    activation_forward: activation::ActivationForward;
    activation_backward: activation::ActivationBackward;
    adaptive_average_pool_forward: adaptive_pool::AdaptiveAveragePoolForward;
    adaptive_average_pool_backward: adaptive_pool::AdaptiveAveragePoolBackward;
    batch_moments: batch_norm::BatchMoments;
    batch_norm_forward: batch_norm::BatchNormForward;
    batch_norm_backward: batch_norm::BatchNormBackward;
    conv2d_forward: conv2d::Conv2dForward;
    conv2d_input_grad: conv2d::Conv2dInputGrad;
    conv2d_weight_grad: conv2d::Conv2dWeightGrad;
    count_ge: count::CountGe;
    softmax: cross_entropy::Softmax;
    cross_entropy_forward: cross_entropy::CrossEntropyForward;
    cross_entropy_backward: cross_entropy::CrossEntropyBackward;
    rank_of_label: cross_entropy::RankOfLabel;
    dropout_forward: dropout::DropoutForward;
    binary: elementwise::Binary;
    broadcast_binary: elementwise::BroadcastBinary;
    add_scaled: elementwise::AddScaled;
    mul_add_scalar: elementwise::MulAddScalar;
    matmul: linear::Matmul;
    local2d_forward: local2d::Local2dForward;
    local2d_input_grad: local2d::Local2dInputGrad;
    local2d_weight_grad: local2d::Local2dWeightGrad;
    lrn_forward: lrn::LrnForward;
    lrn_backward: lrn::LrnBackward;
    lrn_max_pool_forward: lrn_pool::LrnMaxPoolForward;
    lrn_max_pool_backward: lrn_pool::LrnMaxPoolBackward;
    lrn_max_pool_relu_bias_backward: lrn_pool::LrnMaxPoolReluBiasBackward;
    max_pool_forward: pool::MaxPoolForward;
    max_pool_backward: pool::MaxPoolBackward;
    average_pool_forward: pool::AveragePoolForward;
    average_pool_backward: pool::AveragePoolBackward;
    total: reduce::Sum;
    sum_rows: reduce::SumRows;
    max_and_argmax: reduce::MaxAndArgmax;
    all_finite: reduce::AllFinite;
    reduce_axis: reduce_axes::ReduceAxis;
    extremum_backward: reduce_axes::ExtremumBackward;
    relu_bias_backward: relu_bias::ReluBiasBackward;
    sample_normal: sample::SampleNormal;
    sample_uniform: sample::SampleUniform;
    strided_copy: strided::StridedCopy;
    slice_backward: strided::SliceBackward;
    concat: strided::Concat;
    unary: unary::Unary;
    unary_backward: unary::UnaryBackward;
    sgd_steps: update::SgdSteps;
    adam_steps: update::AdamSteps;
}
