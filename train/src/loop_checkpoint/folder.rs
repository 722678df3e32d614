//! A folder of checkpoints.

use std::fs;
use std::path::{Path, PathBuf};

use super::LoopCheckpoint;
use crate::{Error, Result};

/// A folder of checkpoints of one loop, of which the newest are kept.
///
/// ```
/// use alexnet_train::{CheckpointFolder, LoopCheckpoint};
///
/// # let temporary = tempfile::tempdir().unwrap();
/// # let folder = temporary.path().join("checkpoints");
/// let checkpoints = CheckpointFolder::open(&folder, 2)?;
/// for step in 1..=5u64 {
///     checkpoints.save(step, &LoopCheckpoint::new().with_state(&step)?)?;
/// }
/// let newest = checkpoints.newest(&mut |warning| eprintln!("{warning}"))?.unwrap();
/// assert_eq!(newest.state::<u64>()?, 5);
/// assert_eq!(checkpoints.steps()?, [4, 5]);
/// # Ok::<(), alexnet_train::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct CheckpointFolder {
    path: PathBuf,
    keep: usize,
}

impl CheckpointFolder {
    /// Opens a folder, or makes it, and removes what an interrupted save left there. The newest `keep` checkpoints are
    /// kept, at least one.
    ///
    /// # Errors
    /// [`Error::File`] if the folder cannot be made or written to.
    pub fn open(path: impl Into<PathBuf>, keep: usize) -> Result<Self> {
        let path = path.into();
        let refused = |what: &str, error: &dyn std::fmt::Display| Error::file(&path, format!("{what}: {error}"));
        files::folder::check_utf8(&path).map_err(|e| refused("cannot hold checkpoints", &e))?;
        files::folder::create_all(&path).map_err(|e| refused("cannot be made", &e))?;
        files::sweep(&path).map_err(|e| refused("its temporary files cannot be removed", &e))?;
        files::check_writable(&path).map_err(|e| refused("cannot be written to", &e))?;
        Ok(Self { path, keep: keep.max(1) })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the checkpoint after `step` steps.
    pub fn checkpoint_path(&self, step: u64) -> PathBuf {
        self.path.join(crate::run::checkpoint_name(step))
    }

    /// The steps of the checkpoints, rising.
    ///
    /// # Errors
    /// [`Error::File`] if the system cannot list them.
    pub fn steps(&self) -> Result<Vec<u64>> {
        Ok(crate::run::checkpoints_in(&self.path)?.into_iter().map(|(step, _)| step).collect())
    }

    /// Saves the checkpoint after `step` steps and then removes older ones that are not kept. Checkpoints after `step`,
    /// from before a resume, stay.
    ///
    /// # Errors
    /// Those of [`LoopCheckpoint::save`]; [`Error::File`] for an older checkpoint that cannot be removed.
    pub fn save(&self, step: u64, checkpoint: &LoopCheckpoint) -> Result<PathBuf> {
        let path = self.checkpoint_path(step);
        checkpoint.save(&path)?;
        let mut old = crate::run::checkpoints_in(&self.path)?;
        old.retain(|(other, _)| *other <= step);
        old.truncate(old.len().saturating_sub(self.keep));
        for (_, old) in &old {
            fs::remove_file(old).map_err(|e| Error::file(old, format!("an old checkpoint cannot be removed: {e}")))?;
        }
        Ok(path)
    }

    /// The newest undamaged checkpoint; `None` if there are none. Calls `warn` with a message for each damaged one that is
    /// skipped.
    ///
    /// # Errors
    /// Those of [`LoopCheckpoint::load`] if all are damaged; [`Error::File`] if the system cannot list them or read one,
    /// which may be undamaged.
    pub fn newest(&self, warn: &mut dyn FnMut(String)) -> Result<Option<LoopCheckpoint>> {
        let found = crate::run::checkpoints_in(&self.path)?;
        let newest = crate::run::newest_undamaged(found, &self.path, LoopCheckpoint::load, warn)?;
        Ok(newest.map(|(_, checkpoint)| checkpoint))
    }
}
