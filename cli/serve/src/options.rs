//! Limits of a server.

use std::time::Duration;

/// Limits of a server: the size of a request, the number of requests at a time, and how their images become batches.
///
/// ```
/// use alexnet_serve::Options;
///
/// let options = Options { batch: 32, ..Options::default() };
/// assert_eq!(options.body, 32 << 20);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of the body of a request. Larger ones are refused before they are read.
    pub body: usize,
    /// Bytes of all bodies in memory, as far as they have arrived. Requests beyond it are refused until others have ended.
    pub bodies: usize,
    /// Images of a request.
    pub images: usize,
    /// Pixels of an image, as its header says.
    pub pixels: u64,
    /// Time in which a request must have sent its body, and again in which it must be answered.
    pub timeout: Duration,
    /// Time after which a body must have come at 8 KiB a second on the average.
    pub grace: Duration,
    /// Requests with images at a time. More are refused.
    pub requests: usize,
    /// Images that are decoded or wait for the network at a time. More are refused.
    pub queue: usize,
    /// Connections at a time. More wait until others have ended.
    pub connections: usize,
    /// Images of a batch of the network.
    pub batch: usize,
    /// Time that a batch waits for images that are being decoded.
    pub wait: Duration,
    /// Threads that decode images.
    pub threads: usize,
    /// Time between two looks for a newer classifier.
    pub renewal: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            body: 32 << 20,
            bodies: 512 << 20,
            images: 128,
            pixels: 64_000_000,
            timeout: Duration::from_secs(30),
            grace: Duration::from_secs(5),
            requests: 256,
            queue: 1024,
            connections: 512,
            batch: 128,
            wait: Duration::from_millis(4),
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            renewal: Duration::from_secs(2),
        }
    }
}

impl Options {
    /// The same with every limit at least 1, so that a request can be answered at all.
    pub(crate) fn usable(mut self) -> Self {
        let counts = [&mut self.body, &mut self.images, &mut self.requests, &mut self.connections, &mut self.batch];
        for count in counts {
            *count = (*count).max(1);
        }
        self.threads = self.threads.clamp(1, 1024);
        self.queue = self.queue.max(1);
        self.images = self.images.min(self.queue);
        self.bodies = self.bodies.max(self.body);
        self
    }
}
