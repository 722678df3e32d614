//! Tests against plain references.

mod duplicates;
mod search;
