//! A reader of pickles that runs nothing.
//!
//! A pickle is a program for a machine with a stack. This machine knows the operations that PyTorch writes, and of the
//! functions that a pickle may name those that build tensors and ordered dictionaries. Every other name and every call
//! of it is an [`Opaque`](Node::Opaque) value: it is carried along and never looked into.
//!
//! Values are in one list and refer to each other by number, so that neither cycles nor nesting cost anything.
//! [`MAX_ITEMS`] bounds the values, [`Source`] the bytes.

mod calls;
mod global;
mod machine;
mod node;
mod source;

pub use global::{Dtype, Global};
pub use machine::unpickle;
pub use node::{Id, Node, Pickle, StorageRef, TensorRef};
pub use source::Source;

/// The most values, entries and memories of one pickle. A checkpoint of a thousand layers has some ten thousand.
const MAX_ITEMS: usize = 1 << 20;

/// The most axes of a tensor.
const MAX_RANK: usize = 8;
