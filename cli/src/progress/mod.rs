//! The progress of a training: lines, a bar, or a dashboard, and a command at its events.

mod curve;
mod dashboard;
mod lines;
mod on_event;
mod pace;
pub mod screen;
mod text;
mod view;

use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use dashboard::Dashboard;
use lines::Lines;
use tensor::Backend;
use train::trainer::{RunEvent, Trainer};
use train::{Stop, estimate};
use view::RunView;

use crate::console::{is_quiet, note, terminal_width};
use crate::signals::training_begins;

pub use on_event::OnEvent;

/// The way in which progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A dashboard, if standard error is a terminal that can show one.
    Dashboard,
    /// Lines, with a bar below them if standard error is a terminal.
    Plain,
}

/// The display of a training's progress, from its first step to its last.
pub struct Progress {
    view: Arc<Mutex<RunView>>,
    display: Display,
    on_event: Option<OnEvent>,
    start: Option<Instant>,
    /// Estimated images per second, where they can be estimated before the first step.
    estimate: Option<f64>,
}

enum Display {
    Lines(Lines),
    Dashboard(Dashboard),
}

impl Progress {
    /// Begins to show a training. The time since `start` is given before its first step.
    pub fn begin<B: Backend<Scalar = f32>>(
        trainer: &Trainer<B>,
        stop: &Stop,
        style: Style,
        start: Option<Instant>,
        on_event: Option<OnEvent>,
    ) -> Self {
        let network = trainer.network();
        let estimate = start.and_then(|_| estimate::images_per_s(network.device(), network.model()));
        let view = Arc::new(Mutex::new(RunView::of(trainer)));
        let dashboard = (style == Style::Dashboard && !is_quiet() && screen::is_available())
            .then(|| Dashboard::start(Arc::clone(&view), stop.clone()))
            .flatten();
        let display = match dashboard {
            Some(dashboard) => {
                lock(&view).read_logs(trainer.folder());
                Display::Dashboard(dashboard)
            }
            None => Display::Lines(Lines::new(&lock(&view), io::stderr().is_terminal() && !is_quiet())),
        };
        Self { view, display, on_event, start, estimate }
    }

    /// Shows an event.
    pub fn event(&mut self, event: RunEvent<'_>) {
        let mut view = lock(&self.view);
        let mut lines = Vec::new();
        match event {
            RunEvent::Begins => {
                training_begins();
                view.begin();
                if let Some(start) = self.start {
                    lines.extend(text::first_lines(&view, start.elapsed(), self.estimate));
                }
            }
            RunEvent::Step(line) => {
                view.step(line);
                lines.extend(view.measured_time().filter(|_| self.start.is_some()));
            }
            RunEvent::EpochTrained(line) => {
                view.epoch(line);
                if !view.validates {
                    lines.push(text::epoch(&view, line, None));
                    self.on_event.iter_mut().for_each(|command| command.epoch(line, None));
                }
            }
            RunEvent::Validating(done) => view.validating(done),
            RunEvent::Validated(line) => {
                view.validated(line);
                let epoch = view.last_epoch.clone();
                if let Some(epoch) = &epoch {
                    lines.push(text::epoch(&view, epoch, Some(line)));
                    self.on_event.iter_mut().for_each(|command| command.epoch(epoch, Some(line)));
                }
            }
            RunEvent::Saved(path) => view.saved(path),
            RunEvent::Note(text) => lines.push(vec![format!("note: {text}")]),
            _ => {}
        }
        let failed = self.on_event.as_mut().and_then(OnEvent::failure);
        lines.extend(failed.map(|text| vec![format!("note: {text}; training continues")]));
        match &mut self.display {
            Display::Lines(display) => display.show(&mut view, lines),
            Display::Dashboard(_) => lines.into_iter().for_each(|parts| view.line(parts)),
        }
    }

    /// Ends the display. Lines that a dashboard showed are printed, so that they stay.
    pub fn finish(self, outcome: &train::Result<()>) {
        match self.display {
            Display::Lines(lines) => lines.finish(),
            Display::Dashboard(dashboard) => {
                dashboard.finish();
                lock(&self.view).lines.iter().for_each(|parts| note(&text::wrap(parts, terminal_width())));
            }
        }
        let view = lock(&self.view);
        if let Some(command) = self.on_event {
            command.end(&view, outcome);
        }
        if let Some(summary) = text::summary(&view).filter(|_| outcome.is_ok()) {
            note(&summary);
        }
    }
}

/// The lock of a view. It is whole after a panic too: events change it field by field.
fn lock(view: &Mutex<RunView>) -> MutexGuard<'_, RunView> {
    view.lock().unwrap_or_else(PoisonError::into_inner)
}
