//! The errors of this crate.

use std::io::ErrorKind;
use std::path::PathBuf;

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of this crate. Its message names the file, setting, layer or step, and a remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that does not exist, or a value outside its range.
    #[error("{key}: {what}")]
    Setting {
        /// The setting, as in `run.toml`.
        key: String,
        /// The expected and the given value.
        what: String,
    },
    /// A file that cannot be read or written, or has unexpected contents.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The problem and a remedy.
        what: String,
    },
    /// A run that cannot be resumed because its settings, network or packs differ.
    #[error("{}: cannot be resumed with other settings: {}", run.display(), differences.join("; "))]
    Resume {
        /// The run's folder.
        run: PathBuf,
        /// Each difference, with the value of the run and the new one.
        differences: Vec<String>,
    },
    /// The loss is not finite.
    #[error(
        "step {step}: the loss is {loss}, first seen in {place}; stopped {stopped}, {kept}. \
         A lower optim.lr usually helps"
    )]
    Diverged {
        /// The step, from 1.
        step: u64,
        /// NaN or an infinity.
        loss: f64,
        /// The parameter or layer with the first value that is not finite.
        place: String,
        /// When it was detected.
        stopped: String,
        /// The checkpoint to resume from.
        kept: String,
    },
    /// The last save of a run failed twice.
    #[error("{source}; {kept}; make it possible to save there, then continue with --resume")]
    Unsaved {
        /// The error of the second attempt.
        source: Box<Error>,
        /// The checkpoint to resume from.
        kept: String,
    },
    /// A signal stopped the run, after a save if there was anything to save.
    #[error("stopped by signal {signal}{}", saved.as_ref().map(|p| format!(", saved in {}", p.display())).unwrap_or_default())]
    Stopped {
        /// Number of the signal.
        signal: usize,
        /// The checkpoint saved before stopping.
        saved: Option<PathBuf>,
    },
    /// A file could not be replaced.
    #[error("{0}")]
    Write(#[from] files::Error),
    /// A tensor operation failed.
    #[error("{0}")]
    Tensor(#[from] tensor::Error),
    /// An error of a network or its weights.
    #[error("{0}")]
    Layers(#[from] layers::Error),
    /// An error of a pack or an image.
    #[error("{0}")]
    Data(#[from] data::Error),
    /// An error of the optimizer.
    #[error("{0}")]
    Optim(#[from] optim::Error),
}

impl Error {
    /// An error of a setting.
    pub fn setting(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Setting { key: key.into(), what: what.into() }
    }

    /// A loss that is not finite. The trainer, which knows the run, adds the checkpoint to resume from.
    pub(crate) fn diverged(step: u64, loss: f64, place: String, stopped: impl Into<String>) -> Self {
        Self::Diverged { step, loss, place, stopped: stopped.into(), kept: String::new() }
    }

    /// Whether the disk or the user's quota is full.
    pub(crate) fn is_disk_full(&self) -> bool {
        self.system().is_some_and(|e| matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
    }

    /// Whether the system could not read or write, as opposed to wrong contents of a file.
    pub(crate) fn is_io_error(&self) -> bool {
        self.system().is_some_and(|e| !matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof))
    }

    fn system(&self) -> Option<&std::io::Error> {
        self.find_source()
    }

    /// The first error of this type among this error and its sources.
    pub(crate) fn find_source<T: std::error::Error + 'static>(&self) -> Option<&T> {
        let this: &(dyn std::error::Error + 'static) = self;
        std::iter::successors(Some(this), |error| error.source()).find_map(|error| error.downcast_ref())
    }

    /// An error of a file.
    pub fn file(path: impl Into<PathBuf>, what: impl ToString) -> Self {
        Self::File { path: path.into(), what: what.to_string() }
    }
}
