//! Optimizers and learning-rate schedules for tensors of [`tensor`].
//!
//! An [`Optimizer`] runs an [`UpdateRule`]: [`Sgd`] as in section 5 of the AlexNet paper, [`Adam`], [`AdamW`], [`RmsProp`],
//! [`Lars`] or one of your own. It takes parameters with their gradients as [`Update`]s, updates them in place and keeps
//! the state of each by name. [`Clipping`] limits the gradients; a [`Group`] of parameters can have multipliers and a rule
//! of its own.
//!
//! A [`Schedule`] runs a [`LearningRate`], which gives the learning rate at each point of the training: a [`ScheduleRule`],
//! a function or a type of your own, after a [`Warmup`] if need be. With [`ScheduleRule::Plateau`] it depends on the
//! validation error, which also decides when training may stop.
//!
//! The state of both can be saved and restored, so that a run resumed from a checkpoint has the same bits as one never
//! stopped: the optimizer's state is named tensors, the schedule's is named numbers. With the feature `serde`, settings
//! and the state of schedules are serialisable.
//!
//! ```
//! use alexnet_optim::tensor::{Cpu, Tensor};
//! use alexnet_optim::{Optimizer, Schedule, ScheduleRule, Sgd, Update};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cpu = Cpu::<f32>::new(1)?;
//! let mut weight = Tensor::full(&cpu, &[2], 1.0)?;
//! let mut sgd = Optimizer::new(Sgd { momentum: 0.9, weight_decay: 0.0, nesterov: false })?;
//! let schedule = Schedule::new(ScheduleRule::Steps { drop_epochs: vec![25.0, 51.0, 79.0], factor: 0.1 })?;
//! let gradient = Tensor::full(&cpu, &[2], 0.5)?;
//! let lr = schedule.rate(0.01, 30.0);
//! sgd.step(lr, vec![Update::new("fc.weight", &mut weight, &gradient)])?;
//! assert_eq!(weight.to_vec()?, [0.9995, 0.9995]);
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

mod clipping;
mod error;
mod group;
mod observer;
mod optimizer;
mod rule;
mod rules;
mod schedule;
mod state;
mod step;
mod update;

pub use clipping::Clipping;
pub use error::{Error, Result};
pub use group::Group;
pub use observer::GradientObserver;
pub use optimizer::Optimizer;
pub use rule::{ParameterStep, Rule, UpdateRule};
pub use rules::{Adam, AdamW, Lars, RmsProp, Sgd};
pub use schedule::{LearningRate, Observed, Schedule, ScheduleRule, ScheduleState, Warmup};
pub use state::State;
pub use step::Step;
pub use tensor;
pub use update::Update;

/// The README's code, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
