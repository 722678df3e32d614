//! Training runs, in one program.

#[path = "../support/mod.rs"]
mod support;

mod config;
mod device_crops;
mod evaluate;
mod faults;
mod golden;
mod memory;
mod metrics;
mod resume;
mod step;
mod user_settings;
mod version_1;
