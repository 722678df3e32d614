//! Inputs for the tests of the operations, and their common gradient check.

use proptest::test_runner::TestCaseError;
use tensor::ndarray::{ArrayD, IxDyn};
use tensor::random::{Stream, purpose};
use tensor::{Cpu, Tensor};

use crate::gradient_check::{Device, GradientCheck, projection};
use crate::{Result, Tape, Var};

/// The largest relative error of the operations' gradients.
pub const TOLERANCE: f64 = 1e-6;

/// Values of the normal distribution.
pub fn normal(shape: &[usize], seed: u64) -> ArrayD<f64> {
    from_index(shape, |stream, i| stream.normal(i), seed)
}

/// Values of the normal distribution in single precision, for bits that must not differ.
pub fn draw(shape: &[usize], seed: u64) -> Tensor<Cpu<f32>> {
    Tensor::normal(&Cpu::new(1).unwrap(), shape, 0.0, 1.0, Stream::new(seed, 1, 0)).unwrap()
}

/// Quarters from -2 to 2: sums of products of them are sixteenths, and with [`off_grid`] as bias never near 0, the kink
/// of a ReLU.
pub fn quarters(shape: &[usize], seed: u64) -> ArrayD<f64> {
    from_index(shape, |stream, i| f64::from(stream.below(i, 17)) / 4.0 - 2.0, seed)
}

/// Sixteenths from -1 to 1, and half a sixteenth.
pub fn off_grid(shape: &[usize], seed: u64) -> ArrayD<f64> {
    from_index(shape, |stream, i| f64::from(stream.below(i, 33)) / 16.0 - 1.0 + 1.0 / 32.0, seed)
}

/// Values a tenth apart in random order: no maximum is near a tie, and no value near 0.
pub fn distinct(shape: &[usize], seed: u64) -> ArrayD<f64> {
    let len = shape.iter().product::<usize>();
    let order = Stream::new(seed, purpose::USER, 0).permutation(len as u32);
    from_index(shape, |_, i| (f64::from(order[i as usize]) - len as f64 / 2.0) / 10.0 + 0.03, seed)
}

fn from_index(shape: &[usize], value: impl Fn(Stream, u64) -> f64, seed: u64) -> ArrayD<f64> {
    let stream = Stream::new(seed, purpose::USER, 0);
    let values = (0..shape.iter().product::<usize>() as u64).map(|i| value(stream, i)).collect();
    ArrayD::from_shape_vec(IxDyn(shape), values).expect("as many values as the shape holds")
}

/// Checks the gradients of an operation of any output shape.
pub fn check<F>(parameters: &[(&str, ArrayD<f64>)], operation: F) -> std::result::Result<(), TestCaseError>
where
    F: Fn(&mut Tape<Device>, &[Var<Device>]) -> Result<Var<Device>>,
{
    let report = GradientCheck { coordinates: 20, ..Default::default() }.run(parameters, |tape, vars| {
        let y = operation(tape, vars)?;
        projection(tape, &y)
    });
    let outcome = report.and_then(|report| report.within(TOLERANCE));
    outcome.map_err(|error| TestCaseError::fail(error.to_string()))
}
