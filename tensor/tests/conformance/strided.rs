//! Copies in another order. They change no value, so that results are equal.

use alexnet_tensor::Tensor;

use crate::compare::{activations, exact, host, weights};
use crate::devices::Tested;
use crate::support::values;

/// Values of activations, exact in every format.
fn eighths(seed: u64, len: usize) -> Vec<f64> {
    values(seed, len).into_iter().map(|v| (v * 8.0).round() / 8.0).collect()
}

/// With and without vectors; axes that can be merged; more values than a block of threads; no values.
const SHAPES: [[usize; 4]; 6] = [[2, 3, 4, 8], [3, 5, 7, 1], [1, 9, 2, 3], [5, 33, 17, 12], [2, 0, 3, 4], [1, 1, 1, 1]];

/// Runs a copy on the device and on the CPU, with activations and with weights.
macro_rules! check_copy {
    ($device:expr, $shape:expr, $copy:expr) => {{
        let shape: &[usize] = $shape;
        let x = eighths(1, shape.iter().product());
        let expected = $copy(exact(shape, &x)).expect("the CPU");
        for x in [activations($device, shape, &x), weights($device, shape, &x)] {
            let y = $copy(x).expect("a launch");
            assert_eq!(y.shape(), expected.shape());
            assert_eq!(host(&y), expected.to_vec().expect("values"), "{shape:?}");
        }
    }};
}

pub fn permutations<B: Tested>(device: &B) {
    for shape in SHAPES {
        for axes in [[0, 3, 1, 2], [0, 2, 1, 3], [3, 2, 1, 0], [1, 0, 2, 3], [0, 1, 2, 3]] {
            check_copy!(device, &shape, |x: Tensor<_>| x.permute(&axes));
        }
    }
}

pub fn slices<B: Tested>(device: &B) {
    for shape in SHAPES {
        // All but the first position of each axis; a part that starts and ends at a vector; steps; nothing.
        let inner = shape.map(|len| usize::from(len > 1)..len);
        let half = [0..shape[0], 0..shape[1], 0..shape[2], shape[3] / 2..shape[3]];
        for (ranges, steps) in
            [(inner.clone(), [1; 4]), (half, [1; 4]), (inner, [1, 2, 3, 2]), ([0, 0, 0, 0].map(|i| i..i), [1; 4])]
        {
            check_copy!(device, &shape, |x: Tensor<_>| x.slice_with_steps(&ranges, &steps));
            check_copy!(device, &shape, |x: Tensor<_>| {
                x.slice_with_steps(&ranges, &steps).and_then(|part| part.slice_dx(&shape, &ranges, &steps))
            });
        }
    }
}

pub fn concatenations<B: Tested>(device: &B) {
    for (shape, axis) in SHAPES.into_iter().flat_map(|shape| (0..4).map(move |axis| (shape, axis))) {
        let mut other = shape;
        other[axis] = 4;
        let x = eighths(1, shape.iter().product());
        let y = eighths(2, other.iter().product());
        let expected = Tensor::concat(&[&exact(&shape, &x), &exact(&other, &y), &exact(&shape, &x)], axis);
        let expected = expected.expect("the CPU");
        for last in [activations(device, &shape, &x), weights(device, &shape, &x)] {
            let joined =
                Tensor::concat(&[&activations(device, &shape, &x), &activations(device, &other, &y), &last], axis);
            let joined = joined.expect("a launch");
            assert_eq!(joined.shape(), expected.shape());
            assert_eq!(host(&joined), expected.to_vec().expect("values"), "{shape:?}, axis {axis}");
        }
    }
}

pub fn repetition<B: Tested>(device: &B) {
    for (shape, target) in
        [(&[5, 1, 3][..], &[5, 4, 3][..]), (&[8], &[3, 5, 8]), (&[7, 1], &[7, 300]), (&[], &[2, 2]), (&[1, 0], &[3, 0])]
    {
        check_copy!(device, shape, |x: Tensor<_>| x.broadcast_to(target));
    }
}
