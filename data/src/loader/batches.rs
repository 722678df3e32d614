//! Batches prefetched in order by a background thread.

use std::fmt::{Debug, Formatter};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::batch::Batch;
use crate::decode::panic_message;
use crate::error::{Error, Result};

/// Iterator over prefetched batches. It ends after the first error.
pub struct Batches<T = Batch> {
    receiver: Option<Receiver<Result<T>>>,
    remaining: usize,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Batches<T> {
    /// Spawns a thread that calls `make` with each number in order, staying at most `ahead` results ahead of the
    /// consumer.
    pub(super) fn spawn<F>(numbers: Range<usize>, ahead: usize, make: F) -> Self
    where
        F: Fn(usize) -> Result<T> + Send + 'static,
    {
        // One more is being made besides those that wait.
        let (sender, receiver) = sync_channel(ahead - 1);
        let remaining = numbers.len();
        let thread = std::thread::Builder::new().name("load".into());
        let thread = thread.spawn(move || send_batches(numbers, &make, &sender)).ok();
        Self { receiver: Some(receiver), remaining, thread }
    }
}

impl<T> Batches<T> {
    fn stop(&mut self) {
        self.remaining = 0;
        // Dropping the receiver unblocks a waiting sender.
        self.receiver = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn send_batches<T, F>(numbers: Range<usize>, make: &F, sender: &SyncSender<Result<T>>)
where
    F: Fn(usize) -> Result<T>,
{
    for number in numbers {
        let batch = catch_unwind(AssertUnwindSafe(|| make(number)));
        let batch = batch.unwrap_or_else(|panic| Err(Error::Worker { what: panic_message(panic.as_ref()) }));
        let failed = batch.is_err();
        if sender.send(batch).is_err() || failed {
            return;
        }
    }
}

impl<T> Iterator for Batches<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining == 0 {
            return None;
        }
        self.remaining -= 1;
        let next = self.receiver.as_ref().and_then(|receiver| receiver.recv().ok());
        let disconnected = || Err(Error::Worker { what: "the loading thread ended unexpectedly".into() });
        let next = next.unwrap_or_else(disconnected);
        if next.is_err() {
            self.stop();
        }
        Some(next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.remaining))
    }
}

impl<T> Debug for Batches<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}

impl<T> Drop for Batches<T> {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::buffer_pool::BufferPool;
    use super::*;

    fn batch(number: usize, pool: &Arc<BufferPool<f32>>) -> Result<Batch> {
        let mut buffer = pool.take(12);
        buffer.fill(number as f32);
        Batch::new([1, 2, 2, 3], buffer, vec![number as u32], vec![number as u64], Vec::new(), pool)
    }

    #[test]
    fn a_panicking_worker_is_an_error_and_the_end() {
        let make = |number| {
            assert!(number != 2, "injected");
            batch(number, &Arc::default())
        };
        let results: Vec<_> = Batches::spawn(0..10, 3, make).collect();
        assert_eq!(results.len(), 3);
        let error = results.into_iter().last().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "a worker thread failed: injected");
    }

    #[test]
    fn dropping_the_iterator_ends_the_thread() {
        let mut batches = Batches::spawn(0..1_000_000_000, 2, |number| batch(number, &Arc::default()));
        assert_eq!(batches.next().unwrap().unwrap().labels, [0]);
        drop(batches);
    }

    #[test]
    fn buffers_are_used_again() {
        let pool = Arc::default();
        let mut batches = Batches::spawn(0..20, 1, move |number| batch(number, &pool));
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
        let mut batches = Batches::spawn(0..2, 1, |number| batch(number, &Arc::default()));
        let images = batches.next().unwrap().unwrap().take_images();
        assert_eq!(images.shape(), [1, 2, 2, 3]);
    }
}
