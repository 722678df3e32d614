//! The preparation of images that a graph does itself, before its first layer.

use layers::model::{ChannelOrder, Input, Mean};

/// Values above this are pixels of 0 to 255, not shares of 0 to 1.
const LARGEST_SHARE: f64 = 1.5;

/// Factors up to this are of pixels from 0 to 255: Rescaling(1 / 255), Rescaling(1 / 127.5).
const LARGEST_FACTOR_OF_PIXELS: f64 = 0.02;

/// The input of the first layer: `factor * x + offset` for each colour, red first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Preparation {
    factor: [f64; 3],
    offset: [f64; 3],
}

impl Default for Preparation {
    fn default() -> Self {
        Self { factor: [1.0; 3], offset: [0.0; 3] }
    }
}

impl Preparation {
    /// The preparation after one more step with these numbers; None for a step that leaves no factors above 0.
    pub fn then(mut self, operator: &str, numbers: [f64; 3]) -> Option<Self> {
        for (colour, number) in numbers.into_iter().enumerate() {
            match operator {
                "Add" => self.offset[colour] += number,
                "Sub" => self.offset[colour] -= number,
                "Mul" => {
                    self.factor[colour] *= number;
                    self.offset[colour] *= number;
                }
                "Div" => {
                    self.factor[colour] /= number;
                    self.offset[colour] /= number;
                }
                _ => return None,
            }
        }
        let fits = self.factor.iter().all(|factor| factor.is_finite() && *factor > 0.0);
        (fits && self.offset.iter().all(|offset| offset.is_finite())).then_some(self)
    }

    /// The same as (pixel * scale - mean) / deviation. Graphs take pixels of 0 to 255 or shares of 0 to 1: the numbers
    /// tell which.
    pub fn input(self, size: usize) -> Input {
        let Self { factor, offset } = self;
        let zero = [0, 1, 2].map(|c| -offset[c] / factor[c]);
        let takes_pixels = zero.iter().any(|zero| zero.abs() > LARGEST_SHARE)
            || factor.iter().all(|factor| *factor <= LARGEST_FACTOR_OF_PIXELS);
        let unit = if takes_pixels { 1.0 } else { 1.0 / 255.0 };
        let is_same = factor.iter().all(|other| *other == factor[0]);
        let rounded = |value: f64| (value * 1e7).round() / 1e7;
        let (scale, mean, deviation) = if is_same {
            (factor[0] * unit, offset.map(|offset| rounded(-offset)), None)
        } else {
            (unit, zero.map(rounded), Some(factor.map(|factor| rounded(1.0 / factor))))
        };
        let mean = if mean == [0.0; 3] { Mean::None } else { Mean::Rgb(mean) };
        Input { size, crop: size, channels: ChannelOrder::Rgb, scale, mean, deviation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_preparations_are_those_of_the_presets() {
        let torch = Preparation::default().then("Sub", [0.485, 0.456, 0.406]).unwrap();
        let input = torch.then("Div", [0.229, 0.224, 0.225]).unwrap().input(224);
        assert_eq!((input.scale, input.mean), (1.0 / 255.0, Mean::Rgb([0.485, 0.456, 0.406])));
        assert_eq!(input.deviation, Some([0.229, 0.224, 0.225]));
        let keras = Preparation::default().then("Mul", [1.0 / 255.0; 3]).unwrap().input(224);
        assert_eq!((keras.scale, keras.mean, keras.deviation), (1.0 / 255.0, Mean::None, None));
        let centred = Preparation::default().then("Div", [127.5; 3]).unwrap().then("Sub", [1.0; 3]).unwrap().input(9);
        assert_eq!((centred.scale, centred.mean), (1.0 / 127.5, Mean::Rgb([1.0; 3])));
        let colour = Preparation::default().then("Sub", [123.68, 116.779, 103.939]).unwrap().input(224);
        assert_eq!((colour.scale, colour.mean), (1.0, Mean::Rgb([123.68, 116.779, 103.939])));
    }

    #[test]
    fn factors_that_turn_colours_around_are_none() {
        for step in [("Mul", 0.0), ("Mul", -1.0), ("Div", 0.0), ("Add", f64::INFINITY), ("Pow", 2.0)] {
            assert_eq!(Preparation::default().then(step.0, [step.1; 3]), None, "{step:?}");
        }
    }
}
