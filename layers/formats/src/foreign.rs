use layers::Model;
use layers::weights::{AxisOrder, Description};
use ndarray::{Array3, ArrayD};

use crate::Format;

/// The content of a weights file of another framework.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignFile {
    /// The file's format.
    pub format: Format,
    /// The order of the axes of its tensors.
    pub axes: AxisOrder,
    /// Its parameters in the file's order, without those that no network here needs (`num_batches_tracked`).
    pub tensors: Vec<ForeignTensor>,
    /// The network, if the file describes it. Its parameters' `export` names are then the names of the tensors.
    pub model: Option<Model>,
    /// Names of the classes in order; empty if unknown.
    pub classes: Vec<String>,
    /// The mean image that is subtracted, `[height, width, 3]`, red, green, blue, 0 to 255.
    pub mean_image: Option<Array3<f32>>,
    /// The mean colour that is subtracted: red, green, blue, 0 to 255.
    pub mean_rgb: Option<[f32; 3]>,
    /// Whether the EXIF orientation was applied to the training set's images.
    pub exif_orientation: bool,
    /// Slots of the optimizer.
    pub optimizer: Option<OptimizerState>,
    /// Notes for the user: dictionaries left out, number formats converted, layers folded.
    pub notes: Vec<String>,
}

/// One tensor of a file, in the file's axes.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignTensor {
    /// Its name in the file.
    pub name: String,
    /// Its values; f64, f16 and bf16 are rounded to the nearest f32.
    pub values: ArrayD<f32>,
}

/// The state of an optimizer that a file carries, in the axes of this crate's parameters once it is matched.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerState {
    /// The optimizer's name in this workspace's settings (`optim.kind`): `adam`, `adamw`, `sgd`.
    pub kind: String,
    /// The number of steps made.
    pub step: u64,
    /// Slots by name (`adam.m`, `adam.v`) and parameter. In a file they have the names of the file's tensors, matched
    /// those of the parameters.
    pub slots: Vec<(String, Vec<ForeignTensor>)>,
}

impl ForeignFile {
    /// A file of this format without any content.
    pub fn new(format: Format, axes: AxisOrder) -> Self {
        Self {
            format,
            axes,
            tensors: Vec::new(),
            model: None,
            classes: Vec::new(),
            mean_image: None,
            mean_rgb: None,
            exif_orientation: false,
            optimizer: None,
            notes: Vec::new(),
        }
    }

    /// Fails for means and class names that are wrong for a network, or for any if it is not known.
    pub(crate) fn check_description(&self, model: Option<&Model>) -> Result<(), String> {
        let description = Description {
            outputs: model.map(|model| model.classes),
            classes: &self.classes,
            mean_image: self.mean_image.as_ref(),
            mean_rgb: self.mean_rgb.as_ref(),
        };
        description.check()
    }
}
