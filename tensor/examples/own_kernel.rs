//! An operation of your own: one elementwise function with a kernel for the CPU and one for GPUs, by CubeCL.
//!
//! `cargo run --example own_kernel` computes it on the CPU; with `--features vulkan` (`wgpu`, `cuda`) also on the first GPU,
//! which may be Vulkan in software. The profiler and the dry run treat it as they do the crate's own operations.
use alexnet_tensor::cpu::Buffer;
use alexnet_tensor::{Alloc, Backend, Cpu, DryRun, Element, Handle, Kernel, Operation, Profiled, Result, Tensor};

/// The softsign x / (1 + |x|). Operand: x. Output: y.
#[derive(Clone, Copy, Debug)]
struct Softsign {
    /// Number of values.
    len: usize,
}

impl Operation for Softsign {
    type In<'a, F: Handle, I: Handle> = [&'a F; 1];
    type Out<F: Handle, I: Handle> = [F; 1];

    fn name(&self) -> &'static str {
        "softsign"
    }

    fn outputs<F: Handle, I: Handle>(&self, [x]: &[&F; 1], new: &dyn Alloc<F, I>) -> Result<[F; 1]> {
        Ok([new.like(x, self.len)?])
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut [&'a F; 1]) -> [&'s F; 1] {
        *operands
    }
}

impl<E: Element> Kernel<Softsign> for Cpu<E> {
    fn run(&self, _: &Softsign, [x]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 1]> {
        Ok([self.map(x, |v| v / (E::one() + v.abs()))?])
    }
}

#[cfg(feature = "gpu")]
mod gpu {
    use alexnet_tensor::gpu::cubecl::{self, prelude::*};
    use alexnet_tensor::gpu::{Buffer, dispatch};
    use alexnet_tensor::{Gpu, Kernel, Result};

    use super::Softsign;

    /// F is the type of the values in memory, which may be bf16. The kernel computes in f32.
    #[cube(launch)]
    fn softsign_kernel<F: Float>(x: &Array<F>, y: &mut Array<F>) {
        if ABSOLUTE_POS < y.len() {
            let value = f32::cast_from(x[ABSOLUTE_POS]);
            y[ABSOLUTE_POS] = F::cast_from(value / (1.0 + f32::abs(value)));
        }
    }

    impl<R: Runtime> Kernel<Softsign> for Gpu<R> {
        fn run(&self, op: &Softsign, [x]: [&Buffer; 1]) -> Result<[Buffer; 1]> {
            let y = self.empty(x.dtype(), op.len);
            if op.len > 0 {
                let (cubes, units) = self.unit_grid(op.len);
                dispatch!(x.dtype(), F => {
                    let x = x.array_arg::<F, R>()?;
                    softsign_kernel::launch::<F, R>(self.client(), cubes, units, x, y.array_arg::<F, R>()?);
                });
            }
            Ok([y])
        }
    }
}

/// The softsign on any device that has a kernel for it.
fn softsign<B: Backend + Kernel<Softsign>>(x: &Tensor<B>) -> Result<Tensor<B>> {
    let [y] = x.device().run(&Softsign { len: x.len() }, [x.buffer()])?;
    Tensor::from_buffer(x.device(), x.shape(), y)
}

/// Compares the kernel with plain Rust, for as many values as need several cubes on a GPU.
fn check<B: Backend<Scalar = f32> + Kernel<Softsign>>(device: &B) -> Result<()> {
    let values: Vec<f32> = (0..3000).map(|i| (i as f32 - 1500.0) / 100.0).collect();
    let x = Tensor::from_slice(device, &[3, 1000], &values)?.to_activation_dtype()?;
    let y = softsign(&x)?;
    println!("{}:\n{y:.3}", device.describe());
    for (x, y) in x.to_vec()?.into_iter().zip(y.to_vec()?) {
        let expected = x / (1.0 + x.abs());
        // bf16 has 8 bits of precision.
        assert!((y - expected).abs() <= 4e-3, "{x}: {y}, expected {expected}");
    }
    Ok(())
}

fn main() -> Result<()> {
    let cpu = Cpu::<f32>::new(2)?;
    check(&cpu)?;

    let profiled = Profiled::new(cpu.clone());
    let x = Tensor::full(&profiled, &[1 << 20], 2.0)?;
    profiled.begin();
    softsign(&x)?;
    for call in profiled.end() {
        println!("{}: {} bytes in {:.2} ms", call.kernel, call.bytes, 1e3 * call.seconds);
        assert_eq!(call.bytes, (2 * 4) << 20);
    }

    let dry_run = DryRun::new(cpu);
    let x = Tensor::full(&dry_run, &[1 << 30], 2.0)?;
    let y = softsign(&x)?;
    println!("for {} values it would need {} GiB", y.len(), dry_run.peak() >> 30);
    assert_eq!(dry_run.peak(), 8 << 30);

    #[cfg(feature = "wgpu")]
    check(&alexnet_tensor::gpu::runtime::wgpu::open(0, alexnet_tensor::gpu::Precision::F32)?)?;
    #[cfg(all(feature = "cuda", not(feature = "wgpu")))]
    for precision in [alexnet_tensor::gpu::Precision::F32, alexnet_tensor::gpu::Precision::Bf16] {
        check(&alexnet_tensor::gpu::runtime::cuda::open(0, precision)?)?;
    }
    Ok(())
}

#[test]
fn the_kernels_compute_the_softsign() {
    main().expect("a softsign");
}
