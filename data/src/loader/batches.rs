//! Batches made ahead, in order, on a thread of their own.

use std::fmt::{Debug, Formatter};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::batch::Batch;
use crate::decode::panic_message;
use crate::error::{Error, Result};

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
    use std::sync::Arc;

    use super::super::batch::Spare;
    use super::*;

    fn batch(number: usize, spare: &Arc<Spare<f32>>) -> Result<Batch> {
        let mut buffer = spare.take(12);
        buffer.fill(number as f32);
        Batch::new([1, 2, 2, 3], buffer, vec![number as u32], vec![number as u64], Vec::new(), spare)
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
