//! A kernel that the crate does not have, hard swish (Howard et al., 2019) with its learned slope, for the CPU and, by
//! CubeCL, for GPUs.

use alexnet_tensor::{Backend, Cpu, Result, Tensor};

/// x clamp(slope x + 1/2, 0, 1).
trait HardSwish: Backend {
    fn hard_swish(x: &Tensor<Self>, slope: f32) -> Result<Tensor<Self>>;
}

impl HardSwish for Cpu<f32> {
    fn hard_swish(x: &Tensor<Self>, slope: f32) -> Result<Tensor<Self>> {
        x.map(|x| x * (slope * x + 0.5).clamp(0.0, 1.0))
    }
}

#[cfg(feature = "vulkan")]
mod gpu {
    use alexnet_tensor::gpu::cubecl::{self, prelude::*};
    use alexnet_tensor::{Gpu, Result, Tensor};

    #[cube(launch)]
    fn kernel(x: &Array<f32>, y: &mut Array<f32>, slope: f32) {
        if ABSOLUTE_POS < y.len() {
            let gate = f32::clamp(slope * x[ABSOLUTE_POS] + 0.5, 0.0, 1.0);
            y[ABSOLUTE_POS] = x[ABSOLUTE_POS] * gate;
        }
    }

    impl<R: Runtime> super::HardSwish for Gpu<R> {
        fn hard_swish(x: &Tensor<Self>, slope: f32) -> Result<Tensor<Self>> {
            let device = x.device();
            let y = device.empty(x.buffer().dtype(), x.len());
            let (cubes, units) = device.unit_grid(x.len());
            let input = x.buffer().array_arg::<f32, R>()?;
            kernel::launch::<R>(device.client(), cubes, units, input, y.array_arg::<f32, R>()?, slope);
            Tensor::from_buffer(device, x.shape(), y)
        }
    }
}

fn check<B: HardSwish<Scalar = f32>>(device: &B) -> Result<()> {
    let values: Vec<f32> = (-500..500).map(|i| i as f32 / 100.0).collect();
    let y = B::hard_swish(&Tensor::from_slice(device, &[10, 100], &values)?, 0.2)?;
    println!("{}: {} values", device.describe(), y.len());
    for (x, y) in values.into_iter().zip(y.to_vec()?) {
        assert!((y - x * (0.2 * x + 0.5).clamp(0.0, 1.0)).abs() < 1e-5);
    }
    Ok(())
}

fn main() -> Result<()> {
    check(&Cpu::<f32>::new(2)?)?;
    #[cfg(feature = "vulkan")]
    check(&alexnet_tensor::gpu::runtime::wgpu::open(0, alexnet_tensor::gpu::Precision::F32)?)?;
    Ok(())
}
