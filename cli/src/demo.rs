//! Data and network of `alexnet demo`.

pub mod draw;
pub mod folder;

/// The demo's network, in the form of the presets.
pub const MODEL: &str = include_str!("demo/model.toml");
