//! The folder of a run: its files, its lock and its checkpoints.
//!
//! The files are `run.toml` (settings), `model.toml` (network), `log.jsonl` (one line per step), `validation.jsonl`
//! (one line per validation), `metrics.csv` and `parameters.csv` (rows per epoch), `checkpoints/step-NNNNNNNNN.h5`,
//! `best.toml` (the best checkpoint), `best.h5` (its weights, without the state of training), `outcome.toml` (how it
//! ended), `tensorboard/` and `lock`.

use std::fmt::{self, Display, Formatter};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use files::regular_file;
use layers::Model;
use layers::weights::hdf5_file::{self, Parts};
use serde::{Deserialize, Serialize};

use crate::config::Monitor;
use crate::log::{self, StepLine};
use crate::{Config, Error, Remedy, Result};

/// The folder of a run, locked against other processes while this value lives.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    _lock: File,
}

/// The best checkpoint so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Its step.
    pub step: u64,
    /// The metric that is lowest in its epoch: that of `run.monitor`.
    #[serde(default)]
    pub monitor: Monitor,
    /// The value of the metric; errors are fractions.
    #[serde(alias = "top1_error")]
    pub value: f64,
}

impl Display for Best {
    /// The metric and its value.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = self.monitor.name();
        if self.monitor.is_error() {
            return write!(f, "{name} {:.1} %", 100.0 * self.value);
        }
        write!(f, "{name} {:.4}", self.value)
    }
}

impl Run {
    /// Creates the folder of a new run and writes its settings and network.
    ///
    /// # Errors
    /// [`Error::File`] if the folder is not empty, another process has locked it, or it cannot be written.
    pub fn create(folder: &Path, config: &Config, model: &Model) -> Result<Self> {
        check_name(folder)?;
        check_unused(folder)?;
        let checkpoints = folder.join("checkpoints");
        files::folder::create_all(&checkpoints)
            .map_err(|e| elsewhere(folder, format!("cannot make the run's folder: {e}")))?;
        let run = Self::locked(folder)?;
        if exists(&folder.join("run.toml"))? {
            return Err(taken(folder));
        }
        write_text(&folder.join("model.toml"), &model.to_toml())?;
        // Last: a folder with run.toml is a complete run.
        write_text(&folder.join("run.toml"), &config.to_toml())?;
        Ok(run)
    }

    /// Opens an existing run to resume it, and removes the temporary files of interrupted saves.
    ///
    /// # Errors
    /// [`Error::File`] if there is no run, or another process has locked it.
    pub fn open(folder: &Path) -> Result<Self> {
        if !exists(&folder.join("run.toml"))? {
            let what = "holds no run to resume (no run.toml)";
            return Err(Error::file(folder, what).with_remedy(Remedy::StartNew));
        }
        check_name(folder)?;
        Self::locked(folder)
    }

    fn locked(folder: &Path) -> Result<Self> {
        let path = folder.join("lock");
        let lock = regular_file::open_lock(&path)
            .map_err(|e| elsewhere(&path, format!("cannot write in the run's folder: {e}")))?;
        match lock_patiently(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let what = "another process is training in this folder";
                return Err(Error::file(folder, what).with_remedy(Remedy::WaitOrOtherFolder));
            }
            Err(TryLockError::Error(e)) => {
                return Err(Error::file(&path, format!("cannot lock the run's folder: {e}")));
            }
        }
        for part in [folder.to_path_buf(), folder.join("checkpoints")] {
            if metadata(&part)?.is_some_and(|found| found.is_dir()) {
                files::sweep(&part)
                    .map_err(|e| Error::file(&part, format!("its temporary files cannot be removed: {e}")))?;
                // Fail before the first step rather than at the first save.
                files::check_writable(&part)
                    .map_err(|e| Error::file(&part, format!("cannot be written to: {e}; change its permissions")))?;
            }
        }
        Ok(Self { folder: folder.to_path_buf(), _lock: lock })
    }

    /// Fails if the run has saved checkpoints that are missing now: starting from the beginning would overwrite its
    /// logs.
    ///
    /// # Errors
    /// [`Error::File`] that says why a checkpoint must have existed.
    pub fn check_never_saved(&self) -> Result<()> {
        let missing = |why: String| {
            let what = format!("{why}{}", hint_at_best(&self.folder));
            Err(Error::file(&self.folder, what).with_remedy(Remedy::RestoreOrOtherFolder))
        };
        if !metadata(&self.folder.join("checkpoints"))?.is_some_and(|found| found.is_dir()) {
            return missing("its folder of checkpoints is gone, and a run cannot go on without one".into());
        }
        if exists(&self.folder.join("best.toml"))? {
            return missing("checkpoints/ holds none, but best.toml says which validated best".into());
        }
        let path = self.folder.join("log.jsonl");
        let log: Vec<StepLine> = if exists(&path)? { log::read_steps(&path)? } else { Vec::new() };
        match log.last() {
            // A checkpoint is always saved at the end of the first epoch.
            Some(line) if line.epoch > 1 => {
                missing(format!("checkpoints/ holds none, but log.jsonl has {} steps of more than an epoch", line.step))
            }
            _ => Ok(()),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The settings of the run.
    pub fn config(&self) -> Result<Config> {
        let path = self.folder.join("run.toml");
        Config::parse(&path.display().to_string(), &read_text(&path)?)
    }

    /// Writes the settings, some of which a resumed run may change.
    pub fn set_config(&self, config: &Config) -> Result<()> {
        write_text(&self.folder.join("run.toml"), &config.to_toml())
    }

    /// The network of the run.
    pub fn model(&self) -> Result<Model> {
        model(&self.folder)
    }

    /// The path of the checkpoint after `step` steps.
    pub fn checkpoint_path(&self, step: u64) -> PathBuf {
        self.folder.join("checkpoints").join(checkpoint_name(step))
    }

    /// The checkpoint that validated best: see [`best`].
    pub fn best(&self) -> Result<Option<Best>> {
        best(&self.folder)
    }

    /// Records the checkpoint that validated best.
    pub fn set_best(&self, best: &Best) -> Result<()> {
        write_text(&self.folder.join("best.toml"), &toml::to_string(best).unwrap_or_default())
    }

    /// Writes the weights of the checkpoint that validated best to [`best_weights`].
    ///
    /// # Errors
    /// Those of [`hdf5_file::save_parts`]: the old file is kept.
    pub fn save_best_weights(&self, weights: &Parts<'_>) -> Result<()> {
        Ok(hdf5_file::save_parts(&best_weights(&self.folder), weights)?)
    }

    /// Removes old checkpoints: those up to `step`, whose checkpoint was verified, except for the newest `keep` of them
    /// and that of `best`. Checkpoints after `step`, from before a resume, stay. Returns the number removed.
    ///
    /// # Errors
    /// [`Error::File`] that names the checkpoint that cannot be removed.
    pub fn prune(&self, step: u64, keep: usize, best: Option<u64>) -> Result<usize> {
        let mut old = checkpoints(&self.folder)?;
        old.retain(|(other, _)| *other <= step);
        old.truncate(old.len().saturating_sub(keep.max(1)));
        old.retain(|(other, _)| Some(*other) != best && *other != step);
        for (_, path) in &old {
            fs::remove_file(path)
                .map_err(|e| Error::file(path, format!("an old checkpoint cannot be removed: {e}")))?;
        }
        Ok(old.len())
    }
}

/// Locks a file, with some attempts: one who looks whether it is locked holds it for an instant.
fn lock_patiently(lock: &File) -> std::result::Result<(), TryLockError> {
    const ATTEMPTS: u32 = 5;
    const PAUSE: Duration = Duration::from_millis(20);
    for _ in 1..ATTEMPTS {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            other => return other,
        }
    }
    lock.try_lock()
}

/// Fails if the name of the folder makes it impossible to save checkpoints in it.
fn check_name(folder: &Path) -> Result<()> {
    files::folder::check_utf8(folder).map_err(|e| elsewhere(folder, format!("cannot hold a run: {e}")))
}

/// The error of a folder that cannot be used.
fn elsewhere(path: &Path, what: String) -> Error {
    Error::file(path, what).with_remedy(Remedy::OtherFolder)
}

/// The error of a folder that holds a run.
fn taken(folder: &Path) -> Error {
    Error::file(folder, "holds a run already").with_remedy(Remedy::ResumeOrOtherFolder)
}

/// Fails if `folder` has other files than an interrupted [`Run::create`] leaves.
fn check_unused(folder: &Path) -> Result<()> {
    if exists(&folder.join("run.toml"))? {
        return Err(taken(folder));
    }
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|e| elsewhere(folder, format!("cannot be listed: {e}")))?,
    };
    for entry in entries {
        let entry = entry.map_err(|e| Error::file(folder, format!("cannot be listed: {e}")))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !files::is_temporary(&name) && !["lock", "checkpoints", "model.toml"].contains(&name.as_str()) {
            let what = format!("holds {name:?} and is no run");
            return Err(Error::file(folder, what).with_remedy(Remedy::EmptyFolder));
        }
    }
    Ok(())
}

/// A hint at the weights that validated best, if they are there.
fn hint_at_best(folder: &Path) -> String {
    let path = best_weights(folder);
    if path.is_file() { format!("; {} has the weights that validated best", path.display()) } else { String::new() }
}

/// The network of the run in `folder`.
pub fn model(folder: &Path) -> Result<Model> {
    let path = folder.join("model.toml");
    Ok(Model::parse(&read_text(&path)?, &path.display().to_string())?)
}

/// The checkpoint of the run in `folder` that validated best; `None` if best.toml is missing or damaged: the
/// checkpoints record it too.
///
/// # Errors
/// [`Error::File`] if the system cannot read best.toml.
pub fn best(folder: &Path) -> Result<Option<Best>> {
    let path = folder.join("best.toml");
    match regular_file::read_text(&path) {
        Ok(text) => Ok(toml::from_str(&text).ok()),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => Ok(None),
        Err(e) => Err(Error::file(&path, format!("cannot be read: {e}"))),
    }
}

/// The file of the best checkpoint's weights in the run in `folder`.
pub fn best_weights(folder: &Path) -> PathBuf {
    folder.join("best.h5")
}

/// The checkpoints of the run in `folder` with their steps, oldest first.
///
/// # Errors
/// [`Error::File`] if the system cannot list them.
pub fn checkpoints(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    checkpoints_in(&folder.join("checkpoints"))
}

/// The checkpoints in a folder with their steps, oldest first.
pub(crate) fn checkpoints_in(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let fail = |e| Error::file(folder, format!("cannot be listed: {e}"));
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(fail)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(fail)?.path();
        let Some(step) = step_of(&path) else { continue };
        // Opening a named pipe would block.
        if metadata(&path)?.is_some_and(|found| found.is_file()) {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}

/// The metadata of a file; `None` if it does not exist.
fn metadata(path: &Path) -> Result<Option<fs::Metadata>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(Error::file(path, format!("cannot be accessed: {e}"))),
    }
}

/// The newest undamaged one of these checkpoints in `folder`, which are given oldest first.
pub(crate) fn newest_undamaged<T>(
    checkpoints: Vec<(u64, PathBuf)>,
    folder: &Path,
    load: impl Fn(&Path) -> Result<T>,
    warn: &mut dyn FnMut(String),
) -> Result<Option<(PathBuf, T)>> {
    let mut last = None;
    for (_, path) in checkpoints.into_iter().rev() {
        match load(&path) {
            Ok(checkpoint) => return Ok(Some((path, checkpoint))),
            Err(error) if error.is_io_error() => {
                let what = format!("{error}; try again, or move this file away to continue from an earlier checkpoint");
                return Err(Error::file(folder, what));
            }
            Err(error) => {
                warn(format!("{error}; trying the checkpoint before it"));
                last = Some(error);
            }
        }
    }
    last.map_or(Ok(None), Err)
}

/// The name of the checkpoint after `step` steps.
pub(crate) fn checkpoint_name(step: u64) -> String {
    format!("step-{step:09}.h5")
}

/// The step in the name of a checkpoint.
pub fn step_of(checkpoint: &Path) -> Option<u64> {
    checkpoint.file_name()?.to_str()?.strip_prefix("step-")?.strip_suffix(".h5")?.parse().ok()
}

/// Whether a path exists; an error if the system does not say.
fn exists(path: &Path) -> Result<bool> {
    Ok(metadata(path)?.is_some())
}

fn read_text(path: &Path) -> Result<String> {
    regular_file::read_text(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    Ok(files::replace_bytes(path, text.as_bytes())?)
}
