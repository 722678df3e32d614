//! Object headers: the messages that describe a group or a dataset.

use super::bytes::Bytes;
use super::{Parsed, Source, fault};

/// The most blocks of one header.
const MAX_BLOCKS: usize = 256;

/// A message of a header.
#[derive(Debug)]
pub(super) struct Message {
    pub kind: u16,
    pub data: Vec<u8>,
    /// Whether the data only says where the message is.
    pub is_shared: bool,
}

/// Kinds of messages.
pub(super) mod kind {
    pub const DATASPACE: u16 = 0x01;
    pub const LINK_INFO: u16 = 0x02;
    pub const DATATYPE: u16 = 0x03;
    pub const LINK: u16 = 0x06;
    pub const EXTERNAL_FILES: u16 = 0x07;
    pub const LAYOUT: u16 = 0x08;
    pub const FILTERS: u16 = 0x0b;
    pub const ATTRIBUTE: u16 = 0x0c;
    pub const CONTINUATION: u16 = 0x10;
    pub const SYMBOL_TABLE: u16 = 0x11;
    pub const ATTRIBUTE_INFO: u16 = 0x15;
}

/// The messages of an object.
#[derive(Debug)]
pub(super) struct Header {
    pub messages: Vec<Message>,
}

/// The form of messages: of version 1, or of version 2 with or without a creation order.
#[derive(Clone, Copy)]
enum Form {
    Old,
    New { has_order: bool },
}

impl Header {
    pub fn read(source: &Source, address: u64) -> Parsed<Self> {
        let start = source.metadata(address, 16)?;
        let is_new = start.starts_with(b"OHDR");
        let (form, mut blocks) = if is_new { new_form(source, address)? } else { old_form(&start, address)? };
        let mut messages = Vec::new();
        let mut next = 0;
        while next < blocks.len() {
            let (at, count) = blocks[next];
            let block = source.metadata(at, count)?;
            read_block(&block, form, next > 0, &mut messages, &mut blocks)?;
            next += 1;
            if blocks.len() > MAX_BLOCKS {
                return fault("its header has too many blocks; the file is damaged");
            }
        }
        Ok(Self { messages })
    }

    /// The data of the only message of a kind.
    pub fn message(&self, kind: u16) -> Parsed<Option<&[u8]>> {
        match self.messages.iter().find(|message| message.kind == kind) {
            Some(message) if message.is_shared => fault("shares its type or shape with another object; not read"),
            found => Ok(found.map(|message| message.data.as_slice())),
        }
    }

    /// The data of all messages of a kind.
    pub fn all(&self, kind: u16) -> impl Iterator<Item = &Message> {
        self.messages.iter().filter(move |message| message.kind == kind)
    }
}

/// The first block of a header of version 1.
fn old_form(start: &[u8], address: u64) -> Parsed<(Form, Vec<(u64, u64)>)> {
    let mut bytes = Bytes::new(start, "an object header");
    if bytes.u8()? != 1 {
        return fault("its header is damaged, or of an unknown version");
    }
    bytes.take(7)?;
    let count = u64::from(bytes.u32()?);
    Ok((Form::Old, vec![(address.saturating_add(16), count)]))
}

/// The first block of a header of version 2, without its checksum.
fn new_form(source: &Source, address: u64) -> Parsed<(Form, Vec<(u64, u64)>)> {
    let start = source.metadata(address, 38.min(source.length().saturating_sub(address)))?;
    let mut bytes = Bytes::new(&start, "an object header");
    bytes.expect(b"OHDR")?;
    if bytes.u8()? != 2 {
        return fault("its header is of an unknown version");
    }
    let flags = bytes.u8()?;
    bytes.take(if flags & 0x20 != 0 { 16 } else { 0 })?;
    bytes.take(if flags & 0x10 != 0 { 4 } else { 0 })?;
    let count = bytes.number(1 << (flags & 3))?;
    let at = address + (start.len() - bytes.len()) as u64;
    Ok((Form::New { has_order: flags & 0x04 != 0 }, vec![(at, count)]))
}

fn read_block(
    block: &[u8],
    form: Form,
    is_continued: bool,
    messages: &mut Vec<Message>,
    blocks: &mut Vec<(u64, u64)>,
) -> Parsed<()> {
    let mut bytes = Bytes::new(block, "an object header");
    let prefix = match form {
        Form::Old => 8,
        Form::New { has_order } => 4 + if has_order { 2 } else { 0 },
    };
    let is_new_block = is_continued && matches!(form, Form::New { .. });
    if is_new_block {
        bytes.expect(b"OCHK")?;
    }
    let checksum = if is_new_block { 4 } else { 0 };
    // A gap too short for a message may follow the last one.
    while bytes.len() >= prefix + checksum {
        let message = read_message(&mut bytes, form)?;
        if message.kind == kind::CONTINUATION {
            let mut place = Bytes::new(&message.data, "a continuation");
            blocks.push((place.u64()?, place.u64()?));
        } else if message.kind != 0 {
            messages.push(message);
        }
    }
    Ok(())
}

fn read_message(bytes: &mut Bytes, form: Form) -> Parsed<Message> {
    let kind = match form {
        Form::Old => bytes.u16()?,
        Form::New { .. } => u16::from(bytes.u8()?),
    };
    let count = usize::from(bytes.u16()?);
    let flags = bytes.u8()?;
    match form {
        Form::Old => bytes.take(3)?,
        Form::New { has_order } => bytes.take(if has_order { 2 } else { 0 })?,
    };
    Ok(Message { kind, data: bytes.take(count)?.to_vec(), is_shared: flags & 0x02 != 0 })
}
