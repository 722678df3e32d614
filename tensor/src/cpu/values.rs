//! Values of tensors as slices, for loops of your own.

use ndarray::{ArrayViewD, ArrayViewMutD, IxDyn};
use rayon::prelude::*;

use super::{Buffer, Cpu};
use crate::{Element, Error, IntTensor, Result, Tensor};

/// The number of values in one task.
const CHUNK: usize = 1 << 14;

impl<E: Element> Tensor<Cpu<E>> {
    /// The values in row-major order, without a copy. Of activations in `bf16`: a copy in `f32`, made at the first call.
    ///
    /// ```
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let x = Tensor::full(&Cpu::<f32>::new(1)?, &[2, 2], 1.5)?;
    /// assert_eq!(x.as_slice().iter().sum::<f32>(), 6.0);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    pub fn as_slice(&self) -> &[E] {
        self.buffer().as_slice()
    }

    /// The values in row-major order, for writing. Values that a clone shares are copied first, so that it does not
    /// change.
    ///
    /// ```
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let mut x = Tensor::zeros(&Cpu::<f32>::new(1)?, &[3])?;
    /// let before = x.clone();
    /// x.as_mut_slice()?[1] = 2.0;
    /// assert_eq!(x.to_vec()?, [0.0, 2.0, 0.0]);
    /// assert_eq!(before.to_vec()?, [0.0; 3]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough for the copy.
    pub fn as_mut_slice(&mut self) -> Result<&mut [E]> {
        self.data.make_mut()
    }

    /// The values as an array, without a copy.
    pub fn view(&self) -> ArrayViewD<'_, E> {
        ArrayViewD::from_shape(IxDyn(self.shape()), self.as_slice()).expect("a buffer is as long as its shape says")
    }

    /// The values as an array, for writing; copied first where a clone shares them.
    ///
    /// ```
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let mut x = Tensor::zeros(&Cpu::<f32>::new(1)?, &[2, 2])?;
    /// x.view_mut()?[[1, 0]] = 5.0;
    /// assert_eq!(x.to_vec()?, [0.0, 0.0, 5.0, 0.0]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough for the copy.
    pub fn view_mut(&mut self) -> Result<ArrayViewMutD<'_, E>> {
        let shape = IxDyn(self.shape());
        let values = self.data.make_mut()?;
        Ok(ArrayViewMutD::from_shape(shape, values).expect("a buffer is as long as its shape says"))
    }

    /// `f` of each value, on the threads of the device.
    ///
    /// ```
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let x = Tensor::from_slice(&Cpu::<f32>::new(2)?, &[3], &[-1.0, 0.0, 4.0])?;
    /// assert_eq!(x.map(|v| v.max(0.0).sqrt())?.to_vec()?, [0.0, 0.0, 2.0]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough for the result.
    pub fn map(&self, f: impl Fn(E) -> E + Sync) -> Result<Self> {
        Ok(self.with_data(self.device().map(self.buffer(), f)?))
    }

    /// `f` of each pair of values of two tensors of one shape, on the threads of the device.
    ///
    /// ```
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let cpu = Cpu::<f32>::new(2)?;
    /// let x = Tensor::from_slice(&cpu, &[2], &[3.0, 1.0])?;
    /// let y = Tensor::from_slice(&cpu, &[2], &[4.0, 0.0])?;
    /// assert_eq!(x.zip_map(&y, f32::hypot)?.to_vec()?, [5.0, 1.0]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for different shapes, [`Error::Memory`] if there is not enough for the result.
    pub fn zip_map(&self, other: &Self, f: impl Fn(E, E) -> E + Sync) -> Result<Self> {
        self.same_shape("zip_map", other)?;
        Ok(self.with_data(self.device().zip_map(self.buffer(), other.buffer(), f)?))
    }
}

/// Equal shapes and values, whatever the devices. NaN equals nothing.
impl<E: Element> PartialEq for Tensor<Cpu<E>> {
    fn eq(&self, other: &Self) -> bool {
        self.shape() == other.shape() && self.as_slice() == other.as_slice()
    }
}

impl<E: Element> IntTensor<Cpu<E>> {
    /// The values, without a copy.
    pub fn as_slice(&self) -> &[u32] {
        self.buffer().as_slice()
    }

    /// The values, for writing; copied first where a clone shares them.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough for the copy.
    pub fn as_mut_slice(&mut self) -> Result<&mut [u32]> {
        self.data.make_mut()
    }
}

/// Equal values, whatever the devices.
impl<E: Element> PartialEq for IntTensor<Cpu<E>> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<E: Element> Eq for IntTensor<Cpu<E>> {}

impl<E: Element> Cpu<E> {
    /// `f` of each value, on the device's threads: an elementwise [`Kernel`](crate::Kernel).
    ///
    /// # Errors
    /// [`Error::Memory`] if there is not enough for the result.
    pub fn map(&self, x: &Buffer<E>, f: impl Fn(E) -> E + Sync) -> Result<Buffer<E>> {
        let x = x.as_slice();
        let mut result = self.alloc(x.len())?;
        let y = result.make_mut()?;
        self.install(|| {
            y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
                y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(x));
            });
        });
        Ok(result)
    }

    /// `f` of each pair of values, on the device's threads: an elementwise [`Kernel`](crate::Kernel) of two operands.
    ///
    /// # Errors
    /// [`Error::Argument`] for buffers of different lengths, [`Error::Memory`] if there is not enough for the result.
    pub fn zip_map(&self, a: &Buffer<E>, b: &Buffer<E>, f: impl Fn(E, E) -> E + Sync) -> Result<Buffer<E>> {
        let a = a.as_slice();
        let b = b.as_slice();
        if a.len() != b.len() {
            return Err(Error::argument("zip_map", format!("{} values do not pair with {}", a.len(), b.len())));
        }
        let mut result = self.alloc(a.len())?;
        let c = result.make_mut()?;
        self.install(|| {
            let pairs = a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK));
            c.par_chunks_mut(CHUNK).zip(pairs).for_each(|(c, (a, b))| {
                c.iter_mut().zip(a.iter().zip(b)).for_each(|(c, (&a, &b))| *c = f(a, b));
            });
        });
        Ok(result)
    }
}
