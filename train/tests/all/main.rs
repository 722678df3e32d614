//! Training runs, in one program.

#[path = "../support/mod.rs"]
mod support;

mod config;
mod device_crops;
mod evaluate;
mod faults;
mod golden;
mod learner;
mod loop_checkpoint;
mod memory;
mod metrics;
mod optim_settings;
mod resume;
mod step;
mod stopping;
mod user_settings;
mod version_1;
