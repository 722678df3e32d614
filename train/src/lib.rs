//! Crash-safe, resumable training, from a pack of images to an evaluated network.
//!
//! A [`Run`](run::Run) is a folder: its configuration (`run.toml`), its network (`model.toml`), a log with one line per
//! step (`log.jsonl`), one of validations (`validation.jsonl`) and checkpoints. [`step`](step::step) is section 5 of
//! the paper; [`Trainer`](trainer::Trainer) is the loop around it. On the CPU, a run that was killed and resumed ends
//! with the same bits as one that was never killed.
#![warn(missing_docs)]

pub mod bench;
pub mod checkpoint;
mod compare;
pub mod config;
pub mod device_loader;
mod diagnose;
mod error;
pub mod evaluate;
pub mod input;
pub mod load;
pub mod log;
pub mod memory;
mod metrics;
pub mod packs;
pub mod plots;
pub mod position;
pub mod predict;
pub mod run;
pub mod starting_weights;
pub mod step;
pub mod stop;
pub mod targets;
pub mod trainer;

pub use config::Config;
pub use error::{Error, Result};
pub use metrics::{MetricsPolicy, PendingMetrics, StepMetrics};
pub use packs::{PackMeans, Packs};
pub use stop::Stop;
pub use targets::Targets;

/// The README's code, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
