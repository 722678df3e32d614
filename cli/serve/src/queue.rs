//! The queue between requests and the thread that computes, and how waiting images become batches.

use std::collections::VecDeque;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::classifier::Compute;
use crate::explain::Explanation;
use crate::metrics::Metrics;

/// An answer, or the reason why the network gives none.
pub(crate) type Answer<T> = Result<T, String>;

/// An image that waits for its probabilities.
pub(crate) struct Waiting {
    /// RGB square.
    pub square: Vec<u8>,
    /// Takes the probability of each class.
    pub reply: oneshot::Sender<Answer<Vec<f32>>>,
}

/// An image that waits for its explanation.
pub(crate) struct WaitingExplanation {
    pub square: Vec<u8>,
    pub class: Option<usize>,
    pub since: Instant,
    pub reply: oneshot::Sender<Answer<Explanation>>,
}

/// Explanations, which take as long as large batches, yield to predictions for this time.
const PATIENCE: Duration = Duration::from_secs(1);
/// Explanations that wait at most.
const MOST_EXPLANATIONS: usize = 8;

#[derive(Default)]
struct Work {
    predictions: VecDeque<Waiting>,
    explanations: VecDeque<WaitingExplanation>,
    /// Images that are being decoded: a batch may wait for them.
    decoding: usize,
    is_closed: bool,
}

/// Work for the thread that computes.
#[derive(Default)]
pub(crate) struct Queue {
    work: Mutex<Work>,
    changed: Condvar,
}

/// Images that are being decoded, until this is dropped.
pub(crate) struct Decoding<'a> {
    queue: &'a Queue,
    images: usize,
}

impl Drop for Decoding<'_> {
    fn drop(&mut self) {
        self.queue.lock().decoding -= self.images;
        self.queue.changed.notify_all();
    }
}

enum Task {
    Batch(Vec<Waiting>),
    Explanation(WaitingExplanation),
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces images that are being decoded.
    pub fn expect(&self, images: usize) -> Decoding<'_> {
        self.lock().decoding += images;
        Decoding { queue: self, images }
    }

    /// Adds an image.
    pub fn push(&self, waiting: Waiting) {
        self.lock().predictions.push_back(waiting);
        self.changed.notify_all();
    }

    /// Adds an image to explain. Returns whether there was room.
    pub fn push_explanation(&self, waiting: WaitingExplanation) -> bool {
        let mut work = self.lock();
        work.explanations.retain(|other| !other.reply.is_closed());
        if work.explanations.len() >= MOST_EXPLANATIONS {
            return false;
        }
        work.explanations.push_back(waiting);
        self.changed.notify_all();
        true
    }

    /// Images that wait for the network.
    pub fn len(&self) -> usize {
        self.lock().predictions.len()
    }

    /// Ends [`work`](Self::work) when all that waits is done.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Answers requests until the queue is closed.
    pub fn work(&self, compute: &dyn Compute, batch: usize, wait: Duration, metrics: &Metrics) {
        while let Some(task) = self.next(batch, wait) {
            match task {
                Task::Batch(images) => answer_batch(compute, images, metrics),
                Task::Explanation(waiting) => {
                    let answer = caught(|| compute.explain(&waiting.square, waiting.class));
                    // Fails if the request has ended.
                    let _ = waiting.reply.send(answer);
                }
            }
        }
    }

    /// The next task; `None` if the queue is closed and empty.
    fn next(&self, batch: usize, wait: Duration) -> Option<Task> {
        let mut work = self.lock();
        loop {
            // Requests that have ended, for instance in time, leave their images behind.
            work.predictions.retain(|waiting| !waiting.reply.is_closed());
            work.explanations.retain(|waiting| !waiting.reply.is_closed());
            let is_due = |waiting: &WaitingExplanation| waiting.since.elapsed() > PATIENCE;
            let is_turn = work.predictions.is_empty() || work.explanations.front().is_some_and(is_due);
            if is_turn && let Some(waiting) = work.explanations.pop_front() {
                return Some(Task::Explanation(waiting));
            }
            if !work.predictions.is_empty() {
                break;
            }
            if work.is_closed {
                return None;
            }
            work = self.changed.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
        let since = Instant::now();
        while work.predictions.len() < batch && work.decoding > 0 {
            let Some(left) = wait.checked_sub(since.elapsed()).filter(|left| !left.is_zero()) else { break };
            work = self.changed.wait_timeout(work, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let count = work.predictions.len().min(batch);
        Some(Task::Batch(work.predictions.drain(..count).collect()))
    }
}

fn answer_batch(compute: &dyn Compute, images: Vec<Waiting>, metrics: &Metrics) {
    metrics.count_batch(images.len());
    let parts: Vec<&[u8]> = images.iter().map(|waiting| waiting.square.as_slice()).collect();
    let squares = parts.concat();
    let answer = caught(|| compute.predict(&squares));
    for (number, waiting) in images.into_iter().enumerate() {
        let row = answer.as_ref().map(|rows| rows.row(number).to_vec()).map_err(Clone::clone);
        let _ = waiting.reply.send(row);
    }
}

/// The result of a computation. A panic is an error of the requests that caused it, and the thread goes on.
fn caught<T, E: Display>(compute: impl FnOnce() -> Result<T, E>) -> Answer<T> {
    match catch_unwind(AssertUnwindSafe(compute)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the computation failed".into()),
    }
}

#[cfg(test)]
mod tests;
