//! Weights in 8 bits on the CPU.

use alexnet_tensor::random::Stream;
use alexnet_tensor::{Cpu, Precision, Result, Tensor};
use proptest::prelude::*;

fn cpu(threads: usize) -> Cpu<f32> {
    Cpu::new(threads).and_then(|cpu| cpu.with_precision(Precision::Int8)).expect("threads")
}

fn draw(cpu: &Cpu<f32>, shape: &[usize], seed: u64) -> Tensor<Cpu<f32>> {
    Tensor::uniform(cpu, shape, -1.0, 1.0, Stream::new(seed, 2, 3)).expect("draws")
}

/// x W^T + b in f64, and the scale of its terms.
fn plain(x: &[f32], w: &[f32], b: &[f32]) -> Vec<(f64, f64)> {
    let k = w.len() / b.len();
    let row = |x: &[f32], o: usize| {
        let terms = || x.iter().zip(&w[o * k..]).map(|(&x, &w)| f64::from(x) * f64::from(w));
        (terms().sum::<f64>() + f64::from(b[o]), terms().map(f64::abs).sum::<f64>() + 1.0)
    };
    x.chunks(k).flat_map(|x| (0..b.len()).map(move |o| row(x, o))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// A layer's outputs differ from those of f32 by the rounding of the weights, and by that of `bf16` where the
    /// processor has units for it.
    #[test]
    fn layers_equal_plain_sums_over_rounded_weights(
        images in 1usize..20, outputs in 1usize..300, inputs in 1usize..300, relu: bool, seed in 0u64..99,
    ) {
        let cpu = cpu(2);
        let x = draw(&cpu, &[images, inputs], seed).to_activation_dtype().unwrap();
        let w = draw(&cpu, &[outputs, inputs], seed + 1);
        let rounded = w.to_weight_dtype().unwrap();
        let b = draw(&cpu, &[outputs], seed + 2);
        let y = x.linear(&rounded, Some(&b), relu).unwrap().to_vec().unwrap();
        let rounded = rounded.to_vec().unwrap();
        for (w, rounded) in w.to_vec().unwrap().iter().zip(&rounded) {
            prop_assert!((w - rounded).abs() <= 0.5001 / 127.0, "{w} became {rounded}");
        }
        let tolerance = if Cpu::bf16_unit().is_some() { 1.5e-2 } else { 3e-6 };
        let expected = plain(&x.to_vec().unwrap(), &rounded, &b.to_vec().unwrap());
        for (y, (exact, scale)) in y.iter().zip(expected) {
            let exact = if relu { exact.max(0.0) } else { exact };
            prop_assert!((f64::from(*y) - exact).abs() <= tolerance * scale, "{y}, exact {exact}");
        }
    }
}

#[test]
fn weights_take_a_quarter_of_the_memory() -> Result<()> {
    let cpu = cpu(1);
    let w = draw(&cpu, &[1024, 1024], 1);
    let before = cpu.allocated_bytes();
    let rounded = w.to_weight_dtype()?;
    let room = (1024 * 1024) + 128 * 1024 * 4;
    assert_eq!(cpu.allocated_bytes() - before, room, "the integers, and room for a panel in f32, which is free again");
    // A second one takes the room of the panel first.
    drop(rounded);
    w.to_weight_dtype()?;
    assert_eq!(cpu.allocated_bytes() - before, room);
    Ok(())
}

#[test]
fn other_operations_see_the_rounded_weights() -> Result<()> {
    let cpu = cpu(2);
    let w = draw(&cpu, &[70, 30], 1);
    let rounded = w.to_weight_dtype()?;
    let values = rounded.to_vec()?;
    assert_ne!(values, w.to_vec()?);
    assert_eq!(rounded.to_weight_dtype()?.to_vec()?, values, "rounded twice");
    let wide = Tensor::from_slice(&cpu, &[70, 30], &values)?;
    let dy = draw(&cpu, &[5, 70], 2);
    assert_eq!(dy.linear_dx(&rounded)?.to_vec()?, dy.linear_dx(&wide)?.to_vec()?);
    let mut changed = rounded.clone();
    changed.add_scaled(1.0, &wide)?;
    for (changed, value) in changed.to_vec()?.iter().zip(&values) {
        assert_eq!(*changed, 2.0 * value, "a write makes them f32");
    }
    assert_eq!(rounded.to_vec()?, values, "another holder sees the change");
    Ok(())
}

#[test]
fn other_precisions_and_shapes_are_left_alone() -> Result<()> {
    let single = Cpu::<f32>::new(1)?;
    let w = draw(&single, &[3, 5], 1);
    assert_eq!(w.to_weight_dtype()?.to_vec()?, w.to_vec()?);
    let half = Cpu::<f32>::new(1)?.with_precision(Precision::Bf16)?;
    let w = draw(&half, &[3, 5], 1);
    assert_eq!(w.to_weight_dtype()?.to_vec()?, w.to_vec()?);
    let message = draw(&cpu(1), &[3, 5, 1], 1).to_weight_dtype().unwrap_err().to_string();
    assert!(message.contains("a matrix"), "{message}");
    assert_eq!(draw(&cpu(1), &[0, 5], 1).to_weight_dtype()?.len(), 0);
    assert_eq!(cpu(2).precision(), Precision::Int8);
    assert_eq!(format!("{:?}", cpu(2)), "Cpu<int8>(2 threads)");
    Ok(())
}

/// NaN in an image stays there, NaN in a row of weights in its output.
#[test]
fn nan_is_kept() -> Result<()> {
    let cpu = cpu(2);
    for images in [1, 3] {
        let mut w = draw(&cpu, &[4, 6], 1).to_vec()?;
        w[7] = f32::NAN;
        let w = Tensor::from_slice(&cpu, &[4, 6], &w)?.to_weight_dtype()?;
        let mut x = vec![0.5; images * 6];
        x[images * 6 - 1] = f32::NAN;
        let y = Tensor::from_slice(&cpu, &[images, 6], &x)?.linear(&w, None, false)?.to_vec()?;
        for (image, y) in y.chunks(4).enumerate() {
            for (output, y) in y.iter().enumerate() {
                assert_eq!(y.is_nan(), image == images - 1 || output == 1, "image {image}, output {output}: {y}");
            }
        }
    }
    Ok(())
}
