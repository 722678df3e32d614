//! Optimizers and learning-rate schedules for networks of [`tensor`].
//!
//! An [`Optimizer`] holds a [`Rule`], [`Sgd`] as section 5 of the AlexNet paper writes it or [`Adam`], and what the rule
//! remembers of each parameter, by name. It is given parameters with their gradients as [`Update`]s and writes them
//! in place. A [`Schedule`] says what learning rate a point of the training has, and for [`ScheduleRule::Plateau`]
//! learns from the validation error when to lower it and when training may stop.
//!
//! Both give their state out and take it back, so that a training run resumed from a checkpoint goes on with the same
//! bits as one never stopped: the optimizer's is named tensors, the schedule's is serialisable.
//!
//! ```
//! use alexnet_optim::{Optimizer, Schedule, ScheduleRule, Sgd, Update};
//! use tensor::{Cpu, Tensor};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cpu = Cpu::<f32>::new(1)?;
//! let mut weight = Tensor::full(&cpu, &[2], 1.0)?;
//! let mut sgd = Optimizer::new(Sgd { momentum: 0.9, decay: 0.0, nesterov: false })?;
//! let schedule = Schedule::new(ScheduleRule::Steps { drop_epochs: vec![25.0, 51.0, 79.0], factor: 0.1 })?;
//! let gradient = Tensor::full(&cpu, &[2], 0.5)?;
//! let rate = schedule.rate(0.01, 30.0);
//! sgd.step(rate, vec![Update { name: "fc.weight", value: &mut weight, gradient: &gradient, rate: 1.0, decay: 1.0 }])?;
//! assert_eq!(weight.to_vec()?, [0.9995, 0.9995]);
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

mod error;
mod optimizer;
mod rule;
mod schedule;

pub use error::{Error, Result};
pub use optimizer::{Optimizer, State, Step, Update};
pub use rule::{Adam, Rule, Sgd};
pub use schedule::{Observed, Schedule, ScheduleRule, ScheduleState};

/// The README's code, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
