//! Logs of one JSON object a line, appended as they happen.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use files::regular_file;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A line of `log.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepLine {
    /// Steps done, from 1.
    pub step: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// Mean cross-entropy of the batch in nats, before the update.
    pub loss: f64,
    /// Fraction of the batch whose label was not the first guess.
    pub top1_error: f64,
    /// The learning rate.
    pub rate: f64,
    /// Images a second of this step, loading included.
    pub images_per_s: f64,
}

/// A line of `validation.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationLine {
    /// Steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: u64,
    /// Mean training loss of the epoch.
    pub train_loss: f64,
    /// Mean training top-1 error of the epoch, with augmentation and dropout.
    pub train_top1_error: f64,
    /// Mean cross-entropy over the validation pack, one crop.
    pub loss: f64,
    /// Top-1 error, as a fraction.
    pub top1_error: f64,
    /// Top-5 error, as a fraction.
    pub top5_error: f64,
}

/// A log that is written to.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    failed: bool,
}

impl Log {
    /// Opens a log to append to, first dropping lines after `last_step`: a run resumed from a checkpoint writes
    /// them again.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read or written.
    pub fn open(path: &Path, last_step: u64) -> Result<Self> {
        drop_after(path, last_step)?;
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|e| Error::file(path, format!("cannot be written: {e}")))?;
        Ok(Self { path: path.to_path_buf(), file, failed: false })
    }

    /// Appends a line. A log that cannot be written does not end the run: the first failure is returned as words
    /// for the user, later ones are passed over.
    pub fn append(&mut self, line: &impl Serialize) -> Option<String> {
        let mut text = serde_json::to_string(line).unwrap_or_default();
        text.push('\n');
        match self.file.write_all(text.as_bytes()) {
            Err(e) if !self.failed => {
                self.failed = true;
                Some(format!(
                    "{}: cannot be written: {e}; training goes on without the missing lines",
                    self.path.display()
                ))
            }
            _ => None,
        }
    }
}

/// Reads a log's lines; one cut short by a crash is passed over.
pub fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let text = text(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// All of a log, which may be long; a byte that is damaged spoils its line only.
fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    regular_file::open(path)?.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[derive(Deserialize)]
struct Numbered {
    step: u64,
}

fn drop_after(path: &Path, last_step: u64) -> Result<()> {
    let text = match text(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        text => {
            text.map_err(|e| Error::file(path, format!("cannot be read: {e}; move it away to go on without it")))?
        }
    };
    let keep = |line: &&str| serde_json::from_str::<Numbered>(line).is_ok_and(|n| n.step <= last_step);
    let mut kept: String = text.lines().filter(keep).collect::<Vec<_>>().join("\n");
    if !kept.is_empty() {
        kept.push('\n');
    }
    if kept == text {
        return Ok(());
    }
    Ok(files::replace_bytes(path, kept.as_bytes())?)
}
