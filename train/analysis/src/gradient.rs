//! Gradients by the pixels: of a logit, averaged over noise, and of one value of a layer.

use layers::tensor::random::{Stream, purpose};
use layers::tensor::{Backend, Tensor};
use layers::{Mode, Module, Network, Pass, Tape, Var};
use ndarray::{Array2, Array3, Axis, Ix4};

use crate::error::check_class;
use crate::{Error, Result};

/// Settings of [`smooth_grad`].
///
/// ```
/// let settings = alexnet_analysis::SmoothGrad { samples: 8, ..Default::default() };
/// assert_eq!(settings.deviation, 0.15);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SmoothGrad {
    /// Number of noisy copies, at least 1; 25 by default.
    pub samples: usize,
    /// Standard deviation of the noise as a share of the image's range, largest minus smallest value; 0.15 by default.
    pub deviation: f64,
    /// Number of copies that are computed together, at least 1; it changes memory and rounding alone.
    pub batch: usize,
    /// Seed of the noise.
    pub seed: u64,
}

impl Default for SmoothGrad {
    fn default() -> Self {
        Self { samples: 25, deviation: 0.15, batch: 8, seed: 2012 }
    }
}

/// The gradient of a class's logit by each value of an image, `[crop, crop, 3]` (Simonyan, Vedaldi and Zisserman, "Deep
/// Inside Convolutional Networks", 2014, section 3). `image` is `[1, crop, crop, 3]`.
///
/// # Errors
/// [`Error::Class`]; those of the network for an image of another shape.
pub fn input_gradient<B: Backend<Scalar = f32>>(
    network: &Network<B>,
    image: &Tensor<B>,
    class: usize,
) -> Result<Array3<f32>> {
    sum_of_gradients(network, image.clone(), class)
}

/// The mean of [`input_gradient`] over copies of the image with normal noise (Smilkov and others, "SmoothGrad", 2017).
/// Noise follows from the seed alone, on every device.
///
/// # Errors
/// [`Error::Setting`] for settings out of range; else those of [`input_gradient`].
pub fn smooth_grad<B: Backend<Scalar = f32>>(
    network: &Network<B>,
    image: &Tensor<B>,
    class: usize,
    settings: &SmoothGrad,
) -> Result<Array3<f32>> {
    settings.check()?;
    let values = image.to_vec()?;
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let deviation = settings.deviation * f64::from(high - low);
    let mut sum: Option<Array3<f32>> = None;
    let mut first = 0;
    while first < settings.samples {
        let count = settings.batch.min(settings.samples - first);
        let mut noisy = Vec::with_capacity(count * values.len());
        for sample in first..first + count {
            let noise = Stream::new(settings.seed, purpose::USER, sample as u64);
            noisy.extend((0..).zip(&values).map(|(index, v)| v + (noise.normal(index) * deviation) as f32));
        }
        let shape = [&[count], image.shape().get(1..).unwrap_or_default()].concat();
        let own = sum_of_gradients(network, Tensor::from_slice(network.device(), &shape, &noisy)?, class)?;
        sum = Some(match sum {
            None => own,
            Some(sum) => sum + own,
        });
        first += count;
    }
    Ok(sum.unwrap_or_default() / settings.samples as f32)
}

impl SmoothGrad {
    fn check(&self) -> Result<()> {
        for (name, value) in [("samples", self.samples), ("batch", self.batch)] {
            if value == 0 {
                return Err(Error::Setting { name, expected: "at least 1".into(), got: "0".into() });
            }
        }
        if !(self.deviation.is_finite() && self.deviation >= 0.0) {
            let got = self.deviation.to_string();
            return Err(Error::Setting { name: "deviation", expected: "a number of at least 0".into(), got });
        }
        Ok(())
    }
}

/// The importance of each pixel: the largest absolute value of its channels' gradients, `[height, width]` (Simonyan and
/// others, 2014, section 3.1).
pub fn saliency(gradient: &Array3<f32>) -> Array2<f32> {
    gradient.map_axis(Axis(2), |channels| channels.iter().fold(0.0, |largest: f32, v| largest.max(v.abs())))
}

/// The gradient of one value of a layer by each value of an image, `[crop, crop, 3]`: the pattern of the image that this
/// value responds to. `place` is the row, column and channel of the layer's output, or 0, 0 and the unit of a layer
/// without maps.
///
/// # Errors
/// [`Error::Setting`] for a place outside the output; those of the network.
pub fn response_gradient<B: Backend<Scalar = f32>>(
    network: &Network<B>,
    image: &Tensor<B>,
    layer: &str,
    place: [usize; 3],
) -> Result<Array3<f32>> {
    let mut pass = constant_pass(network);
    let x = pass.tape.parameter(image.clone());
    let y = network.forward_to(&x, layer, &mut pass)?;
    let shape = y.shape().to_vec();
    let [row, column, channel] = place;
    let at = |axis: usize| axis..axis + 1;
    let (inside, ranges) = match shape[..] {
        [_, height, width, channels] => {
            let inside = row < height && column < width && channel < channels;
            (inside, vec![0..1, at(row), at(column), at(channel)])
        }
        [_, units] => (row == 0 && column == 0 && channel < units, vec![0..1, at(channel)]),
        _ => (false, Vec::new()),
    };
    if !inside {
        let expected = format!("a place in the output {:?} of {layer}", &shape[1..]);
        return Err(Error::Setting { name: "place", expected, got: format!("{place:?}") });
    }
    let value = pass.tape.slice(&y, &ranges)?;
    gradient_of_sum(pass, &x, &value)
}

/// The sum over images `[n, crop, crop, 3]` of the gradients of a class's logit.
fn sum_of_gradients<B: Backend<Scalar = f32>>(
    network: &Network<B>,
    images: Tensor<B>,
    class: usize,
) -> Result<Array3<f32>> {
    check_class(network.model(), class)?;
    let mut pass = constant_pass(network);
    let x = pass.tape.parameter(images);
    let logits = network.forward(&x, &mut pass)?;
    let count = logits.shape()[0];
    let chosen = pass.tape.slice(&logits, &[0..count, class..class + 1])?;
    gradient_of_sum(pass, &x, &chosen)
}

/// A pass whose tape records, in test mode, with the network's parameters as constants: their gradients are not computed.
pub(crate) fn constant_pass<B: Backend>(network: &Network<B>) -> Pass<B> {
    let mut pass = Pass::with_tape(Tape::new(), Mode::Test);
    for parameter in network.parameters() {
        pass.bind(parameter, Var::constant(parameter.value.clone()));
    }
    pass
}

/// The gradient of the sum of `y` by `x`, `[n, height, width, channels]`, summed over n.
fn gradient_of_sum<B: Backend<Scalar = f32>>(mut pass: Pass<B>, x: &Var<B>, y: &Var<B>) -> Result<Array3<f32>> {
    let sum = pass.tape.sum(y)?;
    Ok(gradient(pass, &sum, x)?.sum_axis(Axis(0)))
}

/// The gradient of a single value by maps `[n, height, width, channels]`. Zeros if it does not depend on them.
pub(crate) fn gradient<B: Backend<Scalar = f32>>(
    pass: Pass<B>,
    of: &Var<B>,
    by: &Var<B>,
) -> Result<ndarray::Array4<f32>> {
    let mut gradients = pass.tape.backward(of)?;
    let gradient = match gradients.take(by) {
        Some(gradient) => gradient,
        None => Tensor::zeros(by.value().device(), by.shape())?,
    };
    let shape = by.shape().to_vec();
    let maps = || Error::Layer { layer: "input".into(), what: format!("its values are {shape:?}") };
    gradient.to_array()?.into_dimensionality::<Ix4>().map_err(|_| maps())
}
