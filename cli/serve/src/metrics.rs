//! Counts and times of requests, in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upper bounds of the times of requests, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Upper bounds of the sizes of batches, in images.
const IMAGES: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Counts of values up to bounds.
#[derive(Debug)]
struct Histogram {
    bounds: &'static [f64],
    /// One more than bounds: the last is of values above all.
    counts: Vec<u64>,
    sum: f64,
}

/// Counts and times of the server since its start.
#[derive(Debug)]
pub(crate) struct Metrics {
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    /// Requests by route and status.
    requests: BTreeMap<(String, u16), u64>,
    /// Seconds of requests by route.
    seconds: BTreeMap<String, Histogram>,
    batches: Histogram,
}

/// Values of the moment.
pub(crate) struct Gauges {
    /// Images that wait for the network.
    pub waiting: usize,
    /// Images that are decoded, wait or are computed.
    pub images: usize,
    /// Requests with images.
    pub requests: usize,
    /// Bytes of their bodies that have arrived, in units of 1 KiB.
    pub bodies: usize,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    fn add(&mut self, value: f64) {
        let place = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        self.counts[place] += 1;
        self.sum += value;
    }

    /// Writes the lines of the histogram; `label` is empty or ends with a comma.
    fn write(&self, name: &str, label: &str, text: &mut String) {
        let mut count = 0;
        for (place, own) in self.counts.iter().enumerate() {
            count += own;
            let bound = self.bounds.get(place).map_or("+Inf".to_string(), f64::to_string);
            let _ = writeln!(text, "{name}_bucket{{{label}le=\"{bound}\"}} {count}");
        }
        let label = if label.is_empty() { String::new() } else { format!("{{{}}}", label.trim_end_matches(',')) };
        let _ = writeln!(text, "{name}_sum{label} {}\n{name}_count{label} {count}", self.sum);
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let counts = Counts { requests: BTreeMap::new(), seconds: BTreeMap::new(), batches: Histogram::new(&IMAGES) };
        Self { counts: Mutex::new(counts) }
    }
}

impl Metrics {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request of a route. Routes are those of the server: a client cannot add any.
    pub fn count_request(&self, route: &str, status: u16, time: Duration) {
        let mut counts = self.lock();
        *counts.requests.entry((route.to_string(), status)).or_default() += 1;
        let seconds = counts.seconds.entry(route.to_string()).or_insert_with(|| Histogram::new(&SECONDS));
        seconds.add(time.as_secs_f64());
    }

    /// Counts a batch of the network.
    pub fn count_batch(&self, images: usize) {
        self.lock().batches.add(images as f64);
    }

    /// The text of all metrics.
    pub fn text(&self, gauges: &Gauges) -> String {
        let counts = self.lock();
        let mut text = String::new();
        head(&mut text, "alexnet_requests_total", "counter", "Requests by route and status.");
        for ((route, status), count) in &counts.requests {
            let _ = writeln!(text, "alexnet_requests_total{{route=\"{route}\",status=\"{status}\"}} {count}");
        }
        head(&mut text, "alexnet_request_seconds", "histogram", "Time from a request's head to its answer.");
        for (route, seconds) in &counts.seconds {
            seconds.write("alexnet_request_seconds", &format!("route=\"{route}\","), &mut text);
        }
        head(&mut text, "alexnet_batch_images", "histogram", "Images of a batch of the network.");
        counts.batches.write("alexnet_batch_images", "", &mut text);
        for (name, help, value) in [
            ("alexnet_queue_images", "Images that wait for the network.", gauges.waiting),
            ("alexnet_images_in_process", "Images that are decoded, wait or are computed.", gauges.images),
            ("alexnet_requests_in_process", "Requests with images.", gauges.requests),
            ("alexnet_body_bytes", "Bytes of their bodies that have arrived.", gauges.bodies),
        ] {
            head(&mut text, name, "gauge", help);
            let _ = writeln!(text, "{name} {value}");
        }
        text
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_count_all_values_up_to_their_bound() {
        let metrics = Metrics::default();
        for millis in [1, 3, 3, 20_000] {
            metrics.count_request("/v1/predict", 200, Duration::from_millis(millis));
        }
        metrics.count_request("/v1/predict", 415, Duration::from_millis(2));
        metrics.count_batch(3);
        let text = metrics.text(&Gauges { waiting: 7, images: 8, requests: 9, bodies: 2048 });
        for line in [
            "alexnet_requests_total{route=\"/v1/predict\",status=\"200\"} 4",
            "alexnet_requests_total{route=\"/v1/predict\",status=\"415\"} 1",
            "alexnet_request_seconds_bucket{route=\"/v1/predict\",le=\"0.001\"} 1",
            "alexnet_request_seconds_bucket{route=\"/v1/predict\",le=\"0.005\"} 4",
            "alexnet_request_seconds_bucket{route=\"/v1/predict\",le=\"10\"} 4",
            "alexnet_request_seconds_bucket{route=\"/v1/predict\",le=\"+Inf\"} 5",
            "alexnet_request_seconds_count{route=\"/v1/predict\"} 5",
            "alexnet_batch_images_bucket{le=\"2\"} 0",
            "alexnet_batch_images_bucket{le=\"4\"} 1",
            "alexnet_batch_images_sum 3",
            "alexnet_queue_images 7",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }
}
