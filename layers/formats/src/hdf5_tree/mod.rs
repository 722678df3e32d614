//! Reads HDF5 files of strangers: groups, attributes and arrays of numbers, as h5py and Keras write them.
//!
//! The system's HDF5 library is not used for them: a damaged or hostile file can crash it, and such files come from
//! elsewhere. This reader holds no unsafe code, follows no link out of the file, and reads what Keras needs:
//!
//! | part | read | refused by name |
//! |---|---|---|
//! | superblock | versions 0 to 3, offsets of 8 bytes | other widths |
//! | groups | symbol tables; links in the group's header | soft and external links; links in fractal heaps |
//! | attributes | in the object's header; text and numbers | others are ignored |
//! | numbers | f16, f32, f64, whole numbers of 1 to 8 bytes, both byte orders | all others |
//! | values | contiguous, compact, chunked; deflate, shuffle, Fletcher-32 | external files, virtual, other filters |
//!
//! Bounds: the metadata that is read is at most a few times the file's length, so that circles and shared blocks end; each
//! object and each block of values is taken once, and there are at most 65,536 objects; values are allocated only after
//! the file was seen to hold them, and compressed ones only within the memory that the file's length justifies.
//!
//! Source: "HDF5 File Format Specification Version 3.0", The HDF Group.

mod attribute;
mod bytes;
mod chunks;
mod dataset;
mod datatype;
mod group;
mod heap;
mod object;
mod source;
mod taken;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use attribute::Attribute;
pub(crate) use dataset::Dataset;
pub(crate) use source::Source;

use layers::weights::MAX_TENSORS;

use crate::budget;
use crate::error::Fault;
use bytes::Bytes;
use object::Header;
use taken::Taken;

/// The first bytes of every HDF5 file.
pub(crate) const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";
/// The most groups within groups.
const MAX_DEPTH: usize = 24;
/// An address that leads nowhere.
const UNDEFINED: u64 = u64::MAX;

/// The result of reading.
pub(crate) type Parsed<T> = Result<T, Fault>;

/// A fault of the content.
pub(crate) fn fault<T>(what: impl Into<String>) -> Parsed<T> {
    Err(Fault::Content(what.into()))
}

/// All objects of a file.
#[derive(Debug)]
pub(crate) struct Tree {
    source: Source,
    objects: BTreeMap<String, Object>,
    /// Blocks of values that were read, so that none is read twice.
    taken: Taken,
    /// Bytes that values may still take: compressed ones could be a thousand times as long as the file.
    budget: u64,
}

/// A group or a dataset.
#[derive(Debug, Default)]
pub(crate) struct Object {
    /// Its attributes, sorted by name.
    pub attributes: Vec<Attribute>,
    /// Its values, if it is a dataset.
    pub dataset: Option<Dataset>,
}

impl Tree {
    /// Reads the structure of a file, without values.
    pub fn read(source: Source) -> Parsed<Self> {
        let root = root_address(&source)?;
        let mut walk = Walk { source: &source, objects: BTreeMap::new(), seen: BTreeSet::new() };
        walk.visit(root, "", 0)?;
        let objects = walk.objects;
        let budget = budget::of(source.length());
        Ok(Self { source, objects, taken: Taken::default(), budget })
    }

    /// The attributes of the file itself, sorted by name.
    pub fn root_attributes(source: &Source) -> Parsed<Vec<Attribute>> {
        let header = Header::read(source, root_address(source)?)?;
        Attribute::of(&header)
    }

    /// The objects and their paths, such as `layers/conv2d/vars/0`, sorted; the root's path is empty.
    pub fn objects(&self) -> impl Iterator<Item = (&str, &Object)> {
        self.objects.iter().map(|(path, object)| (path.as_str(), object))
    }

    /// Whether there is an object.
    pub fn has(&self, path: &str) -> bool {
        self.objects.contains_key(path)
    }

    /// The dataset at a path.
    pub fn dataset(&self, path: &str) -> Option<&Dataset> {
        self.objects.get(path)?.dataset.as_ref()
    }

    /// The names of the objects in a group, sorted.
    pub fn children<'a>(&'a self, group: &str) -> impl Iterator<Item = &'a str> {
        let prefix = if group.is_empty() { String::new() } else { format!("{group}/") };
        let after = self.objects.range(prefix.clone()..).map(|(path, _)| path.as_str());
        let names = after.map_while(move |path| path.strip_prefix(&prefix));
        names.filter(|name| !name.is_empty() && !name.contains('/'))
    }

    /// The strings of a text attribute; None if there is none of this name.
    pub fn texts(&self, path: &str, attribute: &str) -> Parsed<Option<Vec<String>>> {
        let Some(Object { attributes, .. }) = self.objects.get(path) else { return Ok(None) };
        let place = attributes.partition_point(|known| known.name.as_str() < attribute);
        let found = attributes.get(place).filter(|found| found.name == attribute);
        found.map(|attribute| attribute.texts(&self.source)).transpose()
    }

    /// The first string of a text attribute.
    pub fn text(&self, path: &str, attribute: &str) -> Parsed<Option<String>> {
        Ok(self.texts(path, attribute)?.and_then(|texts| texts.into_iter().next()))
    }

    /// The values of a dataset of floating-point numbers, rounded to f32, row-major. Each dataset is read once.
    pub fn floats(&mut self, path: &str) -> Parsed<ndarray::ArrayD<f32>> {
        let missing = || Fault::Content(format!("{path}: there is no such dataset"));
        let dataset = self.objects.get(path).and_then(|object| object.dataset.as_ref()).ok_or_else(missing)?;
        let at_path = |fault| match fault {
            Fault::Content(what) => Fault::Content(format!("{path}: {what}")),
            other => other,
        };
        let bytes = dataset::value_count(&dataset.shape)?.saturating_mul(size_of::<f32>() as u64);
        let values = dataset.floats(&self.source, &mut self.taken, bytes <= self.budget).map_err(at_path)?;
        self.budget -= bytes.min(self.budget);
        Ok(values)
    }

    /// A single number: a scalar, or the only value of an array.
    pub fn number(&mut self, path: &str) -> Parsed<f64> {
        let missing = || Fault::Content(format!("{path}: expected one number"));
        let dataset = self.dataset(path).ok_or_else(missing)?;
        dataset.number(&self.source)?.ok_or_else(missing)
    }
}

/// The address of the root group's header.
fn root_address(source: &Source) -> Parsed<u64> {
    let block = source.metadata(0, source.length().min(96))?;
    let mut bytes = Bytes::new(&block, "the first block");
    bytes.expect(&SIGNATURE)?;
    let version = bytes.u8()?;
    // Bytes before the widths of offsets and lengths, between them and the base address, and before the root's address.
    let (before_widths, before_base, before_root) = match version {
        0 => (4, 9, 24 + 8),
        1 => (4, 13, 24 + 8),
        2 | 3 => (0, 1, 16),
        other => return fault(format!("HDF5 of an unknown version {other}; it is damaged, or newer than this reads")),
    };
    bytes.take(before_widths)?;
    let widths = [bytes.u8()?, bytes.u8()?];
    if widths != [8, 8] {
        return fault("HDF5 with other than 8-byte offsets; save it again with h5py or Keras");
    }
    bytes.take(before_base)?;
    if bytes.u64()? != 0 {
        return fault("HDF5 with a block of its user in front; save it again with h5py or Keras");
    }
    bytes.take(before_root)?;
    bytes.u64()
}

/// A walk through all groups.
struct Walk<'a> {
    source: &'a Source,
    objects: BTreeMap<String, Object>,
    seen: BTreeSet<u64>,
}

impl Walk<'_> {
    fn visit(&mut self, address: u64, path: &str, depth: usize) -> Parsed<()> {
        if depth > MAX_DEPTH {
            return fault(format!("group {path} is nested too deep; at most {MAX_DEPTH} groups"));
        }
        if self.seen.len() == MAX_TENSORS {
            return fault(format!("has more than {MAX_TENSORS} groups and tensors; networks have some hundreds"));
        }
        if !self.seen.insert(address) {
            return fault(format!("{path} is linked twice, or in a circle; expected a tree"));
        }
        let in_place = |error| match error {
            Fault::Content(what) => Fault::Content(format!("{}: {what}", if path.is_empty() { "/" } else { path })),
            other => other,
        };
        let header = Header::read(self.source, address).map_err(in_place)?;
        let attributes = Attribute::of(&header).map_err(in_place)?;
        let dataset = Dataset::of(&header).map_err(in_place)?;
        let links = group::links(self.source, &header).map_err(in_place)?;
        self.objects.insert(path.to_string(), Object { attributes, dataset });
        for (name, address) in links {
            // Keras on Windows wrote paths with backslashes as names.
            let name = name.replace('\\', "/");
            let path = if path.is_empty() { name } else { format!("{path}/{name}") };
            if self.objects.contains_key(&path) {
                return fault(format!("{path} occurs twice"));
            }
            self.visit(address, &path, depth + 1)?;
        }
        Ok(())
    }
}
