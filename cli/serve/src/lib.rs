#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod app;
mod classifier;
mod draw;
mod error;
mod explain;
mod follow;
mod gallery;
mod guard;
mod metrics;
mod options;
mod present;
mod problem;
mod queue;
mod routes;
mod server;
mod upload;

pub use classifier::Classifier;
pub use error::{Error, Result};
pub use gallery::Gallery;
pub use options::Options;
pub use server::{Renewal, Server, Service};

// The crates whose types stand in the signatures of this one.
pub use data;
pub use layers;
pub use tensor;
pub use train;
