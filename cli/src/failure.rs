//! How a command ends when it does not end well: one message, one exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::console::note;

/// Why a command ended.
#[derive(Debug)]
pub enum Failure {
    /// The command line asks for what there is not: exit code 2.
    Usage(String),
    /// Something went wrong: exit code 1.
    Failed(String),
    /// A signal asked for an end and the work is safe: 128 plus the signal's number.
    Stopped { signal: usize, message: String },
    /// Nobody reads standard output any more: a quiet end.
    Closed,
}

/// The result of a command.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// Prints the message and gives the exit code.
    pub fn report(self) -> ExitCode {
        let (message, code) = match self {
            Self::Usage(message) => (format!("error: {message}"), 2),
            Self::Failed(message) => (format!("error: {message}"), 1),
            Self::Stopped { signal, message } => (message, 128u8.wrapping_add(signal as u8)),
            Self::Closed => return ExitCode::SUCCESS,
        };
        note(&message);
        ExitCode::from(code)
    }
}

/// Prints the help that was asked for, or what is wrong with the command line.
pub fn help_or_usage(said: &clap::Error) -> ExitCode {
    match said.print().and_then(|()| io::stdout().flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Failure::Failed(format!("standard output cannot be written: {e}")).report()
        }
        _ => ExitCode::from(u8::try_from(said.exit_code()).unwrap_or(2)),
    }
}

impl From<train::Error> for Failure {
    fn from(error: train::Error) -> Self {
        let message = error.to_string();
        match error {
            train::Error::Setting { .. } | train::Error::Resume { .. } => Self::Usage(message),
            train::Error::Stopped { signal, .. } => Self::Stopped { signal, message },
            train::Error::Data(error) => error.into(),
            train::Error::Layers(error) => error.into(),
            _ => Self::Failed(message),
        }
    }
}

impl From<data::Error> for Failure {
    fn from(error: data::Error) -> Self {
        let message = error.to_string();
        if matches!(error, data::Error::Option { .. }) { Self::Usage(message) } else { Self::Failed(message) }
    }
}

impl From<layers::Error> for Failure {
    fn from(error: layers::Error) -> Self {
        let message = error.to_string();
        if matches!(error, layers::Error::UnknownModel { .. }) { Self::Usage(message) } else { Self::Failed(message) }
    }
}

impl From<files::Error> for Failure {
    fn from(error: files::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<tensor::Error> for Failure {
    fn from(error: tensor::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
