//! Reductions over axes.

use crate::compare::{activations, assert_near, bits, exact, host, weights};
use crate::devices::Tested;
use crate::support::values;

/// Shapes and the axes to reduce: inner, outer and middle ones and several apart; short and long ones; more results than
/// a block of threads; one result; no values.
const CASES: [(&[usize], &[usize]); 14] = [
    (&[5, 7], &[1]),
    (&[5, 7], &[0]),
    (&[3, 13, 9, 8], &[1, 2]),
    (&[3, 4, 5, 6], &[0, 2]),
    (&[3, 4, 5, 6], &[3, 1]),
    (&[2, 5000], &[1]),
    (&[70_001], &[0]),
    (&[2000, 3], &[1]),
    (&[4, 3, 1000], &[1]),
    (&[2, 700, 3], &[1]),
    (&[3, 1], &[1]),
    (&[2, 3], &[]),
    (&[0, 3], &[1]),
    (&[3, 2, 0], &[1]),
];

pub fn any_axes<B: Tested>(device: &B) {
    for (shape, axes) in CASES {
        let x = values(1, shape.iter().product());
        let absolute: Vec<f64> = x.iter().map(|v| v.abs()).collect();
        let sum = |x: &[f64]| exact(shape, x).sum_axes(axes, false).expect("the CPU").to_vec().expect("values");
        let magnitudes = sum(&absolute);
        let count: usize = axes.iter().map(|&axis| shape[axis]).product();
        let maxima = exact(shape, &x).max_axes(axes, true).expect("the CPU");
        let minima = exact(shape, &x).min_axes(axes, true).expect("the CPU").to_vec().expect("values");
        for x in [activations(device, shape, &x), weights(device, shape, &x)] {
            let sums = host(&x.sum_axes(axes, false).expect("a launch"));
            let exact_sums = sum(&host(&x));
            assert_near(&sums, &exact_sums, |i| magnitudes[i], 3e-6);
            let means = host(&x.mean_axes(axes, true).expect("a launch"));
            let exact_means: Vec<f64> = exact_sums.iter().map(|sum| sum / count as f64).collect();
            assert_near(&means, &exact_means, |i| magnitudes[i] / count as f64, device.value_tolerance().max(3e-6));
            let got = x.max_axes(axes, true).expect("a launch");
            assert_eq!(got.shape(), maxima.shape());
            assert_near(&host(&got), &maxima.to_vec().expect("values"), |_| 2.0, device.value_tolerance());
            let got = host(&x.min_axes(axes, true).expect("a launch"));
            assert_near(&got, &minima, |_| 2.0, device.value_tolerance());
        }
    }
    let nothing = activations(device, &[3, 0, 2], &[]);
    assert_eq!(host(&nothing.sum_axes(&[1], false).expect("a launch")), [0.0; 6]);
    assert_eq!(host(&nothing.mean_axes(&[1], false).expect("a launch")), [0.0; 6]);
}

pub fn special_values<B: Tested>(device: &B) {
    let nan = f64::NAN;
    let inf = f64::INFINITY;
    let x = activations(device, &[4, 3], &[-inf, -inf, -inf, 1.0, nan, inf, inf, 2.0, -inf, -1.0, -3.0, -2.0]);
    let max = host(&x.max_axes(&[1], false).expect("a launch"));
    assert!(max[0] == -inf && max[1].is_nan() && max[2..] == [inf, -1.0], "maxima: {max:?}");
    let min = host(&x.min_axes(&[1], false).expect("a launch"));
    assert!(min[0] == -inf && min[1].is_nan() && min[2..] == [-inf, -3.0], "minima: {min:?}");
    let sum = host(&x.sum_axes(&[1], false).expect("a launch"));
    assert!(sum[0] == -inf && sum[1].is_nan() && sum[2].is_nan() && sum[3] == -6.0, "sums: {sum:?}");
}

pub fn gradients<B: Tested>(device: &B) {
    for (shape, axes) in CASES {
        // Few different values, exact in every format: some are equal.
        let x: Vec<f64> = values(2, shape.iter().product()).iter().map(|v| (v * 8.0).round() / 8.0).collect();
        let exact_x = exact(shape, &x);
        let y = exact_x.max_axes(axes, false).expect("the CPU");
        let dy: Vec<f64> = values(3, y.len()).iter().map(|v| (v * 8.0).round() / 8.0).collect();
        let exact_dy = exact(y.shape(), &dy);
        let input = activations(device, shape, &x);
        for dy in [activations(device, y.shape(), &dy), weights(device, y.shape(), &dy)] {
            let dx = dy.max_axes_dx(&input, axes).expect("a launch");
            let expected = exact_dy.max_axes_dx(&exact_x, axes).expect("the CPU").to_vec().expect("values");
            assert_eq!(host(&dx), expected, "{shape:?} over {axes:?}");
            let dx = dy.min_axes_dx(&input, axes).expect("a launch");
            let expected = exact_dy.min_axes_dx(&exact_x, axes).expect("the CPU").to_vec().expect("values");
            assert_eq!(host(&dx), expected, "{shape:?} over {axes:?}");
        }
    }
}

pub fn the_first_of_equals<B: Tested>(device: &B) {
    let nan = f64::NAN;
    let x = activations(device, &[4, 3], &[1.0, 2.0, 2.0, nan, 5.0, nan, 0.0, -0.0, 0.0, -1.0, -1.0, -1.0]);
    let dy = activations(device, &[4], &[1.0, 2.0, 3.0, 4.0]);
    let dx = host(&dy.max_axes_dx(&x, &[1]).expect("a launch"));
    assert_eq!(dx, [0.0, 1.0, 0.0, 2.0, 0.0, 0.0, 3.0, 0.0, 0.0, 4.0, 0.0, 0.0]);
}

pub fn log_softmax<B: Tested>(device: &B) {
    for shape in [[3, 10], [128, 1000], [4, 1]] {
        // Eighths, exact in every format.
        let x: Vec<f64> = values(4, shape.iter().product()).iter().map(|v| (v * 32.0).round() / 8.0).collect();
        let y = activations(device, &shape, &x).log_softmax().expect("a launch");
        let exact_y = exact(&shape, &x).log_softmax().expect("the CPU");
        let expected = exact_y.to_vec().expect("values");
        assert_near(&host(&y), &expected, |_| 16.0, device.value_tolerance());
        let dy = values(5, x.len());
        let dx = weights(device, &shape, &dy).log_softmax_dx(&weights(device, &shape, &expected)).expect("a launch");
        let expected = exact(&shape, &dy).log_softmax_dx(&exact_y).expect("the CPU").to_vec().expect("values");
        assert_near(&host(&dx), &expected, |i| 2.0 + expected[i].abs(), device.value_tolerance().max(3e-6));
    }
}

pub fn same_bits<B: Tested>(device: &B) {
    let x = activations(device, &[7, 301, 13], &values(6, 7 * 301 * 13));
    let run = || bits(&x.sum_axes(&[1], false).expect("a launch"));
    let first = run();
    assert!((0..4).all(|_| run() == first));
}
