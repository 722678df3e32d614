//! Activations in `bf16`: the upper half of an `f32`.
//!
//! Kernels that [take `bf16`](super::compiled::CpuKernel::takes_bf16) read and write it. For the others
//! [`run_in_bf16`] widens operands to `f32` and rounds outputs.

#[cfg(not(target_arch = "x86_64"))]
mod no_tiles;
#[cfg(target_arch = "x86_64")]
mod tiles;

use rayon::prelude::*;

#[cfg(not(target_arch = "x86_64"))]
use no_tiles as tiles;
pub(super) use tiles::{TileConvolution, TileProduct, TileWeightGradient, unit_name};

use super::compiled::CpuKernel;
use super::simd::multiversion;
use super::{Buffer, Cpu};
use crate::device::sealed::Sealed;
use crate::{Alloc, Device, Element, Operands, Operation, Outputs, Result};

/// Operands of a convolution on tiles.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(super) struct ConvolutionOperands<'a, E> {
    /// `[n, h, w, c]` in `bf16`.
    pub x: &'a [u16],
    /// Weights, in `f32`.
    pub w: &'a Buffer<E>,
    pub bias: Option<&'a [f32]>,
    pub relu: bool,
}

/// The number of values in one task.
const CHUNK: usize = 1 << 16;

/// The value in `f32`.
#[inline(always)]
pub(super) fn to_f32(v: u16) -> f32 {
    f32::from_bits(u32::from(v) << 16)
}

/// The nearest value in `bf16`, of two the even one. NaN stays NaN.
#[inline(always)]
pub(super) fn of_f32(v: f32) -> u16 {
    let bits = v.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    // Not `if`, so that loops are vectorised.
    let nan = bits >> 16 | 0x40;
    (if v.is_nan() { nan } else { rounded }) as u16
}

multiversion! {
    /// Values in `f32`.
    pub(super) fn widen_chunk(from: &[u16], to: &mut [f32]) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = to_f32(from);
        }
    }
}

multiversion! {
    /// Values rounded to `bf16`.
    pub(super) fn narrow_chunk(from: &[f32], to: &mut [u16]) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to = of_f32(from);
        }
    }
}

/// Values in `f32`, on the threads of the caller's pool.
pub(super) fn widen_in_chunks(from: &[u16], to: &mut [f32]) {
    to.par_chunks_mut(CHUNK).zip(from.par_chunks(CHUNK)).for_each(|(to, from)| widen_chunk(from, to));
}

/// Values rounded to `bf16`.
pub(super) fn narrow(from: &[f32], to: &mut [u16]) {
    to.par_chunks_mut(CHUNK).zip(from.par_chunks(CHUNK)).for_each(|(to, from)| narrow_chunk(from, to));
}

impl<E: Element> Cpu<E> {
    /// The values in `bf16`; the same buffer if they are. E is `f32`.
    pub(super) fn to_bf16(&self, buffer: &Buffer<E>) -> Result<Buffer<E>> {
        if buffer.is_bf16() {
            return Ok(buffer.clone());
        }
        let mut rounded = self.alloc_bf16(buffer.len())?;
        if let Some(to) = rounded.bf16_mut()? {
            let from = bytemuck::cast_slice(buffer.as_slice());
            self.install(|| narrow(from, to));
        }
        Ok(rounded)
    }

    /// Makes a copy of the values in `f32`, if they are in fewer bits, for [`as_slice`](Buffer::as_slice).
    pub(super) fn prepare_wide(&self, buffer: &Buffer<E>) -> Result<()> {
        buffer.prepare_wide(|from, to| self.install(|| from.widen_in_parallel(to)))
    }

    /// Whether an operation's buffers are in `bf16`: empty buffers stand for them.
    fn formats(&self) -> Formats<'_, E> {
        Formats(self)
    }
}

/// Allocates empty buffers in the formats of outputs.
struct Formats<'a, E: Element>(&'a Cpu<E>);

impl<E: Element> Sealed for Formats<'_, E> {}

impl<E: Element> Alloc<Buffer<E>, Buffer<u32>> for Formats<'_, E> {
    fn weights(&self, _: usize) -> Result<Buffer<E>> {
        self.0.alloc(0)
    }

    fn activations(&self, _: usize) -> Result<Buffer<E>> {
        self.0.alloc_bf16(0)
    }

    fn like(&self, operand: &Buffer<E>, _: usize) -> Result<Buffer<E>> {
        if operand.is_bf16() { self.0.alloc_bf16(0) } else { self.0.alloc(0) }
    }

    fn like_widest(&self, operands: &[&Buffer<E>], _: usize) -> Result<Buffer<E>> {
        if operands.iter().all(|operand| operand.is_bf16()) { self.0.alloc_bf16(0) } else { self.0.alloc(0) }
    }

    fn ints(&self, _: usize) -> Result<Buffer<u32>> {
        self.0.alloc_ints(0)
    }
}

/// Runs a kernel on a device whose activations are in `bf16`. Outputs, and operands that change in place, have the
/// formats that the operation declares.
pub(super) fn run_in_bf16<E: Element, O: Operation>(
    cpu: &Cpu<E>,
    op: &O,
    mut operands: O::In<'_, Buffer<E>, Buffer<u32>>,
) -> Result<O::Out<Buffer<E>, Buffer<u32>>>
where
    Cpu<E>: CpuKernel<O> + Device<Scalar = E, FloatBuffer = Buffer<E>, IntBuffer = Buffer<u32>>,
{
    if !cpu.takes_bf16(op) {
        operands.floats().into_iter().try_for_each(|operand| cpu.prepare_wide(operand))?;
    }
    let formats = op.outputs(&operands, &cpu.formats())?;
    let in_place: Vec<bool> = operands.in_place().into_iter().map(|buffer| buffer.is_bf16()).collect();
    let mut outputs = CpuKernel::run(cpu, op, O::reborrow(&mut operands))?;
    for (output, format) in outputs.floats_mut().iter_mut().zip(formats.floats()) {
        if format.is_bf16() {
            *output = cpu.to_bf16(output)?;
        }
    }
    for (operand, is_bf16) in operands.in_place().into_iter().zip(in_place) {
        if is_bf16 {
            *operand = cpu.to_bf16(operand)?;
        }
    }
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Precision;
    use crate::cpu::simd::{LANES, Level, Simd, Stored, Vector, WithSimd, dispatch};

    /// The nearest value by comparison of the two neighbours, of two equally near ones the even one.
    fn nearest(v: f32) -> u16 {
        let low = (v.to_bits() >> 16) as u16;
        let high = low.wrapping_add(1);
        let distance = |bits: u16| match to_f32(bits) {
            // Beyond the largest value: as far as the next one would be.
            far if far.is_infinite() => 2f64.powi(128).copysign(f64::from(far)) - f64::from(v),
            near => f64::from(near) - f64::from(v),
        };
        let [below, above] = [low, high].map(|bits| distance(bits).abs());
        if below < above || (below == above && low.is_multiple_of(2)) { low } else { high }
    }

    struct Rounded<'a>(&'a [f32; LANES]);

    impl WithSimd for Rounded<'_> {
        type Output = ([u16; LANES], [f32; LANES]);

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            let mut halves = [0u16; LANES];
            let mut back = [0f32; LANES];
            u16::store(simd.load(self.0), &mut halves);
            u16::load(simd, &halves).store(&mut back);
            (halves, back)
        }
    }

    proptest! {
        #[test]
        fn values_are_rounded_to_the_nearest(bits in prop::array::uniform16(any::<u32>())) {
            let values = bits.map(f32::from_bits);
            for &v in &values {
                if v.is_nan() {
                    prop_assert!(to_f32(of_f32(v)).is_nan());
                } else if v.is_finite() {
                    prop_assert_eq!(of_f32(v), nearest(v), "{:e}", v);
                } else {
                    prop_assert_eq!(to_f32(of_f32(v)), v);
                }
            }
            for level in Level::all() {
                let (halves, back) = dispatch(level, Rounded(&values));
                prop_assert_eq!(halves, values.map(of_f32), "{:?}", level);
                prop_assert_eq!(back.map(f32::to_bits), halves.map(|half| to_f32(half).to_bits()), "{:?}", level);
            }
        }
    }

    fn cpu() -> Cpu<f32> {
        Cpu::new(2).unwrap().with_precision(Precision::Bf16).unwrap()
    }

    #[test]
    fn a_write_to_one_holder_leaves_the_other() {
        let cpu = cpu();
        let mut x = cpu.to_bf16(&cpu.upload(&[1.0, 2.0, 3.0]).unwrap()).unwrap();
        let other = x.clone();
        assert_eq!(x.as_slice(), [1.0, 2.0, 3.0]);
        x.bf16_mut().unwrap().unwrap()[1] = of_f32(5.0);
        assert_eq!((x.as_slice(), other.as_slice()), (&[1.0, 5.0, 3.0][..], &[1.0, 2.0, 3.0][..]));
        x.make_mut().unwrap()[0] = 1.001;
        assert!(!x.is_bf16() && other.is_bf16());
        assert_eq!((x.as_slice(), other.as_slice()), (&[1.001, 5.0, 3.0][..], &[1.0, 2.0, 3.0][..]));
    }

    #[test]
    fn outputs_and_operands_in_place_keep_the_declared_formats() {
        use crate::Tensor;
        let cpu = cpu();
        let x = Tensor::from_slice(&cpu, &[2, 3], &[1.0, -2.0, 3.0, 4.0, 5.0, -6.0]).unwrap();
        let activations = x.to_activation_dtype().unwrap();
        // Kernels without `bf16`: elementwise, and one that works in place.
        assert!(activations.add(&activations).unwrap().buffer().is_bf16());
        assert!(!x.add(&x).unwrap().buffer().is_bf16());
        let mut sum = activations.clone();
        sum.add_scaled(0.5, &activations).unwrap();
        assert!(sum.buffer().is_bf16());
        assert_eq!(sum.to_vec().unwrap(), [1.5, -3.0, 4.5, 6.0, 7.5, -9.0]);
        assert!(!activations.sum_rows().unwrap().buffer().is_bf16(), "sums are gradients of weights");
    }

    #[test]
    fn other_devices_have_other_precisions() {
        assert!(Cpu::<f32>::new(1).unwrap().with_precision(Precision::Tf32).unwrap_err().to_string().contains("tf32"));
        assert_eq!(Cpu::<f32>::new(1).unwrap().precision(), Precision::F32);
        assert_eq!(cpu().describe(), "CPU, bf16, 2 threads");
    }
}
