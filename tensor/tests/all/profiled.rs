//! The profiler: the same values, and the layer, kernel, operations and bytes of each call.

use std::time::Duration;

use alexnet_tensor::ops::{Conv2d, Padding, Pool2d, PoolKind, SgdStep};
use alexnet_tensor::{Algorithms, Cpu, Device, IntTensor, Profiled, Tensor};

fn cpu() -> Cpu<f32> {
    Cpu::new(1).expect("a thread")
}

fn ramp<B: alexnet_tensor::Backend<Scalar = f32>>(device: &B, shape: &[usize]) -> Tensor<B> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i % 17) as f32 - 8.0).collect();
    Tensor::from_slice(device, shape, &values).expect("as many values as the shape holds")
}

#[test]
fn calls_have_layer_kernel_flops_and_bytes() {
    let profiled = Profiled::new(cpu());
    let x = ramp(&profiled, &[2, 5, 6, 4]);
    let w = ramp(&profiled, &[6, 3, 3, 2]);
    let spec = Conv2d { groups: 2, ..Conv2d::default() };
    profiled.begin();
    profiled.set_scope("conv1");
    let y = x.conv2d(&spec, &w, None, false).expect("a convolution");
    profiled.set_scope("pool1");
    y.pool(&Pool2d::new(PoolKind::Max, 3, 2)).expect("a pooling");
    profiled.set_scope("");
    let calls = profiled.end();
    let found: Vec<_> = calls.iter().map(|c| (&*c.scope, c.kernel, c.flops, c.bytes)).collect();
    // 2 x 3 x 4 places, 6 kernels of 3 x 3 x 2; x, w and y have 240, 108 and 144 numbers; 2 x 1 x 1 x 6 maxima.
    let conv = ("conv1", "conv2d", 2.0 * 144.0 * 18.0, 4 * (240 + 108 + 144));
    assert_eq!(found, [conv, ("pool1", "max pool", 0.0, 4 * (144 + 2 * 12))]);
    assert!(calls.iter().all(|c| c.seconds > 0.0 && c.seconds < 10.0));

    y.scale(2.0).expect("a product");
    assert_eq!(profiled.end(), [], "nothing is profiled after the end");
    let plain =
        ramp(&cpu(), &[2, 5, 6, 4]).conv2d(&spec, &ramp(&cpu(), &[6, 3, 3, 2]), None, false).expect("a convolution");
    assert_eq!(y.to_vec().expect("values"), plain.to_vec().expect("values"));
}

#[test]
fn each_kind_of_product_has_its_name() {
    let profiled = Profiled::new(cpu());
    let x = ramp(&profiled, &[3, 5]);
    let w = ramp(&profiled, &[7, 5]);
    profiled.begin();
    let y = x.linear(&w, None, true).expect("a product");
    y.linear_dx(&w).expect("a product");
    y.linear_dw(&x).expect("a product");
    let calls = profiled.end();
    assert_eq!(calls.iter().map(|c| c.kernel).collect::<Vec<_>>(), ["linear", "linear dx", "linear dw"]);
    assert!(calls.iter().all(|c| c.flops == 2.0 * 3.0 * 5.0 * 7.0));
    assert!(calls.iter().all(|c| c.bytes == 4 * (15 + 35 + 21)));
}

/// Winograd's algorithm takes 49 multiplications for a tile of 5 x 5 outputs, of 9 terms each.
#[test]
fn executed_flops_are_those_of_the_algorithm() {
    for (algorithms, n, per_output) in [
        (Algorithms::Fast, 64, 49.0 / 25.0),
        // A single image has tiles along rows: 7 multiplications for 5 outputs, for each of 3 kernel rows.
        (Algorithms::Fast, 1, 21.0 / 5.0),
        (Algorithms::Exact, 64, 9.0),
    ] {
        let profiled = Profiled::new(Cpu::<f32>::with_algorithms(2, algorithms).expect("threads"));
        let x = Tensor::full(&profiled, &[n, 10, 10, 16], 1.0).expect("memory");
        let w = Tensor::full(&profiled, &[32, 3, 3, 16], 1.0).expect("memory");
        let spec = Conv2d { padding: Padding::all(1), ..Conv2d::default() };
        profiled.begin();
        x.conv2d(&spec, &w, None, false).expect("a convolution");
        let call = &profiled.end()[0];
        let outputs = (n * 100 * 32 * 16) as f64;
        assert_eq!(call.flops, 2.0 * 9.0 * outputs);
        assert!(
            (call.executed_flops / (2.0 * per_output * outputs) - 1.0).abs() < 1e-12,
            "{algorithms:?}, {n}: {}",
            call.executed_flops
        );
    }
}

#[test]
fn updates_in_place_count_reads_and_writes() {
    let profiled = Profiled::new(cpu());
    let [mut w, mut v, g] = [0; 3].map(|_| ramp(&profiled, &[100]));
    profiled.begin();
    let step = SgdStep { rate: 0.1, momentum: 0.9, decay: 0.0, nesterov: false };
    w.sgd_step(&step, &mut v, &g).expect("a step");
    IntTensor::from_slice(&profiled, &[1, 2, 3]).expect("an upload");
    let calls = profiled.end();
    let found: Vec<_> = calls.iter().map(|c| (c.kernel, c.bytes)).collect();
    assert_eq!(found, [("sgd", 5 * 400), ("upload", 12)]);
}

#[test]
fn calls_repeat_within_a_time_budget() {
    let profiled = Profiled::new(cpu());
    let mut y = Tensor::zeros(&profiled, &[4]).expect("zeros");
    let one = Tensor::full(&profiled, &[4], 1.0).expect("ones");
    profiled.begin_repeated(Duration::from_millis(20));
    y.add_scaled(1.0, &one).expect("a sum");
    assert_eq!(profiled.end().len(), 1);
    // Once to warm up, once to measure its time, then at most 200 times.
    let times = y.to_vec().expect("values")[0];
    assert!((3.0..=202.0).contains(&times), "{times} times");
}
