//! Optimizers and schedules, in one program.

mod common;
mod frameworks;
mod reference;
mod schedules;
mod settings;
mod state;
