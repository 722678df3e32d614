//! Batches made ahead, in order, on a thread of their own.

use std::fmt::{Debug, Formatter};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use ndarray::{Array4, Ix4};
use tensor::ops::View;

use crate::error::{Error, Result};
use crate::picture::panic_message;

/// Memory of batches that were dropped: fresh memory costs a page fault every 4 KB.
#[derive(Debug)]
pub(super) struct Spare<T>(Mutex<Vec<Vec<T>>>);

/// The most buffers that are kept.
const MAX_SPARE: usize = 4;

impl<T> Default for Spare<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Copy + Default> Spare<T> {
    /// A buffer of `n` values, whatever they are.
    pub fn take(&self, n: usize) -> Vec<T> {
        let buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match buffer {
            Some(mut buffer) if buffer.capacity() >= n => {
                buffer.resize(n, T::default());
                buffer
            }
            // Not by resizing: this way the system hands out zeros as the threads touch them.
            _ => vec![T::default(); n],
        }
    }

    fn put(&self, buffer: Vec<T>) {
        let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < MAX_SPARE {
            buffers.push(buffer);
        }
    }
}

/// Some pictures, ready for a network. Its memory is used again for a later batch when it is dropped.
pub struct Batch {
    /// `[n * views, crop, crop, 3]`: the views of a picture are consecutive.
    pub images: Array4<f32>,
    /// The label of each picture, `n` of them.
    pub labels: Vec<u32>,
    /// Where each picture stands in the pack.
    pub indices: Vec<u64>,
    spare: Option<Arc<Spare<f32>>>,
}

impl Batch {
    /// A batch of pictures that come from no pack, one view of each. `images` is `[n, crop, crop, 3]`; there are n labels
    /// and n indices.
    pub fn of(images: Array4<f32>, labels: Vec<u32>, indices: Vec<u64>) -> Self {
        Self { images, labels, indices, spare: None }
    }

    /// Of values that `spare` gave, and gets back.
    pub(super) fn new(
        shape: [usize; 4],
        values: Vec<f32>,
        labels: Vec<u32>,
        indices: Vec<u64>,
        spare: &Arc<Spare<f32>>,
    ) -> Result<Self> {
        let images = Array4::from_shape_vec(Ix4(shape[0], shape[1], shape[2], shape[3]), values)
            .map_err(|e| Error::option("batch", format!("{shape:?}"), e))?;
        Ok(Self { images, labels, indices, spare: Some(Arc::clone(spare)) })
    }

    /// The images, to keep. An empty array stays.
    pub fn take_images(&mut self) -> Array4<f32> {
        std::mem::take(&mut self.images)
    }
}

impl Debug for Batch {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let shape = self.images.shape();
        f.debug_struct("Batch").field("images", &shape).field("labels", &self.labels).finish_non_exhaustive()
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(spare) = self.spare.take() {
            spare.put(std::mem::take(&mut self.images).into_raw_vec_and_offset().0);
        }
    }
}

/// Some pictures as they are stored, and what is to be cut from them: what a device needs to make the network's input
/// itself, with [`Pictures::prepare`](tensor::ops::Pictures::prepare). Its memory is used again for a later batch when
/// it is dropped.
pub struct RawBatch {
    /// Side of the pictures.
    pub size: usize,
    /// `[n, size, size, 3]`: rows from the top, colours R, G, B.
    pub pixels: Vec<u8>,
    /// The rows of the network's input, those of a picture one after another. `picture` is the place in this batch.
    pub views: Vec<View>,
    /// The label of each picture, `n` of them.
    pub labels: Vec<u32>,
    /// Where each picture stands in the pack.
    pub indices: Vec<u64>,
    pub(super) spare: Arc<Spare<u8>>,
}

impl Debug for RawBatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let shape = [self.labels.len(), self.size, self.size, 3];
        f.debug_struct("RawBatch").field("pixels", &shape).field("labels", &self.labels).finish_non_exhaustive()
    }
}

impl Drop for RawBatch {
    fn drop(&mut self) {
        self.spare.put(std::mem::take(&mut self.pixels));
    }
}

/// Batches in order. The first error is the last item.
pub struct Batches<T = Batch> {
    made: Option<Receiver<Result<T>>>,
    left: usize,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Batches<T> {
    /// Calls `make` with the numbers in turn, at most `ahead` results ahead of the one that is taken.
    pub(super) fn begin<F>(numbers: Range<usize>, ahead: usize, make: F) -> Self
    where
        F: Fn(usize) -> Result<T> + Send + 'static,
    {
        // One is in the making beside those that wait.
        let (sender, made) = sync_channel(ahead - 1);
        let left = numbers.len();
        let thread = std::thread::Builder::new().name("load".into());
        let thread = thread.spawn(move || produce(numbers, &make, &sender)).ok();
        Self { made: Some(made), left, thread }
    }
}

impl<T> Batches<T> {
    fn end(&mut self) {
        self.left = 0;
        // Whoever waits to hand over a batch is told that nobody takes it.
        self.made = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn produce<T, F>(numbers: Range<usize>, make: &F, made: &SyncSender<Result<T>>)
where
    F: Fn(usize) -> Result<T>,
{
    for number in numbers {
        let batch = catch_unwind(AssertUnwindSafe(|| make(number)));
        let batch = batch.unwrap_or_else(|panic| Err(Error::Worker { what: panic_message(panic.as_ref()) }));
        let failed = batch.is_err();
        if made.send(batch).is_err() || failed {
            return;
        }
    }
}

impl<T> Iterator for Batches<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let next = self.made.as_ref().and_then(|made| made.recv().ok());
        let gone = || Err(Error::Worker { what: "the thread that makes batches is gone".into() });
        let next = next.unwrap_or_else(gone);
        if next.is_err() {
            self.end();
        }
        Some(next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

impl<T> Debug for Batches<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches").field("left", &self.left).finish_non_exhaustive()
    }
}

impl<T> Drop for Batches<T> {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(number: usize, spare: &Arc<Spare<f32>>) -> Result<Batch> {
        let mut buffer = spare.take(12);
        buffer.fill(number as f32);
        Batch::new([1, 2, 2, 3], buffer, vec![number as u32], vec![number as u64], spare)
    }

    #[test]
    fn a_panicking_worker_is_an_error_and_the_end() {
        let make = |number| {
            assert!(number != 2, "injected");
            batch(number, &Arc::default())
        };
        let results: Vec<_> = Batches::begin(0..10, 3, make).collect();
        assert_eq!(results.len(), 3);
        let error = results.into_iter().last().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "a worker thread failed: injected");
    }

    #[test]
    fn dropping_the_iterator_ends_the_thread() {
        let mut batches = Batches::begin(0..1_000_000_000, 2, |number| batch(number, &Arc::default()));
        assert_eq!(batches.next().unwrap().unwrap().labels, [0]);
        drop(batches);
    }

    #[test]
    fn buffers_are_used_again() {
        let spare = Arc::default();
        let mut batches = Batches::begin(0..20, 1, move |number| batch(number, &spare));
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..20 {
            let batch = batches.next().unwrap().unwrap();
            assert!(batch.images.iter().all(|&v| v == number as f32));
            seen.insert(batch.images.as_ptr() as usize);
        }
        assert!(batches.next().is_none());
        assert!(seen.len() <= 4, "{} buffers", seen.len());
    }

    #[test]
    fn images_can_be_kept() {
        let mut batches = Batches::begin(0..2, 1, |number| batch(number, &Arc::default()));
        let images = batches.next().unwrap().unwrap().take_images();
        assert_eq!(images.shape(), [1, 2, 2, 3]);
    }
}
