//! Counting integers.

use crate::{Alloc, Backend, Handle, IntTensor, Operation, Result};

/// The number of values that are at least `threshold`. Operand: x. Output: one integer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CountGe {
    /// Number of values.
    pub len: usize,
    /// The smallest value counted.
    pub threshold: u32,
}

impl Operation for CountGe {
    type In<'a, F: Handle, I: Handle> = ([&'a F; 0], [&'a I; 1]);
    type Out<F: Handle, I: Handle> = ([F; 0], [I; 1]);

    fn name(&self) -> &'static str {
        "count"
    }

    fn outputs<F: Handle, I: Handle>(&self, _: &Self::In<'_, F, I>, new: &dyn Alloc<F, I>) -> Result<Self::Out<F, I>> {
        Ok(([], [new.ints(1)?]))
    }

    fn reborrow<'s, 'a: 's, F: Handle, I: Handle>(operands: &'s mut Self::In<'a, F, I>) -> Self::In<'s, F, I> {
        *operands
    }
}

impl<B: Backend> IntTensor<B> {
    /// The number of values that are at least `threshold`, as one value on the device. For ranks of labels and a threshold
    /// of k, it is the number of top-k errors.
    pub fn count_ge(&self, threshold: u32) -> Result<Self> {
        let op = CountGe { len: self.len(), threshold };
        let (_, [count]) = self.device().run(&op, ([], [&self.data]))?;
        Ok(Self::from_parts(self.device().clone(), 1, count))
    }
}
