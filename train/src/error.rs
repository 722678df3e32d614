//! What can go wrong in a run.

use std::io::ErrorKind;
use std::path::PathBuf;

/// The result of anything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Each variant names the file, setting, layer or step, and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting that does not exist, or a value outside its range: the user's to mend.
    #[error("{key}: {what}")]
    Setting {
        /// The setting, as in `run.toml`.
        key: String,
        /// What is expected, what came.
        what: String,
    },
    /// A file that cannot be read or written, or does not hold what it should.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was expected, what came, what to do.
        what: String,
    },
    /// A resumed run that would not go on as it began.
    #[error("{}: cannot be resumed with other settings: {}", run.display(), differences.join("; "))]
    Resume {
        /// The run's folder.
        run: PathBuf,
        /// Each setting with the run's value and the one that came.
        differences: Vec<String>,
    },
    /// The loss is not a number any more.
    #[error(
        "step {step}: the loss is {loss}, first seen in {place}; stopped {stopped}, {kept}. \
         A lower optim.lr usually helps"
    )]
    Diverged {
        /// The step, from 1.
        step: u64,
        /// NaN or an infinity.
        loss: f64,
        /// The parameter or layer that holds the first value that is not finite.
        place: String,
        /// When this was noticed.
        stopped: String,
        /// What there is to go on from.
        kept: String,
    },
    /// The last save of a run failed, twice.
    #[error("{source}; {kept}; make it possible to save there, then go on with --resume")]
    Unsaved {
        /// Why.
        source: Box<Error>,
        /// What there is to go on from.
        kept: String,
    },
    /// A signal asked for an end; the work is saved if there was any.
    #[error("stopped by signal {signal}{}", saved.as_ref().map(|p| format!(", saved in {}", p.display())).unwrap_or_default())]
    Stopped {
        /// The signal's number.
        signal: usize,
        /// The checkpoint written on the way out.
        saved: Option<PathBuf>,
    },
    /// A file could not be replaced.
    #[error(transparent)]
    Write(#[from] files::Error),
    /// A kernel refused.
    #[error(transparent)]
    Tensor(#[from] tensor::Error),
    /// A network or its weights.
    #[error(transparent)]
    Layers(#[from] layers::Error),
    /// A pack or an image.
    #[error(transparent)]
    Data(#[from] data::Error),
    /// An optimizer's settings.
    #[error(transparent)]
    Optim(#[from] optim::Error),
}

impl Error {
    /// A setting's error.
    pub fn setting(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Setting { key: key.into(), what: what.into() }
    }

    /// A loss that is not finite; what is kept is for the caller to say, who knows the run.
    pub(crate) fn diverged(step: u64, loss: f64, place: String, stopped: impl Into<String>) -> Self {
        Self::Diverged { step, loss, place, stopped: stopped.into(), kept: String::new() }
    }

    /// Whether the disk, or the user's share of it, is full.
    pub(crate) fn is_disk_full(&self) -> bool {
        self.system().is_some_and(|e| matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
    }

    /// Whether the system refused to read or write, which says nothing about a file's content.
    pub(crate) fn is_of_the_system(&self) -> bool {
        self.system().is_some_and(|e| !matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof))
    }

    fn system(&self) -> Option<&std::io::Error> {
        std::error::Error::source(self)?.downcast_ref::<std::io::Error>()
    }

    /// A file's error.
    pub fn file(path: impl Into<PathBuf>, what: impl ToString) -> Self {
        Self::File { path: path.into(), what: what.to_string() }
    }
}
