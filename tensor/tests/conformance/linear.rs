//! Products of matrices and fully connected layers.

use alexnet_tensor::Tensor;
use alexnet_tensor::ops::MatmulOptions;

use crate::common::absolute;
use crate::compare::{activations, assert_near, bits, exact, host, weights};
use crate::devices::{Tested, full_size};
use crate::support::{transposed, values};

/// m, n, k: lengths at the edges of tiles and vectors, of 0 and 1, and of sums that are split.
const LENGTHS: [[usize; 3]; 16] = [
    [1, 1, 1],
    [3, 5, 7],
    [4, 8, 12],
    [16, 16, 16],
    [17, 31, 13],
    [64, 64, 64],
    [70, 66, 65],
    [33, 70, 1],
    [1, 67, 70],
    [68, 1, 34],
    [130, 40, 24],
    [5, 9, 0],
    [0, 4, 3],
    [4, 0, 3],
    [6, 10, 700],
    [40, 36, 1031],
];

/// The product of a `[m, k]` and b `[k, n]` in double precision.
fn product([m, n, k]: [usize; 3], a: &[f64], b: &[f64]) -> Vec<f64> {
    let c = exact(&[m, k], a).matmul(&exact(&[k, n], b)).expect("the CPU");
    c.to_vec().expect("values")
}

fn check<B: Tested>(
    device: &B,
    lengths: [usize; 3],
    got: &Tensor<B>,
    a: &[f64],
    b: &[f64],
    after: impl Fn(usize, f64) -> f64,
) {
    let sums = product(lengths, &absolute(a), &absolute(b));
    let expected: Vec<f64> = product(lengths, a, b).into_iter().enumerate().map(|(i, v)| after(i, v)).collect();
    // A bias has values up to 2.
    assert_near(&host(got), &expected, |i| sums[i] + 2.0, device.product_tolerance());
}

pub fn transposes<B: Tested>(device: &B) {
    for (i, lengths) in LENGTHS.into_iter().enumerate() {
        let [m, n, k] = lengths;
        let a = values(i as u64, m * k);
        let b = values(50 + i as u64, k * n);
        for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
            let left =
                if ta { activations(device, &[k, m], &transposed(m, k, &a)) } else { activations(device, &[m, k], &a) };
            let right = if tb { weights(device, &[n, k], &transposed(k, n, &b)) } else { weights(device, &[k, n], &b) };
            let c = left.matmul_with(&right, MatmulOptions { transpose_a: ta, transpose_b: tb }).expect("a launch");
            check(device, lengths, &c, &a, &b, |_, v| v);
        }
    }
}

/// Forward with bias and ReLU, dx, dw.
pub fn layers<B: Tested>(device: &B) {
    for (i, [n, inputs, outputs]) in LENGTHS.into_iter().enumerate() {
        check_layer(device, [n, inputs, outputs], i as u64);
    }
}

fn check_layer<B: Tested>(device: &B, [n, inputs, outputs]: [usize; 3], seed: u64) {
    let draw = |i, len| values(seed * 10 + i, len);
    let x = draw(0, n * inputs);
    let w = draw(1, outputs * inputs);
    let b = draw(2, outputs);
    let dy = draw(3, n * outputs);
    let xs = activations(device, &[n, inputs], &x);
    let ws = weights(device, &[outputs, inputs], &w);
    let bs = weights(device, &[outputs], &b);
    let dys = activations(device, &[n, outputs], &dy);
    let columns = transposed(outputs, inputs, &w);
    for relu in [false, true] {
        let y = xs.linear(&ws, Some(&bs), relu).expect("a launch");
        let finish = |i: usize, v: f64| if relu { (v + b[i % outputs]).max(0.0) } else { v + b[i % outputs] };
        check(device, [n, outputs, inputs], &y, &x, &columns, finish);
    }
    let y = xs.linear(&ws, None, true).expect("a launch");
    check(device, [n, outputs, inputs], &y, &x, &columns, |_, v| v.max(0.0));
    check(device, [n, inputs, outputs], &dys.linear_dx(&ws).expect("a launch"), &dy, &w, |_, v| v);
    let dw = dys.linear_dw(&xs).expect("a launch");
    check(device, [outputs, inputs, n], &dw, &transposed(n, outputs, &dy), &x, |_, v| v);
}

pub fn relu_keeps_nan<B: Tested>(device: &B) {
    let x = activations(device, &[3, 1], &[f64::NAN, -1.0, 1.0]);
    let y = host(&x.linear(&weights(device, &[1, 1], &[2.0]), None, true).expect("a launch"));
    assert!(y[0].is_nan() && y[1] == 0.0 && y[2] == 2.0, "{y:?}");
}

/// Includes sums that are split.
pub fn same_bits<B: Tested>(device: &B) {
    for [m, n, k] in [[70, 33, 90], [20, 30, 2000]] {
        let a = activations(device, &[m, k], &values(1, m * k));
        let b = weights(device, &[k, n], &values(2, k * n));
        let run_bits = || bits(&a.matmul(&b).expect("a launch"));
        assert!(run_bits() == run_bits(), "two runs differ");
    }
}

/// fc6, fc7 and fc8 of the paper.
pub fn layers_of_the_paper<B: Tested>(device: &B) {
    if full_size() {
        for (i, [inputs, outputs]) in [[9216, 4096], [4096, 4096], [4096, 1000]].into_iter().enumerate() {
            check_layer(device, [4, inputs, outputs], i as u64);
        }
    }
}
