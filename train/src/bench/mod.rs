//! Measuring: images a second of a network on a device, from where that comes by layer, and what bounds it.
//!
//! Steps are those of training itself. A device that queues its work is waited for only at the ends of a stretch of
//! steps, so that what is measured is the device's rate and not that of asking it.

mod ceilings;
mod data;
mod layers;
mod pack;
mod speed;
mod work;

pub use ceilings::{Ceilings, ceilings};
pub use data::{Output, Pipeline, Stage, StageKind, data};
pub use layers::{Bound, Layers, Row, StepKind, layers};
pub use pack::{Fed, Limit, fed};
pub use speed::{Speed, predict, train};

/// The learning rate: so small that a network which learns noise stays where it is.
const RATE: f64 = 1e-6;
