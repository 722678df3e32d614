//! The values of a pickle.

use std::rc::Rc;

use super::{Dtype, Global};

/// The number of a value.
pub type Id = usize;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    None,
    Bool(bool),
    Int(i128),
    Text(Rc<str>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// A dictionary of any kind, in the order of its entries.
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Rc<StorageRef>),
    Tensor(Rc<TensorRef>),
    /// A value that is not interpreted, with the name of the class or function that made it.
    Opaque(Rc<str>),
}

/// A place of numbers in the file.
#[derive(Debug, PartialEq)]
pub struct StorageRef {
    /// Its name in the file.
    pub key: Rc<str>,
    /// The type of its numbers; of a byte if they have none.
    pub dtype: Dtype,
    /// The number of its numbers.
    pub len: u64,
}

/// A tensor: a part of a storage.
#[derive(Debug, PartialEq)]
pub struct TensorRef {
    /// Its storage.
    pub storage: Rc<StorageRef>,
    /// The type of its numbers.
    pub dtype: Dtype,
    /// The first number, counted in numbers.
    pub offset: u64,
    /// Lengths of the axes.
    pub shape: Vec<u64>,
    /// The distance of neighbours along each axis, in numbers.
    pub strides: Vec<u64>,
}

/// All values of a pickle.
#[derive(Debug)]
pub struct Pickle {
    /// The values.
    pub nodes: Vec<Node>,
    /// The value that was pickled.
    pub root: Id,
}

impl Pickle {
    /// The value of a number.
    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// The text of a number, if it is one.
    pub fn text(&self, id: Id) -> Option<&str> {
        match &self.nodes[id] {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a dictionary's last entry of this name, as Python takes it.
    pub fn entry(&self, dict: Id, name: &str) -> Option<Id> {
        let Node::Dict(entries) = &self.nodes[dict] else { return None };
        entries.iter().rev().find(|(key, _)| self.text(*key) == Some(name)).map(|(_, value)| *value)
    }
}
