//! The header: JSON with the type, shape and offsets of each tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};

use super::convert::size_of;
use crate::weights::{MAX_TENSORS, byte_count, too_many_tensors};

/// The longest header that safetensors' own library reads, in bytes.
pub(super) const MAX_LENGTH: u64 = 100_000_000;

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// Its name in the file.
    pub name: String,
    /// Lengths of its axes.
    pub shape: Vec<usize>,
    /// The type of its values, such as `F32`.
    pub dtype: String,
    /// The offsets of its first byte and of the byte after its last, from the end of the header.
    pub bytes: [u64; 2],
}

/// A header, checked.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// Texts by key.
    pub metadata: BTreeMap<String, String>,
    /// Tensors in the order of their bytes.
    pub entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Info {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// Parses a header before `data` bytes of tensors, and checks that the tensors fill them exactly.
pub(super) fn parse(json: &[u8], data: u64) -> Result<Header, String> {
    let Raw { metadata, tensors } =
        serde_json::from_slice(json).map_err(|e| format!("its header is not that of safetensors: {e}"))?;
    let mut entries = tensors.into_iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(|entry| entry.bytes);
    let mut end = 0;
    for Entry { name, bytes: [from, to], .. } in &entries {
        if *from != end {
            let kind = if *from < end { "overlaps the one before it" } else { "leaves a gap before it" };
            return Err(format!("{name} at byte {from} {kind}, which ends at {end}; the file is damaged"));
        }
        end = *to;
    }
    match data {
        d if d < end => Err(format!("truncated: need {end} bytes of tensors, have {d}")),
        d if d > end => Err(format!("{} bytes follow the last tensor; the file is damaged", d - end)),
        _ => Ok(Header { metadata, entries }),
    }
}

fn entry((name, info): (String, Info)) -> Result<Entry, String> {
    let Info { dtype, shape, data_offsets: bytes @ [from, to] } = info;
    let Some(size) = size_of(&dtype) else { return Err(format!("{name}: unknown type {dtype:?}")) };
    let Some(needed) = byte_count(&shape, size) else {
        return Err(format!("{name}: shape {shape:?} does not fit in memory"));
    };
    if to.checked_sub(from) != Some(needed) {
        return Err(format!("{name}: {dtype} of shape {shape:?} takes {needed} bytes, its place is {from} to {to}"));
    }
    let lengths: Result<Vec<usize>, _> = shape.iter().map(|&axis| usize::try_from(axis)).collect();
    let shape = lengths.map_err(|_| format!("{name}: shape {shape:?} does not fit in memory"))?;
    Ok(Entry { name, shape, dtype, bytes })
}

/// The header's JSON, before its values are checked. Duplicate keys are refused.
#[derive(Default)]
struct Raw {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, Info)>,
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut raw = Raw::default();
        let mut seen = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format_args!("{name:?} comes twice")));
            }
            if name == "__metadata__" {
                raw.metadata = map.next_value::<Texts>()?.0;
            } else if raw.tensors.len() == MAX_TENSORS {
                return Err(A::Error::custom(too_many_tensors()));
            } else {
                raw.tensors.push((name, map.next_value()?));
            }
        }
        Ok(raw)
    }
}

/// Texts by key, each key once.
struct Texts(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TextsVisitor)
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
        let mut texts = BTreeMap::new();
        while let Some((key, text)) = map.next_entry::<String, String>()? {
            if texts.insert(key.clone(), text).is_some() {
                return Err(A::Error::custom(format_args!("metadata {key:?} comes twice")));
            }
        }
        Ok(Texts(texts))
    }
}
