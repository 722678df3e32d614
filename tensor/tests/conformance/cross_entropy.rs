//! Softmax and cross-entropy.

use alexnet_tensor::{Cpu, IntTensor, Tensor};

use crate::compare::{activations, assert_near, bits, exact, host, ints_on};
use crate::devices::Tested;
use crate::support::{cpu64, values};

/// Rows and classes: one of either; fewer and more than a block of threads; many rows.
const SHAPES: [[usize; 2]; 10] =
    [[0, 3], [1, 1], [5, 1], [3, 2], [7, 10], [4, 31], [128, 1000], [2, 10_007], [3, 256], [70_001, 3]];

/// Logits and labels, the first and the last class among them.
fn case([n, c]: [usize; 2]) -> (Vec<f64>, Vec<u32>) {
    let x = values((n + c) as u64, n * c).iter().map(|v| 4.0 * v).collect();
    let label = |row: usize| [0, c - 1, row * 31 % c][row % 3] as u32;
    (x, (0..n).map(label).collect())
}

/// The logits as the device rounds them, so that the comparison leaves their rounding out.
fn rounded<B: Tested>(x: &Tensor<B>) -> Tensor<Cpu<f64>> {
    exact(x.shape(), &host(x))
}

fn labels64(labels: &[u32]) -> IntTensor<Cpu<f64>> {
    ints_on(cpu64(), labels)
}

pub fn softmax<B: Tested>(device: &B) {
    for shape in SHAPES {
        let x = activations(device, &shape, &case(shape).0);
        let expected = rounded(&x).softmax().expect("the CPU").to_vec().expect("values");
        assert_near(&host(&x.softmax().expect("a launch")), &expected, |_| 1.0, device.value_tolerance());
    }
}

pub fn loss<B: Tested>(device: &B) {
    for shape in SHAPES {
        let (x, labels) = case(shape);
        let x = activations(device, &shape, &x);
        let expected = rounded(&x).cross_entropy(&labels64(&labels)).expect("the CPU").to_vec().expect("values");
        let losses = host(&x.cross_entropy(&ints_on(device, &labels)).expect("a launch"));
        // Single precision in every mode.
        assert_near(&losses, &expected, |_| 20.0, 1e-6);
    }
}

pub fn gradient<B: Tested>(device: &B) {
    for shape in SHAPES {
        let (x, labels) = case(shape);
        let factor = 1.0 / shape[0].max(1) as f64;
        let x = activations(device, &shape, &x);
        let dx = rounded(&x).cross_entropy_dx(&labels64(&labels), factor).expect("the CPU");
        let got = host(&x.cross_entropy_dx(&ints_on(device, &labels), factor).expect("a launch"));
        assert_near(&got, &dx.to_vec().expect("values"), |_| factor, 2.0 * device.value_tolerance());
    }
}

pub fn rank<B: Tested>(device: &B) {
    for [n, c] in SHAPES {
        let (x, labels) = case([n, c]);
        // Few different values, exact in every format: ties.
        let x: Vec<f64> = x.iter().map(|v| (v * 2.0).round() / 2.0).collect();
        check_ranks(device, [n, c], &x, &labels);
    }
    let nan = f64::NAN;
    let inf = f64::INFINITY;
    for label in 0..5 {
        check_ranks(device, [1, 5], &[nan, inf, nan, -inf, 0.0], &[label]);
        check_ranks(device, [1, 5], &[0.0, -0.0, 0.0, -0.0, -1.0], &[label]);
    }
}

fn check_ranks<B: Tested>(device: &B, shape: [usize; 2], x: &[f64], labels: &[u32]) {
    let got = activations(device, &shape, x).rank_of_label(&ints_on(device, labels)).expect("a launch");
    let expected = exact(&shape, x).rank_of_label(&labels64(labels)).expect("the CPU");
    assert_eq!(got.to_vec().expect("values"), expected.to_vec().expect("values"), "{shape:?}");
}

/// Large logits neither overflow nor underflow. NaN and infinity affect their row alone.
pub fn special_values<B: Tested>(device: &B) {
    let nan = f64::NAN;
    let inf = f64::INFINITY;
    let x = [[1e30, -1e30, 0.0], [3.0, nan, 1.0], [-inf, 2.0, 2.0], [inf, 0.0, 0.0], [-inf, -inf, -inf]];
    let labels = [0, 0, 2, 1, 0];
    let x = activations(device, &[5, 3], x.as_flattened());
    let on_host = labels64(&labels);
    let labels = ints_on(device, &labels);
    let exact = rounded(&x);
    let pairs = [
        (x.softmax(), exact.softmax()),
        (x.cross_entropy(&labels), exact.cross_entropy(&on_host)),
        (x.cross_entropy_dx(&labels, 0.5), exact.cross_entropy_dx(&on_host, 0.5)),
    ];
    for (got, expected) in pairs {
        let got = host(&got.expect("a launch"));
        let expected = expected.expect("the CPU").to_vec().expect("values");
        for (i, (g, e)) in got.iter().zip(&expected).enumerate() {
            let near = (g - e).abs() <= device.value_tolerance() || g == e || (g.is_nan() && e.is_nan());
            assert!(near, "value {i} of {got:?} should be {e}");
        }
    }
}

/// A label that is not a class is an error. A device that does not check labels gives NaN as the loss, never another
/// row's logit, and the last rank.
pub fn invalid_labels<B: Tested>(device: &B) {
    let x = activations(device, &[3, 4], &values(1, 12));
    for label in [4, 5, u32::MAX] {
        let labels = ints_on(device, &[1, label, 3]);
        if let Ok(losses) = x.cross_entropy(&labels) {
            let losses = host(&losses);
            assert!(losses[0].is_finite() && losses[1].is_nan() && losses[2].is_finite(), "{label}: {losses:?}");
        }
        if let Ok(ranks) = x.rank_of_label(&labels) {
            assert_eq!(ranks.to_vec().expect("values")[1], 4, "{label}");
        }
    }
}

pub fn same_bits<B: Tested>(device: &B) {
    let (x, labels) = case([64, 1000]);
    let x = activations(device, &[64, 1000], &x);
    let labels = ints_on(device, &labels);
    let run_bits = || {
        let loss = x.cross_entropy(&labels);
        let dx = x.cross_entropy_dx(&labels, 0.25);
        [loss, dx].map(|t| bits(&t.expect("a launch")))
    };
    let first = run_bits();
    for _ in 0..3 {
        assert_eq!(run_bits(), first);
    }
}
