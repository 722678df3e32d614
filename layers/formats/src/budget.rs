//! The memory that the length of a file justifies.

/// Bytes that every file may take.
const FLOOR: u64 = 1 << 20;

/// Bytes for each byte of the file: numbers of two bytes become four, tensors may share their numbers, and weights can
/// be compressed by a tenth or so.
const FACTOR: u64 = 8;

/// The bytes that may be allocated for a file of `length` bytes.
pub(crate) fn of(length: u64) -> u64 {
    FLOOR.saturating_add(length.saturating_mul(FACTOR))
}
