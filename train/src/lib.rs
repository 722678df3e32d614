//! Crash-safe, resumable training, from a pack of images to an evaluated network.
//!
//! A [`Run`](run::Run) is a folder: its configuration (`run.toml`), its network (`model.toml`), a log with one line per
//! step (`log.jsonl`), one of validations (`validation.jsonl`) and checkpoints. [`step`](step::step) is section 5 of
//! the paper; [`Trainer`](trainer::Trainer) is the loop around it. On the CPU, a run that was killed and resumed ends
//! with the same bits as one that was never killed.
#![warn(missing_docs)]

/// Measurements of the command `bench`, which may change in any release.
#[doc(hidden)]
pub mod bench;
pub mod checkpoint;
mod compare;
pub mod config;
pub mod device_loader;
mod diagnose;
mod error;
pub mod estimate;
pub mod evaluate;
pub mod experiment;
pub mod features;
pub mod input;
mod learner;
pub mod load;
pub mod log;
mod loop_checkpoint;
mod loss;
pub mod lr_range;
pub mod mean;
pub mod memory;
mod metrics;
mod optimizer_state;
pub mod packs;
pub mod plan;
pub mod plots;
pub mod position;
pub mod predict;
mod predictions;
mod remedy;
pub mod run;
pub mod runs;
mod snapshot;
pub mod starting_weights;
pub mod step;
pub mod stop;
pub mod sweep;
pub mod targets;
pub mod tensorboard;
pub mod trainer;

pub use config::Config;
pub use error::{Error, OtherNetwork, OutOfMemory, Result};
pub use learner::{
    Batches, BatchesFromFn, Callback, EarlyStopping, Ended, EpochReport, Event, Learner, OnEvent, Progress, Reply,
    WeightAverage, batches_from_fn, evaluate_with, on_event,
};
pub use loop_checkpoint::{CheckpointFolder, LoopCheckpoint};
pub use loss::BatchLoss;
pub use metrics::{Metric, MetricSums, MetricsPolicy, PendingMetrics, StepMetrics, StepReport, WRONG};
pub use packs::{PackMeans, Packs};
pub use predictions::PredictionsFile;
pub use remedy::Remedy;
pub use stop::Stop;
pub use targets::Targets;

// The crates whose types stand in the signatures of this one.
pub use classification;
pub use data;
pub use formats;
pub use layers;
pub use optim;
pub use tensor;

/// The README's code, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
