//! Attributes: small named values of an object.

use super::bytes::Bytes;
use super::datatype::Datatype;
use super::object::{Header, kind};
use super::{Parsed, Source, UNDEFINED, dataset, fault};

/// An attribute with its bytes.
#[derive(Debug)]
pub(crate) struct Attribute {
    /// Its name.
    pub name: String,
    datatype: Datatype,
    count: u64,
    data: Vec<u8>,
}

impl Attribute {
    /// The attributes in a header, sorted by name.
    pub(super) fn of(header: &Header) -> Parsed<Vec<Self>> {
        if let Some(data) = header.message(kind::ATTRIBUTE_INFO)? {
            check_compact(data)?;
        }
        let mut attributes = Vec::new();
        for message in header.all(kind::ATTRIBUTE).filter(|message| !message.is_shared) {
            attributes.extend(Self::parse(&message.data)?);
        }
        attributes.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(attributes)
    }

    /// None for an attribute whose type lies elsewhere.
    fn parse(data: &[u8]) -> Parsed<Option<Self>> {
        let mut bytes = Bytes::new(data, "an attribute");
        let version = bytes.u8()?;
        let flags = bytes.u8()?;
        let counts = [bytes.u16()?, bytes.u16()?, bytes.u16()?].map(usize::from);
        let is_padded = match version {
            1 => true,
            2 => false,
            3 => bytes.u8().map(|_| false)?,
            other => return fault(format!("an attribute is of an unknown version {other}")),
        };
        if version > 1 && flags != 0 {
            return Ok(None);
        }
        let mut part = |count| if is_padded { bytes.take_padded(count) } else { bytes.take(count) };
        let name = part(counts[0])?;
        let datatype = Datatype::parse(part(counts[1])?)?;
        let shape = dataset::parse_shape(part(counts[2])?)?;
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        let name = String::from_utf8_lossy(name).into_owned();
        let count = dataset::value_count(&shape)?;
        let rest = bytes.take(bytes.len())?;
        Ok(Some(Self { name, datatype, count, data: rest.to_vec() }))
    }

    /// Its strings. An attribute that is no text has none: Keras gives layers without weights an empty list of numbers.
    pub fn texts(&self, source: &Source) -> Parsed<Vec<String>> {
        let size = self.datatype.size();
        let is_text = matches!(self.datatype, Datatype::FixedText(_) | Datatype::VariableText);
        if !is_text || size == 0 {
            return Ok(Vec::new());
        }
        if self.count > (self.data.len() / size) as u64 {
            return fault(format!("attribute {} ends too early; the file is damaged", self.name));
        }
        let values = self.data.chunks_exact(size).take(self.count as usize);
        values.map(|value| self.text(value, source)).collect()
    }

    fn text(&self, value: &[u8], source: &Source) -> Parsed<String> {
        let bytes = match self.datatype {
            Datatype::VariableText => in_heap(value, source)?,
            _ => {
                // A text takes more memory than a character in the file.
                source.charge(value.len() as u64)?;
                value.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
            }
        };
        let damaged = |_| format!("attribute {} is not UTF-8; the file is damaged", self.name);
        Ok(String::from_utf8(bytes).map_err(damaged)?)
    }
}

/// A string of variable length: its length, and its place in the heap.
fn in_heap(value: &[u8], source: &Source) -> Parsed<Vec<u8>> {
    let mut bytes = Bytes::new(value, "an attribute");
    let count = bytes.u32()? as usize;
    let address = bytes.u64()?;
    let index = bytes.u32()?;
    if count == 0 || address == UNDEFINED {
        return Ok(Vec::new());
    }
    let mut object = source.heap_object(address, index)?;
    object.truncate(count);
    while object.last() == Some(&0) {
        object.pop();
    }
    Ok(object)
}

/// Fails if the attributes lie in a heap, where HDF5's latest format puts many or large ones.
fn check_compact(data: &[u8]) -> Parsed<()> {
    let mut bytes = Bytes::new(data, "the attributes' description");
    bytes.take(1)?;
    let flags = bytes.u8()?;
    bytes.take(if flags & 1 != 0 { 2 } else { 0 })?;
    if bytes.u64()? == UNDEFINED {
        return Ok(());
    }
    fault("large attributes in HDF5's latest format; save the file again with Keras, or with h5py without libver")
}
