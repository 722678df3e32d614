#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod duplicates;
mod error;
mod fingerprint;
mod product;
mod recall;
mod search;

pub use duplicates::{Candidate, candidates, components};
pub use error::{Error, Result};
pub use fingerprint::{Fingerprint, relative_difference};
pub use ndarray;
#[doc(hidden)]
pub use product::multiply_transposed;
pub use recall::recall;
pub use search::{Neighbour, NeighbourSearch};
