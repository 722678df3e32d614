//! Training runs, in one program.

#[path = "../support/mod.rs"]
mod support;

mod config;
mod evaluate;
mod faults;
mod given;
mod golden;
mod memory;
mod metrics;
mod resume;
mod step;
mod version_1;
