//! Gradients against finite differences: the test of every new operation, layer or network.
//!
//! A closure builds a scalar from parameters on a tape; the check compares its gradients with central differences
//! in double precision, (f(p + h d) - f(p - h d)) / 2h. Differences along single coordinates say where an error is;
//! differences along random directions through whole parameters test every coordinate at once.
//!
//! ```
//! use alexnet_layers::gradient_check::GradientCheck;
//! use alexnet_layers::tensor::ndarray::array;
//!
//! let x = array![[0.5, -1.0], [2.0, 0.25]].into_dyn();
//! let report = GradientCheck::default().run(&[("x", x)], |tape, p| {
//!     let square = tape.multiply(&p[0], &p[0])?;
//!     tape.sum(&square)
//! })?;
//! report.within(1e-6)?;
//! println!("{report}");
//! # Ok::<(), alexnet_layers::Error>(())
//! ```

use std::collections::BTreeSet;
use std::fmt;

use tensor::ndarray::ArrayD;
use tensor::random::{Stream, purpose};
use tensor::{Cpu, Tensor};

use crate::tape::{Tape, Var};
use crate::{Error, Result};

/// The device of a check: finite differences need double precision.
pub type Device = Cpu<f64>;

/// The settings of a check.
///
/// Keep the inputs of ReLU and max-pooling at least ten steps from ties: across a kink a difference is not a gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GradientCheck {
    /// h, the distance that a parameter is moved to each side.
    pub step: f64,
    /// The most coordinates of a parameter to check. A larger parameter is sampled at random.
    pub coordinates: usize,
    /// The number of random directions through each parameter.
    pub directions: usize,
    /// The random seed of coordinates and directions.
    pub seed: u64,
    /// Errors are relative to the gradient, or where that is smaller, to this part of the larger of 1, |f| and the
    /// parameter's largest gradient. Differences of f have a rounding error of about 1e-11 |f|.
    pub floor: f64,
}

impl Default for GradientCheck {
    fn default() -> Self {
        Self { step: 1e-5, coordinates: 40, directions: 2, seed: 0, floor: 1e-3 }
    }
}

impl GradientCheck {
    /// Checks the gradients of `f`, which builds a scalar from the named parameters. It is called many times and must
    /// give the same value for the same parameters: random operations take a fixed stream.
    ///
    /// # Errors
    /// Those of `f`; [`Error::Tape`] if its value is not a scalar that depends on the parameters;
    /// [`Error::GradientCheck`] for a step that is not positive or a gradient of another shape than its parameter.
    pub fn run<F>(&self, parameters: &[(&str, ArrayD<f64>)], f: F) -> Result<Report>
    where
        F: Fn(&mut Tape<Device>, &[Var<Device>]) -> Result<Var<Device>>,
    {
        if !(self.step > 0.0 && self.floor > 0.0 && self.step.is_finite()) {
            let what = format!("step and floor must be above 0, got {} and {}", self.step, self.floor);
            return Err(Error::GradientCheck { what });
        }
        let device = Device::new(1)?;
        let values: Vec<ArrayD<f64>> = parameters.iter().map(|(_, value)| value.clone()).collect();
        let (loss, gradients) = differentiate(&device, parameters, &values, &f)?;
        let mut checker = Checker { check: *self, device, values, f };
        let found = gradients.iter().zip(parameters).enumerate();
        let found = found.map(|(i, (gradient, (name, _)))| checker.parameter(i, name, gradient, loss));
        Ok(Report { parameters: found.collect::<Result<_>>()? })
    }
}

/// The loss and the gradient for each parameter, from the tape; zeros where there is none.
fn differentiate<F>(
    device: &Device,
    parameters: &[(&str, ArrayD<f64>)],
    values: &[ArrayD<f64>],
    f: &F,
) -> Result<(f64, Vec<ArrayD<f64>>)>
where
    F: Fn(&mut Tape<Device>, &[Var<Device>]) -> Result<Var<Device>>,
{
    let mut tape = Tape::new();
    let vars = leaves(device, &mut tape, values)?;
    let loss = f(&mut tape, &vars)?;
    let gradients = tape.backward(&loss)?;
    let gradient = |(var, (name, value)): (&Var<Device>, &(&str, ArrayD<f64>))| {
        let Some(gradient) = gradients.get(var) else { return Ok(ArrayD::zeros(value.raw_dim())) };
        if gradient.shape() != value.shape() {
            let what = format!("{name} has shape {:?} and its gradient {:?}", value.shape(), gradient.shape());
            return Err(Error::GradientCheck { what });
        }
        Ok(gradient.to_array()?)
    };
    Ok((loss.value().scalar()?, vars.iter().zip(parameters).map(gradient).collect::<Result<_>>()?))
}

fn leaves(device: &Device, tape: &mut Tape<Device>, values: &[ArrayD<f64>]) -> Result<Vec<Var<Device>>> {
    values.iter().map(|value| Ok(tape.parameter(Tensor::from_array(device, value)?))).collect()
}

/// A check in progress.
struct Checker<F> {
    check: GradientCheck,
    device: Device,
    values: Vec<ArrayD<f64>>,
    f: F,
}

impl<F> Checker<F>
where
    F: Fn(&mut Tape<Device>, &[Var<Device>]) -> Result<Var<Device>>,
{
    /// The worst of the coordinates and directions of parameter `i`.
    fn parameter(&mut self, i: usize, name: &str, gradient: &ArrayD<f64>, loss: f64) -> Result<ParameterReport> {
        let gradient: Vec<f64> = gradient.iter().copied().collect();
        let largest = gradient.iter().fold(1.0, |largest: f64, g| largest.max(g.abs()));
        let floor = self.check.floor * largest.max(loss.abs());
        let mut worst = Comparison { place: Place::Direction, tape: 0.0, difference: 0.0, error: 0.0 };
        let mut compare = |place, tape: f64, difference: f64| {
            let error = (tape - difference).abs() / tape.abs().max(difference.abs()).max(floor);
            // NaN or infinity, in either derivative, is the largest error.
            let error = if error.is_finite() { error } else { f64::INFINITY };
            if error > worst.error {
                worst = Comparison { place, tape, difference, error };
            }
        };
        for coordinate in self.coordinates(i, gradient.len()) {
            let mut direction = vec![0.0; gradient.len()];
            direction[coordinate] = 1.0;
            let place = Place::Coordinate(unravel(coordinate, self.values[i].shape()));
            compare(place, gradient[coordinate], self.difference(i, &direction)?);
        }
        for number in 0..self.check.directions {
            let direction = self.direction(i, number, gradient.len());
            let along = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
            compare(Place::Direction, along, self.difference(i, &direction)?);
        }
        Ok(ParameterReport { name: name.to_string(), worst })
    }

    /// (f(p + h d) - f(p - h d)) / 2h.
    fn difference(&mut self, i: usize, direction: &[f64]) -> Result<f64> {
        let original = self.values[i].clone();
        let mut losses = [0.0; 2];
        for (loss, h) in losses.iter_mut().zip([self.check.step, -self.check.step]) {
            for ((value, from), d) in self.values[i].iter_mut().zip(&original).zip(direction) {
                *value = from + h * d;
            }
            *loss = self.evaluate()?;
        }
        self.values[i] = original;
        Ok((losses[0] - losses[1]) / (2.0 * self.check.step))
    }

    fn evaluate(&self) -> Result<f64> {
        let mut tape = Tape::inference();
        let vars = leaves(&self.device, &mut tape, &self.values)?;
        Ok((self.f)(&mut tape, &vars)?.value().scalar()?)
    }

    /// All coordinates, or random ones, each at most once.
    fn coordinates(&self, i: usize, len: usize) -> BTreeSet<usize> {
        if len <= self.check.coordinates {
            return (0..len).collect();
        }
        let stream = self.stream(i, 0);
        let range = u32::try_from(len).unwrap_or(u32::MAX);
        (0..self.check.coordinates as u64).map(|draw| stream.below(draw, range) as usize).collect()
    }

    /// A random direction of length 1.
    fn direction(&self, i: usize, number: usize, len: usize) -> Vec<f64> {
        let stream = self.stream(i, 1 + number as u64);
        let direction: Vec<f64> = (0..len as u64).map(|index| stream.normal(index)).collect();
        let norm = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
        direction.iter().map(|d| d / norm).collect()
    }

    fn stream(&self, i: usize, step: u64) -> Stream {
        Stream::new(self.check.seed, purpose::USER.wrapping_add(i as u32), step)
    }
}

fn unravel(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut coordinate: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&axis| {
            let place = flat % axis;
            flat /= axis;
            place
        })
        .collect();
    coordinate.reverse();
    coordinate
}

/// The outcome of a check.
#[derive(Clone, Debug)]
pub struct Report {
    /// The worst of each parameter, in the order given.
    pub parameters: Vec<ParameterReport>,
}

/// The worst gradient of one parameter.
#[derive(Clone, Debug)]
pub struct ParameterReport {
    /// The parameter.
    pub name: String,
    /// The comparison with the largest relative error.
    pub worst: Comparison,
}

/// One derivative, computed by the tape and by differences.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The coordinate or direction of the derivative.
    pub place: Place,
    /// The derivative by the tape.
    pub tape: f64,
    /// The derivative by differences.
    pub difference: f64,
    /// Their distance relative to the larger of the two (see [`GradientCheck::floor`]); infinite for NaN.
    pub error: f64,
}

/// The coordinate or direction of a derivative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// One value of the parameter, by its index on each axis.
    Coordinate(Vec<usize>),
    /// A random direction through the whole parameter.
    Direction,
}

impl Report {
    /// The parameter with the largest relative error; None without parameters.
    pub fn worst(&self) -> Option<&ParameterReport> {
        self.parameters.iter().max_by(|a, b| a.worst.error.total_cmp(&b.worst.error))
    }

    /// Fails if any relative error is above `tolerance`.
    ///
    /// # Errors
    /// [`Error::GradientCheck`] with all parameters and their worst errors.
    pub fn within(&self, tolerance: f64) -> Result<()> {
        match self.worst() {
            Some(parameter) if parameter.worst.error > tolerance => {
                let what = format!("a relative error is above {tolerance:e}:\n{self}");
                Err(Error::GradientCheck { what })
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, ParameterReport { name, worst }) in self.parameters.iter().enumerate() {
            let newline = if i > 0 { "\n" } else { "" };
            let Comparison { place, tape, difference, error } = worst;
            write!(
                f,
                "{newline}{name}{place}: {tape:e} by the tape, {difference:e} by differences, error {error:.1e}"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coordinate(coordinate) => write!(f, "{coordinate:?}"),
            Self::Direction => write!(f, " along a direction"),
        }
    }
}

/// The sum of `y` times fixed random numbers: a scalar loss to which every value of `y` contributes differently.
///
/// # Errors
/// Those of the kernels.
pub fn projection(tape: &mut Tape<Device>, y: &Var<Device>) -> Result<Var<Device>> {
    let stream = Stream::new(0, purpose::USER, u64::MAX);
    let factors: Vec<f64> = (0..y.value().len() as u64).map(|i| stream.normal(i)).collect();
    let factors = Var::constant(Tensor::from_slice(y.value().device(), y.shape(), &factors)?);
    let products = tape.multiply(y, &factors)?;
    tape.sum(&products)
}
