//! The form before PyTorch 1.6: pickles one after the other (a magic number, the version, facts about the machine, the
//! saved value, the keys of its storages), then the storages in the order of the keys, each after its length.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::rc::Rc;

use super::pickle::{Node, Pickle, Source, StorageRef, unpickle};
use super::storages::{Storages, byte_count};
use crate::error::Fault;

/// The number that begins a file.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;

/// The version of the form.
const VERSION: i128 = 1001;

/// The longest pickle, in bytes.
const MAX_PICKLE: u64 = 64 << 20;

/// An open file.
pub struct Legacy {
    reader: BufReader<File>,
    /// Offset and bytes of each storage.
    places: HashMap<Rc<str>, (u64, u64)>,
    is_big_endian: bool,
}

impl Legacy {
    /// Opens a file of `length` bytes.
    pub fn open(file: File, length: u64) -> Result<(Self, Pickle), Fault> {
        let mut reader = BufReader::new(file);
        let mut next = || unpickle(Source::new(&mut reader, MAX_PICKLE));
        let magic = next()?;
        if *magic.node(magic.root) != Node::Int(MAGIC) {
            let what = "is a Python pickle, but not one of PyTorch's, and can run any code; save a state dict with \
                        torch.save, or safetensors";
            return Err(what.into());
        }
        let version = next()?;
        if *version.node(version.root) != Node::Int(VERSION) {
            return Err(
                "is of an unknown version of PyTorch's old form; save it again with PyTorch 1.6 or newer".into()
            );
        }
        let machine = next()?;
        let order = machine.entry(machine.root, "little_endian").map(|id| machine.node(id));
        let is_big_endian = order == Some(&Node::Bool(false));
        let value = next()?;
        let keys = next()?;
        let places = places(&mut reader, &value, &keys, length)?;
        Ok((Self { reader, places, is_big_endian }, value))
    }
}

impl Storages for Legacy {
    fn read(&mut self, storage: &StorageRef) -> Result<Vec<u8>, Fault> {
        let place = self.places.get(&storage.key);
        let &(offset, count) =
            place.ok_or_else(|| format!("has no numbers for the storage {}; get it again", storage.key))?;
        self.reader.seek(SeekFrom::Start(offset))?;
        // The place lies in the file: so many bytes are there.
        let mut bytes = vec![0; count as usize];
        self.reader.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn is_big_endian(&self) -> bool {
        self.is_big_endian
    }
}

/// Offset and bytes of each storage, all within the file.
fn places(
    reader: &mut BufReader<File>,
    value: &Pickle,
    keys: &Pickle,
    length: u64,
) -> Result<HashMap<Rc<str>, (u64, u64)>, Fault> {
    let storages = storages(value)?;
    let Node::List(list) = keys.node(keys.root) else {
        return Err("has no list of its storages; get it again".into());
    };
    let mut places = HashMap::new();
    let mut at = reader.stream_position()?;
    for &key in list {
        let key = keys.text(key).ok_or("has a storage whose name is no text; it is damaged")?;
        let storage = storages.get(key).ok_or_else(|| format!("has a storage {key} of no tensor; it is damaged"))?;
        let needed = byte_count(storage)?;
        let end = at.checked_add(8).and_then(|start| start.checked_add(needed)).filter(|&end| end <= length);
        let end = end.ok_or_else(|| {
            format!("is truncated: its storage {key} has {needed} bytes from byte {at}, the file ends at {length}")
        })?;
        reader.seek(SeekFrom::Start(at))?;
        let mut count = [0; 8];
        reader.read_exact(&mut count)?;
        if u64::from_le_bytes(count) != storage.len {
            return Err(format!("has another length than expected for its storage {key}; it is damaged").into());
        }
        places.insert(storage.key.clone(), (at + 8, needed));
        at = end;
    }
    Ok(places)
}

/// The storages of a pickle by their keys.
fn storages(value: &Pickle) -> Result<HashMap<&str, &StorageRef>, Fault> {
    let mut storages: HashMap<&str, &StorageRef> = HashMap::new();
    for node in &value.nodes {
        let Node::Storage(storage) = node else { continue };
        match storages.insert(&storage.key, storage) {
            Some(other) if *other != **storage => {
                return Err(format!("describes its storage {} in two ways; it is damaged", storage.key).into());
            }
            _ => {}
        }
    }
    Ok(storages)
}
