//! The command as its users run it, in one program.

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod checkpoints;
mod commands;
mod crash;
mod dataset;
mod demo;
mod disks;
mod evaluation;
mod explaining;
mod faults;
#[cfg(target_os = "linux")]
mod faults_support;
mod features;
mod fine_tuning;
mod foreign_files;
mod formats;
mod injected;
mod inputs;
mod json;
mod keras;
mod mean_size;
mod moved;
mod named_classes;
mod not_finite;
mod on_event;
mod other_frameworks;
mod packs;
mod predicting;
mod refused;
mod report;
mod reproduce;
mod runs;
mod saving;
mod serving;
mod settings;
mod signals;
mod sweeps;
mod train_modes;
mod users;
mod writing;
