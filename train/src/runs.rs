//! Several runs side by side: what each of them is, how far it came, and where their settings differ.

mod curve_plots;
mod curves;
mod status;

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use files::regular_file;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::config::{keys, settings};
use crate::run::{self, Best};
use crate::{Config, Error, Result};

pub use curve_plots::{CurveLine, CurvePlot};
pub use curves::{Curves, RateDrop, RunCurves, curves};
pub use status::{Outcome, State, has_diverged};

/// A run, as a table of runs shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunSummary {
    /// Its folder.
    pub folder: PathBuf,
    /// Name of its network.
    pub network: String,
    /// Its settings.
    pub settings: Table,
    /// Whether it is running, or how it ended.
    pub state: State,
    /// The error that ended a failed run.
    pub message: Option<String>,
    /// Steps in its log.
    pub step: u64,
    /// Epochs that were validated, or that its log has begun.
    pub epoch: u64,
    /// Its best checkpoint.
    pub best: Option<Best>,
    /// Mean loss of its last steps.
    pub loss: Option<f64>,
    /// Median images per second of its last steps.
    pub images_per_s: Option<f64>,
    /// Seconds of training, without those between a stop and a resume.
    pub seconds: Option<f64>,
    /// Time of its first step, in UTC as in RFC 3339.
    pub began: Option<String>,
    /// Time of its last step.
    pub ended: Option<String>,
}

/// The part of a log's line that a summary needs.
#[derive(Deserialize)]
struct LoggedStep {
    step: u64,
    epoch: u64,
    loss: f64,
    images_per_s: f64,
    #[serde(default)]
    seconds: f64,
    #[serde(default)]
    time: String,
}

#[derive(Deserialize)]
struct LoggedEpoch {
    epoch: u64,
}

/// Bytes at the end of a log that a summary reads: some hundred lines.
const TAIL_BYTES: u64 = 32 << 10;
/// Steps at the end of the log that loss and speed are taken over.
const LAST_STEPS: usize = 100;
/// Levels of folders that are searched for runs.
const DEPTH: usize = 3;
/// Settings with a column of their own, or of the machine rather than the run.
const NOT_COMPARED: [&str; 4] = ["model.name", "data.train", "data.val", "run.threads"];

impl RunSummary {
    /// Reads what there is to know of the run in `folder`, without its checkpoints.
    ///
    /// # Errors
    /// [`Error::File`] if it is no run or cannot be read; [`Error::Setting`] for settings that this version does not have.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("run.toml");
        let text = regular_file::read_text(&path).map_err(|e| Error::file(&path, format!("cannot be read: {e}")))?;
        let config = Config::parse(&path.display().to_string(), &text)?;
        let steps: Vec<LoggedStep> = last_lines(&folder.join("log.jsonl"))?;
        let validated: Vec<LoggedEpoch> = last_lines(&folder.join("validation.jsonl"))?;
        let last = &steps[steps.len().saturating_sub(LAST_STEPS)..];
        let step = last.last().map_or(0, |line| line.step);
        let validated = validated.last().map(|line| line.epoch);
        let epoch = validated.or(last.last().map(|line| line.epoch)).unwrap_or(0);
        let mut speeds: Vec<f64> =
            last.iter().map(|line| line.images_per_s).filter(|speed| speed.is_finite()).collect();
        speeds.sort_by(f64::total_cmp);
        let loss = last.iter().map(|line| line.loss).sum::<f64>() / last.len() as f64;
        let (state, message) = status::of(folder, &config, step, validated);
        Ok(Self {
            folder: folder.to_path_buf(),
            network: run::model(folder).map_or(config.model.name.clone(), |model| model.name),
            settings: config.to_table(),
            state,
            message,
            step,
            epoch,
            best: run::best(folder)?,
            loss: Some(loss).filter(|loss| loss.is_finite()),
            images_per_s: speeds.get(speeds.len() / 2).copied(),
            seconds: last.last().map(|line| line.seconds).filter(|seconds| *seconds > 0.0),
            began: first_time(&folder.join("log.jsonl")),
            ended: last.last().map(|line| line.time.clone()).filter(|time| !time.is_empty()),
        })
    }

    /// The value of a column: `run`, `network`, `data`, `best`, `loss`, `speed`, `steps`, `state`, or a setting.
    ///
    /// # Errors
    /// [`Error::Setting`] for a name that is neither.
    pub fn value(&self, column: &str) -> Result<String> {
        let number =
            |value: Option<f64>, digits: usize| value.map_or(String::new(), |value| format!("{value:.digits$}"));
        Ok(match column {
            "run" => self.folder.display().to_string(),
            "network" => self.network.clone(),
            "data" => keys::value(&self.settings, "data.train").map(plain).unwrap_or_default(),
            "best" => number(self.best.as_ref().map(|best| best.value), 4),
            "loss" => number(self.loss, 4),
            "speed" => number(self.images_per_s, 1),
            "steps" => self.step.to_string(),
            "state" => self.state.to_string(),
            key => {
                let setting = settings().find(|setting| setting.key == key || setting.name() == key);
                let unknown = || {
                    Error::setting(key, format!("no such column; there are {} and all settings", COLUMNS.join(", ")))
                };
                keys::value(&self.settings, setting.ok_or_else(unknown)?.key).map(plain).unwrap_or_default()
            }
        })
    }
}

/// The columns of a table of runs beside the settings.
pub const COLUMNS: [&str; 8] = ["run", "network", "data", "best", "loss", "speed", "steps", "state"];

/// The runs in `folder`: itself, or those below it, by name.
///
/// # Errors
/// [`Error::File`] if it cannot be listed.
pub fn find(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    search(folder, DEPTH, &mut found)?;
    found.sort();
    Ok(found)
}

fn search(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    if folder.join("run.toml").is_file() {
        found.push(folder.to_path_buf());
        return Ok(());
    }
    if depth == 0 {
        return Ok(());
    }
    let unlisted = |e| Error::file(folder, format!("cannot be listed: {e}"));
    for entry in fs::read_dir(folder).map_err(unlisted)? {
        let entry = entry.map_err(unlisted)?;
        // Links are not followed: they may lead in circles.
        if entry.file_type().map_err(unlisted)?.is_dir() {
            search(&entry.path(), depth - 1, found)?;
        }
    }
    Ok(())
}

/// The settings in which runs differ, besides those that have a column of their own.
pub fn differing(runs: &[RunSummary]) -> Vec<&'static str> {
    let Some((first, others)) = runs.split_first() else { return Vec::new() };
    let differs = |key: &str| {
        let value = keys::value(&first.settings, key);
        others.iter().any(|other| keys::value(&other.settings, key) != value)
    };
    let compared = settings().map(|setting| setting.key).filter(|key| !NOT_COMPARED.contains(key));
    compared.filter(|key| differs(key)).collect()
}

/// Sorts runs by a column, numbers by their size and runs without a value last.
///
/// # Errors
/// Those of [`RunSummary::value`].
pub fn sort(runs: &mut Vec<RunSummary>, column: &str) -> Result<()> {
    let values: Result<Vec<String>> = runs.iter().map(|run| run.value(column)).collect();
    let mut keyed: Vec<(String, RunSummary)> = values?.into_iter().zip(runs.drain(..)).collect();
    keyed.sort_by(|(a, _), (b, _)| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        _ => (a.is_empty(), a).cmp(&(b.is_empty(), b)),
    });
    runs.extend(keyed.into_iter().map(|(_, run)| run));
    Ok(())
}

/// A value as text, without quotation marks.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// The time of the first line of a log, if it says one.
fn first_time(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    regular_file::open(path).ok()?.take(TAIL_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line: LoggedStep = serde_json::from_str(text.lines().next()?).ok()?;
    Some(line.time).filter(|time| !time.is_empty())
}

/// The lines at the end of a log, without damaged ones; none if there is no log.
fn last_lines<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let text = match tail(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(Error::file(path, format!("cannot be read: {e}"))),
    };
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn tail(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = regular_file::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(name: &str, lr: f64, best: Option<f64>) -> RunSummary {
        let mut config = Config::default();
        config.optim.lr = lr;
        config.run.threads = name.len();
        let best = best.map(|value| Best { step: 1, monitor: Default::default(), value });
        RunSummary {
            folder: name.into(),
            network: "tiny".into(),
            settings: config.to_table(),
            state: State::Finished,
            message: None,
            step: 1,
            epoch: 1,
            best,
            loss: None,
            images_per_s: None,
            seconds: None,
            began: None,
            ended: None,
        }
    }

    #[test]
    fn runs_sort_by_numbers_and_those_without_one_come_last() {
        let mut runs = vec![summary("none", 0.1, None), summary("a", 10.0, Some(0.5)), summary("bb", 9.0, Some(0.25))];
        assert_eq!(differing(&runs), ["optim.lr"]);
        let order = |runs: &[RunSummary]| runs.iter().map(|run| run.value("run").unwrap()).collect::<Vec<_>>();
        sort(&mut runs, "best").unwrap();
        assert_eq!(order(&runs), ["bb", "a", "none"]);
        sort(&mut runs, "lr").unwrap();
        assert_eq!(order(&runs), ["none", "bb", "a"]);
        sort(&mut runs, "run").unwrap();
        assert_eq!(order(&runs), ["a", "bb", "none"]);
        let error = sort(&mut runs, "nothing").unwrap_err().to_string();
        assert!(error.contains("no such column") && error.contains("speed"), "{error}");
    }
}
