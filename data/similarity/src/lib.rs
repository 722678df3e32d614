#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod codes;
mod duplicates;
mod error;
mod fingerprint;
#[cfg(feature = "map")]
mod map;
mod product;
mod recall;
mod search;

pub use codes::{BinaryEncoder, Codes};
pub use duplicates::{Candidate, candidates, components};
pub use error::{Error, Result};
pub use fingerprint::{Fingerprint, relative_difference};
#[cfg(feature = "map")]
pub use map::{MapOptions, map};
pub use ndarray;
#[doc(hidden)]
pub use product::multiply_transposed;
pub use recall::recall;
pub use search::{Neighbour, NeighbourSearch};
