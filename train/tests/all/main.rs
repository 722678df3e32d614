//! Training runs, in one program.

#[path = "../support/mod.rs"]
mod support;

mod accumulation;
mod bf16;
mod changed_settings;
mod checkpoints;
mod class_weights;
mod config;
mod device_crops;
mod evaluate;
mod experiments;
mod faults;
mod fine_tuning;
mod foreign_optimizer;
mod golden;
mod learner;
mod loop_checkpoint;
mod mean;
mod memory;
mod metrics;
mod optim_settings;
mod own_layer;
mod predictions;
mod random_resume;
mod resume;
mod step;
mod stopping;
mod tensorboard;
mod timed_settings;
mod user_settings;
mod version_1;
mod weight_average;
