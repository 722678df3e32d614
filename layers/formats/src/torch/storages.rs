//! Where the numbers of tensors come from.

use super::pickle::StorageRef;
use crate::error::Fault;

/// The storages of a file.
pub trait Storages {
    /// The bytes of a storage, all of them.
    ///
    /// # Errors
    /// A storage that is not in the file, or leaves it.
    fn read(&mut self, storage: &StorageRef) -> Result<Vec<u8>, Fault>;

    /// Whether the most significant byte of a number comes first.
    fn is_big_endian(&self) -> bool;
}

/// The bytes of a storage, or a refusal of more than there can be.
pub fn byte_count(storage: &StorageRef) -> Result<u64, Fault> {
    let bytes = storage.len.checked_mul(storage.dtype.size());
    bytes.ok_or_else(|| format!("has a storage {} of {} numbers; it is damaged", storage.key, storage.len).into())
}
