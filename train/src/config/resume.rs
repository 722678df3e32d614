//! Which settings a resumed run may change.

use std::path::Path;

use super::{Config, keys};
use crate::{Error, Result};

/// Settings that change how long, where or how finely a run computes, not what. Packs may have moved: their fingerprints are
/// compared instead.
const FREE: &[&str] = &[
    "data.train",
    "data.val",
    "data.prefetch_bytes",
    "run.epochs",
    "run.steps",
    "run.threads",
    "run.device",
    "run.precision",
    "run.checkpoint_steps",
    "run.keep",
    "tensor.algorithms",
];

impl Config {
    /// Fails if a run that began with `before` would not be the same run with these settings.
    ///
    /// # Errors
    /// [`Error::Resume`] with both values of each setting that differs.
    pub fn can_continue(&self, before: &Self, run: &Path) -> Result<()> {
        let differences: Vec<String> = keys::differences(&before.to_table(), &self.to_table())
            .into_iter()
            .filter(|(key, ..)| !FREE.contains(key))
            .map(|(key, before, now)| format!("{key} was {before}, now {now}"))
            .collect();
        if differences.is_empty() {
            return Ok(());
        }
        Err(Error::Resume { run: run.to_path_buf(), differences })
    }
}
