//! Reductions over axes against `ndarray` and finite differences.

use alexnet_tensor::ndarray::{ArrayD, Axis, IxDyn};
use alexnet_tensor::{Cpu, Element, Result, Tensor};
use proptest::prelude::*;

use crate::support::*;

/// Lengths of 1 to 5 axes, and whether each is reduced.
fn cases(lengths: &'static [usize]) -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    prop::collection::vec((prop::sample::select(lengths), any::<bool>()), 1..6).prop_map(|axes| {
        // The last axes first: any order will do.
        let reduced = (0..axes.len()).rev().filter(|&axis| axes[axis].1).collect();
        (axes.into_iter().map(|axis| axis.0).collect(), reduced)
    })
}

/// A reduction by `ndarray`, one axis after the other, with the axes kept.
fn reference(x: &ArrayD<f64>, axes: &[usize], start: f64, f: impl Fn(f64, f64) -> f64) -> ArrayD<f64> {
    axes.iter().fold(x.clone(), |x, &axis| x.fold_axis(Axis(axis), start, |&a, &b| f(a, b)).insert_axis(Axis(axis)))
}

fn maximum(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

fn without_axes(shape: &[usize], axes: &[usize]) -> Vec<usize> {
    (0..shape.len()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect()
}

/// Fails unless a result has the shapes and the values of an array, with and without the axes.
fn assert_reduced<E: Element>(
    reduce: impl Fn(bool) -> Result<Tensor<Cpu<E>>>,
    axes: &[usize],
    expected: &ArrayD<f64>,
    tolerance: f64,
) {
    let kept = reduce(true).expect("valid axes");
    assert_eq!(kept.shape(), expected.shape());
    let dropped = reduce(false).expect("valid axes");
    assert_eq!(dropped.shape(), without_axes(expected.shape(), axes));
    let values: Vec<f64> = expected.iter().copied().collect();
    for got in [host(&kept), host(&dropped)] {
        let is_nan = |values: &[f64]| values.iter().map(|v| v.is_nan()).collect::<Vec<_>>();
        assert_eq!(is_nan(&got), is_nan(&values));
        let number = |values: &[f64]| values.iter().map(|v| if v.is_nan() { 0.0 } else { *v }).collect::<Vec<_>>();
        assert_close(&number(&got), &number(&values), tolerance);
    }
}

fn check<E: Element>(cpu: &Cpu<E>, shape: &[usize], axes: &[usize], x: Vec<f64>, tolerance: f64) {
    let tensor = tensor_on(cpu, shape, &x);
    let x = ArrayD::from_shape_vec(IxDyn(shape), x).expect("as many values as the shape holds");
    let count: usize = axes.iter().map(|&axis| shape[axis]).product();
    let sums = reference(&x, axes, 0.0, |a, b| a + b);
    assert_reduced(|keep| tensor.sum_axes(axes, keep), axes, &sums, tolerance * (count as f64).sqrt().max(1.0));
    assert_reduced(|keep| tensor.mean_axes(axes, keep), axes, &(sums / count.max(1) as f64), tolerance);
    if count == 0 {
        assert_shape_error(tensor.max_axes(axes, true), "max_axes");
        assert_shape_error(tensor.min_axes(axes, false), "min_axes");
        return;
    }
    // Maxima are copies, but for the rounding of the input.
    let maxima = reference(&x, axes, f64::NEG_INFINITY, maximum);
    assert_reduced(|keep| tensor.max_axes(axes, keep), axes, &maxima, tolerance);
    let minima = reference(&x, axes, f64::INFINITY, |a, b| -maximum(-a, -b));
    assert_reduced(|keep| tensor.min_axes(axes, keep), axes, &minima, tolerance);
}

proptest! {
    #[test]
    fn reductions_equal_those_of_ndarray((shape, axes) in cases(&[0, 1, 1, 2, 3, 4, 9]), seed: u64) {
        let x = values(seed, shape.iter().product());
        check(cpu64(), &shape, &axes, x.clone(), 1e-14);
        check(cpu32(), &shape, &axes, x, 1e-6);
    }

    #[test]
    fn nan_and_infinities_count((shape, axes) in cases(&[1, 2, 3, 4]), seed: u64) {
        let special = |v: f64| match v {
            v if v > 1.7 => f64::NAN,
            v if v > 1.3 => f64::INFINITY,
            v if v < -1.6 => f64::NEG_INFINITY,
            v => v,
        };
        let x: Vec<f64> = values(seed, shape.iter().product()).into_iter().map(special).collect();
        let tensor = tensor64(&shape, &x);
        let x = ArrayD::from_shape_vec(IxDyn(&shape), x).unwrap();
        let maxima = reference(&x, &axes, f64::NEG_INFINITY, maximum);
        let infinite = |v: f64| if v.is_infinite() { v.signum() * 1e9 } else { v };
        let finite = |t: Tensor<Cpu<f64>>| tensor64(t.shape(), &host(&t).into_iter().map(infinite).collect::<Vec<_>>());
        assert_reduced(|keep| tensor.max_axes(&axes, keep).map(finite), &axes, &maxima.mapv(infinite), 0.0);
    }

    #[test]
    fn gradients_equal_differences((shape, axes) in cases(&[1, 1, 2, 3, 4]), seed: u64) {
        let x = apart(seed, shape.iter().product());
        let tensor = tensor64(&shape, &x);
        let dy_shape = without_axes(&shape, &axes);
        let dy = values(seed ^ 1, dy_shape.iter().product());
        let gradient = tensor64(&dy_shape, &dy);
        let maxima = |x: &[f64]| host(&tensor64(&shape, x).max_axes(&axes, false).unwrap());
        let dx = gradient.max_axes_dx(&tensor, &axes).unwrap();
        prop_assert_eq!(dx.shape(), &shape);
        prop_assert!(relative_error(&host(&dx), &finite_differences(&x, &dy, maxima)) < 1e-6);
        let minima = |x: &[f64]| host(&tensor64(&shape, x).min_axes(&axes, false).unwrap());
        let dx = gradient.min_axes_dx(&tensor, &axes).unwrap();
        prop_assert!(relative_error(&host(&dx), &finite_differences(&x, &dy, minima)) < 1e-6);
    }

    /// Of equal extrema, NaN too, the first in row-major order gets all.
    #[test]
    fn the_first_of_equals_gets_the_gradient(
        (shape, axes) in cases(&[1, 2, 3, 4]), draw in prop::collection::vec(0u8..3, 1024),
    ) {
        let len: usize = shape.iter().product();
        let x: Vec<f64> = draw[..len].iter().map(|&v| if v == 2 { f64::NAN } else { f64::from(v) }).collect();
        let tensor = tensor32(&shape, &x);
        let largest = tensor.max_axes(&axes, true).unwrap();
        let dy = tensor32(largest.shape(), &values(5, largest.len()));
        let repeated = |t: &Tensor<Cpu<f32>>| host(&t.broadcast_to(&shape).unwrap());
        // The result that each value belongs to, by its index.
        let indices: Vec<f64> = (0..largest.len()).map(|i| i as f64).collect();
        let result_of = repeated(&tensor32(largest.shape(), &indices));
        let mut has_given = vec![false; largest.len()];
        let mut expected = vec![0.0; len];
        for (i, (largest, dy)) in repeated(&largest).into_iter().zip(repeated(&dy)).enumerate() {
            let is_equal = x[i] == largest || (x[i].is_nan() && largest.is_nan());
            if is_equal && !std::mem::replace(&mut has_given[result_of[i] as usize], true) {
                expected[i] = dy;
            }
        }
        prop_assert_eq!(host(&dy.max_axes_dx(&tensor, &axes).unwrap()), expected);
    }

    #[test]
    fn the_logarithm_of_the_softmax_equals_plain_loops(shape in prop::collection::vec(1usize..6, 1..4), seed: u64) {
        let c = shape[shape.len() - 1];
        let x: Vec<f64> = values(seed, shape.iter().product()).iter().map(|v| v * 20.0).collect();
        let mut expected = Vec::new();
        for row in x.chunks(c) {
            let sum: f64 = row.iter().map(|v| v.exp()).sum();
            expected.extend(row.iter().map(|v| v - sum.ln()));
        }
        let y = tensor64(&shape, &x).log_softmax().unwrap();
        assert_close(&host(&y), &expected, 1e-12);
        assert_close(&host(&tensor32(&shape, &x).log_softmax().unwrap()), &expected, 1e-5);
        let dy = values(seed ^ 1, x.len());
        let forward = |x: &[f64]| host(&tensor64(&shape, x).log_softmax().unwrap());
        let dx = host(&tensor64(&shape, &dy).log_softmax_dx(&y).unwrap());
        assert_close(&dx, &finite_differences(&x, &dy, forward), 1e-7);
    }

    #[test]
    fn global_average_pooling_is_the_mean_over_height_and_width(shape in [1usize..4, 1usize..6, 1usize..6, 1usize..6], seed: u64) {
        let x = tensor64(&shape, &values(seed, shape.iter().product()));
        let means = x.global_average_pool().unwrap();
        prop_assert_eq!(means.shape(), &[shape[0], shape[3]]);
        assert_close(&host(&means), &host(&x.mean_axes(&[1, 2], false).unwrap()), 1e-14);
    }
}

#[test]
fn long_and_wide_reductions_equal_those_of_ndarray() {
    for (shape, axes) in [
        (vec![3, 40_001], vec![1]),
        (vec![40_001], vec![0]),
        (vec![2, 130, 3001], vec![1]),
        (vec![5000, 3, 2], vec![1]),
        (vec![7, 20, 31, 33], vec![0, 2]),
    ] {
        let x = values(3, shape.iter().product());
        check(cpu64(), &shape, &axes, x.clone(), 1e-13);
        check(cpu32(), &shape, &axes, x, 1e-6);
    }
}

#[test]
fn no_axes_leave_each_value() {
    let x = tensor64(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    for y in [x.sum_axes(&[], false), x.mean_axes(&[], true), x.max_axes(&[], false), x.min_axes(&[], true)] {
        assert_eq!(host(&y.unwrap()), host(&x));
    }
}

#[test]
fn wrong_axes_and_shapes_are_named() {
    let x = zeros64(&[2, 3]);
    assert_eq!(error_message(x.sum_axes(&[2], true)), "sum_axes: there is no axis 2 in shape [2, 3]");
    assert_eq!(error_message(x.mean_axes(&[0, 0], true)), "mean_axes: axis 0 is listed twice");
    assert_argument_error(x.max_axes(&[5], true), "no axis 5");
    assert_argument_error(x.min_axes(&[1, 0, 1], true), "axis 1 is listed twice");
    assert_shape_error(zeros64(&[2]).max_axes_dx(&x, &[0]), "max_axes backward");
    assert_shape_error(zeros64(&[3, 0]).log_softmax(), "reduce");
    assert_shape_error(zeros64(&[3, 2]).log_softmax_dx(&x), "log_softmax backward");
    assert_shape_error(x.global_average_pool(), "global average pool");
}

/// Adding 0.1 a million times, one after the other, has an error of 1 % in single precision.
#[test]
fn single_precision_keeps_its_digits_over_long_axes() {
    let expected = f64::from(0.1f32) * 250_000.0;
    for shape in [[2, 250_000, 1], [2, 250_000, 2]] {
        let x = tensor32(&shape, &vec![0.1; shape.iter().product()]);
        for sum in host(&x.sum_axes(&[1], false).unwrap()) {
            assert!((sum / expected - 1.0).abs() < 5e-6, "{sum}");
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    fn work<E: Element>(cpu: &Cpu<E>) -> Vec<Vec<E>> {
        let mut results = Vec::new();
        for (shape, axes) in [(vec![5, 20_001], vec![1]), (vec![3, 300, 70], vec![1]), (vec![60, 50, 7], vec![0, 2])] {
            let x = tensor_on(cpu, &shape, &values(9, shape.iter().product()));
            let largest = x.max_axes(&axes, false).unwrap();
            let dx = largest.max_axes_dx(&x, &axes).unwrap();
            results.extend([x.sum_axes(&axes, false).unwrap(), largest, dx].map(|t| t.to_vec().unwrap()));
        }
        results
    }
    assert_same_bits(work, work);
}
