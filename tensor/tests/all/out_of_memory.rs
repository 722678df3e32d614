//! A lack of memory is an error and does not abort the program.

use alexnet_tensor::ops::{Conv2d, Padding};
use alexnet_tensor::random::Stream;
use alexnet_tensor::{Cpu, Error, Result, Tensor};

/// A tensor of SIDE x SIDE values has 2^60 bytes, more than any address space.
const SIDE: usize = 1 << 29;

fn assert_refused<T: std::fmt::Debug>(result: Result<T>) {
    match result {
        Err(Error::Memory { device, needed }) => assert_eq!((device.as_str(), needed), ("cpu", 1 << 60)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tensors_of_absurd_sizes_are_refused() {
    let cpu = Cpu::<f32>::new(2).expect("threads");
    assert_refused(Tensor::zeros(&cpu, &[SIDE, SIDE]));
    assert_refused(Tensor::normal(&cpu, &[SIDE * SIDE], 0.0, 1.0, Stream::new(1, 2, 3)));
    let error = Tensor::zeros(&cpu, &[SIDE, SIDE]).expect_err("too large").to_string();
    assert_eq!(error, "cpu: out of memory: 1152921504606846976 bytes needed");
}

#[test]
fn kernels_with_absurd_outputs_are_refused_and_the_device_still_works() {
    let cpu = Cpu::<f32>::new(2).expect("threads");
    let tensor = |shape: &[usize]| Tensor::full(&cpu, shape, 1.0).expect("small");
    assert_refused(tensor(&[SIDE, 0]).matmul(&tensor(&[0, SIDE])));
    let padding = Padding { bottom: SIDE - 1, right: SIDE - 1, ..Padding::default() };
    let spec = Conv2d { padding, ..Conv2d::default() };
    assert_refused(tensor(&[1, 1, 1, 1]).conv2d(&spec, &tensor(&[1, 1, 1, 1]), None, false));
    assert_eq!(tensor(&[3]).add(&tensor(&[3])).expect("small").to_vec().expect("values"), [2.0; 3]);
}

/// Unused memory at the end of the arena goes back to the system before an allocation fails.
#[test]
fn unused_memory_is_released_before_an_allocation_fails() {
    const PAGE: u64 = 4096;
    let cpu = Cpu::<f32>::new(1).expect("a thread");
    let kept = Tensor::zeros(&cpu, &[10_000]).expect("small");
    let pages = 40_000u64.next_multiple_of(PAGE);
    drop(Tensor::zeros(&cpu, &[1 << 20]).expect("small"));
    assert_eq!(cpu.allocated_bytes(), pages + (4 << 20));
    assert_refused(Tensor::zeros(&cpu, &[SIDE, SIDE]));
    assert_eq!(cpu.allocated_bytes(), pages);
    drop(kept);
    let short = Tensor::zeros(&cpu, &[10]).expect("small");
    assert_eq!(cpu.allocated_bytes(), pages + 40, "kept for the next");
    drop(short);
    drop([3, 5, 2].map(|thousands| Tensor::zeros(&cpu, &[thousands * 1000]).expect("small")));
    assert_eq!(cpu.allocated_bytes(), pages, "whatever its length");
}
