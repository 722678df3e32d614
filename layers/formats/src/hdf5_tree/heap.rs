//! The global heap, in which strings of variable length lie.

use std::collections::BTreeMap;
use std::ops::Range;

use super::bytes::Bytes;
use super::{Fault, Parsed, Source};

/// A collection of objects.
#[derive(Debug)]
pub(super) struct Collection {
    bytes: Vec<u8>,
    objects: BTreeMap<u32, Range<usize>>,
}

impl Collection {
    pub fn read(source: &Source, address: u64) -> Parsed<Self> {
        let start = source.metadata(address, 16)?;
        let mut bytes = Bytes::new(&start, "the heap of texts");
        bytes.expect(b"GCOL")?;
        bytes.take(4)?;
        let bytes = source.metadata(address, bytes.u64()?)?;
        let objects = objects(&bytes)?;
        Ok(Self { bytes, objects })
    }

    /// The bytes of an object.
    pub fn object(&self, index: u32) -> Parsed<&[u8]> {
        let found = self.objects.get(&index).and_then(|range| self.bytes.get(range.clone()));
        found.ok_or_else(|| Fault::Content("a text is missing in the heap; the file is damaged".into()))
    }
}

fn objects(collection: &[u8]) -> Parsed<BTreeMap<u32, Range<usize>>> {
    let mut bytes = Bytes::new(collection, "the heap of texts");
    // Signature, version, reserved, length.
    bytes.take(16)?;
    let mut objects = BTreeMap::new();
    while bytes.len() >= 16 {
        let index = u32::from(bytes.u16()?);
        bytes.take(6)?;
        let count = usize::try_from(bytes.u64()?).unwrap_or(usize::MAX);
        if index == 0 {
            break;
        }
        let start = collection.len() - bytes.len();
        bytes.take_padded(count)?;
        objects.insert(index, start..start + count);
    }
    Ok(objects)
}
