//! Work on many threads, results in order, and only so many of them at a time.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::decode::panic_message;
use crate::error::{Error, Result};

/// Results that may wait for an earlier one, by thread.
const AHEAD: usize = 8;

/// Which work may begin.
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    next: usize,
    /// Work below this may begin; it moves as results are taken.
    limit: usize,
    stopped: bool,
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next piece of work, once there is room for its result.
    fn enter(&self, count: usize) -> Option<usize> {
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

    fn update(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// The results of [`in_order`].
pub(super) struct Ordered<'a, T> {
    gate: &'a Gate,
    results: Receiver<(usize, Outcome<T>)>,
    early: BTreeMap<usize, Outcome<T>>,
    taken: usize,
}

type Outcome<T> = std::result::Result<T, Box<dyn Any + Send>>;

impl<T> Ordered<'_, T> {
    /// The next result.
    ///
    /// # Errors
    /// [`Error::Worker`] if the work for it panicked.
    pub fn next(&mut self) -> Result<T> {
        let gone = || Error::Worker { what: "no result came".into() };
        let outcome = loop {
            if let Some(outcome) = self.early.remove(&self.taken) {
                break outcome;
            }
            let (index, outcome) = self.results.recv().map_err(|_| gone())?;
            self.early.insert(index, outcome);
        };
        self.taken += 1;
        self.gate.update(|state| state.limit += 1);
        outcome.map_err(|panic| Error::Worker { what: panic_message(panic.as_ref()) })
    }
}

impl<T> Drop for Ordered<'_, T> {
    fn drop(&mut self) {
        self.gate.update(|state| state.stopped = true);
    }
}

/// Does `work(0)` to `work(count - 1)` on `threads` threads, while `consume` takes the results in order on this one.
/// When `consume` returns, work that has not begun never does.
pub(super) fn in_order<T: Send, R>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> T + Sync,
    consume: impl FnOnce(&mut Ordered<'_, T>) -> Result<R>,
) -> Result<R> {
    let state = State { next: 0, limit: threads * AHEAD, stopped: false };
    let gate = Gate { state: Mutex::new(state), changed: Condvar::new() };
    let (sender, results) = channel();
    std::thread::scope(|scope| {
        // Dropped first, at return and on a panic, so that no thread waits for ever.
        let mut ordered = Ordered { gate: &gate, results, early: BTreeMap::new(), taken: 0 };
        for _ in 0..threads.min(count) {
            let gate = &gate;
            let work = &work;
            let sender = sender.clone();
            let run = move || {
                while let Some(index) = gate.enter(count) {
                    let outcome = catch_unwind(AssertUnwindSafe(|| work(index)));
                    if sender.send((index, outcome)).is_err() {
                        break;
                    }
                }
            };
            let spawned = std::thread::Builder::new().name("pack".into()).spawn_scoped(scope, run);
            spawned.map_err(|e| Error::Worker { what: format!("no thread to pack with: {e}") })?;
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
        let begun = AtomicUsize::new(0);
        let taken = AtomicUsize::new(0);
        let most = AtomicUsize::new(0);
        let work = |i: usize| {
            most.fetch_max(begun.fetch_add(1, SeqCst) + 1 - taken.load(SeqCst), SeqCst);
            std::thread::sleep(Duration::from_micros((i as u64 * 7919) % 200));
            i * 2
        };
        let sum = in_order(500, 3, work, |results| {
            let mut sum = 0;
            for i in 0..500 {
                let value = results.next()?;
                assert_eq!(value, i * 2);
                taken.fetch_add(1, SeqCst);
                sum += value;
            }
            Ok(sum)
        });
        assert_eq!(sum.unwrap(), 499 * 500);
        assert!(most.load(SeqCst) <= 3 * AHEAD + 1, "{most:?} results at a time");
    }

    #[test]
    fn a_panic_is_an_error_and_ends_the_work() {
        let done = AtomicUsize::new(0);
        let work = |i: usize| {
            assert!(i != 20, "cannot do {i}");
            done.fetch_add(1, SeqCst)
        };
        let result = in_order(100_000, 2, work, |results| (0..100_000).try_for_each(|_| results.next().map(drop)));
        assert_eq!(result.unwrap_err().to_string(), "a worker thread failed: cannot do 20");
        assert!(done.load(SeqCst) < 100);
    }
}
