//! Logs of a run: `log.jsonl` and `validation.jsonl` with one JSON object per line, and `metrics.csv` with one row per
//! epoch.

mod clock;
mod csv;
mod lines;

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use files::regular_file;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

pub use clock::Clock;
pub(crate) use csv::Csv;
pub use csv::MetricsCsv;
pub use lines::{EpochLine, LastWeights, StepLine, ValidationLine};

/// A log file, open for appending.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    failed: bool,
}

impl Log {
    /// Opens a log and removes the lines after `last_step`, which a run resumed from a checkpoint writes again.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read or written.
    pub fn open(path: &Path, last_step: u64) -> Result<Self> {
        remove_after(path, last_step)?;
        Self::append_to(path)
    }

    /// Opens a file for appending.
    fn append_to(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|e| Error::file(path, format!("cannot be written: {e}")))?;
        Ok(Self { path: path.to_path_buf(), file, failed: false })
    }

    /// Appends a line. An error does not end the run: the first one is returned as a message for the user, later ones
    /// are ignored.
    pub fn append(&mut self, line: &impl Serialize) -> Option<String> {
        self.append_text(&serde_json::to_string(line).unwrap_or_default())
    }

    /// Appends a line of text, as [`append`](Self::append) does.
    fn append_text(&mut self, line: &str) -> Option<String> {
        let text = format!("{line}\n");
        match self.file.write_all(text.as_bytes()) {
            Err(e) if !self.failed => {
                self.failed = true;
                Some(format!(
                    "{}: cannot be written: {e}; training continues without the missing lines",
                    self.path.display()
                ))
            }
            _ => None,
        }
    }
}

/// Reads the steps of `log.jsonl`, without lines truncated by a crash.
///
/// # Errors
/// [`Error::File`] if it cannot be read.
pub fn read_steps(path: &Path) -> Result<Vec<StepLine>> {
    let mut lines: Vec<StepLine> = read(path)?;
    // Earlier versions counted epochs from 0, and wrote no time.
    for line in lines.iter_mut().filter(|line| line.time.is_empty()) {
        line.epoch += 1;
    }
    Ok(lines)
}

/// Reads the lines of a log, without those truncated by a crash.
///
/// # Errors
/// [`Error::File`] if it cannot be read.
pub fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let text = text(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// The text of a log. A damaged byte affects its line only.
fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    regular_file::open(path)?.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[derive(Deserialize)]
struct LineStep {
    step: u64,
}

/// Removes the lines after `last_step`.
fn remove_after(path: &Path, last_step: u64) -> Result<()> {
    retain(path, |line| serde_json::from_str::<LineStep>(line).is_ok_and(|n| n.step <= last_step))
}

/// Keeps the lines of a file, if there is one, that `keep` accepts.
fn retain(path: &Path, keep: impl Fn(&str) -> bool) -> Result<()> {
    let text = match text(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        text => {
            text.map_err(|e| Error::file(path, format!("cannot be read: {e}; move it away to continue without it")))?
        }
    };
    let mut remaining: String = text.lines().filter(|line| keep(line)).collect::<Vec<_>>().join("\n");
    if !remaining.is_empty() {
        remaining.push('\n');
    }
    if remaining == text {
        return Ok(());
    }
    Ok(files::replace_bytes(path, remaining.as_bytes())?)
}
