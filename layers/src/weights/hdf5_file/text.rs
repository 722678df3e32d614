//! Fixed-length strings, whose length is a type parameter in HDF5's binding.
//!
//! Variable-length strings would be simpler, but live in HDF5's global heap, the one part of a file without checksums.

use hdf5::types::{FixedUnicode, TypeDescriptor};
use hdf5::{Attribute, Container, Dataset, Group};

use super::CRC;

/// The longest text, bytes. Attributes from 64 KiB on move to a heap, as too many links would (`write.rs`).
pub(super) const MAX_TEXT: usize = 60_000;
/// The longest string of a list, bytes.
pub(super) const MAX_NAME: usize = 1 << 10;

/// A result whose error is a message.
pub(super) type TextResult<T> = std::result::Result<T, String>;

fn message(error: hdf5::Error) -> String {
    error.to_string()
}

/// The checksum of the bytes of each string, followed by a zero.
pub(super) fn crc_of(strings: &[impl AsRef<str>]) -> u32 {
    strings.iter().fold(0, |crc, s| crc32c::crc32c_append(crc32c::crc32c_append(crc, s.as_ref().as_bytes()), &[0]))
}

/// Writes a text attribute.
pub(super) fn write_attribute(group: &Group, name: &str, text: &str) -> TextResult<()> {
    let value = fixed::<MAX_TEXT>(text)?;
    let attribute: Attribute =
        group.new_attr_builder().empty_as(stored_as(text.len())).create(name).map_err(message)?;
    attribute.as_writer().write_scalar(&value).map_err(message)
}

/// Writes a text as a scalar dataset.
pub(super) fn write_scalar(group: &Group, name: &str, text: &str) -> TextResult<()> {
    let value = fixed::<MAX_TEXT>(text)?;
    let builder = group.new_dataset_builder().obj_track_times(false).empty_as(stored_as(text.len()));
    let dataset: Dataset = builder.create(name).map_err(message)?;
    dataset.as_writer().write_scalar(&value).map_err(message)?;
    write_crc(&dataset, crc_of(&[text]))
}

/// Writes strings as a dataset of one axis.
pub(super) fn write_list(group: &Group, name: &str, strings: &[String]) -> TextResult<()> {
    match strings.iter().map(String::len).max().unwrap_or(0) {
        0..=32 => write_list_of::<32>(group, name, strings),
        33..=256 => write_list_of::<256>(group, name, strings),
        257..=MAX_NAME => write_list_of::<MAX_NAME>(group, name, strings),
        length => Err(format!("one of {name} has {length} bytes; at most {MAX_NAME} can be stored")),
    }
}

fn write_list_of<const N: usize>(group: &Group, name: &str, strings: &[String]) -> TextResult<()> {
    let length = strings.iter().map(String::len).max().unwrap_or(0);
    let values = strings.iter().map(|s| fixed::<N>(s)).collect::<TextResult<Vec<_>>>()?;
    let builder = group.new_dataset_builder().obj_track_times(false).no_chunk().empty_as(stored_as(length));
    let dataset = builder.shape([strings.len()]).create(name).map_err(message)?;
    dataset.as_writer().write_raw(&values).map_err(message)?;
    write_crc(&dataset, crc_of(strings))
}

/// Writes a dataset's checksum.
pub(super) fn write_crc(dataset: &Dataset, crc: u32) -> TextResult<()> {
    dataset.new_attr::<u32>().create(CRC).and_then(|attribute| attribute.write_scalar(&crc)).map_err(message)
}

/// The type of strings of `len` bytes; HDF5 has none of length 0.
fn stored_as(len: usize) -> TypeDescriptor {
    TypeDescriptor::FixedUnicode(len.max(1))
}

fn fixed<const N: usize>(text: &str) -> TextResult<FixedUnicode<N>> {
    if text.contains('\0') {
        return Err("a text with a zero byte cannot be stored".into());
    }
    text.parse().map_err(|_| format!("a text of {} bytes cannot be stored; at most {N} can", text.len()))
}

/// The bytes that a fixed-length string takes in the file.
pub(super) fn stored_length(container: &Container) -> TextResult<usize> {
    match container.dtype().and_then(|t| t.to_descriptor()).map_err(message)? {
        TypeDescriptor::FixedUnicode(n) | TypeDescriptor::FixedAscii(n) => Ok(n),
        other => Err(format!("expected fixed-length text, got {other}")),
    }
}

/// Reads a text: an attribute or a scalar dataset.
pub(super) fn read_text(container: &Container) -> TextResult<String> {
    let length = stored_length(container)?;
    let space = container.space().map_err(message)?;
    if length > MAX_TEXT || !(space.is_scalar() || space.shape() == [1]) {
        return Err(format!("expected one text of at most {MAX_TEXT} bytes"));
    }
    let strings = read::<MAX_TEXT>(container)?;
    strings.into_iter().next().ok_or_else(|| "expected a text, got none".into())
}

/// Reads strings. The caller has compared their number and length with the file's length.
pub(super) fn read_list(container: &Container) -> TextResult<Vec<String>> {
    match stored_length(container)? {
        0..=32 => read::<32>(container),
        33..=256 => read::<256>(container),
        257..=MAX_NAME => read::<MAX_NAME>(container),
        length => Err(format!("expected strings of at most {MAX_NAME} bytes, got {length}")),
    }
}

fn read<const N: usize>(container: &Container) -> TextResult<Vec<String>> {
    let values: Vec<FixedUnicode<N>> = container.read_raw().map_err(message)?;
    let text = |value: &FixedUnicode<N>| String::from_utf8(value.as_bytes().to_vec());
    values.iter().map(text).collect::<std::result::Result<_, _>>().map_err(|_| "expected UTF-8 text".into())
}
