//! Sources of batches.

use data::{Batch, Loader};
use tensor::Backend;

use crate::device_loader::{DeviceBatch, DeviceLoader};
use crate::{Error, Result};

/// A source of batches, in an order that follows from the epoch alone: a run that was interrupted asks for the batches of
/// an epoch from a later one on, and must get the same.
pub trait Batches {
    /// A batch, of whatever type the loss takes.
    type Batch;

    /// Number of batches per epoch, at least 1.
    fn batches_per_epoch(&self) -> usize;

    /// The batches of an epoch from number `first` on.
    fn batches(&self, epoch: u64, first: usize) -> impl Iterator<Item = Result<Self::Batch>>;
}

impl<T: Batches + ?Sized> Batches for &T {
    type Batch = T::Batch;

    fn batches_per_epoch(&self) -> usize {
        (**self).batches_per_epoch()
    }

    fn batches(&self, epoch: u64, first: usize) -> impl Iterator<Item = Result<Self::Batch>> {
        (**self).batches(epoch, first)
    }
}

impl<B: Backend<Scalar = f32>> Batches for DeviceLoader<B> {
    type Batch = DeviceBatch<B>;

    fn batches_per_epoch(&self) -> usize {
        self.batches_per_epoch()
    }

    fn batches(&self, epoch: u64, first: usize) -> impl Iterator<Item = Result<Self::Batch>> {
        self.batches(epoch, first)
    }
}

impl Batches for Loader {
    type Batch = Batch;

    fn batches_per_epoch(&self) -> usize {
        self.batches_per_epoch()
    }

    fn batches(&self, epoch: u64, first: usize) -> impl Iterator<Item = Result<Self::Batch>> {
        self.batches(epoch, first).map(|batch| batch.map_err(Error::from))
    }
}

/// Batches that a function makes, from [`batches_from_fn`].
#[derive(Clone, Copy, Debug)]
pub struct BatchesFromFn<F> {
    batches_per_epoch: usize,
    make: F,
}

/// A source of `batches_per_epoch` batches that `make` makes of the epoch and the batch's number in it.
///
/// ```
/// use alexnet_train::{Batches, batches_from_fn};
///
/// let source = batches_from_fn(3, |epoch, batch| Ok((epoch, batch)));
/// let rest: Vec<_> = source.batches(7, 1).collect::<Result<_, _>>()?;
/// assert_eq!(rest, [(7, 1), (7, 2)]);
/// # Ok::<(), alexnet_train::Error>(())
/// ```
pub fn batches_from_fn<T, F: Fn(u64, usize) -> Result<T>>(batches_per_epoch: usize, make: F) -> BatchesFromFn<F> {
    BatchesFromFn { batches_per_epoch, make }
}

impl<T, F: Fn(u64, usize) -> Result<T>> Batches for BatchesFromFn<F> {
    type Batch = T;

    fn batches_per_epoch(&self) -> usize {
        self.batches_per_epoch
    }

    fn batches(&self, epoch: u64, first: usize) -> impl Iterator<Item = Result<T>> {
        (first..self.batches_per_epoch).map(move |batch| (self.make)(epoch, batch))
    }
}
