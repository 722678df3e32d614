//! Activations in `bf16` on the CPU. The conformance suite compares every kernel with double precision.

use alexnet_tensor::ops::{Conv2d, Lrn, Padding, Pool2d, PoolKind};
use alexnet_tensor::random::Stream;
use alexnet_tensor::{Cpu, Precision, Tensor};

fn cpu(threads: usize) -> Cpu<f32> {
    Cpu::new(threads).and_then(|cpu| cpu.with_precision(Precision::Bf16)).expect("threads")
}

/// Bits of a training step of a small network: activations, their gradients, and those of weights.
fn step(threads: usize) -> Vec<Vec<u32>> {
    let cpu = cpu(threads);
    let draw = |shape: &[usize], seed| Tensor::uniform(&cpu, shape, -1.0, 1.0, Stream::new(seed, 2, 3)).expect("draws");
    let first = Conv2d { stride: [4, 4], padding: Padding::all(2), ..Conv2d::default() };
    let second = Conv2d { padding: Padding::all(1), groups: 2, ..Conv2d::default() };
    let pool = Pool2d::new(PoolKind::Max, 3, 2);
    let x = draw(&[9, 48, 48, 3], 1).to_activation_dtype().expect("a cast");
    let w1 = draw(&[32, 11, 11, 3], 2);
    let w2 = draw(&[48, 3, 3, 16], 3);
    let w3 = draw(&[70, 5 * 5 * 48], 4);
    let a1 = x.conv2d(&first, &w1, None, true).expect("conv1");
    let (p1, saved) = a1.lrn_max_pool(&Lrn::paper(), &pool).expect("lrn and pool");
    let a2 = p1.conv2d(&second, &w2, None, true).expect("conv2");
    let rows = a2.clone().reshape(&[9, 5 * 5 * 48]).expect("rows");
    let y = rows.linear(&w3, None, true).expect("fc");

    let (dy, db3) = y.clone().into_relu_bias_dx(&y).expect("ReLU");
    let dw3 = dy.linear_dw(&rows).expect("dw");
    let d2 = dy.linear_dx(&w3).expect("dx").reshape(a2.shape()).expect("maps");
    let dw2 = d2.conv2d_dw(&second, &p1, w2.shape()).expect("dw");
    let d1 = d2.conv2d_dx(&second, p1.shape(), &w2).expect("dx");
    let dx = d1.lrn_max_pool_dx(&Lrn::paper(), &pool, &a1, &saved).expect("dx");
    let dw1 = dx.conv2d_dw(&first, &x, w1.shape()).expect("dw");
    let all = [a1, p1, a2, y, db3, dw3, d2, dw2, d1, dx, dw1];
    all.map(|t| t.to_vec().expect("values").into_iter().map(f32::to_bits).collect()).to_vec()
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let one = step(1);
    assert!(one.iter().all(|values| values.iter().any(|&bits| bits != 0)), "a result of zeros");
    for threads in [2, 3, 5] {
        assert!(step(threads) == one, "{threads} threads");
    }
}

#[test]
fn activations_take_half_the_memory() {
    let cpu = cpu(1);
    let before = cpu.allocated_bytes();
    let x = Tensor::full(&cpu, &[1 << 20], 1.0).and_then(|x| x.to_activation_dtype()).expect("memory");
    let y = x.clone();
    assert_eq!(cpu.allocated_bytes() - before, (4 << 20) + (2 << 20), "the copy, after its source");
    let x = Tensor::full(&cpu, &[1 << 20], 2.0).and_then(|x| x.to_activation_dtype()).expect("memory");
    assert_eq!(cpu.allocated_bytes() - before, (4 << 20) + 2 * (2 << 20), "room of the first source is used again");
    assert_eq!([x, y].map(|t| t.as_slice()[7]), [2.0, 1.0]);
}

/// A NaN or an infinity of one image stays with it, and with the gradients of weights.
#[test]
fn what_is_not_finite_stays_in_its_image() {
    let cpu = cpu(2);
    let spec = Conv2d { padding: Padding::all(1), ..Conv2d::default() };
    for bad in [f32::NAN, f32::INFINITY] {
        let mut values = vec![0.5; 3 * 6 * 6 * 5];
        values[6 * 6 * 5 + 7] = bad;
        let x = Tensor::from_slice(&cpu, &[3, 6, 6, 5], &values).and_then(|x| x.to_activation_dtype()).expect("a cast");
        let w = Tensor::full(&cpu, &[7, 3, 3, 5], 0.25).expect("weights");
        let y = x.conv2d(&spec, &w, None, true).and_then(|y| y.to_vec()).expect("a convolution");
        let image = 6 * 6 * 7;
        assert!(y[..image].iter().chain(&y[2 * image..]).all(|v| v.is_finite()), "{bad}");
        assert!(y[image..2 * image].iter().any(|v| !v.is_finite()), "{bad}");
    }
}
