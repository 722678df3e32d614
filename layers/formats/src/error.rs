use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::{Path, PathBuf};

use layers::weights::BeyondF32;
use zip::result::ZipError;

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Each message names the file, the place in it, and the remedy.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The system failed to read or write a file.
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file is damaged, hostile, or holds something that this crate does not read.
    Refused {
        /// The file.
        path: PathBuf,
        /// The expected and the found, and the remedy.
        what: String,
    },
    /// A file does not say what network it is for, and its tensors fit none or several of the presets.
    UnknownNetwork {
        /// The file.
        path: PathBuf,
        /// Its content, and the presets that it fits.
        what: String,
    },
    /// The tensors do not fit the network, or the network is not one.
    Layers(layers::Error),
}

impl Error {
    /// A file that is not read, and why.
    pub fn refused(path: &Path, what: impl Into<String>) -> Self {
        Self::Refused { path: path.into(), what: what.into() }
    }

    /// An error of the operating system.
    pub(crate) fn file(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        move |source| Self::File { path: path.into(), source }
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Refused { path, what } => write!(f, "{}: {what}", path.display()),
            Self::UnknownNetwork { path, what } => write!(f, "{}: {what}; name the network", path.display()),
            Self::Layers(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Refused { .. } | Self::UnknownNetwork { .. } => None,
            Self::Layers(error) => error.source(),
        }
    }
}

impl From<layers::Error> for Error {
    fn from(error: layers::Error) -> Self {
        Self::Layers(error)
    }
}

impl From<files::Error> for Error {
    fn from(error: files::Error) -> Self {
        Self::Layers(error.into())
    }
}

/// The problem of a reader that does not know the name of its file.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The system failed.
    System(io::Error),
    /// The content is refused.
    Content(String),
}

/// The most characters of a message.
const MOST: usize = 1000;

impl Fault {
    /// The error for this file.
    pub fn of(self, path: &Path) -> Error {
        match self {
            Self::System(source) => Error::File { path: path.into(), source },
            // Names from the file may be long, and hold what a terminal obeys.
            Self::Content(what) => Error::refused(path, files::printable::brief(&what, MOST)),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Content("is truncated; get it again".into()),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Self::Content(format!("is damaged: {error}; get it again"))
            }
            // Decoders report damage as an error without a number of the system.
            _ if error.raw_os_error().is_none() => Self::Content(format!("is damaged: {error}; get it again")),
            _ => Self::System(error),
        }
    }
}

impl From<ZipError> for Fault {
    fn from(error: ZipError) -> Self {
        match error {
            ZipError::Io(error) => error.into(),
            other => Self::Content(format!("is not a whole zip file: {other}; get it again")),
        }
    }
}

impl From<BeyondF32> for Fault {
    fn from(error: BeyondF32) -> Self {
        Self::Content(error.to_string())
    }
}

impl From<String> for Fault {
    fn from(what: String) -> Self {
        Self::Content(what)
    }
}

impl From<&str> for Fault {
    fn from(what: &str) -> Self {
        Self::Content(what.into())
    }
}
