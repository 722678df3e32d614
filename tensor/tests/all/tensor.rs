//! Values into tensors and out of them: arrays of any rank, buffers, slices, text.

use alexnet_tensor::ndarray::{Array, Array1, Array2, Array4, ArrayD, ArrayView2, Axis, IxDyn, arr0, s};
use alexnet_tensor::{Cpu, Device as _, DryRun, Element, IntTensor, Profiled, Tensor};
use proptest::prelude::*;

use crate::support::*;

#[test]
fn arrays_and_views_of_any_rank_become_tensors() {
    let cpu = cpu32();
    let a = Array4::from_shape_fn((2, 3, 4, 5), |(n, h, w, c)| (((n * 3 + h) * 4 + w) * 5 + c) as f32);
    let check = |t: Tensor<Cpu<f32>>, expected: ArrayD<f32>| assert_eq!(t.to_array().unwrap(), expected);
    check(Tensor::from_array(cpu, &a).unwrap(), a.clone().into_dyn());
    check(Tensor::from_array(cpu, a.view()).unwrap(), a.clone().into_dyn());
    check(Tensor::from_array(cpu, a.clone()).unwrap(), a.clone().into_dyn());
    check(Tensor::from_array(cpu, a.clone().into_dyn()).unwrap(), a.clone().into_dyn());
    check(Tensor::from_array(cpu, a.view().into_dyn()).unwrap(), a.clone().into_dyn());
    let matrix: ArrayView2<f32> = a.slice(s![1, .., ..;2, 3]);
    check(Tensor::from_array(cpu, matrix).unwrap(), matrix.to_owned().into_dyn());
    check(Tensor::from_array(cpu, matrix.t()).unwrap(), matrix.t().to_owned().into_dyn());
    check(Tensor::from_array(cpu, arr0(7.5)).unwrap(), arr0(7.5).into_dyn());
    check(Tensor::from_array(cpu, a.index_axis(Axis(3), 1)).unwrap(), a.index_axis(Axis(3), 1).to_owned().into_dyn());
}

proptest! {
    /// Permuted and reversed views are copied in row-major order.
    #[test]
    fn any_view_keeps_its_order(lens in prop::collection::vec(0usize..5, 0..5), seed: u64, is_reversed: bool) {
        let count = lens.iter().product();
        let mut view = Array::from_shape_vec(IxDyn(&lens), values(seed, count)).unwrap();
        if is_reversed {
            view = view.reversed_axes();
        }
        let tensor = Tensor::from_array(cpu64(), view.view()).unwrap();
        prop_assert_eq!(tensor.shape(), view.shape());
        prop_assert_eq!(tensor.to_vec().unwrap(), view.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(tensor.view(), view.view());
    }

    #[test]
    fn map_and_zip_match_plain_loops(len in 0usize..300, seed: u64) {
        let a = values(seed, len);
        let b = values(seed ^ 1, len);
        let x = tensor64(&[len], &a);
        let y = tensor64(&[len], &b);
        let squares: Vec<f64> = a.iter().map(|v| v * v).collect();
        let angles: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a.atan2(*b)).collect();
        prop_assert_eq!(x.map(|v| v * v).unwrap().to_vec().unwrap(), squares);
        prop_assert_eq!(x.zip_map(&y, f64::atan2).unwrap().to_vec().unwrap(), angles);
    }

    #[test]
    fn a_buffer_fits_shapes_of_its_length_only(lens in prop::collection::vec(0usize..6, 0..4), other in 0usize..200) {
        let count: usize = lens.iter().product();
        let x = values(5, count);
        let buffer = tensor64(&[count], &x).into_buffer();
        let tensor = Tensor::from_buffer(cpu64(), &lens, buffer.clone()).unwrap();
        prop_assert_eq!(tensor.shape(), &lens);
        prop_assert_eq!(tensor.as_slice(), &x);
        let result = Tensor::from_buffer(cpu64(), &[other], buffer);
        prop_assert_eq!(result.is_ok(), other == count);
    }
}

/// Several tasks for each thread.
#[test]
fn long_maps_have_the_same_bits_on_any_number_of_threads() {
    fn work<E: Element>(cpu: &Cpu<E>) -> Vec<Vec<E>> {
        let x = tensor_on(cpu, &[3, 20_001], &values(1, 60_003));
        let y = tensor_on(cpu, &[3, 20_001], &values(2, 60_003));
        let mapped = x.map(|v| (v * v).exp()).unwrap();
        assert_eq!(mapped.shape(), [3, 20_001]);
        vec![mapped.to_vec().unwrap(), x.zip_map(&y, E::hypot).unwrap().to_vec().unwrap()]
    }
    assert_same_bits(work, work);
}

#[test]
fn writing_to_a_slice_does_not_change_clones() {
    let mut x = tensor32(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let before = x.clone();
    x.as_mut_slice().unwrap()[3] = 9.0;
    x.view_mut().unwrap()[[0, 1]] = 8.0;
    assert_eq!(x.as_slice(), [1.0, 8.0, 3.0, 9.0]);
    assert_eq!(before.as_slice(), [1.0, 2.0, 3.0, 4.0]);
    let mut labels = IntTensor::from_slice(cpu32(), &[1, 2]).unwrap();
    let kept = labels.clone();
    labels.as_mut_slice().unwrap()[0] = 5;
    assert_eq!((labels.as_slice(), kept.as_slice()), (&[5, 2][..], &[1, 2][..]));
}

/// The transformed weights of a convolution are cached: a write through a slice must make the cache invalid.
#[test]
fn a_convolution_sees_what_was_written_to_its_weights() {
    use alexnet_tensor::ops::{Conv2d, Padding};
    let spec = Conv2d { padding: Padding::all(1), ..Conv2d::default() };
    let x = tensor32(&[1, 8, 8, 16], &values(1, 1024));
    let mut w = tensor32(&[16, 3, 3, 16], &values(2, 2304));
    for _ in 0..3 {
        x.conv2d(&spec, &w, None, false).unwrap();
    }
    w.as_mut_slice().unwrap().fill(0.0);
    let y = x.conv2d(&spec, &w, None, false).unwrap();
    assert!(y.as_slice().iter().all(|&v| v == 0.0));
}

#[test]
fn tensors_of_different_shapes_are_not_zipped() {
    let a = tensor64(&[2, 3], &[0.0; 6]);
    let b = tensor64(&[3, 2], &[0.0; 6]);
    assert_shape_error(a.zip_map(&b, |a, _| a), "zip_map");
    let [short, long] = [2, 3].map(|len| cpu64().full(len, 1.0).unwrap());
    assert_argument_error(cpu64().zip_map(&short, &long, |a, _| a), "2 values do not pair with 3");
    assert_shape_error(Tensor::from_buffer(cpu64(), &[usize::MAX, 2], short), "from_buffer");
}

#[test]
fn buffers_of_integers_keep_their_length() {
    let labels = IntTensor::from_slice(cpu32(), &[4, 5, 6]).unwrap();
    let again = IntTensor::from_buffer(cpu32(), labels.clone().into_buffer());
    assert_eq!((again.len(), &again), (3, &labels));
    assert_eq!(labels.buffer().as_slice(), [4, 5, 6]);
}

#[test]
fn wrapped_devices_take_buffers_too() {
    let profiled = Profiled::new(cpu32().clone());
    let x = tensor32(&[2], &[1.0, 2.0]);
    let y = Tensor::from_buffer(&profiled, &[2, 1], x.into_buffer()).unwrap();
    assert_eq!(y.to_vec().unwrap(), [1.0, 2.0]);
    let dry_run = DryRun::new(cpu32().clone());
    let z = Tensor::zeros(&dry_run, &[6]).unwrap();
    assert_eq!(Tensor::from_buffer(&dry_run, &[2, 3], z.buffer().clone()).unwrap().shape(), [2, 3]);
    assert!(Tensor::from_buffer(&dry_run, &[5], z.into_buffer()).is_err());
}

#[test]
fn equality_is_that_of_shapes_and_values() {
    let x = tensor64(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(x, Tensor::from_slice(&Cpu::new(1).unwrap(), &[2, 2], &[1.0, 2.0, 3.0, 4.0]).unwrap());
    assert_ne!(x, x.clone().reshape(&[4]).unwrap());
    assert_ne!(x, x.scale(-1.0).unwrap());
    let nan = tensor64(&[1], &[f64::NAN]);
    assert_ne!(nan, nan.clone());
}

#[test]
fn text_shows_the_values() {
    let x = tensor32(&[2, 2], &[1.0, 0.5, -2.0, 1.0 / 3.0]);
    assert_eq!(x.to_string(), "[[1, 0.5],\n [-2, 0.33333334]]");
    assert_eq!(format!("{x:.2}"), "[[1.00, 0.50],\n [-2.00, 0.33]]");
    let debug = format!("{:?}", x.reshape(&[4]).unwrap());
    assert_eq!(debug, "Tensor(shape [4] on Cpu<f32>(2 threads), [1, 0.5, -2, 0.33333334])");
    assert_eq!(tensor64(&[], &[2.5]).to_string(), "2.5");
    assert_eq!(tensor64(&[0], &[]).to_string(), "[]");
    let labels = IntTensor::from_slice(cpu32(), &[7, 0]).unwrap();
    assert_eq!(labels.to_string(), "[7, 0]");
    assert_eq!(format!("{labels:?}"), "IntTensor(2 on Cpu<f32>(2 threads), [7, 0])");
}

#[test]
fn text_of_many_values_is_short() {
    let x = Tensor::from_array(cpu32(), Array2::<f32>::zeros((1000, 1000))).unwrap();
    assert!(x.to_string().len() < 4000 && x.to_string().contains("..."), "{x}");
    assert!(format!("{x:#}").len() > 3_000_000, "a # shows all");
    let ones = Tensor::from_array(cpu64(), Array1::<f64>::ones(5000)).unwrap();
    assert!(format!("{ones:?}").contains("..., 1, 1"), "{ones:?}");
}
