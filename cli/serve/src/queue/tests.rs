use std::sync::Mutex;
use std::thread;

use ndarray::Array2;
use tokio::sync::oneshot::Receiver;

use super::*;
use crate::explain;

/// A computation whose result for an image is its first byte; it panics at 13 and fails at 14.
#[derive(Default)]
struct FirstBytes {
    /// Images of each batch so far.
    batches: Mutex<Vec<usize>>,
}

impl Compute for FirstBytes {
    fn predict(&self, squares: &[u8]) -> train::Result<Array2<f32>> {
        self.batches.lock().unwrap().push(squares.len());
        if squares.contains(&13) {
            panic!("a fault of a kernel");
        }
        if squares.contains(&14) {
            return Err(train::Error::setting("test", "fails"));
        }
        Ok(Array2::from_shape_fn((squares.len(), 1), |(row, _)| f32::from(squares[row])))
    }

    fn explain(&self, square: &[u8], _: Option<usize>) -> explain::Result<Explanation> {
        Err(format!("explained {square:?}").into())
    }
}

fn push(queue: &Queue, byte: u8) -> Receiver<Answer<Vec<f32>>> {
    let (reply, answer) = oneshot::channel();
    queue.push(Waiting { square: vec![byte], reply });
    answer
}

fn push_explanation(queue: &Queue, byte: u8) -> Option<Receiver<Answer<Explanation>>> {
    let (reply, answer) = oneshot::channel();
    let waiting = WaitingExplanation { square: vec![byte], class: None, since: Instant::now(), reply };
    queue.push_explanation(waiting).then_some(answer)
}

#[test]
fn images_that_wait_are_a_batch_and_answered_each() {
    let queue = Queue::default();
    let mut answers: Vec<_> = (0..8).map(|byte| push(&queue, byte)).collect();
    // A client that has gone.
    answers.remove(2);
    assert_eq!(queue.len(), 8);
    queue.close();
    let compute = FirstBytes::default();
    queue.work(&compute, 4, Duration::ZERO, &Metrics::default());
    assert_eq!(*compute.batches.lock().unwrap(), [4, 3]);
    let found: Vec<f32> = answers.into_iter().map(|answer| answer.blocking_recv().unwrap().unwrap()[0]).collect();
    assert_eq!(found, [0.0, 1.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
}

#[test]
fn a_batch_waits_for_images_that_are_being_decoded() {
    let queue = Queue::default();
    let compute = FirstBytes::default();
    let first = push(&queue, 1);
    let decoding = queue.expect(1);
    thread::scope(|scope| {
        scope.spawn(|| queue.work(&compute, 2, Duration::from_secs(60), &Metrics::default()));
        let second = push(&queue, 2);
        assert_eq!(first.blocking_recv().unwrap().unwrap(), [1.0]);
        assert_eq!(second.blocking_recv().unwrap().unwrap(), [2.0]);
        // Nothing is decoded any more: a batch that is not full does not wait.
        drop(decoding);
        assert_eq!(push(&queue, 3).blocking_recv().unwrap().unwrap(), [3.0]);
        queue.close();
    });
    assert_eq!(*compute.batches.lock().unwrap(), [2, 1]);
}

#[test]
fn a_fault_is_the_answer_to_its_own_batch() {
    let queue = Queue::default();
    let answers = [13, 14, 15].map(|byte| push(&queue, byte));
    queue.close();
    queue.work(&FirstBytes::default(), 1, Duration::ZERO, &Metrics::default());
    let [panicked, failed, good] = answers.map(|answer| answer.blocking_recv().unwrap());
    assert_eq!(panicked.unwrap_err(), "the computation failed");
    assert!(failed.unwrap_err().contains("fails"));
    assert_eq!(good.unwrap(), [15.0]);
}

#[test]
fn explanations_are_few_and_come_after_predictions() {
    let queue = Queue::default();
    let explanations: Vec<_> = (0..MOST_EXPLANATIONS as u8).map(|byte| push_explanation(&queue, byte)).collect();
    assert!(explanations.iter().all(Option::is_some));
    assert!(push_explanation(&queue, 99).is_none());
    let prediction = push(&queue, 1);
    assert!(matches!(queue.next(1, Duration::ZERO), Some(Task::Batch(images)) if images.len() == 1));
    drop(prediction);
    queue.close();
    queue.work(&FirstBytes::default(), 1, Duration::ZERO, &Metrics::default());
    for (byte, answer) in explanations.into_iter().enumerate() {
        let answer = answer.unwrap().blocking_recv().unwrap();
        assert_eq!(answer.unwrap_err(), format!("explained [{byte}]"));
    }
}
