//! Batches made ahead, in order, on a thread of their own.

use std::fmt::{Debug, Formatter};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use ndarray::{Array4, Ix4};

use crate::error::{Error, Result};
use crate::picture::panic_message;

/// Some pictures, ready for a network. Its memory is used again for a later batch when it is dropped.
pub struct Batch {
    /// `[n * views, crop, crop, 3]`: the views of a picture are consecutive.
    pub images: Array4<f32>,
    /// The label of each picture, `n` of them.
    pub labels: Vec<u32>,
    /// Where each picture stands in the pack.
    pub indices: Vec<u64>,
    used: Option<Sender<Vec<f32>>>,
}

impl Batch {
    /// A batch of pictures that come from no pack, one view of each. `images` is `[n, crop, crop, 3]`; there are n labels
    /// and n indices.
    pub fn of(images: Array4<f32>, labels: Vec<u32>, indices: Vec<u64>) -> Self {
        Self { images, labels, indices, used: None }
    }

    pub(super) fn new(shape: [usize; 4], values: Vec<f32>, labels: Vec<u32>, indices: Vec<u64>) -> Result<Self> {
        let images = Array4::from_shape_vec(Ix4(shape[0], shape[1], shape[2], shape[3]), values)
            .map_err(|e| Error::option("batch", format!("{shape:?}"), e))?;
        Ok(Self { images, labels, indices, used: None })
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
        if let Some(used) = self.used.take() {
            let (values, _) = std::mem::take(&mut self.images).into_raw_vec_and_offset();
            // Nobody waits for it when the last batch is made.
            let _ = used.send(values);
        }
    }
}

/// Batches in order. The first error is the last item.
pub struct Batches {
    made: Option<Receiver<Result<Batch>>>,
    used: Sender<Vec<f32>>,
    left: usize,
    thread: Option<JoinHandle<()>>,
}

impl Batches {
    /// Calls `make` with the numbers in turn, at most `ahead` results ahead of the one that is taken.
    pub(super) fn begin<F>(numbers: Range<usize>, ahead: usize, make: F) -> Self
    where
        F: Fn(usize, Vec<f32>) -> Result<Batch> + Send + 'static,
    {
        let (used, buffers) = channel();
        // One is in the making beside those that wait.
        let (sender, made) = sync_channel(ahead - 1);
        let left = numbers.len();
        let thread = std::thread::Builder::new().name("load".into());
        let thread = thread.spawn(move || produce(numbers, &make, &sender, &buffers)).ok();
        Self { made: Some(made), used, left, thread }
    }

    fn end(&mut self) {
        self.left = 0;
        // Whoever waits to hand over a batch is told that nobody takes it.
        self.made = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn produce<F>(numbers: Range<usize>, make: &F, made: &SyncSender<Result<Batch>>, buffers: &Receiver<Vec<f32>>)
where
    F: Fn(usize, Vec<f32>) -> Result<Batch>,
{
    for number in numbers {
        let buffer = buffers.try_recv().unwrap_or_default();
        let batch = catch_unwind(AssertUnwindSafe(|| make(number, buffer)));
        let batch = batch.unwrap_or_else(|panic| Err(Error::Worker { what: panic_message(panic.as_ref()) }));
        let failed = batch.is_err();
        if made.send(batch).is_err() || failed {
            return;
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let next = self.made.as_ref().and_then(|made| made.recv().ok());
        let gone = || Err(Error::Worker { what: "the thread that makes batches is gone".into() });
        let mut next = next.unwrap_or_else(gone);
        match &mut next {
            Ok(batch) => batch.used = Some(self.used.clone()),
            Err(_) => self.end(),
        }
        Some(next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

impl Debug for Batches {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(number: usize, mut buffer: Vec<f32>) -> Result<Batch> {
        buffer.resize(12, number as f32);
        buffer.fill(number as f32);
        Batch::new([1, 2, 2, 3], buffer, vec![number as u32], vec![number as u64])
    }

    #[test]
    fn a_panicking_worker_is_an_error_and_the_end() {
        let make = |number, buffer| {
            assert!(number != 2, "injected");
            batch(number, buffer)
        };
        let results: Vec<_> = Batches::begin(0..10, 3, make).collect();
        assert_eq!(results.len(), 3);
        let error = results.into_iter().last().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "a worker thread failed: injected");
    }

    #[test]
    fn dropping_the_iterator_ends_the_thread() {
        let mut batches = Batches::begin(0..1_000_000_000, 2, batch);
        assert_eq!(batches.next().unwrap().unwrap().labels, [0]);
        drop(batches);
    }

    #[test]
    fn buffers_are_used_again() {
        let mut batches = Batches::begin(0..20, 1, batch);
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
        let mut batches = Batches::begin(0..2, 1, batch);
        let images = batches.next().unwrap().unwrap().take_images();
        assert_eq!(images.shape(), [1, 2, 2, 3]);
    }
}
