//! Whether a run is running, and how it ended.

use std::fmt::{self, Display, Formatter};
use std::fs::TryLockError;
use std::path::Path;

use files::regular_file;
use serde::{Deserialize, Serialize};

use crate::{Config, Error, Result};

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// A process trains it.
    Running,
    /// It took all its steps, or ended early as its settings say.
    Finished,
    /// It was stopped on request, with its steps saved.
    Stopped,
    /// An error ended it.
    Failed,
    /// Its process ended without a word: it was killed, or the machine stopped.
    Interrupted,
}

impl Display for State {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        })
    }
}

/// The end of a run, as `outcome.toml` in its folder holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub state: State,
    /// The error, if one ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether the error was a loss that is not finite.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub diverged: bool,
}

/// The name of the file of the outcome.
const FILE: &str = "outcome.toml";

impl Outcome {
    /// The outcome of a training.
    pub(crate) fn of<T>(result: &Result<T>) -> Self {
        match result {
            Ok(_) => Self { state: State::Finished, message: None, diverged: false },
            Err(Error::Stopped { .. }) => Self { state: State::Stopped, message: None, diverged: false },
            Err(error) => {
                let diverged = matches!(error, Error::Diverged { .. });
                Self { state: State::Failed, message: Some(error.to_string()), diverged }
            }
        }
    }

    /// Writes it into the folder of a run.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let text = toml::to_string(self).unwrap_or_default();
        Ok(files::replace_bytes(&folder.join(FILE), text.as_bytes())?)
    }

    /// Removes that of an earlier process, as the run goes on.
    pub(crate) fn remove(folder: &Path) {
        // What cannot be removed is written over at the end.
        let _ = std::fs::remove_file(folder.join(FILE));
    }

    fn read(folder: &Path) -> Option<Self> {
        toml::from_str(&regular_file::read_text(&folder.join(FILE)).ok()?).ok()
    }
}

/// The state of the run in a folder, and the error that ended it. Runs of early versions have no outcome: the last step of
/// their logs, or the last validated epoch, says whether they took all their steps.
pub(super) fn of(folder: &Path, config: &Config, step: u64, validated: Option<u64>) -> (State, Option<String>) {
    if is_locked(folder) {
        return (State::Running, None);
    }
    if let Some(outcome) = Outcome::read(folder) {
        return (outcome.state, outcome.message);
    }
    let is_done = match config.run.steps {
        Some(steps) => step >= steps,
        None => validated.is_some_and(|epoch| epoch >= config.run.epochs),
    };
    (if is_done { State::Finished } else { State::Interrupted }, None)
}

/// Whether the run in a folder ended by a loss that is not finite: the same settings would end so again.
pub fn has_diverged(folder: &Path) -> bool {
    Outcome::read(folder).is_some_and(|outcome| outcome.diverged)
}

/// Whether a process holds the lock of a run.
fn is_locked(folder: &Path) -> bool {
    let Ok(lock) = regular_file::open(&folder.join("lock")) else { return false };
    matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
}
