//! The subset of Python's pickle format that CIFAR needs: dicts of text, numbers, lists and one numpy array of bytes.
//! Nothing is executed: a call is kept as its arguments.
//!
//! No Rust library keeps the arguments of numpy's calls.

use std::collections::HashMap;
use std::ops::Range;

/// Index of a value of a pickle.
type ValueId = usize;
type Result<T> = std::result::Result<T, String>;

#[derive(Clone, Debug)]
enum PickleValue {
    None,
    Bool(bool),
    Int(i64),
    /// Text or bytes, as a range of the file.
    Bytes(Range<usize>),
    List(Vec<ValueId>),
    Dict(Vec<(ValueId, ValueId)>),
    Global,
    /// Result of a call, and the state set on it.
    Object {
        args: ValueId,
        state: Option<ValueId>,
    },
    /// A mark on the stack.
    Mark,
}

/// A parsed pickle.
pub(super) struct Pickle<'a> {
    bytes: &'a [u8],
    values: Vec<PickleValue>,
    root: ValueId,
}

/// Whether bytes start like a pickle of protocol 2 or later.
pub(in crate::source) fn is_pickle(start: &[u8]) -> bool {
    matches!(start, [0x80, 2..=5, ..])
}

impl<'a> Pickle<'a> {
    /// Parses a pickle.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut machine = Unpickler { bytes, at: 0, values: Vec::new(), stack: Vec::new(), memo: HashMap::new() };
        while machine.step()? {}
        let root = machine.pop()?;
        Ok(Self { bytes, values: machine.values, root })
    }

    /// Value of a key of the outermost dict.
    fn get(&self, key: &str) -> Option<&PickleValue> {
        let PickleValue::Dict(items) = &self.values[self.root] else { return None };
        let found = items.iter().find(|(name, _)| self.text(*name) == Some(key.as_bytes()));
        found.map(|(_, value)| &self.values[*value])
    }

    fn text(&self, at: ValueId) -> Option<&[u8]> {
        match &self.values[at] {
            PickleValue::Bytes(range) => self.bytes.get(range.clone()),
            _ => None,
        }
    }

    /// Reads a list of numbers.
    pub fn numbers(&self, key: &str) -> Option<Vec<i64>> {
        let PickleValue::List(items) = self.get(key)? else { return None };
        let number = |&at: &ValueId| match self.values[at] {
            PickleValue::Int(number) => Some(number),
            _ => None,
        };
        items.iter().map(number).collect()
    }

    /// Reads a list of strings.
    pub fn strings(&self, key: &str) -> Option<Vec<String>> {
        let PickleValue::List(items) = self.get(key)? else { return None };
        items.iter().map(|&at| String::from_utf8(self.text(at)?.to_vec()).ok()).collect()
    }

    /// File range of a row-major byte array of the shape `[n, columns]`, and `n`.
    pub fn array(&self, key: &str, columns: usize) -> Option<(Range<usize>, usize)> {
        let PickleValue::Object { state: Some(state), .. } = self.get(key)? else { return None };
        // Version, shape, type, column-major flag, bytes.
        let PickleValue::List(state) = &self.values[*state] else { return None };
        let [_, shape, kind, is_column_major, bytes] = <[ValueId; 5]>::try_from(state.as_slice()).ok()?;
        let PickleValue::List(shape) = &self.values[shape] else { return None };
        let shape: Vec<&PickleValue> = shape.iter().map(|&at| &self.values[at]).collect();
        let [PickleValue::Int(rows), PickleValue::Int(width)] = shape.as_slice() else { return None };
        let rows = usize::try_from(*rows).ok()?;
        let PickleValue::Bytes(range) = &self.values[bytes] else { return None };
        let is_row_major = matches!(self.values[is_column_major], PickleValue::Bool(false));
        let fits = *width == columns as i64 && rows.checked_mul(columns)? == range.len();
        (is_row_major && fits && self.is_bytes(kind)).then(|| (range.clone(), rows))
    }

    /// Whether a numpy type is unsigned bytes.
    fn is_bytes(&self, kind: ValueId) -> bool {
        let PickleValue::Object { args, .. } = self.values[kind] else { return false };
        let PickleValue::List(args) = &self.values[args] else { return false };
        args.first().and_then(|&at| self.text(at)).is_some_and(|name| matches!(name, b"u1" | b"|u1"))
    }
}

/// Python's pickle machine.
struct Unpickler<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<PickleValue>,
    stack: Vec<ValueId>,
    memo: HashMap<u32, ValueId>,
}

impl Unpickler<'_> {
    /// Executes an instruction; false at the end.
    fn step(&mut self) -> Result<bool> {
        let code = self.take(1)?.start;
        match self.bytes[code] {
            b'.' => return Ok(false),
            0x80 => self.skip(1)?,
            0x95 => self.skip(8)?,
            b'(' => self.push(PickleValue::Mark),
            b'N' => self.push(PickleValue::None),
            0x88 => self.push(PickleValue::Bool(true)),
            0x89 => self.push(PickleValue::Bool(false)),
            b'}' => self.push(PickleValue::Dict(Vec::new())),
            b']' | b')' => self.push(PickleValue::List(Vec::new())),
            b'K' => self.push_int(1)?,
            b'M' => self.push_int(2)?,
            b'J' => {
                let range = self.take(4)?;
                let number = i32::from_le_bytes(self.bytes[range].try_into().unwrap_or_default());
                self.push(PickleValue::Int(number.into()));
            }
            b'G' => {
                self.skip(8)?;
                self.push(PickleValue::None);
            }
            b'U' | b'C' | 0x8c => self.push_bytes(1)?,
            b'T' | b'B' | b'X' => self.push_bytes(4)?,
            b'c' => {
                self.skip_line()?;
                self.skip_line()?;
                self.push(PickleValue::Global);
            }
            0x93 => {
                self.pop()?;
                self.pop()?;
                self.push(PickleValue::Global);
            }
            _ => self.combine(code)?,
        }
        Ok(true)
    }

    /// Executes an instruction that combines values.
    fn combine(&mut self, code: usize) -> Result<()> {
        match self.bytes[code] {
            b'q' => self.memo_put(1)?,
            b'r' => self.memo_put(4)?,
            0x94 => {
                let top = self.top()?;
                self.memo.insert(self.memo.len() as u32, top);
            }
            b'h' => self.memo_get(1)?,
            b'j' => self.memo_get(4)?,
            0x85..=0x87 => {
                let count = usize::from(self.bytes[code] - 0x84);
                let from = self.stack.len().checked_sub(count).ok_or_else(|| self.damaged())?;
                let items = self.stack.split_off(from);
                self.push(PickleValue::List(items));
            }
            b't' => {
                let items = self.since_mark()?;
                self.push(PickleValue::List(items));
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
                self.push(PickleValue::Object { args, state: None });
            }
            b'b' => {
                let filled = self.pop()?;
                let top = self.top()?;
                match &mut self.values[top] {
                    PickleValue::Object { state, .. } => *state = Some(filled),
                    _ => return Err(self.damaged()),
                }
            }
            other => {
                return Err(format!("the instruction {other:#04x} at offset {code}, which CIFAR's files do not have"));
            }
        }
        Ok(())
    }

    fn damaged(&self) -> String {
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

    fn push_int(&mut self, count: usize) -> Result<()> {
        let number = self.number(count)?;
        self.push(PickleValue::Int(number.into()));
        Ok(())
    }

    fn push_bytes(&mut self, count: usize) -> Result<()> {
        let length = self.number(count)?;
        let range = self.take(length as usize)?;
        self.push(PickleValue::Bytes(range));
        Ok(())
    }

    fn skip_line(&mut self) -> Result<()> {
        let length = self.bytes[self.at..].iter().position(|&b| b == b'\n').ok_or_else(|| self.damaged())?;
        self.skip(length + 1)
    }

    fn push(&mut self, value: PickleValue) {
        self.values.push(value);
        self.stack.push(self.values.len() - 1);
    }

    fn top(&self) -> Result<ValueId> {
        self.stack.last().copied().ok_or_else(|| self.damaged())
    }

    fn pop(&mut self) -> Result<ValueId> {
        self.stack.pop().ok_or_else(|| self.damaged())
    }

    /// Values pushed since the last mark.
    fn since_mark(&mut self) -> Result<Vec<ValueId>> {
        let mark = self.stack.iter().rposition(|&at| matches!(self.values[at], PickleValue::Mark));
        let items = self.stack.split_off(mark.ok_or_else(|| self.damaged())?);
        Ok(items[1..].to_vec())
    }

    fn extend(&mut self, items: Vec<ValueId>) -> Result<()> {
        let top = self.top()?;
        match &mut self.values[top] {
            PickleValue::List(list) => list.extend(items),
            _ => return Err(self.damaged()),
        }
        Ok(())
    }

    fn insert(&mut self, items: &[ValueId]) -> Result<()> {
        let top = self.top()?;
        match &mut self.values[top] {
            PickleValue::Dict(dict) => dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            _ => return Err(self.damaged()),
        }
        Ok(())
    }

    fn memo_put(&mut self, count: usize) -> Result<()> {
        let key = self.number(count)?;
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn memo_get(&mut self, count: usize) -> Result<()> {
        let key = self.number(count)?;
        let at = *self.memo.get(&key).ok_or_else(|| self.damaged())?;
        self.stack.push(at);
        Ok(())
    }
}
