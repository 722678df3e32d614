//! Prefetching on a background thread.

use std::fmt::{Debug, Formatter};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use crate::error::Error;

/// Iterator over items that a background thread makes ahead of the consumer. It ends after the first error; a panic of
/// the thread is an error. Dropping it ends the thread.
///
/// ```
/// use alexnet_data::{Error, Prefetch};
///
/// let squares = (0..5).map(|number| Ok::<_, Error>(number * number));
/// let squares: Result<Vec<u32>, Error> = Prefetch::spawn("squares", 2, squares).collect();
/// assert_eq!(squares?, [0, 1, 4, 9, 16]);
/// # Ok::<(), Error>(())
/// ```
pub struct Prefetch<T, E = Error> {
    receiver: Option<Receiver<Option<Result<T, E>>>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static, E: From<Error> + Send + 'static> Prefetch<T, E> {
    /// Starts a thread called `name` that takes the items in order. At most `ahead` items, and at least one, exist
    /// before the consumer asks for the first of them, including the one being made.
    pub fn spawn(name: &str, ahead: usize, items: impl Iterator<Item = Result<T, E>> + Send + 'static) -> Self {
        // One more is being made besides those that wait in the channel.
        let (sender, receiver) = sync_channel(ahead.saturating_sub(1));
        // If there is no thread, the channel is closed without the end having been sent, which is an error.
        let thread = Builder::new().name(name.into()).spawn(move || send_all(items, &sender)).ok();
        Self { receiver: Some(receiver), thread }
    }
}

/// Sends all items and then `None`, until an error or until the receiver is gone.
fn send_all<T, E: From<Error>>(
    mut items: impl Iterator<Item = Result<T, E>>,
    sender: &SyncSender<Option<Result<T, E>>>,
) {
    loop {
        let next = catch_unwind(AssertUnwindSafe(|| items.next()));
        let next = next.unwrap_or_else(|panic| Some(Err(Error::worker_panic(panic.as_ref()).into())));
        let is_last = !matches!(next, Some(Ok(_)));
        if sender.send(next).is_err() || is_last {
            return;
        }
    }
}

impl<T, E> Prefetch<T, E> {
    fn stop(&mut self) {
        // Dropping the receiver unblocks a waiting sender.
        self.receiver = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl<T, E: From<Error>> Iterator for Prefetch<T, E> {
    type Item = Result<T, E>;

    fn next(&mut self) -> Option<Self::Item> {
        let ended_early = || Error::Worker { what: "the prefetching thread could not be started".into() };
        let next = self.receiver.as_ref()?.recv().unwrap_or_else(|_| Some(Err(ended_early().into())));
        if !matches!(next, Some(Ok(_))) {
            self.stop();
        }
        next
    }
}

impl<T, E> Debug for Prefetch<T, E> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prefetch").field("thread", &self.thread).finish_non_exhaustive()
    }
}

impl<T, E> Drop for Prefetch<T, E> {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    fn counted(made: &Arc<AtomicUsize>) -> impl Iterator<Item = Result<usize, Error>> + use<> {
        let made = Arc::clone(made);
        (0..1_000_000_000).map(move |_| Ok(made.fetch_add(1, SeqCst)))
    }

    #[test]
    fn items_come_in_order_and_end() {
        let items: Result<Vec<usize>, Error> = Prefetch::spawn("test", 3, (0..100).map(Ok)).collect();
        assert_eq!(items.unwrap(), (0..100).collect::<Vec<_>>());
        let mut none = Prefetch::<(), Error>::spawn("test", 1, std::iter::empty());
        assert!(none.next().is_none() && none.next().is_none());
    }

    #[test]
    fn a_panic_is_an_error_and_the_end() {
        let items = (0..10).map(|number| {
            assert!(number != 2, "injected");
            Ok(number)
        });
        let results: Vec<Result<i32, Error>> = Prefetch::spawn("test", 3, items).collect();
        assert_eq!(results.len(), 3);
        let error = results.into_iter().last().unwrap().unwrap_err();
        assert_eq!(error.to_string(), "a worker thread failed: injected");
    }

    #[test]
    fn an_error_is_the_last_item() {
        let items = [Ok(1), Err(Error::Worker { what: "injected".into() }), Ok(2)];
        let results: Vec<_> = Prefetch::spawn("test", 1, items.into_iter()).collect();
        assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn at_most_so_many_items_wait() {
        for ahead in 1..4 {
            let made = Arc::default();
            let mut items = Prefetch::spawn("test", ahead, counted(&made));
            for taken in 1..200 {
                items.next().unwrap().unwrap();
                let made = made.load(SeqCst);
                assert!(made <= taken + ahead, "{made} items made, {taken} taken, {ahead} ahead");
            }
        }
    }

    #[test]
    fn dropping_it_ends_the_thread() {
        let made = Arc::default();
        let mut items = Prefetch::spawn("test", 2, counted(&made));
        assert_eq!(items.next().unwrap().unwrap(), 0);
        drop(items);
        assert_eq!(Arc::strong_count(&made), 1);
    }
}
