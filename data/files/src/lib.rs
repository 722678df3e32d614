//! Crash-safe replacement of files, and careful handling of files and names that users give.
//!
//! - [`replace`](fn@replace), [`replace_bytes`] and [`Replacement`]: a crash or a full disk leaves the old file or the new
//!   one, never a mix.
//! - [`folder`]: new folders that survive power loss.
//! - [`regular_file`]: opens files only, never a pipe or a device.
//! - [`printable`]: names and messages without control characters.
#![warn(missing_docs)]

mod error;
pub mod folder;
pub mod printable;
pub mod regular_file;
mod replace;
mod temporary;

pub use error::Error;
pub use replace::{Replacement, check_writable, if_there, replace, replace_bytes, sweep, sync_folder};
pub use temporary::{TemporaryFile, is_temporary, remove_temporary_files};

/// The README's program, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
