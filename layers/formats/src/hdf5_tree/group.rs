//! The links of a group.

use super::bytes::Bytes;
use super::object::{Header, kind};
use super::{Parsed, Source, UNDEFINED, fault};

/// The most levels of a tree of names.
const MAX_LEVELS: usize = 16;

/// The names and addresses of the objects in a group; none for a dataset.
pub(super) fn links(source: &Source, header: &Header) -> Parsed<Vec<(String, u64)>> {
    let mut links = Vec::new();
    if let Some(data) = header.message(kind::SYMBOL_TABLE)? {
        let mut bytes = Bytes::new(data, "a symbol table");
        let tree = bytes.u64()?;
        let names = names(source, bytes.u64()?)?;
        read_node(source, tree, &names, MAX_LEVELS, &mut links)?;
    }
    for message in header.all(kind::LINK) {
        links.push(read_link(&message.data)?);
    }
    if let Some(data) = header.message(kind::LINK_INFO)? {
        check_compact(data)?;
    }
    Ok(links)
}

/// The heap of the names of a group.
fn names(source: &Source, address: u64) -> Parsed<Vec<u8>> {
    let block = source.metadata(address, 32)?;
    let mut bytes = Bytes::new(&block, "a heap of names");
    bytes.expect(b"HEAP")?;
    bytes.take(4)?;
    let count = bytes.u64()?;
    bytes.take(8)?;
    source.metadata(bytes.u64()?, count)
}

fn read_node(source: &Source, address: u64, names: &[u8], levels: usize, links: &mut Vec<(String, u64)>) -> Parsed<()> {
    let start = source.metadata(address, 8)?;
    if start.starts_with(b"SNOD") {
        return read_leaf(source, address, u64::from(start[6]) | u64::from(start[7]) << 8, names, links);
    }
    if levels == 0 {
        return fault("its tree of names is too deep; the file is damaged");
    }
    let mut bytes = Bytes::new(&start, "a tree of names");
    bytes.expect(b"TREE")?;
    if bytes.u8()? != 0 {
        return fault("its tree of names is one of values; the file is damaged");
    }
    bytes.take(1)?;
    let count = u64::from(bytes.u16()?);
    // Two siblings, then keys and children in turn; a key follows the last child.
    let block = source.metadata(address.saturating_add(8), 16 + 16 * count)?;
    let mut bytes = Bytes::new(&block, "a tree of names");
    bytes.take(16)?;
    for _ in 0..count {
        bytes.take(8)?;
        read_node(source, bytes.u64()?, names, levels - 1, links)?;
    }
    Ok(())
}

fn read_leaf(source: &Source, address: u64, count: u64, names: &[u8], links: &mut Vec<(String, u64)>) -> Parsed<()> {
    const SYMBOLIC: u32 = 2;
    let block = source.metadata(address.saturating_add(8), 40 * count)?;
    let mut bytes = Bytes::new(&block, "a list of names");
    for _ in 0..count {
        let name = name_at(names, bytes.u64()?)?;
        let object = bytes.u64()?;
        if bytes.u32()? == SYMBOLIC || object == UNDEFINED {
            return elsewhere(&name);
        }
        bytes.take(20)?;
        links.push((name, object));
    }
    Ok(())
}

fn name_at(names: &[u8], at: u64) -> Parsed<String> {
    let rest = usize::try_from(at).ok().and_then(|at| names.get(at..));
    let name = rest.and_then(|rest| rest.split(|&byte| byte == 0).next()).map(<[u8]>::to_vec);
    checked_name(name.unwrap_or_default())
}

fn checked_name(name: Vec<u8>) -> Parsed<String> {
    match String::from_utf8(name) {
        Ok(name) if !name.is_empty() && name != "." && name != ".." && name.len() <= 1024 => Ok(name),
        _ => fault("the name of an object in it is damaged"),
    }
}

/// A link message: flags say which fields there are.
fn read_link(data: &[u8]) -> Parsed<(String, u64)> {
    let mut bytes = Bytes::new(data, "a link");
    if bytes.u8()? != 1 {
        return fault("a link is of an unknown version");
    }
    let flags = bytes.u8()?;
    let link_type = if flags & 0x08 != 0 { bytes.u8()? } else { 0 };
    bytes.take(if flags & 0x04 != 0 { 8 } else { 0 })?;
    bytes.take(if flags & 0x10 != 0 { 1 } else { 0 })?;
    let count = bytes.number(1 << (flags & 3))?;
    let name = checked_name(bytes.take(usize::try_from(count).unwrap_or(usize::MAX))?.to_vec())?;
    if link_type != 0 {
        return elsewhere(&name);
    }
    Ok((name, bytes.u64()?))
}

fn elsewhere<T>(name: &str) -> Parsed<T> {
    fault(format!("{name} is a link to elsewhere, which is not followed; save the file again with its content"))
}

/// Fails for a group whose links lie in a heap.
fn check_compact(data: &[u8]) -> Parsed<()> {
    let mut bytes = Bytes::new(data, "the links' description");
    bytes.take(1)?;
    let flags = bytes.u8()?;
    bytes.take(if flags & 1 != 0 { 8 } else { 0 })?;
    if bytes.u64()? == UNDEFINED {
        return Ok(());
    }
    fault(
        "a group in HDF5's latest format with many links; save the file again with Keras, or with h5py without libver",
    )
}
