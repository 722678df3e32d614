//! Parallel tasks whose results arrive in order, with a bound on results waiting.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

/// Number of results per thread that may wait for an earlier one.
const RESULTS_PER_THREAD: usize = 8;

/// Task counter that blocks workers while too many results wait.
struct TaskQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

struct QueueState {
    next: usize,
    /// Tasks below this index may start; it grows as results are taken.
    limit: usize,
    stopped: bool,
}

impl TaskQueue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Index of the next task, once there is room for its result; `None` at the end.
    fn next_task(&self, count: usize) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.stopped || state.next == count {
                return None;
            }
            if state.next < state.limit {
                state.next += 1;
                return Some(state.next - 1);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn update(&self, change: impl FnOnce(&mut QueueState)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// Results of [`run_ordered`], in task order.
pub(super) struct OrderedResults<'a, T> {
    queue: &'a TaskQueue,
    results: Receiver<(usize, TaskResult<T>)>,
    out_of_order: BTreeMap<usize, TaskResult<T>>,
    next: usize,
}

type TaskResult<T> = std::result::Result<T, Box<dyn Any + Send>>;

impl<T> OrderedResults<'_, T> {
    /// Waits for the next result.
    ///
    /// # Errors
    /// [`Error::Worker`] if its task panicked.
    pub fn next(&mut self) -> Result<T> {
        let gone = || Error::Worker { what: "no result came".into() };
        let result = loop {
            if let Some(result) = self.out_of_order.remove(&self.next) {
                break result;
            }
            let (index, result) = self.results.recv().map_err(|_| gone())?;
            self.out_of_order.insert(index, result);
        };
        self.next += 1;
        self.queue.update(|state| state.limit += 1);
        result.map_err(|panic| Error::worker_panic(panic.as_ref()))
    }
}

impl<T> Drop for OrderedResults<'_, T> {
    fn drop(&mut self) {
        self.queue.update(|state| state.stopped = true);
    }
}

/// Runs `task(0)` to `task(count - 1)` on `threads` threads, while `consume` takes the results in order on this one.
/// Tasks not yet started when `consume` returns are never run.
pub(super) fn run_ordered<T: Send, R>(
    count: usize,
    threads: usize,
    task: impl Fn(usize) -> T + Sync,
    consume: impl FnOnce(&mut OrderedResults<'_, T>) -> Result<R>,
) -> Result<R> {
    let state = QueueState { next: 0, limit: threads * RESULTS_PER_THREAD, stopped: false };
    let queue = TaskQueue { state: Mutex::new(state), changed: Condvar::new() };
    let (sender, results) = channel();
    std::thread::scope(|scope| {
        // Dropped first, on return and on panic, so that no thread waits forever.
        let mut ordered = OrderedResults { queue: &queue, results, out_of_order: BTreeMap::new(), next: 0 };
        for _ in 0..threads.min(count) {
            let queue = &queue;
            let task = &task;
            let sender = sender.clone();
            let run = move || {
                while let Some(index) = queue.next_task(count) {
                    let result = catch_unwind(AssertUnwindSafe(|| task(index)));
                    if sender.send((index, result)).is_err() {
                        break;
                    }
                }
            };
            let spawned = std::thread::Builder::new().name("pack".into()).spawn_scoped(scope, run);
            spawned.map_err(|e| Error::Worker { what: format!("cannot start a packing thread: {e}") })?;
        }
        drop(sender);
        consume(&mut ordered)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Duration;

    use super::*;

    #[test]
    fn results_come_in_order_and_few_wait() {
        let started = AtomicUsize::new(0);
        let next = AtomicUsize::new(0);
        let max_waiting = AtomicUsize::new(0);
        let task = |i: usize| {
            max_waiting.fetch_max(started.fetch_add(1, SeqCst) + 1 - next.load(SeqCst), SeqCst);
            std::thread::sleep(Duration::from_micros((i as u64 * 7919) % 200));
            i * 2
        };
        let sum = run_ordered(500, 3, task, |results| {
            let mut sum = 0;
            for i in 0..500 {
                let value = results.next()?;
                assert_eq!(value, i * 2);
                next.fetch_add(1, SeqCst);
                sum += value;
            }
            Ok(sum)
        });
        assert_eq!(sum.unwrap(), 499 * 500);
        assert!(max_waiting.load(SeqCst) <= 3 * RESULTS_PER_THREAD + 1, "{max_waiting:?} results at a time");
    }

    #[test]
    fn a_panic_is_an_error_and_ends_the_work() {
        let done = AtomicUsize::new(0);
        let task = |i: usize| {
            assert!(i != 20, "cannot do {i}");
            done.fetch_add(1, SeqCst)
        };
        let result = run_ordered(100_000, 2, task, |results| (0..100_000).try_for_each(|_| results.next().map(drop)));
        assert_eq!(result.unwrap_err().to_string(), "a worker thread failed: cannot do 20");
        assert!(done.load(SeqCst) < 100);
    }
}
