//! Fixed-length strings, whose length HDF5's binding wants as a type.
//!
//! Variable-length strings would be simpler, but live in HDF5's global heap, the one part of a file without checksums.

use hdf5::types::{FixedUnicode, TypeDescriptor};
use hdf5::{Attribute, Container, Dataset, Group};

use super::CRC;

/// The longest text, bytes. Attributes from 64 KiB on move to a heap, as too many links would (`write.rs`).
pub(super) const LONGEST_TEXT: usize = 60_000;
/// The longest string of a list, bytes.
pub(super) const LONGEST_NAME: usize = 1 << 10;

/// A failure in words.
pub(super) type Said<T> = std::result::Result<T, String>;

fn say(error: hdf5::Error) -> String {
    error.to_string()
}

/// Of each string its bytes and a zero.
pub(super) fn crc_of(strings: &[impl AsRef<str>]) -> u32 {
    strings.iter().fold(0, |crc, s| crc32c::crc32c_append(crc32c::crc32c_append(crc, s.as_ref().as_bytes()), &[0]))
}

/// Writes a text attribute.
pub(super) fn write_attribute(group: &Group, name: &str, text: &str) -> Said<()> {
    let value = fixed::<LONGEST_TEXT>(text)?;
    let attribute: Attribute = group.new_attr_builder().empty_as(stored_as(text.len())).create(name).map_err(say)?;
    attribute.as_writer().write_scalar(&value).map_err(say)
}

/// Writes a text as a scalar dataset.
pub(super) fn write_scalar(group: &Group, name: &str, text: &str) -> Said<()> {
    let value = fixed::<LONGEST_TEXT>(text)?;
    let builder = group.new_dataset_builder().obj_track_times(false).empty_as(stored_as(text.len()));
    let dataset: Dataset = builder.create(name).map_err(say)?;
    dataset.as_writer().write_scalar(&value).map_err(say)?;
    write_crc(&dataset, crc_of(&[text]))
}

/// Writes strings as a dataset of one axis.
pub(super) fn write_list(group: &Group, name: &str, strings: &[String]) -> Said<()> {
    match strings.iter().map(String::len).max().unwrap_or(0) {
        0..=32 => write_list_of::<32>(group, name, strings),
        33..=256 => write_list_of::<256>(group, name, strings),
        257..=LONGEST_NAME => write_list_of::<LONGEST_NAME>(group, name, strings),
        longest => Err(format!("one of {name} has {longest} bytes; at most {LONGEST_NAME} can be stored")),
    }
}

fn write_list_of<const N: usize>(group: &Group, name: &str, strings: &[String]) -> Said<()> {
    let longest = strings.iter().map(String::len).max().unwrap_or(0);
    let values = strings.iter().map(|s| fixed::<N>(s)).collect::<Said<Vec<_>>>()?;
    let builder = group.new_dataset_builder().obj_track_times(false).no_chunk().empty_as(stored_as(longest));
    let dataset = builder.shape([strings.len()]).create(name).map_err(say)?;
    dataset.as_writer().write_raw(&values).map_err(say)?;
    write_crc(&dataset, crc_of(strings))
}

/// Writes a dataset's checksum.
pub(super) fn write_crc(dataset: &Dataset, crc: u32) -> Said<()> {
    dataset.new_attr::<u32>().create(CRC).and_then(|attribute| attribute.write_scalar(&crc)).map_err(say)
}

/// HDF5 has no strings of length 0.
fn stored_as(len: usize) -> TypeDescriptor {
    TypeDescriptor::FixedUnicode(len.max(1))
}

fn fixed<const N: usize>(text: &str) -> Said<FixedUnicode<N>> {
    if text.contains('\0') {
        return Err("a text with a zero byte cannot be stored".into());
    }
    text.parse().map_err(|_| format!("a text of {} bytes cannot be stored; at most {N} can", text.len()))
}

/// The bytes that a fixed-length string takes in the file.
pub(super) fn stored_length(container: &Container) -> Said<usize> {
    match container.dtype().and_then(|t| t.to_descriptor()).map_err(say)? {
        TypeDescriptor::FixedUnicode(n) | TypeDescriptor::FixedAscii(n) => Ok(n),
        other => Err(format!("expected fixed-length text, got {other}")),
    }
}

/// Reads a text: an attribute or a scalar dataset.
pub(super) fn read_text(container: &Container) -> Said<String> {
    let length = stored_length(container)?;
    let space = container.space().map_err(say)?;
    if length > LONGEST_TEXT || !(space.is_scalar() || space.shape() == [1]) {
        return Err(format!("expected one text of at most {LONGEST_TEXT} bytes"));
    }
    let strings = read::<LONGEST_TEXT>(container)?;
    strings.into_iter().next().ok_or_else(|| "expected a text, got none".into())
}

/// Reads strings. The caller has compared their number and length with the file's.
pub(super) fn read_list(container: &Container) -> Said<Vec<String>> {
    match stored_length(container)? {
        0..=32 => read::<32>(container),
        33..=256 => read::<256>(container),
        257..=LONGEST_NAME => read::<LONGEST_NAME>(container),
        longest => Err(format!("expected strings of at most {LONGEST_NAME} bytes, got {longest}")),
    }
}

fn read<const N: usize>(container: &Container) -> Said<Vec<String>> {
    let values: Vec<FixedUnicode<N>> = container.read_raw().map_err(say)?;
    let text = |value: &FixedUnicode<N>| String::from_utf8(value.as_bytes().to_vec());
    values.iter().map(text).collect::<std::result::Result<_, _>>().map_err(|_| "expected UTF-8 text".into())
}
