//! Optimizers and schedules, in one program.

mod clipping;
mod common;
mod frameworks;
mod groups;
mod own_rules;
mod reference;
mod rules;
mod schedules;
mod settings;
mod state;
