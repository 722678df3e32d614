//! Where pictures come from.

mod folder;

use crate::error::BadPicture;
pub(crate) use folder::{Folder, hex};

/// A labelled set of picture files in a fixed order.
///
/// Reading is by index, from any thread: a source on disk is read in place, never unpacked.
pub(crate) trait Source: Sync {
    /// Names of the classes; a label is an index into them.
    fn classes(&self) -> &[String];
    /// Pictures, bad ones included.
    fn len(&self) -> usize;
    /// The name of picture `index` within the source, parts separated by `/`.
    fn name(&self, index: usize) -> &[u8];
    /// The label of picture `index`.
    fn label(&self, index: usize) -> u32;
    /// The bytes of picture `index`'s file.
    fn read(&self, index: usize) -> Result<Vec<u8>, BadPicture>;
    /// Identifies classes, names, labels and lengths: 32 hexadecimal digits.
    fn fingerprint(&self) -> &str;
}

/// Names back to back in one allocation: a source may have tens of millions.
#[derive(Debug, Default)]
pub(crate) struct Names {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Names {
    pub fn push(&mut self, name: &[u8]) {
        self.bytes.extend_from_slice(name);
        self.ends.push(self.bytes.len());
    }

    pub fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }

    /// All names back to back.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where each name begins in [`Names::bytes`], and where the last ends.
    pub fn offsets(&self) -> Vec<u64> {
        std::iter::once(0).chain(self.ends.iter().map(|&end| end as u64)).collect()
    }
}
