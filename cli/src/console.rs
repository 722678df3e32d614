//! What the user sees: results on standard output, everything else on standard error. Names from outside may hold control
//! characters, which would give the terminal orders: they are written out here, for all that is printed but JSON, which has
//! its own way to write them.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use files::printable;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::failure::{Failure, Result};

/// Writes a result to standard output.
///
/// # Errors
/// [`Failure::Closed`] when nobody reads it any more.
pub fn print(text: &str) -> Result<()> {
    print_raw(&printable::lines(text))
}

/// Writes text of our own to standard output, as it is.
pub fn print_raw(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).map_err(|e| {
        if e.kind() == io::ErrorKind::BrokenPipe {
            return Failure::Closed;
        }
        Failure::Failed(format!("standard output cannot be written: {e}"))
    })
}

/// Writes a result as JSON to standard output.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::Failed(format!("cannot write JSON: {e}")))?;
    print_raw(&text)
}

/// So many of something, in words.
pub fn count(n: u64, unit: &str) -> String {
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

/// Tells the user something beside the result. Where standard error is closed as well there is nobody to tell.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable::lines(text));
}

/// A bar with rate and time left on a terminal; nothing elsewhere.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar that ends at `len` of `unit`.
    pub fn new(what: &'static str, unit: &str, len: u64) -> Self {
        if !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let template = format!("{{prefix:>10}} {{bar:30}} {{pos}}/{{len}} {unit} {{msg}} {{elapsed}} + {{eta}}");
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(len).with_style(style).with_prefix(what);
        bar.enable_steady_tick(Duration::from_millis(250));
        Self(bar)
    }

    /// How many there are, once it is known.
    pub fn set_len(&self, len: u64) {
        self.0.set_length(len);
    }

    /// So many are done.
    pub fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Work that was done before the bar began does not count for its rate.
    pub fn begin_at(&self, done: u64) {
        self.0.set_position(done);
        self.0.reset_eta();
    }

    /// Also shows the rate so far in `unit` a second.
    pub fn set_with_rate(&self, done: u64, unit: &str) {
        self.0.set_position(done);
        let seconds = self.0.elapsed().as_secs_f64();
        if seconds > 0.5 {
            self.0.set_message(format!("{:.0} {unit}/s", done as f64 / seconds));
        }
    }

    /// Sets the words behind the count.
    pub fn say(&self, words: String) {
        self.0.set_message(words);
    }

    /// Prints a line above the bar.
    pub fn note(&self, text: &str) {
        self.0.suspend(|| note(text));
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// Lays out rows in columns; the first is aligned left, the others right. Control characters are written out.
pub fn table(rows: &[Vec<String>]) -> String {
    let printable = |row: &Vec<String>| row.iter().map(|cell| printable::name(cell).into_owned()).collect();
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
