//! The bytes of a file, or of a part of one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::rc::Rc;

use super::heap::Collection;
use super::{Fault, Parsed, fault};

/// The most metadata that is read, as a multiple of the length: circles and blocks that many objects share end here.
const METADATA_FACTOR: u64 = 4;
/// Metadata that is read in any case, and at most.
const METADATA_LIMITS: (u64, u64) = (1 << 16, 1 << 28);
/// The least that a block counts as.
const BLOCK: u64 = 64;

/// A part of a file that is an HDF5 file.
#[derive(Debug)]
pub(crate) struct Source {
    file: RefCell<File>,
    start: u64,
    length: u64,
    /// Bytes of metadata that may still be read.
    budget: Cell<u64>,
    /// Heaps of texts that were read, by address.
    heaps: RefCell<BTreeMap<u64, Rc<Collection>>>,
}

impl Source {
    /// The `length` bytes from `start`.
    pub fn new(file: File, start: u64, length: u64) -> Self {
        let (least, most) = METADATA_LIMITS;
        let budget = Cell::new(length.saturating_mul(METADATA_FACTOR).saturating_add(least).min(most));
        Self { file: RefCell::new(file), start, length, budget, heaps: RefCell::default() }
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// A block of the file's structure.
    pub fn metadata(&self, at: u64, count: u64) -> Parsed<Vec<u8>> {
        self.check(at, count)?;
        self.charge(count)?;
        let mut bytes = vec![0; count as usize];
        self.read_into(at, &mut bytes)?;
        Ok(bytes)
    }

    /// Counts bytes of structure that are kept in memory.
    pub fn charge(&self, count: u64) -> Parsed<()> {
        let Some(budget) = self.budget.get().checked_sub(count.max(BLOCK)) else {
            return fault("its structure is larger than the file; it is damaged, or made to waste memory");
        };
        self.budget.set(budget);
        Ok(())
    }

    /// A text of the global heap.
    pub fn heap_object(&self, address: u64, index: u32) -> Parsed<Vec<u8>> {
        let known = self.heaps.borrow().get(&address).cloned();
        let collection = match known {
            Some(collection) => collection,
            None => Rc::new(Collection::read(self, address)?),
        };
        self.heaps.borrow_mut().insert(address, Rc::clone(&collection));
        let object = collection.object(index)?;
        self.charge(object.len() as u64)?;
        Ok(object.to_vec())
    }

    /// Fails unless the bytes lie in the file.
    pub fn check(&self, at: u64, count: u64) -> Parsed<()> {
        if at.checked_add(count).is_some_and(|end| end <= self.length) {
            return Ok(());
        }
        fault(format!("truncated or damaged: {count} bytes at {at} are not in the file of {} bytes", self.length))
    }

    /// Reads bytes of values.
    pub fn read_into(&self, at: u64, bytes: &mut [u8]) -> Parsed<()> {
        self.check(at, bytes.len() as u64)?;
        let mut file = self.file.borrow_mut();
        file.seek(SeekFrom::Start(self.start + at)).map_err(Fault::System)?;
        file.read_exact(bytes).map_err(Fault::System)
    }
}
