//! Progress as lines: a line an epoch, above a bar on a terminal, and one a minute where there is none.

use std::time::{Duration, Instant};

use super::text;
use super::view::RunView;
use crate::console::{Bar, note, terminal_width};

/// Time between lines where there is no bar.
const INTERVAL: Duration = Duration::from_secs(60);

/// Lines on standard error.
pub struct Lines {
    bar: Option<Bar>,
    last: Instant,
}

impl Lines {
    /// Lines, with a bar on a terminal.
    pub fn new(view: &RunView, is_terminal: bool) -> Self {
        let bar = is_terminal.then(|| {
            let bar = Bar::with_message(view.total);
            bar.resume_at(view.step);
            bar
        });
        Self { bar, last: Instant::now() }
    }

    /// Shows lines, given as parts, and the state.
    pub fn show(&mut self, view: &mut RunView, lines: Vec<Vec<String>>) {
        for parts in &lines {
            self.line(parts);
        }
        if let Some(bar) = &self.bar {
            bar.set(view.step);
            bar.set_message(bar_message(view));
        } else if self.last.elapsed() >= INTERVAL
            && let Some((loss, error, _)) = view.take_recent()
        {
            self.line(&text::minute(view, loss, error));
        }
    }

    fn line(&mut self, parts: &[String]) {
        self.last = Instant::now();
        match &self.bar {
            Some(bar) => bar.note(&text::wrap(parts, terminal_width())),
            None => note(&parts.join("; ")),
        }
    }

    /// Removes the bar.
    pub fn finish(self) {
        self.bar.iter().for_each(Bar::finish);
    }
}

/// The text beside the bar: the most important first, since a narrow terminal cuts it.
fn bar_message(view: &RunView) -> String {
    let epoch = format!("epoch {}/{}", view.epoch_under_way(), view.epochs());
    if let Some(done) = view.validating {
        return format!("{epoch}, validating {done}/{}", view.validation_images);
    }
    let Some(line) = &view.last_step else { return epoch };
    let left = view.time_left().map_or(String::new(), |left| format!(", {} left", text::duration(left)));
    format!("{epoch}{left}, loss {:.3}, {} images/s", line.loss, text::speed(line.images_per_s))
}
