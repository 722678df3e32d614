//! The errors of this crate.

use std::error::Error as StdError;
use std::fmt::{self, Display, Formatter};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::Remedy;
use crate::memory::human;

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of this crate. Its message names the file, setting, layer or step, and a remedy.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A setting that does not exist, or a value outside its range.
    Setting {
        /// The setting, as in `run.toml`.
        key: String,
        /// The expected and the given value.
        what: String,
        /// Advice, where that depends on the program.
        remedy: Option<Remedy>,
    },
    /// A file that cannot be read or written, or has unexpected contents.
    File {
        /// The file.
        path: PathBuf,
        /// The problem and a remedy.
        what: String,
        /// Advice, where that depends on the program.
        remedy: Option<Remedy>,
    },
    /// A batch that does not fit into the memory of the device.
    Memory(OutOfMemory),
    /// Weights of another network than the one that was asked for.
    OtherNetwork(Box<OtherNetwork>),
    /// A run that cannot be resumed because its settings, network or packs differ.
    Resume {
        /// The run's folder.
        run: PathBuf,
        /// Each difference, with the value of the run and the new one.
        differences: Vec<String>,
        /// The settings that differ, with the values asked for: a new run from these weights can have them.
        settings: Vec<(String, String)>,
    },
    /// The loss is not finite.
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
    /// A network's outputs are not numbers.
    NotFinite {
        /// The first class whose probability is none.
        class: usize,
        /// NaN or an infinity.
        probability: f32,
    },
    /// The last save of a run failed twice.
    Unsaved {
        /// The error of the second attempt.
        source: Box<Error>,
        /// The checkpoint to resume from.
        kept: String,
    },
    /// A [`Stop`](crate::Stop) ended the work, after a save if there was anything to save.
    Stopped {
        /// Number of the signal that requested it; `None` for a request of the program.
        signal: Option<usize>,
        /// The checkpoint saved before stopping.
        saved: Option<PathBuf>,
    },
    /// A file could not be replaced.
    Write(files::Error),
    /// A tensor operation failed.
    Tensor(tensor::Error),
    /// An error of a network or its weights.
    Layers(layers::Error),
    /// An error of a pack or an image.
    Data(data::Error),
    /// An error of the optimizer.
    Optim(optim::Error),
    /// An error of the caller's own code: a loss, a source of batches, a callback.
    Other(Box<dyn StdError + Send + Sync>),
}

/// A batch that does not fit into the memory of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutOfMemory {
    /// The images of the batch.
    pub batch: usize,
    /// The bytes that it needs.
    pub needed: u64,
    /// Whether it needs them in one buffer, which the device cannot allocate.
    pub is_one_buffer: bool,
    /// The bytes that are free, if the device reports them.
    pub free: Option<u64>,
    /// The device, in words.
    pub device: String,
    /// The largest batch that fits; 0: none.
    pub largest: usize,
}

/// A difference between the network of a file of weights and the one that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtherNetwork {
    /// The file of the weights.
    pub path: PathBuf,
    /// The name of the file's network.
    pub own: String,
    /// The name of the network that was asked for.
    pub requested: String,
    /// The layer with the first difference, followed by a colon; empty where it is in none.
    pub place: String,
    /// The line of the file's network.
    pub first: String,
    /// The line of the network that was asked for.
    pub second: String,
}

impl Error {
    /// An error of a setting.
    pub fn setting(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Setting { key: key.into(), what: what.into(), remedy: None }
    }

    /// An error of a file.
    pub fn file(path: impl Into<PathBuf>, what: impl ToString) -> Self {
        Self::File { path: path.into(), what: what.to_string(), remedy: None }
    }

    /// An error of the caller's own code.
    pub fn other(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// The error with what to do about it, if it is one of a setting or a file.
    pub(crate) fn with_remedy(mut self, advice: Remedy) -> Self {
        if let Self::Setting { remedy, .. } | Self::File { remedy, .. } = &mut self {
            *remedy = Some(advice);
        }
        self
    }

    /// The error without what to do about it.
    pub(crate) fn without_remedy(mut self) -> Self {
        if let Self::Setting { remedy, .. } | Self::File { remedy, .. } = &mut self {
            *remedy = None;
        }
        self
    }

    /// The message, with `words` for what to do about the error.
    pub fn message(&self, words: &dyn Fn(&Remedy) -> String) -> String {
        let advice = |remedy: &Option<Remedy>| remedy.as_ref().map_or(String::new(), |r| format!("; {}", words(r)));
        match self {
            Self::Setting { key, what, remedy } => format!("{key}: {what}{}", advice(remedy)),
            Self::File { path, what, remedy } => format!("{}: {what}{}", path.display(), advice(remedy)),
            Self::Memory(memory) => memory.to_string(),
            Self::OtherNetwork(network) => format!("{network}; {}", words(&Remedy::LeaveNetworkOut)),
            Self::Resume { run, differences, settings } => {
                let remedy = Remedy::BeginFromWeights { run: run.clone(), settings: settings.clone() };
                let what = format!("cannot be resumed with other settings: {}", differences.join("; "));
                format!("{}: {what}; {}", run.display(), words(&remedy))
            }
            Self::Diverged { step, loss, place, stopped, kept } => {
                let kept = if kept.is_empty() { String::new() } else { format!(", {kept}") };
                format!(
                    "step {step}: the loss is {loss}, first seen in {place}; stopped {stopped}{kept}. \
                     A lower optim.lr usually helps"
                )
            }
            Self::NotFinite { class, probability } => format!(
                "the probability of class {class} is {probability}: weights that are not finite, or too large; use those \
                 of an earlier checkpoint"
            ),
            Self::Unsaved { source, kept } => {
                format!("{}; {kept}; {}", source.message(words), words(&Remedy::SaveAndResume))
            }
            Self::Stopped { signal, saved } => stopped_message(*signal, saved.as_deref()),
            Self::Write(error) => error.to_string(),
            Self::Tensor(error) => error.to_string(),
            Self::Layers(error) => error.to_string(),
            Self::Data(error) => error.to_string(),
            Self::Optim(error) => error.to_string(),
            Self::Other(error) => error.to_string(),
        }
    }

    /// A loss that is not finite. The trainer, which knows the run, adds the checkpoint to resume from.
    pub(crate) fn diverged(step: u64, loss: f64, place: String, stopped: impl Into<String>) -> Self {
        Self::Diverged { step, loss, place, stopped: stopped.into(), kept: String::new() }
    }

    /// The same error of a loss, at this step.
    pub(crate) fn at_step(mut self, now: u64) -> Self {
        if let Self::Diverged { step, .. } = &mut self {
            *step = now;
        }
        self
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
    pub(crate) fn find_source<T: StdError + 'static>(&self) -> Option<&T> {
        let this: &(dyn StdError + 'static) = self;
        std::iter::successors(Some(this), |error| StdError::source(*error)).find_map(|error| error.downcast_ref())
    }
}

fn stopped_message(signal: Option<usize>, saved: Option<&Path>) -> String {
    let by = signal.map_or("stopped on request".to_string(), |signal| format!("stopped by signal {signal}"));
    saved.map_or(by.clone(), |path| format!("{by}, saved in {}", path.display()))
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message(&|remedy| remedy.to_string()))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Unsaved { source, .. } => Some(source.as_ref()),
            Self::Write(error) => Some(error),
            Self::Tensor(error) => Some(error),
            Self::Layers(error) => Some(error),
            Self::Data(error) => Some(error),
            Self::Optim(error) => Some(error),
            Self::Other(error) => Some(error.as_ref()),
            _ => None,
        }
    }
}

impl Display for OutOfMemory {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let needed = human(self.needed);
        let needed = if self.is_one_buffer {
            format!("needs {needed} in one piece, more than the device gives")
        } else {
            format!("needs {needed} of memory")
        };
        let free = self.free.map_or_else(String::new, |free| format!("; {} are free", human(free)));
        write!(f, "a batch of {} {needed} on {}{free}; ", self.batch, self.device)?;
        match self.largest {
            0 => write!(f, "not even a batch of 1 fits"),
            largest => write!(f, "the largest batch that fits is {largest}"),
        }
    }
}

impl Display for OtherNetwork {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { path, own, requested, place, first, second } = self;
        let path = path.display();
        write!(f, "the network {requested:?} differs from {own:?}, whose weights {path} holds: ")?;
        write!(f, "{place}{first} there, {second} in the one asked for")
    }
}

impl From<formats::Error> for Error {
    fn from(error: formats::Error) -> Self {
        match error {
            formats::Error::Layers(error) => Self::Layers(error),
            formats::Error::File { path, source } => {
                Self::Layers(layers::Error::File { path, what: "reading or writing the weights failed", source })
            }
            formats::Error::UnknownNetwork { path, what } => Self::file(path, what).with_remedy(Remedy::NameNetwork),
            formats::Error::Refused { path, what } => Self::file(path, what),
            other => Self::other(other),
        }
    }
}

macro_rules! from {
    ($($variant:ident: $source:ty),+ $(,)?) => {$(
        impl From<$source> for Error {
            fn from(error: $source) -> Self {
                Self::$variant(error)
            }
        }
    )+};
}

from! { Write: files::Error, Tensor: tensor::Error, Layers: layers::Error, Data: data::Error, Optim: optim::Error }
