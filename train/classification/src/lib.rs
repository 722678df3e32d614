#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod bootstrap;
mod calibration;
mod classification;
mod confusion;
mod error;
mod extremes;
mod per_class;
mod roc;
mod temperature;

pub use bootstrap::Interval;
pub use calibration::{Calibration, CalibrationBin};
pub use classification::{Classification, Figures, Outcome, Report};
pub use confusion::{ConfusedPair, Confusion};
pub use error::{Error, Result};
pub use extremes::Largest;
pub use per_class::{ClassMeans, ClassReport};
pub use roc::{Roc, RocPoint};
pub use temperature::{TemperatureScaling, scale_probabilities};
