//! Tests of the metrics against plain references.

mod against_references;
mod refusals;
mod temperature;
