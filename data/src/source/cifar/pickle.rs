//! The little of Python's pickles that CIFAR's Python version needs: dicts of text, numbers, lists and one numpy array of
//! bytes. Nothing is executed: a call is kept as a name with its arguments.
//!
//! No library for Rust keeps the arguments of numpy's calls.

use std::collections::HashMap;
use std::ops::Range;

/// A place among the values of a pickle.
type At = usize;
type Result<T> = std::result::Result<T, String>;

#[derive(Clone, Debug)]
enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// Text or bytes, where they lie in the file.
    Bytes(Range<usize>),
    List(Vec<At>),
    Dict(Vec<(At, At)>),
    Global,
    /// What a call made, and what it was filled with.
    Object {
        args: At,
        state: Option<At>,
    },
    /// A mark on the stack.
    Mark,
}

/// A pickle that was read.
pub(super) struct Pickle<'a> {
    bytes: &'a [u8],
    values: Vec<Value>,
    root: At,
}

/// Whether bytes begin as a pickle of protocol 2 or later does.
pub(in crate::source) fn is_pickle(start: &[u8]) -> bool {
    matches!(start, [0x80, 2..=5, ..])
}

impl<'a> Pickle<'a> {
    /// Reads a pickle.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut machine = Machine { bytes, at: 0, values: Vec::new(), stack: Vec::new(), memo: HashMap::new() };
        while machine.step()? {}
        let root = machine.pop()?;
        Ok(Self { bytes, values: machine.values, root })
    }

    /// The value of a key of the outermost dict.
    fn get(&self, key: &str) -> Option<&Value> {
        let Value::Dict(items) = &self.values[self.root] else { return None };
        let found = items.iter().find(|(name, _)| self.text(*name) == Some(key.as_bytes()));
        found.map(|(_, value)| &self.values[*value])
    }

    fn text(&self, at: At) -> Option<&[u8]> {
        match &self.values[at] {
            Value::Bytes(range) => self.bytes.get(range.clone()),
            _ => None,
        }
    }

    /// A list of numbers.
    pub fn numbers(&self, key: &str) -> Option<Vec<i64>> {
        let Value::List(items) = self.get(key)? else { return None };
        let number = |&at: &At| match self.values[at] {
            Value::Int(number) => Some(number),
            _ => None,
        };
        items.iter().map(number).collect()
    }

    /// A list of text.
    pub fn texts(&self, key: &str) -> Option<Vec<String>> {
        let Value::List(items) = self.get(key)? else { return None };
        items.iter().map(|&at| String::from_utf8(self.text(at)?.to_vec()).ok()).collect()
    }

    /// Where an array of bytes of the shape `[n, columns]` lies in the file, by rows, and `n`.
    pub fn array(&self, key: &str, columns: usize) -> Option<(Range<usize>, usize)> {
        let Value::Object { state: Some(state), .. } = self.get(key)? else { return None };
        // Version, shape, type, whether by columns, bytes.
        let Value::List(state) = &self.values[*state] else { return None };
        let [_, shape, kind, by_columns, bytes] = <[At; 5]>::try_from(state.as_slice()).ok()?;
        let Value::List(shape) = &self.values[shape] else { return None };
        let shape: Vec<&Value> = shape.iter().map(|&at| &self.values[at]).collect();
        let [Value::Int(rows), Value::Int(width)] = shape.as_slice() else { return None };
        let rows = usize::try_from(*rows).ok()?;
        let Value::Bytes(range) = &self.values[bytes] else { return None };
        let by_rows = matches!(self.values[by_columns], Value::Bool(false));
        let fits = *width == columns as i64 && rows.checked_mul(columns)? == range.len();
        (by_rows && fits && self.is_bytes(kind)).then(|| (range.clone(), rows))
    }

    /// Whether a numpy type is one of unsigned bytes.
    fn is_bytes(&self, kind: At) -> bool {
        let Value::Object { args, .. } = self.values[kind] else { return false };
        let Value::List(args) = &self.values[args] else { return false };
        args.first().and_then(|&at| self.text(at)).is_some_and(|name| matches!(name, b"u1" | b"|u1"))
    }
}

/// Python's stack machine.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<At>,
    memo: HashMap<u32, At>,
}

impl Machine<'_> {
    /// One instruction; false at the end.
    fn step(&mut self) -> Result<bool> {
        let code = self.take(1)?.start;
        match self.bytes[code] {
            b'.' => return Ok(false),
            0x80 => self.skip(1)?,
            0x95 => self.skip(8)?,
            b'(' => self.push(Value::Mark),
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'}' => self.push(Value::Dict(Vec::new())),
            b']' | b')' => self.push(Value::List(Vec::new())),
            b'K' => self.unsigned(1)?,
            b'M' => self.unsigned(2)?,
            b'J' => {
                let range = self.take(4)?;
                let number = i32::from_le_bytes(self.bytes[range].try_into().unwrap_or_default());
                self.push(Value::Int(number.into()));
            }
            b'G' => {
                self.skip(8)?;
                self.push(Value::None);
            }
            b'U' | b'C' | 0x8c => self.sized(1)?,
            b'T' | b'B' | b'X' => self.sized(4)?,
            b'c' => {
                self.line()?;
                self.line()?;
                self.push(Value::Global);
            }
            0x93 => {
                self.pop()?;
                self.pop()?;
                self.push(Value::Global);
            }
            _ => self.compose(code)?,
        }
        Ok(true)
    }

    /// An instruction that makes a value of others.
    fn compose(&mut self, code: usize) -> Result<()> {
        match self.bytes[code] {
            b'q' => self.remember(1)?,
            b'r' => self.remember(4)?,
            0x94 => {
                let top = self.top()?;
                self.memo.insert(self.memo.len() as u32, top);
            }
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            0x85..=0x87 => {
                let count = usize::from(self.bytes[code] - 0x84);
                let from = self.stack.len().checked_sub(count).ok_or_else(|| self.wrong())?;
                let items = self.stack.split_off(from);
                self.push(Value::List(items));
            }
            b't' => {
                let items = self.since_mark()?;
                self.push(Value::List(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.extend(items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.insert(&[key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.insert(&items)?;
            }
            b'R' => {
                let args = self.pop()?;
                self.pop()?;
                self.push(Value::Object { args, state: None });
            }
            b'b' => {
                let filled = self.pop()?;
                let top = self.top()?;
                match &mut self.values[top] {
                    Value::Object { state, .. } => *state = Some(filled),
                    _ => return Err(self.wrong()),
                }
            }
            other => {
                return Err(format!("the instruction {other:#04x} at offset {code}, which CIFAR's files do not have"));
            }
        }
        Ok(())
    }

    fn wrong(&self) -> String {
        format!("damaged at offset {}", self.at)
    }

    fn take(&mut self, count: usize) -> Result<Range<usize>> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| format!("cut short at offset {}", self.bytes.len()))?;
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }

    fn skip(&mut self, count: usize) -> Result<()> {
        self.take(count).map(|_| ())
    }

    fn number(&mut self, count: usize) -> Result<u32> {
        let range = self.take(count)?;
        Ok(self.bytes[range].iter().rev().fold(0, |n, &b| n << 8 | u32::from(b)))
    }

    fn unsigned(&mut self, count: usize) -> Result<()> {
        let number = self.number(count)?;
        self.push(Value::Int(number.into()));
        Ok(())
    }

    fn sized(&mut self, count: usize) -> Result<()> {
        let length = self.number(count)?;
        let range = self.take(length as usize)?;
        self.push(Value::Bytes(range));
        Ok(())
    }

    fn line(&mut self) -> Result<()> {
        let length = self.bytes[self.at..].iter().position(|&b| b == b'\n').ok_or_else(|| self.wrong())?;
        self.skip(length + 1)
    }

    fn push(&mut self, value: Value) {
        self.values.push(value);
        self.stack.push(self.values.len() - 1);
    }

    fn top(&self) -> Result<At> {
        self.stack.last().copied().ok_or_else(|| self.wrong())
    }

    fn pop(&mut self) -> Result<At> {
        self.stack.pop().ok_or_else(|| self.wrong())
    }

    /// What was pushed since the last mark.
    fn since_mark(&mut self) -> Result<Vec<At>> {
        let mark = self.stack.iter().rposition(|&at| matches!(self.values[at], Value::Mark));
        let items = self.stack.split_off(mark.ok_or_else(|| self.wrong())?);
        Ok(items[1..].to_vec())
    }

    fn extend(&mut self, items: Vec<At>) -> Result<()> {
        let top = self.top()?;
        match &mut self.values[top] {
            Value::List(list) => list.extend(items),
            _ => return Err(self.wrong()),
        }
        Ok(())
    }

    fn insert(&mut self, items: &[At]) -> Result<()> {
        let top = self.top()?;
        match &mut self.values[top] {
            Value::Dict(dict) => dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            _ => return Err(self.wrong()),
        }
        Ok(())
    }

    fn remember(&mut self, count: usize) -> Result<()> {
        let key = self.number(count)?;
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, count: usize) -> Result<()> {
        let key = self.number(count)?;
        let at = *self.memo.get(&key).ok_or_else(|| self.wrong())?;
        self.stack.push(at);
        Ok(())
    }
}
