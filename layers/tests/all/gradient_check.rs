//! The gradient checker: it finds wrong gradients, names their position, and accepts correct ones, also of whole
//! networks.

use alexnet_layers::gradient_check::{Device, GradientCheck, Place, projection};
use alexnet_layers::ops::Stage;
use alexnet_layers::{Backward, Error, InputGrads, Result, Tape, Var};
use tensor::ndarray::{ArrayD, IxDyn};
use tensor::ops::{Activation, Conv2d, Dropout, DropoutScale, Lrn, Padding, Pool2d, PoolKind};
use tensor::random::{Stream, purpose};
use tensor::{IntTensor, Tensor};

fn normal(shape: &[usize], deviation: f64, seed: u64) -> ArrayD<f64> {
    let stream = Stream::new(seed, purpose::USER, 0);
    let values = (0..shape.iter().product::<usize>() as u64).map(|i| deviation * stream.normal(i)).collect();
    ArrayD::from_shape_vec(IxDyn(shape), values).unwrap()
}

/// y = x * x, with a backward that is given.
fn square<S: Backward<Device> + 'static>(tape: &mut Tape<Device>, x: &Var<Device>, saved: S) -> Result<Var<Device>> {
    let y = x.value().multiply(x.value())?;
    let y = tape.record("square", &[x], y, || saved)?;
    projection(tape, &y)
}

/// dx = dy x: the 2 is missing.
struct Forgetful(Tensor<Device>);

impl Backward<Device> for Forgetful {
    fn backward(self: Box<Self>, dy: Tensor<Device>, grads: &mut InputGrads<'_, Device>) -> Result<()> {
        grads.add(0, || dy.multiply(&self.0))
    }
}

/// dx = 2 dy x, times a factor of its own in one place.
struct OneWrong {
    x: Tensor<Device>,
    place: usize,
    factor: f64,
}

impl Backward<Device> for OneWrong {
    fn backward(self: Box<Self>, dy: Tensor<Device>, grads: &mut InputGrads<'_, Device>) -> Result<()> {
        let mut factors = vec![2.0; dy.len()];
        factors[self.place] *= self.factor;
        let factors = Tensor::from_slice(dy.device(), dy.shape(), &factors)?;
        grads.add(0, || dy.multiply(&self.x)?.multiply(&factors))
    }
}

#[test]
fn a_missing_factor_is_found() {
    let x = normal(&[3, 4], 1.0, 1);
    let check = GradientCheck::default();
    let report = check.run(&[("x", x)], |tape, p| square(tape, &p[0], Forgetful(p[0].value().clone()))).unwrap();
    assert!((report.worst().unwrap().worst.error - 0.5).abs() < 1e-6, "{report}");
    assert!(matches!(report.within(1e-6), Err(Error::GradientCheck { .. })));
}

#[test]
fn one_wrong_value_is_found_and_its_place_named() {
    let x = normal(&[3, 4], 1.0, 2);
    let check = GradientCheck::default();
    let wrong = |tape: &mut Tape<Device>, p: &[Var<Device>]| {
        square(tape, &p[0], OneWrong { x: p[0].value().clone(), place: 6, factor: 1.00001 })
    };
    let report = check.run(&[("x", x.clone())], wrong).unwrap();
    let worst = &report.worst().unwrap().worst;
    assert_eq!(worst.place, Place::Coordinate(vec![1, 2]));
    assert!((worst.error - 1e-5).abs() < 1e-6, "{report}");
    let error = report.within(1e-6).unwrap_err().to_string();
    assert!(error.contains("x[1, 2]: "), "{error}");
}

#[test]
fn a_wrong_value_outside_the_sample_shows_along_a_direction() {
    let x = normal(&[2000], 1.0, 3);
    let wrong = |tape: &mut Tape<Device>, p: &[Var<Device>]| {
        square(tape, &p[0], OneWrong { x: p[0].value().clone(), place: 1234, factor: 3.0 })
    };
    let check = GradientCheck { coordinates: 2, ..Default::default() };
    let worst = check.run(&[("x", x)], wrong).unwrap().parameters.remove(0).worst;
    assert_eq!(worst.place, Place::Direction);
    assert!(worst.error > 1e-3, "{worst:?}");
}

/// Hands back the gradient that it is made with.
struct Fixed(Vec<usize>, f64);

impl Backward<Device> for Fixed {
    fn backward(self: Box<Self>, dy: Tensor<Device>, grads: &mut InputGrads<'_, Device>) -> Result<()> {
        grads.add(0, || Tensor::full(dy.device(), &self.0, self.1))
    }
}

#[test]
fn a_gradient_that_is_not_a_number_or_of_another_shape_is_found() {
    let check = GradientCheck::default();
    let nan = |tape: &mut Tape<Device>, p: &[Var<Device>]| square(tape, &p[0], Fixed(vec![3], f64::NAN));
    let report = check.run(&[("x", normal(&[3], 1.0, 4))], nan).unwrap();
    assert_eq!(report.worst().unwrap().worst.error, f64::INFINITY);
    let error = report.within(1.0).unwrap_err().to_string();
    assert!(error.contains("a relative error is above 1e0") && error.contains("error inf"), "{error}");
    let longer = |tape: &mut Tape<Device>, p: &[Var<Device>]| square(tape, &p[0], Fixed(vec![4], 1.0));
    let error = check.run(&[("x", normal(&[3], 1.0, 4))], longer).unwrap_err().to_string();
    assert_eq!(error, "gradient check: x has shape [3] and its gradient [4]");
}

#[test]
fn a_parameter_without_gradient_counts_as_zero() {
    // The second parameter enters as a constant: the tape gives it nothing, differences do.
    let both = [("used", normal(&[2], 1.0, 5)), ("cut off", normal(&[2], 1.0, 6))];
    let cut = |tape: &mut Tape<Device>, p: &[Var<Device>]| {
        let sum = tape.add(&p[0], &Var::constant(p[1].value().clone()))?;
        tape.sum(&sum)
    };
    let report = GradientCheck::default().run(&both, cut).unwrap();
    assert!(report.parameters[0].worst.error < 1e-6);
    let worst = report.worst().unwrap();
    assert_eq!((worst.name.as_str(), worst.worst.error), ("cut off", 1.0));
}

#[test]
fn a_closure_that_gives_no_scalar_is_refused() {
    let report = GradientCheck::default().run(&[("x", normal(&[2], 1.0, 7))], |tape, p| tape.scale(&p[0], 2.0));
    assert!(matches!(report, Err(Error::Tape { .. })));
    let report = GradientCheck { step: 0.0, ..Default::default() }.run(&[], |tape, p| tape.sum(&p[0]));
    assert!(matches!(report, Err(Error::GradientCheck { .. })));
}

/// All kinds of layers in a row, each with parameters.
#[test]
fn gradients_of_a_small_network_from_the_loss_to_the_first_weights() {
    let [conv1, conv2] = [1, 2].map(|groups| {
        let padding = Padding { top: 1, bottom: 2, left: 1, right: 2 };
        Conv2d { stride: [2, 2], padding, groups }
    });
    let parameters = [
        ("conv1.weight", normal(&[4, 3, 3, 3], 0.3, 1)),
        ("conv1.bias", normal(&[4], 0.3, 2)),
        ("conv2.weight", normal(&[6, 3, 3, 2], 0.3, 3)),
        ("norm.gamma", normal(&[6], 1.0, 4)),
        ("norm.beta", normal(&[6], 1.0, 5)),
        ("fc1.weight", normal(&[8, 54], 0.3, 6)),
        ("fc1.bias", normal(&[8], 0.3, 7)),
        ("fc2.weight", normal(&[5, 8], 0.3, 8)),
        ("fc2.bias", normal(&[5], 0.3, 9)),
    ];
    let images = normal(&[3, 12, 12, 3], 1.0, 10);
    let lrn = Lrn { alpha: 0.1, ..Lrn::paper() };
    let dropout = Dropout { p: 0.3, scale: DropoutScale::InTraining };
    let network = |tape: &mut Tape<Device>, p: &[Var<Device>]| {
        let device = p[0].value().device();
        let x = Var::constant(Tensor::from_array(device, &images)?);
        let x = tape.conv2d(&x, &p[0], Some(&p[1]), &conv1, &[Stage::Relu])?;
        let x = tape.lrn(&x, &lrn)?;
        let x = tape.conv2d(&x, &p[2], None, &conv2, &[])?;
        let (x, _) = tape.batch_norm(&x, &p[3], &p[4], 1e-3)?;
        let x = tape.activation(&x, Activation::Tanh)?;
        let x = tape.pool(&x, &Pool2d::new(PoolKind::Max, 2, 1))?;
        let x = tape.flatten(&x)?;
        let x = tape.dropout(&x, &dropout, Stream::new(1, purpose::DROPOUT, 0))?;
        let x = tape.linear(&x, &p[5], Some(&p[6]), &[Stage::Relu])?;
        let x = tape.linear(&x, &p[7], Some(&p[8]), &[])?;
        tape.cross_entropy(&x, &IntTensor::from_slice(device, &[4, 0, 2])?)
    };
    let report = GradientCheck::default().run(&parameters, network).unwrap();
    assert_eq!(report.parameters.len(), parameters.len());
    assert!(report.parameters.iter().all(|parameter| parameter.worst.tape != 0.0), "{report}");
    report.within(1e-6).unwrap();
}
