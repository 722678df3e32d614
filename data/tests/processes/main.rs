//! Tests that start processes, apart from all others: for an instant a new process holds the files that any thread of
//! this one has open, their locks included, and a folder could not be packed into twice.

#[path = "../common/mod.rs"]
mod common;

mod claims;
mod format;
mod workers;
