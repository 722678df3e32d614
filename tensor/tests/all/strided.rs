//! Copies in another order against `ndarray`.
#![allow(clippy::single_range_in_vec_init, reason = "a slice of the first axis has one range")]

use alexnet_tensor::ndarray::{ArrayD, Axis, IxDyn, Slice, concatenate};
use alexnet_tensor::random::{Stream, purpose};
use alexnet_tensor::{Cpu, Element, Tensor};
use proptest::prelude::*;

use crate::support::*;

/// Lengths of 1 to 5 axes, with ones and zeros.
fn shapes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop::sample::select(vec![0usize, 1, 1, 2, 3, 4, 7]), 1..6)
}

fn array(shape: &[usize], seed: u64) -> ArrayD<f64> {
    ArrayD::from_shape_vec(IxDyn(shape), values(seed, shape.iter().product()))
        .expect("as many values as the shape holds")
}

/// Fails unless a tensor has the shape and the values of an array.
fn assert_equal(tensor: &Tensor<Cpu<f64>>, array: &ArrayD<f64>) {
    assert_eq!(tensor.shape(), array.shape());
    assert_eq!(host(tensor), array.iter().copied().collect::<Vec<_>>());
}

fn upload(array: &ArrayD<f64>) -> Tensor<Cpu<f64>> {
    tensor64(array.shape(), &array.iter().copied().collect::<Vec<_>>())
}

/// A random order of axes.
fn order(rank: usize, seed: u64) -> Vec<usize> {
    Stream::new(seed, purpose::USER, 3).permutation(rank as u32).into_iter().map(|axis| axis as usize).collect()
}

proptest! {
    #[test]
    fn permutations_equal_those_of_ndarray(shape in shapes(), seed: u64) {
        let x = array(&shape, seed);
        let axes = order(shape.len(), seed);
        let y = upload(&x).permute(&axes).unwrap();
        assert_equal(&y, &x.view().permuted_axes(axes.as_slice()).to_owned());
        // The way back.
        let mut inverse = vec![0; axes.len()];
        axes.iter().enumerate().for_each(|(i, &axis)| inverse[axis] = i);
        assert_equal(&y.permute(&inverse).unwrap(), &x);
        let [a, b] = [axes[0], axes[axes.len() - 1]];
        let mut swapped = x.view();
        swapped.swap_axes(a, b);
        assert_equal(&upload(&x).transpose(a, b).unwrap(), &swapped.to_owned());
    }

    /// Parts of each axis and steps, also those that are empty or longer than the axis.
    #[test]
    fn slices_and_their_gradients_equal_those_of_ndarray(
        shape in shapes(), draws in prop::collection::vec((0usize..9, 0usize..9, 1usize..10), 5), whole in 0usize..5, seed: u64,
    ) {
        let x = array(&shape, seed);
        let with_range = shape.len() - whole.min(shape.len());
        let mut ranges = Vec::new();
        let mut steps = Vec::new();
        for (&len, &(a, b, step)) in shape[..with_range].iter().zip(&draws) {
            let ends = [a % (len + 1), b % (len + 1)];
            ranges.push(ends[0].min(ends[1])..ends[0].max(ends[1]));
            steps.push(step);
        }
        let slice = |array: &ArrayD<f64>| {
            let part = |axis: usize| {
                let range = ranges.get(axis).map_or(0..shape[axis], Clone::clone);
                Slice::new(range.start as isize, Some(range.end as isize), steps.get(axis).map_or(1, |&s| s as isize))
            };
            array.slice_each_axis(|axis| part(axis.axis.index())).to_owned()
        };
        let expected = slice(&x);
        assert_equal(&upload(&x).slice_with_steps(&ranges, &steps).unwrap(), &expected);
        // The gradient: where the slice of the indices has them.
        let dy = array(expected.shape(), seed ^ 1);
        let indices = ArrayD::from_shape_vec(IxDyn(&shape), (0..x.len()).map(|i| i as f64).collect()).unwrap();
        let mut dx = vec![0.0; x.len()];
        slice(&indices).iter().zip(&dy).for_each(|(&index, &dy)| dx[index as usize] = dy);
        let got = upload(&dy).slice_dx(&shape, &ranges, &steps).unwrap();
        prop_assert_eq!(got.shape(), &shape);
        prop_assert_eq!(host(&got), dx);
    }

    #[test]
    fn concatenations_equal_those_of_ndarray(
        shape in shapes(), lengths in prop::collection::vec(0usize..4, 1..5), axis in 0usize..5, seed: u64,
    ) {
        let axis = axis % shape.len();
        let parts: Vec<ArrayD<f64>> = lengths.iter().zip(seed..).map(|(&len, seed)| {
            let mut shape = shape.clone();
            shape[axis] = len;
            array(&shape, seed)
        }).collect();
        let tensors: Vec<_> = parts.iter().map(upload).collect();
        let joined = Tensor::concat(&tensors.iter().collect::<Vec<_>>(), axis).unwrap();
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        assert_equal(&joined, &concatenate(Axis(axis), &views).unwrap());
        // Slices take it apart again.
        let mut start = 0;
        for part in &parts {
            let mut ranges: Vec<_> = joined.shape().iter().map(|&len| 0..len).collect();
            ranges[axis] = start..start + part.shape()[axis];
            start = ranges[axis].end;
            assert_equal(&joined.slice(&ranges).unwrap(), part);
        }
    }

    #[test]
    fn repetition_equals_that_of_ndarray(
        axes in prop::collection::vec((0usize..5, any::<bool>()), 0..5), leading in prop::collection::vec(0usize..4, 0..2), seed: u64,
    ) {
        let shape: Vec<usize> = axes.iter().map(|&(len, repeated)| if repeated { 1 } else { len }).collect();
        let target: Vec<usize> = leading.into_iter().chain(axes.iter().map(|axis| axis.0)).collect();
        let x = array(&shape, seed);
        let y = upload(&x).broadcast_to(&target).unwrap();
        assert_equal(&y, &x.broadcast(target.as_slice()).unwrap().to_owned());
        // The gradient counts how often each value stands in the result.
        let dx = y.broadcast_dx(&shape).unwrap();
        prop_assert_eq!(dx.shape(), &shape);
        let count = if x.is_empty() { 0.0 } else { y.len() as f64 / x.len() as f64 };
        assert_close(&host(&dx), &x.iter().map(|x| x * count).collect::<Vec<_>>(), 1e-13);
    }
}

#[test]
fn copies_past_one_chunk_equal_those_of_ndarray() {
    let x = array(&[9, 33, 65, 3], 1);
    let tensor = upload(&x);
    assert_equal(&tensor.permute(&[0, 3, 1, 2]).unwrap(), &x.view().permuted_axes(&[0, 3, 1, 2][..]).to_owned());
    let part = tensor.slice(&[1..9, 0..33, 2..64]).unwrap();
    let padded = part.slice_dx(x.shape(), &[1..9, 0..33, 2..64], &[1; 3]).unwrap();
    assert_equal(&padded.slice(&[1..9, 0..33, 2..64]).unwrap(), &part.to_array().unwrap());
    let outside = [padded.slice(&[0..1]), padded.slice(&[0..9, 0..33, 0..2]), padded.slice(&[0..9, 0..33, 64..65])];
    assert!(outside.into_iter().all(|part| host(&part.unwrap()).iter().all(|&v| v == 0.0)));
    let joined = Tensor::concat(&[&tensor, &tensor], 2).unwrap();
    assert_equal(&joined, &concatenate(Axis(2), &[x.view(), x.view()]).unwrap());
}

#[test]
fn a_scalar_has_no_axes_and_can_be_copied() {
    let x = tensor64(&[], &[3.0]);
    assert_equal(&x.permute(&[]).unwrap(), &x.to_array().unwrap());
    assert_equal(&x.slice(&[]).unwrap(), &x.to_array().unwrap());
    assert_eq!(host(&x.broadcast_to(&[2, 2]).unwrap()), [3.0; 4]);
}

#[test]
fn a_whole_slice_shares_the_buffer() {
    let x = tensor64(&[2, 3], &[0.0; 6]);
    assert_equal(&x.slice(&[0..2]).unwrap(), &x.to_array().unwrap());
    assert_equal(&x.slice_dx(&[2, 3], &[0..2, 0..3], &[1, 1]).unwrap(), &x.to_array().unwrap());
}

#[test]
fn wrong_axes_ranges_and_shapes_are_named() {
    let x = zeros64(&[2, 3]);
    for axes in [&[0][..], &[0, 0], &[1, 2], &[0, 1, 2]] {
        let expected = format!("permute: expected each axis of shape [2, 3] once, got {axes:?}");
        assert_eq!(error_message(x.permute(axes)), expected);
    }
    assert_eq!(error_message(x.transpose(0, 2)), "transpose: there is no axis 2 in shape [2, 3]");
    assert_eq!(error_message(x.slice(&[0..2, 2..4])), "slice: 2..4 is not a range of axis 1 in shape [2, 3]");
    #[allow(clippy::reversed_empty_ranges)]
    let reversed = x.slice(&[2..1]);
    assert_argument_error(reversed, "2..1 is not a range of axis 0");
    assert_argument_error(x.slice(&[0..1, 0..1, 0..1]), "got 3 ranges");
    assert_argument_error(x.slice_with_steps(&[0..1], &[]), "0 steps");
    assert_argument_error(x.slice_with_steps(&[0..1], &[0]), "the step of axis 0 must be at least 1");
    assert_shape_error(x.slice_dx(&[2, 4], &[0..2, 0..2], &[1, 1]), "slice backward");
    assert_argument_error(Tensor::<Cpu<f64>>::concat(&[], 0), "at least 1 tensor");
    assert_argument_error(Tensor::concat(&[&x], 2), "no axis 2");
    let expected = "concat: expected [2, 3], but for the length of axis 0, got shape [2, 4]";
    assert_eq!(error_message(Tensor::concat(&[&x, &zeros64(&[2, 4])], 0)), expected);
    assert_shape_error(Tensor::concat(&[&x, &zeros64(&[2])], 0), "concat");
    assert_shape_error(x.broadcast_to(&[2, 4]), "broadcast");
    assert_shape_error(x.broadcast_to(&[3]), "broadcast");
    assert_shape_error(x.broadcast_dx(&[2]), "broadcast backward");
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    fn work<E: Element>(cpu: &Cpu<E>) -> Vec<Vec<E>> {
        let x = tensor_on(cpu, &[5, 60, 80, 3], &values(1, 5 * 60 * 80 * 3));
        let part = x.slice_with_steps(&[1..5, 3..57], &[1, 2]).unwrap();
        let results = [
            x.permute(&[3, 1, 0, 2]).unwrap(),
            part.slice_dx(x.shape(), &[1..5, 3..57], &[1, 2]).unwrap(),
            Tensor::concat(&[&part, &part], 3).unwrap(),
            part,
        ];
        results.iter().map(|t| t.to_vec().unwrap()).collect()
    }
    assert_same_bits(work, work);
}
