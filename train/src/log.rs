//! Logs of a run, with one JSON object per line.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use files::regular_file;
use serde::{Deserialize, Serialize};

use crate::evaluate::Evaluation;
use crate::{Error, Result};

/// A line of `log.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepLine {
    /// The step, from 1.
    pub step: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// Mean cross-entropy of the batch in nats, before the update.
    pub loss: f64,
    /// Top-1 error of the batch, as a fraction.
    pub top1_error: f64,
    /// The learning rate.
    pub rate: f64,
    /// Images per second of this step, with loading.
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
    /// The validation of the last weights, if the values above are those of their moving average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_weights: Option<LastWeights>,
}

/// A validation of the last weights of a run that averages them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastWeights {
    /// Mean cross-entropy over the validation pack, one crop.
    pub loss: f64,
    /// Top-1 error, as a fraction.
    pub top1_error: f64,
    /// Top-5 error, as a fraction.
    pub top5_error: f64,
}

impl LastWeights {
    /// The values of a validation.
    pub(crate) fn of(result: &Evaluation) -> Self {
        let Evaluation { loss, top1_error, top5_error, .. } = *result;
        Self { loss, top1_error, top5_error }
    }
}

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
        let mut text = serde_json::to_string(line).unwrap_or_default();
        text.push('\n');
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

/// Reads the lines of a log, without those truncated by a crash.
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

fn remove_after(path: &Path, last_step: u64) -> Result<()> {
    let text = match text(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        text => {
            text.map_err(|e| Error::file(path, format!("cannot be read: {e}; move it away to continue without it")))?
        }
    };
    let keep = |line: &&str| serde_json::from_str::<LineStep>(line).is_ok_and(|n| n.step <= last_step);
    let mut remaining: String = text.lines().filter(keep).collect::<Vec<_>>().join("\n");
    if !remaining.is_empty() {
        remaining.push('\n');
    }
    if remaining == text {
        return Ok(());
    }
    Ok(files::replace_bytes(path, remaining.as_bytes())?)
}
