//! Learns the kernel behind a filtered image: convolution forward and backward, and the paper's SGD step.
use alexnet_tensor::ops::{Conv2d, Padding, SgdStep};
use alexnet_tensor::random::{Stream, purpose};
use alexnet_tensor::{Cpu, Result, Tensor};

fn main() -> Result<()> {
    let cpu = Cpu::<f32>::new(2)?;
    let noise = |i, shape: &[usize]| Tensor::normal(&cpu, shape, 0.0, 1.0, Stream::new(1, purpose::USER + i, 0));
    let spec = Conv2d { padding: Padding::all(1), ..Conv2d::default() };

    // Sobel's horizontal gradient, `[out, kh, kw, in]`, and what it makes of 8 random images `[n, h, w, c]`.
    let sobel = [-1.0, 0.0, 1.0, -2.0, 0.0, 2.0, -1.0, 0.0, 1.0];
    let images = noise(0, &[8, 16, 16, 1])?;
    let filtered = images.conv2d(&spec, &Tensor::from_slice(&cpu, &[1, 3, 3, 1], &sobel)?, None, false)?;

    let mut kernel = noise(1, &[1, 3, 3, 1])?;
    let mut velocity = Tensor::zeros(&cpu, kernel.shape())?;
    let step = SgdStep { rate: 0.1, momentum: 0.5, decay: 0.0, ..SgdStep::default() };
    for i in 0..=40 {
        let difference = images.conv2d(&spec, &kernel, None, false)?.subtract(&filtered)?;
        let loss = difference.multiply(&difference)?.mean()?.scalar()?;
        if i % 10 == 0 {
            println!("step {i:2}  mean squared difference {loss:.2e}");
        }
        // The gradient of the loss for the output, then for the kernel.
        let dy = difference.scale(2.0 / difference.len() as f64)?;
        let dw = dy.conv2d_dw(&spec, &images, kernel.shape())?;
        kernel.sgd_step(&step, &mut velocity, &dw)?;
    }

    let learned = kernel.to_vec()?;
    println!("learned {learned:.3?}");
    assert!(learned.iter().zip(sobel).all(|(w, s)| (w - s).abs() < 1e-3), "the kernel must be found again");
    Ok(())
}
