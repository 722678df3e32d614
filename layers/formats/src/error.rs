use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

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
        source: std::io::Error,
    },
    /// A file is damaged, hostile, or holds something that this crate does not read.
    Refused {
        /// The file.
        path: PathBuf,
        /// The expected and the found, and the remedy.
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
    pub(crate) fn file(path: &Path) -> impl Fn(std::io::Error) -> Self + '_ {
        move |source| Self::File { path: path.into(), source }
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Refused { path, what } => write!(f, "{}: {what}", path.display()),
            Self::Layers(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Refused { .. } => None,
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
