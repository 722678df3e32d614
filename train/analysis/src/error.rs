//! Errors.

use layers::tensor;

/// A result with an [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// The reason why an analysis failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A class that the network does not have.
    #[error("class {class} of a network of {classes} classes, which count from 0")]
    Class {
        /// The class.
        class: usize,
        /// Number of classes.
        classes: usize,
    },
    /// A setting out of its range.
    #[error("{name}: expected {expected}, got {got}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// The values that it can have.
        expected: String,
        /// Its value.
        got: String,
    },
    /// A layer of which an analysis needs maps.
    #[error("layer {layer:?} has no maps: {what}")]
    Layer {
        /// Name of the layer.
        layer: String,
        /// The shape of its output.
        what: String,
    },
    /// An error of the network.
    #[error(transparent)]
    Network(#[from] layers::Error),
    /// An error of the device.
    #[error(transparent)]
    Tensor(#[from] tensor::Error),
}

/// Fails unless the network has the class.
pub(crate) fn check_class(model: &layers::Model, class: usize) -> Result<()> {
    if class >= model.classes {
        return Err(Error::Class { class, classes: model.classes });
    }
    Ok(())
}
