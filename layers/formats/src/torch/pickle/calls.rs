//! The few functions that a pickle may call.

use std::rc::Rc;

use super::machine::Machine;
use super::{Dtype, Global, Id, MAX_RANK, Node, StorageRef, TensorRef};
use crate::error::Fault;

impl Machine {
    /// Pushes what a function or a class gives for its arguments.
    pub fn push_result(&mut self, function: Id, arguments: Id) -> Result<(), Fault> {
        let Node::Tuple(arguments) = &self.nodes[arguments] else {
            return Err("calls a function in its pickle without a tuple of arguments; it is damaged".into());
        };
        let first = arguments.first().copied();
        match &self.nodes[function] {
            Node::Global(Global::RebuildTensor) => {
                let tensor = self.tensor(arguments, None)?;
                self.push_node(tensor)
            }
            Node::Global(Global::RebuildTensorOfType) => {
                let tensor = self.tensor_of_type(arguments)?;
                self.push_node(tensor)
            }
            Node::Global(Global::FirstArgument) => match first {
                Some(first) => self.push(first),
                None => Err("rebuilds a parameter of nothing in its pickle; it is damaged".into()),
            },
            Node::Global(Global::RebuildFromType) => match *arguments.as_slice() {
                [function, _, arguments, ..] => self.push_rebuilt(function, arguments),
                _ => Err("rebuilds a tensor of nothing in its pickle; it is damaged".into()),
            },
            Node::Global(Global::Dict) => {
                let entries = self.entries(first)?;
                self.spend(entries.len())?;
                self.push_node(Node::Dict(entries))
            }
            Node::Global(Global::Other(name)) | Node::Opaque(name) => {
                let name = name.clone();
                self.push_node(Node::Opaque(name))
            }
            _ => self.push_node(Node::Opaque("a value".into())),
        }
    }

    /// The tensor that the function of `_rebuild_from_type_v2` rebuilds. It must not be itself, so that no pickle nests
    /// calls.
    fn push_rebuilt(&mut self, function: Id, arguments: Id) -> Result<(), Fault> {
        match &self.nodes[function] {
            Node::Global(Global::RebuildFromType) => {
                Err("rebuilds a tensor in its pickle by itself; it is damaged".into())
            }
            _ => self.push_result(function, arguments),
        }
    }

    /// The entries of a dictionary that is made from a list of pairs.
    fn entries(&self, pairs: Option<Id>) -> Result<Vec<(Id, Id)>, Fault> {
        let Some(Node::List(pairs)) = pairs.map(|id| &self.nodes[id]) else { return Ok(Vec::new()) };
        let pair = |&id: &Id| match &self.nodes[id] {
            Node::Tuple(pair) | Node::List(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
            _ => Err("makes a dictionary in its pickle of something other than pairs; it is damaged".into()),
        };
        pairs.iter().map(pair).collect()
    }

    /// The storage that a persistent identifier names: `("storage", class, key, device, length)`.
    pub fn storage(&self, id: Id) -> Result<Node, Fault> {
        let what = "has a storage in its pickle that is not described as PyTorch does; it is damaged, get it again";
        let Node::Tuple(parts) = &self.nodes[id] else { return Err(what.into()) };
        let &[kind, class, key, _, len, ref view @ ..] = parts.as_slice() else { return Err(what.into()) };
        let (Node::Text(kind), Node::Text(key), Node::Int(len)) =
            (&self.nodes[kind], &self.nodes[key], &self.nodes[len])
        else {
            return Err(what.into());
        };
        if view.iter().any(|&id| self.nodes[id] != Node::None) {
            let what =
                "has a storage that is a view of another, as PyTorch before 0.4 wrote; save it again with a newer";
            return Err(what.into());
        }
        let dtype = match &self.nodes[class] {
            Node::Global(Global::Storage(dtype)) => *dtype,
            Node::Global(Global::Other(name)) => {
                return Err(format!("has a storage of the unknown class {name} in its pickle").into());
            }
            _ => return Err(what.into()),
        };
        let len = u64::try_from(*len).ok().filter(|_| &**kind == "storage").ok_or(what)?;
        Ok(Node::Storage(Rc::new(StorageRef { key: key.clone(), dtype, len })))
    }

    fn tensor_of_type(&self, arguments: &[Id]) -> Result<Node, Fault> {
        let dtype = arguments.get(6).map(|&id| &self.nodes[id]);
        let Some(Node::Global(Global::Dtype(dtype))) = dtype else {
            return Err("has a tensor of an unknown type of numbers in its pickle".into());
        };
        self.tensor(arguments, Some(*dtype))
    }

    /// A tensor of `(storage, offset, shape, strides, ..)`.
    fn tensor(&self, arguments: &[Id], dtype: Option<Dtype>) -> Result<Node, Fault> {
        let what = "has a tensor in its pickle that is not described as PyTorch does; it is damaged, get it again";
        let &[storage, offset, shape, strides, ..] = arguments else { return Err(what.into()) };
        let Node::Storage(storage) = &self.nodes[storage] else { return Err(what.into()) };
        let Node::Int(offset) = &self.nodes[offset] else { return Err(what.into()) };
        let offset = u64::try_from(*offset).map_err(|_| what)?;
        let shape = self.lengths(shape)?;
        let strides = self.lengths(strides)?;
        if shape.len() != strides.len() {
            return Err(what.into());
        }
        let storage = storage.clone();
        let dtype = dtype.unwrap_or(storage.dtype);
        Ok(Node::Tensor(Rc::new(TensorRef { storage, dtype, offset, shape, strides })))
    }

    /// Lengths or strides of at most [`MAX_RANK`] axes.
    fn lengths(&self, id: Id) -> Result<Vec<u64>, Fault> {
        let (Node::Tuple(axes) | Node::List(axes)) = &self.nodes[id] else {
            return Err("has a tensor in its pickle whose shape is no tuple; it is damaged, get it again".into());
        };
        if axes.len() > MAX_RANK {
            return Err(format!("has a tensor of {} axes; at most {MAX_RANK} are read", axes.len()).into());
        }
        let length = |&id: &Id| match &self.nodes[id] {
            Node::Int(length) => u64::try_from(*length).ok(),
            _ => None,
        };
        let lengths: Option<Vec<u64>> = axes.iter().map(length).collect();
        lengths.ok_or_else(|| "has a tensor in its pickle whose shape is not of whole numbers; it is damaged".into())
    }
}
