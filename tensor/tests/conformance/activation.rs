//! ReLU, tanh and the logistic function.

use alexnet_tensor::ops::Activation;

use crate::compare::{activations, assert_near, exact, host};
use crate::devices::Tested;
use crate::support::values;

const ALL: [Activation; 3] = [Activation::Relu, Activation::Tanh, Activation::Logistic];
/// Lengths of no values, of whole and partial vectors, of one block of threads and more.
const LENGTHS: [usize; 6] = [0, 1, 7, 256, 1000, 70_001];

pub fn forward<B: Tested>(device: &B) {
    for (f, len) in ALL.into_iter().flat_map(|f| LENGTHS.map(|len| (f, len))) {
        let x = values(len as u64, len);
        let y = host(&activations(device, &[len], &x).activation(f).expect("a launch"));
        let expected = exact(&[len], &x).activation(f).expect("the CPU").to_vec().expect("values");
        assert_near(&y, &expected, |_| 1.0, device.value_tolerance());
    }
    let special = activations(device, &[4], &[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0]);
    let y = host(&special.activation(Activation::Relu).expect("a launch"));
    assert!(y[0].is_nan() && y[1] == f64::INFINITY && y[2] == 0.0 && y[3] == 0.0, "ReLU gives {y:?}");
}

pub fn backward<B: Tested>(device: &B) {
    for (f, len) in ALL.into_iter().flat_map(|f| LENGTHS.map(|len| (f, len))) {
        let y = values(len as u64, len);
        let dy = values(9, len);
        let dx = host(
            &activations(device, &[len], &dy).activation_dx(f, &activations(device, &[len], &y)).expect("a launch"),
        );
        let expected = exact(&[len], &dy).activation_dx(f, &exact(&[len], &y)).expect("the CPU");
        assert_near(&dx, &expected.to_vec().expect("values"), |_| 10.0, device.value_tolerance());
    }
}

pub fn relu_and_bias<B: Tested>(device: &B) {
    for (rows, c) in [(0, 3), (1, 1), (700, 1), (50, 7), (3025, 96), (128, 4096)] {
        let y = values(rows as u64, rows * c);
        let dy = values(9, rows * c);
        let y = activations(device, &[rows, c], &y).activation(Activation::Relu).expect("a launch");
        let dy = activations(device, &[rows, c], &dy);
        let expected = host(&dy.activation_dx(Activation::Relu, &y).expect("a launch"));
        let (dx, sums) = dy.into_relu_bias_dx(&y).expect("a launch");
        assert_eq!(host(&dx), expected);
        let column = |i: usize| expected.iter().skip(i).step_by(c);
        let exact: Vec<f64> = (0..c).map(|i| column(i).sum()).collect();
        assert_near(&host(&sums), &exact, |i| column(i).map(|v| v.abs()).sum(), device.product_tolerance());
    }
}
