//! Benchmarks: images per second of training, inference and loading, and profiles by layer.
//!
//! The steps are those of training itself. An asynchronous device is synchronised only after a group of steps, so that
//! the benchmark measures the device, not the latency of its queue.

mod ceilings;
mod data;
mod layers;
mod pack;
mod speed;
mod synthetic;

pub use ceilings::{Ceilings, ceilings};
pub(crate) use data::loading;
pub use data::{Output, Pipeline, Stage, StageKind, data};
pub use layers::{Bound, Layers, Row, StepKind, layers};
pub use pack::{Limit, PackTraining, train_from_pack};
pub use speed::{Speed, predict, train};

/// Learning rate: so small that training on noise hardly changes the weights.
const LEARNING_RATE: f64 = 1e-6;
