//! The state that all requests share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use data::DecodeOptions;
use futures_util::future::try_join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use crate::Options;
use crate::metrics::{Gauges, Metrics};
use crate::present::{Described, Present};
use crate::problem::Problem;
use crate::queue::{Answer, Queue, Waiting};

/// Bytes of a permit of [`App::bodies`].
const BODY_UNIT: usize = 1 << 10;
/// Pages of a running training at a time.
const FOLLOWERS: usize = 32;

/// The state of a server.
pub(crate) struct App {
    pub present: Present,
    /// The run to follow.
    pub run: Option<PathBuf>,
    pub options: Options,
    pub is_loopback: bool,
    pub queue: Queue,
    pub metrics: Metrics,
    pub followers: Arc<Semaphore>,
    /// Whether the server is ending.
    pub ending: watch::Receiver<bool>,
    requests: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
    images: Arc<Semaphore>,
    decoders: Arc<Semaphore>,
}

/// An image of a request.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Its name, for answers.
    pub name: String,
    /// The bytes of its file.
    pub bytes: Vec<u8>,
}

/// A place among the requests with images, and the memory of its body, until this is dropped.
pub(crate) struct Admission {
    _request: OwnedSemaphorePermit,
    body: Option<OwnedSemaphorePermit>,
}

impl App {
    pub fn new(
        present: Present,
        run: Option<PathBuf>,
        options: Options,
        is_loopback: bool,
        ending: watch::Receiver<bool>,
    ) -> Self {
        let semaphore = |permits: usize| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)));
        Self {
            requests: semaphore(options.requests),
            bodies: semaphore(options.bodies.div_ceil(BODY_UNIT)),
            images: semaphore(options.queue),
            decoders: semaphore(options.threads),
            followers: semaphore(FOLLOWERS),
            queue: Queue::default(),
            metrics: Metrics::default(),
            present,
            run,
            options,
            is_loopback,
            ending,
        }
    }

    /// The classifier of the moment.
    pub fn classifier(&self) -> Result<Arc<Described>, Problem> {
        let what = "the run has no checkpoint yet: try again when it has one";
        self.present.get().ok_or_else(|| Problem::new(StatusCode::CONFLICT, "no_weights", what))
    }

    /// Admits a request with a body of so many bytes, if it says so. It has no memory for its body yet.
    pub fn admit(&self, length: Option<usize>) -> Result<Admission, Problem> {
        if length.is_some_and(|length| length > self.options.body) {
            return Err(self.too_large());
        }
        let request = Arc::clone(&self.requests).try_acquire_owned();
        let request = request.map_err(|_| Problem::busy("too many requests at a time"))?;
        Ok(Admission { _request: request, body: None })
    }

    /// Gives a request memory for a body of so many bytes in all. Clients hold what they have sent, not what they have
    /// announced.
    pub fn hold(&self, admission: &mut Admission, length: usize) -> Result<(), Problem> {
        if length > self.options.body {
            return Err(self.too_large());
        }
        let held = admission.body.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(length.div_ceil(BODY_UNIT).saturating_sub(held)).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.bodies).try_acquire_many_owned(more);
        let more = more.map_err(|_| Problem::busy("too many bytes of requests at a time"))?;
        match &mut admission.body {
            Some(body) => body.merge(more),
            None => admission.body = Some(more),
        }
        Ok(())
    }

    /// The answer to a request whose body is too large.
    pub fn too_large(&self) -> Problem {
        let what = format!("the body is larger than {} bytes, the limit of this server", self.options.body);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", what)
    }

    /// The time until which a request must get on.
    pub fn deadline(&self) -> Instant {
        // A limit beyond what the clock counts is no limit.
        let now = Instant::now();
        now.checked_add(self.options.timeout).unwrap_or(now + Duration::from_secs(u64::from(u32::MAX)))
    }

    /// The class probabilities of images, in their order.
    pub async fn predict(&self, uploads: Vec<Upload>, deadline: Instant) -> Result<Vec<Vec<f32>>, Problem> {
        let admission = self.admit_images(uploads.len())?;
        let rows = uploads.into_iter().map(|upload| self.probabilities(upload, Arc::clone(&admission)));
        timeout_at(deadline, try_join_all(rows)).await.map_err(|_| Problem::late())?
    }

    /// The square of an image that the network takes its crops from.
    pub async fn square(&self, upload: Upload, deadline: Instant) -> Result<Vec<u8>, Problem> {
        let admission = self.admit_images(1)?;
        timeout_at(deadline, self.decode(upload, admission)).await.map_err(|_| Problem::late())?
    }

    async fn probabilities(&self, upload: Upload, admission: Arc<OwnedSemaphorePermit>) -> Result<Vec<f32>, Problem> {
        let decoding = self.queue.expect(1);
        let square = self.decode(upload, Arc::clone(&admission)).await?;
        let (reply, answer) = oneshot::channel();
        self.queue.push(Waiting { square, reply });
        drop(decoding);
        answer_of(answer).await
    }

    async fn decode(&self, upload: Upload, admission: Arc<OwnedSemaphorePermit>) -> Result<Vec<u8>, Problem> {
        let classifier = self.classifier()?;
        let size = classifier.description.size;
        let options = DecodeOptions {
            max_pixels: self.options.pixels,
            apply_orientation: classifier.description.exif_orientation,
            ..DecodeOptions::default()
        };
        let decoder = Arc::clone(&self.decoders).acquire_owned().await.map_err(|_| Problem::late())?;
        let task = spawn_blocking(move || {
            // Decoding goes on if the request ends, and counts until it is done.
            let _counted = (decoder, admission);
            let Upload { name, bytes } = upload;
            let square = data::decode_square(bytes, size, &options);
            square.map(data::Image::into_pixels).map_err(|reason| Problem::of_image(&name, &reason))
        });
        task.await.unwrap_or_else(|_| Err(Problem::internal("the decoder failed")))
    }

    /// Values of the moment, for metrics.
    pub fn gauges(&self) -> Gauges {
        let bodies = self.options.bodies.div_ceil(BODY_UNIT).saturating_sub(self.bodies.available_permits());
        Gauges {
            waiting: self.queue.len(),
            images: self.options.queue.saturating_sub(self.images.available_permits()),
            requests: self.options.requests.saturating_sub(self.requests.available_permits()),
            bodies: bodies * BODY_UNIT,
        }
    }

    fn admit_images(&self, count: usize) -> Result<Arc<OwnedSemaphorePermit>, Problem> {
        let permit = Arc::clone(&self.images).try_acquire_many_owned(count as u32);
        permit.map(Arc::new).map_err(|_| Problem::busy("too many images wait"))
    }
}

/// An answer of the thread that computes.
pub(crate) async fn answer_of<T>(answer: oneshot::Receiver<Answer<T>>) -> Result<T, Problem> {
    let answer = answer.await.map_err(|_| Problem::internal("the network has stopped"))?;
    answer.map_err(Problem::internal)
}
