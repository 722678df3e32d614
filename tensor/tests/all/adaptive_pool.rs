//! Adaptive average pooling against plain loops, PyTorch's windows and finite differences.

use alexnet_tensor::ops::{Pool2d, PoolKind};
use alexnet_tensor::{Cpu, Element, Error};
use proptest::prelude::*;

use crate::support::*;

/// PyTorch's `start_index` and `end_index`, in floating point as its documentation has them.
fn window(i: usize, input: usize, output: usize) -> std::ops::Range<usize> {
    let edge = |i: usize| (i * input) as f64 / output as f64;
    edge(i).floor() as usize..edge(i + 1).ceil() as usize
}

/// For each output, the indices of its inputs.
fn windows([n, h, w, c]: [usize; 4], [oh, ow]: [usize; 2]) -> Vec<Vec<usize>> {
    let mut windows = Vec::new();
    for image in 0..n {
        for (oy, ox) in (0..oh).flat_map(|oy| (0..ow).map(move |ox| (oy, ox))) {
            for channel in 0..c {
                let rows = window(oy, h, oh);
                let positions = rows.flat_map(|y| window(ox, w, ow).map(move |x| (y, x)));
                windows.push(positions.map(|(y, x)| ((image * h + y) * w + x) * c + channel).collect());
            }
        }
    }
    windows
}

fn forward_and_backward<E: Element>(
    cpu: &Cpu<E>,
    shape: [usize; 4],
    output: [usize; 2],
    x: &[f64],
    dy: &[f64],
) -> [Vec<f64>; 2] {
    let y = tensor_on(cpu, &shape, x).adaptive_average_pool(output).expect("a valid pooling");
    assert_eq!(y.shape(), [shape[0], output[0], output[1], shape[3]]);
    let dx = tensor_on(cpu, y.shape(), dy).adaptive_average_pool_dx(&shape).expect("a valid pooling");
    [host(&y), host(&dx)]
}

proptest! {
    #[test]
    fn equals_plain_loops(shape in [1usize..4, 1usize..14, 1usize..14, 1usize..20], output in [1usize..9, 1usize..9], seed: u64) {
        let x = values(seed, shape.iter().product());
        let windows = windows(shape, output);
        let dy = values(seed ^ 1, windows.len());
        let mut expected_dx = vec![0.0; x.len()];
        let mut expected = Vec::new();
        for (window, dy) in windows.iter().zip(&dy) {
            expected.push(window.iter().map(|&i| x[i]).sum::<f64>() / window.len() as f64);
            for &i in window {
                expected_dx[i] += dy / window.len() as f64;
            }
        }
        let [y, dx] = forward_and_backward(cpu64(), shape, output, &x, &dy);
        assert_close(&y, &expected, 1e-14);
        assert_close(&dx, &expected_dx, 1e-13);
        let [y, dx] = forward_and_backward(cpu32(), shape, output, &x, &dy);
        assert_close(&y, &expected, 1e-6);
        assert_close(&dx, &expected_dx, 5e-6);
    }

    #[test]
    fn gradient_equals_differences(shape in [1usize..3, 1usize..8, 1usize..8, 1usize..4], output in [1usize..6, 1usize..6], seed: u64) {
        let x = values(seed, shape.iter().product());
        let dy = values(seed ^ 1, shape[0] * output[0] * output[1] * shape[3]);
        let [_, dx] = forward_and_backward(cpu64(), shape, output, &x, &dy);
        let forward = |x: &[f64]| host(&tensor64(&shape, x).adaptive_average_pool(output).unwrap());
        prop_assert!(relative_error(&dx, &finite_differences(&x, &dy, forward)) < 1e-6);
    }

    /// Where the output size divides the input size, the windows are those of a plain average pooling.
    #[test]
    fn whole_windows_are_those_of_an_average_pooling(side in [1usize..5, 1usize..5], output in [1usize..5, 1usize..5], c in 1usize..20, seed: u64) {
        let shape = [2, side[0] * output[0], side[1] * output[1], c];
        let x = tensor32(&shape, &values(seed, shape.iter().product()));
        let plain = Pool2d { kernel: side, stride: side, ..Pool2d::new(PoolKind::Average, 1, 1) };
        let expected = x.pool(&plain).unwrap().0;
        assert_close(&host(&x.adaptive_average_pool(output).unwrap()), &host(&expected), 1e-6);
    }
}

/// Computed by hand: 5 inputs for 3 outputs have the windows 0..2, 1..4 and 3..5; 2 inputs for 3 outputs have 0, both
/// and 1.
#[test]
fn windows_of_pytorch() {
    let x = tensor64(&[1, 1, 5, 1], &[1.0, 2.0, 3.0, 4.0, 6.0]);
    assert_eq!(host(&x.adaptive_average_pool([1, 3]).unwrap()), [1.5, 3.0, 5.0]);
    let dy = tensor64(&[1, 1, 3, 1], &[2.0, 3.0, 4.0]);
    assert_eq!(host(&dy.adaptive_average_pool_dx(&[1, 1, 5, 1]).unwrap()), [1.0, 2.0, 1.0, 3.0, 2.0]);
    let x = tensor64(&[1, 2, 1, 1], &[1.0, 5.0]);
    assert_eq!(host(&x.adaptive_average_pool([3, 1]).unwrap()), [1.0, 3.0, 5.0]);
}

/// The case of torchvision's AlexNet at 224 pixels, whose maps already have the output size: nothing changes, not even the
/// sign of a zero.
#[test]
fn maps_of_the_output_size_stay_as_they_are() {
    let x = tensor32(&[1, 6, 6, 1], &(0..36).map(|i| if i % 2 == 0 { -0.0 } else { f64::from(i) }).collect::<Vec<_>>());
    let y = x.adaptive_average_pool([6, 6]).unwrap();
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    assert_eq!(bits(y.to_vec().unwrap()), bits(x.to_vec().unwrap()));
    assert_eq!(bits(x.adaptive_average_pool_dx(&[1, 6, 6, 1]).unwrap().to_vec().unwrap()), bits(x.to_vec().unwrap()));
}

#[test]
fn other_shapes_are_refused() {
    let error = tensor64(&[2, 3], &[0.0; 6]).adaptive_average_pool([1, 1]).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
    for (shape, output) in [([1, 0, 3, 1], [1, 1]), ([0, 3, 3, 1], [0, 1])] {
        let error = tensor64(&shape, &[]).adaptive_average_pool(output).unwrap_err();
        assert!(error.to_string().contains("height and width must be above 0"), "{error}");
    }
    let error = tensor64(&[1, 2, 2, 3], &[0.0; 12]).adaptive_average_pool_dx(&[1, 4, 4, 1]).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
}

#[test]
fn no_images_give_no_outputs() {
    assert_eq!(tensor64(&[0, 4, 4, 3], &[]).adaptive_average_pool([3, 2]).unwrap().shape(), [0, 3, 2, 3]);
    assert_eq!(tensor64(&[2, 4, 4, 0], &[]).adaptive_average_pool([3, 2]).unwrap().shape(), [2, 3, 2, 0]);
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    fn work<E: Element>(cpu: &Cpu<E>) -> Vec<Vec<E>> {
        let x = tensor_on(cpu, &[5, 13, 13, 33], &values(1, 5 * 13 * 13 * 33));
        let y = x.adaptive_average_pool([6, 6]).unwrap();
        let dx = y.adaptive_average_pool_dx(x.shape()).unwrap();
        vec![y.to_vec().unwrap(), dx.to_vec().unwrap()]
    }
    assert_same_bits(work, work);
}
