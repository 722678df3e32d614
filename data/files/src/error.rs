use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// A file that could not be replaced.
#[derive(Debug)]
pub struct Error {
    /// The file to be replaced.
    pub path: PathBuf,
    /// The step that failed, and the state that it leaves.
    pub what: &'static str,
    /// The error of the operating system.
    pub source: std::io::Error,
}

// By hand: a derive would be the crate's only dependency.
impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.path.display(), self.what, self.source)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
