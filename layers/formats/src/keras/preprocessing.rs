//! Keras' layers in front of a network that prepare its images, as the network's `[input]`.

use layers::model::{ChannelOrder, Input, Mean};
use serde_json::Value;

use super::settings::{LayerConfig, Text, number};

/// The scale of images for a file that says nothing about them: that of Keras' examples and of the preset `keras`.
const USUAL_SCALE: f64 = 1.0 / 255.0;
/// Keras' epsilon: the least deviation that `Normalization` divides by.
const LEAST_DEVIATION: f64 = 1e-7;

/// (pixel - mean) / deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Preprocessing {
    mean: [f64; 3],
    deviation: [f64; 3],
    is_given: bool,
}

impl Default for Preprocessing {
    fn default() -> Self {
        Self { mean: [0.0; 3], deviation: [1.0; 3], is_given: false }
    }
}

impl Preprocessing {
    /// Adds `Rescaling`: value * scale + offset.
    pub fn rescale(&mut self, layer: &LayerConfig) -> Text<()> {
        let scale = channels(layer, "scale", 1.0)?;
        let offset = channels(layer, "offset", 0.0)?;
        if scale.iter().any(|scale| *scale <= 0.0) {
            return layer.unexpected("scale", "a number above 0");
        }
        for channel in 0..3 {
            let deviation = self.deviation[channel];
            self.mean[channel] -= offset[channel] * deviation / scale[channel];
            self.deviation[channel] = rounded(deviation / scale[channel]);
        }
        self.is_given = true;
        Ok(())
    }

    /// Adds `Normalization`: (value - mean) / sqrt(variance). `stored` are its mean and variance in the file.
    pub fn normalize(&mut self, layer: &LayerConfig, stored: Option<&[Vec<f64>; 2]>) -> Text<()> {
        let axis = layer.get("axis").map(|axis| axis.get(0).unwrap_or(axis).as_i64());
        if !matches!(axis, None | Some(Some(-1 | 3))) {
            return layer.unexpected("axis", "the last one, of the channels");
        }
        if layer.flag("invert", false)? {
            return layer.unexpected("invert", "false");
        }
        let given = |at: usize| stored.and_then(|stored| three(&stored[at]));
        let missing = || layer.message("its mean and variance are not in the file: adapt it, and save again");
        let of = |key: &str, at: usize| match layer.get(key) {
            Some(_) => channels(layer, key, 0.0),
            None => given(at).ok_or_else(missing),
        };
        let mean = of("mean", 0)?;
        let variance = of("variance", 1)?;
        if variance.iter().any(|variance| *variance < 0.0) {
            return layer.error("its variance is below 0; adapt it again, or use another copy of the file");
        }
        for channel in 0..3 {
            let deviation = self.deviation[channel];
            self.mean[channel] += mean[channel] * deviation;
            self.deviation[channel] = deviation * variance[channel].sqrt().max(LEAST_DEVIATION);
        }
        self.is_given = true;
        Ok(())
    }

    /// The input of square images, and a note if the file says nothing about them.
    pub fn input(&self, crop: usize) -> (Input, Option<String>) {
        let mut input = Input {
            size: crop,
            crop,
            channels: ChannelOrder::Rgb,
            scale: 1.0,
            mean: Mean::None,
            deviation: (self.deviation != [1.0; 3]).then_some(self.deviation),
        };
        if self.mean.iter().any(|mean| *mean != 0.0) {
            input.mean = Mean::Rgb(self.mean);
        }
        if self.is_given {
            return (input, None);
        }
        input.scale = USUAL_SCALE;
        let note = "the file does not say how its images are prepared: they are divided by 255, as in Keras' examples; if \
                    they were not, set [input] in the network's file";
        (input, Some(note.into()))
    }
}

/// A number that rounding left beside a whole one: 1 / (1 / 255).
fn rounded(number: f64) -> f64 {
    let whole = number.round();
    if (number - whole).abs() <= 1e-12 * whole.abs() { whole } else { number }
}

/// A setting of one number for all channels, or of three.
fn channels(layer: &LayerConfig, key: &str, default: f64) -> Text<[f64; 3]> {
    layer.read(key, [default; 3], "a number, or three", |value| {
        let mut numbers = Vec::new();
        collect(value, &mut numbers, 8)?;
        three(&numbers)
    })
}

/// The numbers of nested lists.
fn collect(value: &Value, numbers: &mut Vec<f64>, depth: usize) -> Option<()> {
    match value {
        // An array as Keras 3 writes it: its values are in its configuration.
        Value::Object(table) if depth > 0 => collect(table.get("config")?.get("value")?, numbers, depth - 1),
        Value::Array(values) if depth > 0 && numbers.len() <= 3 => {
            values.iter().try_for_each(|value| collect(value, numbers, depth - 1))
        }
        value => {
            numbers.push(number(value)?);
            Some(())
        }
    }
}

fn three(numbers: &[f64]) -> Option<[f64; 3]> {
    match *numbers {
        [all] => Some([all; 3]),
        [red, green, blue] => Some([red, green, blue]),
        _ => None,
    }
    .filter(|numbers| numbers.iter().all(|number| number.is_finite()))
}
