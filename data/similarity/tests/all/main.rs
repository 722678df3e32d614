//! Tests against plain references.

mod codes;
mod duplicates;
#[cfg(feature = "map")]
mod map;
mod search;
