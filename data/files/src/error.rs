use std::path::PathBuf;

/// A file that could not be replaced.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}: {source}", path.display())]
pub struct Error {
    /// The file to be replaced.
    pub path: PathBuf,
    /// The step that failed, and the state that it leaves.
    pub what: &'static str,
    /// The error of the operating system.
    pub source: std::io::Error,
}
