//! The check of a resumed run's settings.

use std::path::Path;

use super::{Config, keys};
use crate::{Error, Result};

impl Config {
    /// Fails if a run that began with `before` would not be the same run with these settings: only those that are
    /// `resumable` may differ, which change how long, where or how finely the run computes. Packs may have moved: their
    /// fingerprints are compared elsewhere.
    ///
    /// # Errors
    /// [`Error::Resume`] with both values of each setting that differs.
    pub fn check_resumable(&self, before: &Self, run: &Path) -> Result<()> {
        let differences: Vec<String> = keys::differences(&before.to_table(), &self.to_table())
            .into_iter()
            .filter(|(setting, ..)| !setting.resumable)
            .map(|(setting, before, now)| format!("{} was {before}, now {now}", setting.key))
            .collect();
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::Resume { run: run.to_path_buf(), differences })
    }
}
