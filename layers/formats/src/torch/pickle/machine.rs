//! The machine that reads a pickle.

use std::collections::HashMap;
use std::io::Read;
use std::rc::Rc;

use super::{Global, Id, MAX_ITEMS, Node, Pickle, Source};
use crate::error::Fault;

/// Reads one pickle, to its end and no further.
pub fn unpickle(mut source: Source<'_, impl Read>) -> Result<Pickle, Fault> {
    let mut machine = Machine::default();
    loop {
        let opcode = source.byte()?;
        if opcode == b'.' {
            let root = machine.pop()?;
            return Ok(Pickle { nodes: machine.nodes, root });
        }
        machine.step(opcode, &mut source)?;
    }
}

/// The state of the machine.
#[derive(Default)]
pub(super) struct Machine {
    pub nodes: Vec<Node>,
    stack: Vec<Id>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    items: usize,
}

impl Machine {
    fn step(&mut self, opcode: u8, source: &mut Source<'_, impl Read>) -> Result<(), Fault> {
        if self.frame(opcode, source)? || self.scalar(opcode, source)? || self.bytes(opcode, source)? {
            return Ok(());
        }
        if self.container(opcode)? || self.stack_or_memo(opcode, source)? || self.call(opcode, source)? {
            return Ok(());
        }
        Err(format!(
            "has the opcode 0x{opcode:02x} in its pickle, which no weights file of PyTorch has; it is damaged, or made by \
             another program"
        )
        .into())
    }

    /// The version and the lengths of frames, which say nothing.
    fn frame(&mut self, opcode: u8, source: &mut Source<'_, impl Read>) -> Result<bool, Fault> {
        match opcode {
            b'\x80' => match source.byte()? {
                0..=5 => {}
                version => return Err(format!("has a pickle of version {version}; versions up to 5 are read").into()),
            },
            b'\x95' => drop(source.array::<8>()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn scalar(&mut self, opcode: u8, source: &mut Source<'_, impl Read>) -> Result<bool, Fault> {
        let node = match opcode {
            b'N' => Node::None,
            b'\x88' => Node::Bool(true),
            b'\x89' => Node::Bool(false),
            b'K' => Node::Int(source.byte()?.into()),
            b'M' => Node::Int(u16::from_le_bytes(source.array()?).into()),
            b'J' => Node::Int(i32::from_le_bytes(source.array()?).into()),
            b'\x8a' => {
                let length = source.byte()?.into();
                whole_number(&source.bytes(length)?)
            }
            b'\x8b' => {
                let length = u32::from_le_bytes(source.array()?).into();
                whole_number(&source.bytes(length)?)
            }
            b'G' => {
                source.array::<8>()?;
                Node::Opaque("float".into())
            }
            _ => return Ok(false),
        };
        self.push_node(node)?;
        Ok(true)
    }

    /// Texts, and bytes, which are not kept.
    fn bytes(&mut self, opcode: u8, source: &mut Source<'_, impl Read>) -> Result<bool, Fault> {
        let length: u64 = match opcode {
            b'U' | b'C' | b'\x8c' => source.byte()?.into(),
            b'T' | b'B' | b'X' => u32::from_le_bytes(source.array()?).into(),
            b'\x8d' | b'\x8e' | b'\x96' => u64::from_le_bytes(source.array()?),
            _ => return Ok(false),
        };
        let bytes = source.bytes(length)?;
        let node = match opcode {
            b'X' | b'\x8c' | b'\x8d' => {
                let text = String::from_utf8(bytes).map_err(|_| "has a text in its pickle that is not UTF-8")?;
                Node::Text(text.into())
            }
            // Python 2 wrote names as strings of bytes.
            b'U' | b'T' => match String::from_utf8(bytes) {
                Ok(text) => Node::Text(text.into()),
                Err(_) => Node::Opaque("bytes".into()),
            },
            _ => Node::Opaque("bytes".into()),
        };
        self.push_node(node)?;
        Ok(true)
    }

    fn container(&mut self, opcode: u8) -> Result<bool, Fault> {
        match opcode {
            b')' => self.push_node(Node::Tuple(Vec::new()))?,
            b']' => self.push_node(Node::List(Vec::new()))?,
            b'}' => self.push_node(Node::Dict(Vec::new()))?,
            b'\x8f' => self.push_node(Node::Opaque("set".into()))?,
            b'\x85'..=b'\x87' => {
                let items = self.pop_many(usize::from(opcode - b'\x84'))?;
                self.push_node(Node::Tuple(items))?;
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.push_node(Node::Tuple(items))?;
            }
            b'l' => {
                let items = self.pop_to_mark()?;
                self.push_node(Node::List(items))?;
            }
            b'd' => {
                let items = self.pop_to_mark()?;
                self.push_node(Node::Dict(Vec::new()))?;
                self.set_items(&items)?;
            }
            b'\x91' => {
                self.pop_to_mark()?;
                self.push_node(Node::Opaque("frozenset".into()))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' | b'\x90' => {
                let items = self.pop_to_mark()?;
                self.append(&items)?;
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.set_items(&items)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set_items(&items)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn stack_or_memo(&mut self, opcode: u8, source: &mut Source<'_, impl Read>) -> Result<bool, Fault> {
        match opcode {
            b'(' => {
                self.spend(1)?;
                self.marks.push(self.stack.len());
            }
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let top = self.top()?;
                self.push(top)?;
            }
            b'q' => {
                let place = source.byte()?.into();
                self.remember(place)?;
            }
            b'r' => {
                let place = u32::from_le_bytes(source.array()?);
                self.remember(place)?;
            }
            b'\x94' => self.remember(self.memo.len() as u32)?,
            b'h' => {
                let place = source.byte()?.into();
                self.recall(place)?;
            }
            b'j' => {
                let place = u32::from_le_bytes(source.array()?);
                self.recall(place)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn call(&mut self, opcode: u8, source: &mut Source<'_, impl Read>) -> Result<bool, Fault> {
        match opcode {
            b'c' => {
                let module = source.line()?;
                let name = source.line()?;
                self.push_node(Node::Global(Global::of(&module, &name)))?;
            }
            b'\x93' => {
                let name = self.pop()?;
                let module = self.pop()?;
                let (Node::Text(module), Node::Text(name)) = (&self.nodes[module], &self.nodes[name]) else {
                    return Err("names a class in its pickle by something that is no text".into());
                };
                let global = Global::of(module, name);
                self.push_node(Node::Global(global))?;
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push_node(storage)?;
            }
            b'R' | b'\x81' => {
                let arguments = self.pop()?;
                let function = self.pop()?;
                self.push_result(function, arguments)?;
            }
            b'\x92' => {
                self.pop()?;
                let arguments = self.pop()?;
                let class = self.pop()?;
                self.push_result(class, arguments)?;
            }
            // The state of an object is not needed: that of an ordered dictionary is its version.
            b'b' => {
                self.pop()?;
                self.top()?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Counts values, entries and memories.
    pub fn spend(&mut self, count: usize) -> Result<(), Fault> {
        self.items += count;
        match self.items {
            0..=MAX_ITEMS => Ok(()),
            _ => Err(format!("has more than {MAX_ITEMS} values in its pickle; it is no weights file").into()),
        }
    }

    pub fn push(&mut self, id: Id) -> Result<(), Fault> {
        self.spend(1)?;
        self.stack.push(id);
        Ok(())
    }

    pub fn push_node(&mut self, node: Node) -> Result<(), Fault> {
        self.nodes.push(node);
        self.push(self.nodes.len() - 1)
    }

    /// The height below which an operation may not reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, Fault> {
        match self.stack.last() {
            Some(&top) if self.stack.len() > self.floor() => Ok(top),
            _ => Err("has a pickle that takes a value where there is none; it is damaged, get it again".into()),
        }
    }

    fn pop(&mut self) -> Result<Id, Fault> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, Fault> {
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        Ok(items)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, Fault> {
        let mark = self.marks.pop().ok_or("has a pickle without a mark where one is needed; it is damaged")?;
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, place: u32) -> Result<(), Fault> {
        self.spend(1)?;
        let top = self.top()?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Result<(), Fault> {
        let id = self.memo.get(&place).copied();
        self.push(id.ok_or("has a pickle that recalls what it has not remembered; it is damaged, get it again")?)
    }

    /// Appends to the list on top of the stack; other lists are not kept.
    fn append(&mut self, items: &[Id]) -> Result<(), Fault> {
        self.spend(items.len())?;
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::List(list) => list.extend_from_slice(items),
            Node::Opaque(_) => {}
            _ => return Err("appends to something in its pickle that is no list; it is damaged".into()),
        }
        Ok(())
    }

    /// Sets entries of the dictionary on top of the stack: keys and values in turn.
    fn set_items(&mut self, items: &[Id]) -> Result<(), Fault> {
        self.spend(items.len())?;
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err("has a key without a value in its pickle; it is damaged, get it again".into());
        };
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::Dict(entries) => entries.extend(pairs.iter().map(|[key, value]| (*key, *value))),
            Node::Opaque(_) => {}
            _ => return Err("sets entries of something in its pickle that is no dictionary; it is damaged".into()),
        }
        Ok(())
    }
}

/// A whole number in two's complement, little-endian.
fn whole_number(bytes: &[u8]) -> Node {
    let Some(&last) = bytes.last() else { return Node::Int(0) };
    if bytes.len() > 16 {
        return Node::Opaque(Rc::from("a whole number of more than 128 bits"));
    }
    let fill = if last & 0x80 == 0 { 0 } else { 0xff };
    let mut wide = [fill; 16];
    wide[..bytes.len()].copy_from_slice(bytes);
    Node::Int(i128::from_le_bytes(wide))
}
