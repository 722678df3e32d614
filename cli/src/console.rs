//! Terminal output: results on standard output, everything else on standard error. Names from outside may contain control
//! characters, which a terminal would obey, so they are escaped here. JSON escapes them itself.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use files::printable;
use indicatif::{ProgressBar, ProgressStyle};
use ratatui::crossterm::terminal::size;
use serde::Serialize;

use crate::failure::{Failure, Result};

/// Writes a result to standard output.
///
/// # Errors
/// [`Failure::BrokenPipe`] if the reader has closed the pipe.
pub fn print(text: &str) -> Result<()> {
    print_raw(&printable::lines(text))
}

/// Writes text to standard output without escaping: only for text without names from outside.
pub fn print_raw(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).map_err(|e| {
        if e.kind() == io::ErrorKind::BrokenPipe {
            return Failure::BrokenPipe;
        }
        Failure::Failed(format!("standard output cannot be written: {e}"))
    })
}

/// Writes a result as JSON to standard output.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::Failed(format!("cannot write JSON: {e}")))?;
    print_raw(&text)
}

/// A number with its unit, in the plural unless it is 1.
pub fn count(n: u64, unit: &str) -> String {
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

/// Notes that a dashboard will show; `None` while there is none.
static COLLECTED: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// Whether nothing but results and errors is printed.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Prints nothing but results and errors from now on.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether nothing but results and errors is printed.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Writes a message to standard error, unless only errors are to be printed.
pub fn note(text: &str) {
    if !is_quiet() {
        print_error(text);
    }
}

/// Writes an error to standard error. If that is closed too, it is lost.
pub fn print_error(text: &str) {
    let text = printable::lines(text);
    if let Some(notes) = &mut *collected() {
        notes.push(text.into_owned());
        return;
    }
    let _ = writeln!(io::stderr(), "{text}");
}

/// Collects notes from now on, for a dashboard.
pub fn collect_notes() {
    collected().get_or_insert_default();
}

/// The notes since they were last taken.
pub fn take_notes() -> Vec<String> {
    collected().as_mut().map(std::mem::take).unwrap_or_default()
}

/// Ends the collecting, and writes what was not taken.
pub fn print_collected_notes() {
    let notes = collected().take().unwrap_or_default();
    notes.iter().for_each(|text| print_error(text));
}

fn collected() -> MutexGuard<'static, Option<Vec<String>>> {
    COLLECTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Columns of the terminal of standard error; 80 if it does not say.
pub fn terminal_width() -> usize {
    size().map_or(80, |(columns, _)| usize::from(columns).max(20))
}

/// Writes a message of another thread to standard error, in place of the line of a progress bar that is drawn anew.
pub fn interrupt(text: &str) {
    if let Some(notes) = &mut *collected() {
        notes.push(text.to_string());
        return;
    }
    let clear = if io::stderr().is_terminal() { "\r\u{1b}[2K" } else { "" };
    let _ = writeln!(io::stderr(), "{clear}{text}");
}

/// A progress bar with rate and remaining time; hidden unless standard error is a terminal.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar of length `len`, counted in `unit`.
    pub fn new(label: &'static str, unit: &str, len: u64) -> Self {
        if !io::stderr().is_terminal() || is_quiet() {
            return Self(ProgressBar::hidden());
        }
        let template = format!("{{prefix}} {{bar:{}}} {{pos}}/{{len}} {unit}, {{eta}} left {{wide_msg}}", bar_width());
        Self::with_template(&template, len).with_prefix(label)
    }

    /// A bar of length `len` with nothing beside it but a message.
    pub fn with_message(len: u64) -> Self {
        Self::with_template(&format!("{{bar:{}}} {{wide_msg}}", bar_width()), len)
    }

    fn with_template(template: &str, len: u64) -> Self {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(len).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(250));
        Self(bar)
    }

    fn with_prefix(self, label: &'static str) -> Self {
        Self(self.0.with_prefix(label))
    }

    /// Sets the length, once it is known.
    pub fn set_len(&self, len: u64) {
        self.0.set_length(len);
    }

    /// Sets the number done.
    pub fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Sets the number done before, which does not count for the rate.
    pub fn resume_at(&self, done: u64) {
        self.0.set_position(done);
        self.0.reset_eta();
    }

    /// Sets the number done, and shows the mean rate in `unit` per second.
    pub fn set_with_rate(&self, done: u64, unit: &str) {
        self.0.set_position(done);
        let seconds = self.0.elapsed().as_secs_f64();
        if seconds > 0.5 {
            self.0.set_message(format!("{:.0} {unit}/s", done as f64 / seconds));
        }
    }

    /// Sets the message behind the count.
    pub fn set_message(&self, message: String) {
        self.0.set_message(message);
    }

    /// Prints a line above the bar.
    pub fn note(&self, text: &str) {
        self.0.suspend(|| note(text));
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// Columns of a bar: a third of a narrow terminal.
fn bar_width() -> usize {
    (terminal_width() / 3).min(30)
}

/// The text, or its beginning and its end if it has more characters than `most`: names in files can be a megabyte long.
pub fn shortened(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_string();
    }
    let half = most / 2;
    let begin: String = text.chars().take(half).collect();
    let end: String = text.chars().skip(count - half).collect();
    format!("{begin} ... {end}")
}

/// Formats rows as columns: the first aligned left, the others right. Control characters are escaped.
pub fn table(rows: &[Vec<String>]) -> String {
    let printable = |row: &Vec<String>| row.iter().map(|cell| shortened(&printable::name(cell), 200)).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(printable).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |c: usize| rows.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (c, cell) in row.iter().enumerate() {
            let width = widths[c];
            let _ = if c == 0 { write!(line, "{cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.pop();
    text
}

/// A fraction in percent with one decimal.
pub fn percent(fraction: f64) -> String {
    format!("{:.1} %", fraction * 100.0)
}
