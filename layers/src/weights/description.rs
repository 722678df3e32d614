//! Checks of what a weights file says beside its parameters.

use std::path::Path;

use ndarray::Array3;

use super::{Weights, refused};
use crate::Result;

/// The means and the class names of a weights file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Description<'a> {
    /// The number of the network's outputs, if the network is known.
    pub outputs: Option<usize>,
    /// Names of the classes; empty if unknown.
    pub classes: &'a [String],
    /// The mean image.
    pub mean_image: Option<&'a Array3<f32>>,
    /// The mean colour.
    pub mean_rgb: Option<&'a [f32; 3]>,
}

impl Description<'_> {
    /// Fails for means that are not finite, and for class names of another number than the network's outputs.
    ///
    /// ```
    /// use alexnet_layers::weights::Description;
    ///
    /// let nameless = Description { outputs: Some(10), ..Description::default() };
    /// assert!(nameless.check().is_ok());
    /// let wrong = Description { mean_rgb: Some(&[f32::NAN, 116.8, 103.9]), ..nameless };
    /// assert!(wrong.check().unwrap_err().contains("NaN"));
    /// ```
    ///
    /// # Errors
    /// A message without the name of the file.
    pub fn check(&self) -> std::result::Result<(), String> {
        let of_image = self.mean_image.and_then(|image| image.iter().find(|value| !value.is_finite()));
        let of_colour = self.mean_rgb.and_then(|colour| colour.iter().find(|value| !value.is_finite()));
        for (mean, value) in [("image", of_image), ("colour", of_colour)] {
            if let Some(value) = value {
                let what = "a mean is of numbers from 0 to 255";
                return Err(format!("its mean {mean} holds {value}, and {what}; use another copy of the file"));
            }
        }
        let names = self.classes.len();
        match self.outputs.filter(|&outputs| names > 0 && outputs != names) {
            Some(outputs) => Err(format!(
                "names {names} classes, and its network has {outputs} outputs; correct its list of classes, or leave it out"
            )),
            None => Ok(()),
        }
    }
}

/// Fails for weights that a file describes wrongly.
pub(super) fn check(path: &Path, weights: &Weights) -> Result<()> {
    let description = Description {
        outputs: weights.model.as_ref().map(|model| model.classes),
        classes: &weights.classes,
        mean_image: weights.mean_image.as_ref(),
        mean_rgb: weights.mean_rgb.as_ref(),
    };
    description.check().map_err(|what| refused(path, what))
}
