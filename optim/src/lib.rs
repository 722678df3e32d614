//! Optimizers and learning-rate schedules for networks of [`tensor`].
//!
//! An [`Optimizer`] has a [`Rule`], [`Sgd`] as in section 5 of the AlexNet paper or [`Adam`], and the state of each
//! parameter, by name. It takes parameters with their gradients as [`Update`]s and updates them in place. A [`Schedule`]
//! gives the learning rate at each point of the training; with [`ScheduleRule::Plateau`] it depends on the validation
//! error, which also decides when training may stop.
//!
//! The state of both can be saved and restored, so that a run resumed from a checkpoint has the same bits as one never
//! stopped: the optimizer's state is named tensors, the schedule's is serialisable.
//!
//! ```
//! use alexnet_optim::{Optimizer, Schedule, ScheduleRule, Sgd, Update};
//! use tensor::{Cpu, Tensor};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cpu = Cpu::<f32>::new(1)?;
//! let mut weight = Tensor::full(&cpu, &[2], 1.0)?;
//! let mut sgd = Optimizer::new(Sgd { momentum: 0.9, weight_decay: 0.0, nesterov: false })?;
//! let schedule = Schedule::new(ScheduleRule::Steps { drop_epochs: vec![25.0, 51.0, 79.0], factor: 0.1 })?;
//! let gradient = Tensor::full(&cpu, &[2], 0.5)?;
//! let lr = schedule.rate(0.01, 30.0);
//! let update = Update { name: "fc.weight", value: &mut weight, gradient: &gradient, lr_mult: 1.0, decay_mult: 1.0 };
//! sgd.step(lr, vec![update])?;
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
