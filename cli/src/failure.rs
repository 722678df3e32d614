//! Failures of commands: one message and one exit code each.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::console::{print_error, shortened};
use crate::words;

/// Failure of a command.
#[derive(Debug)]
pub enum Failure {
    /// Wrong use of the command line: exit code 2.
    Usage(String),
    /// Any other error: exit code 1.
    Failed(String),
    /// Stopped by a signal, with the work saved: exit code 128 plus the signal's number.
    Stopped { signal: usize, message: String },
    /// The reader of standard output has closed the pipe: a silent exit with code 0.
    BrokenPipe,
}

/// The result of a command.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// The message, without "error" before it.
    pub fn message(&self) -> &str {
        match self {
            Self::Usage(message) | Self::Failed(message) | Self::Stopped { message, .. } => message,
            Self::BrokenPipe => "the reader has closed the pipe",
        }
    }

    /// Prints the message and returns the exit code.
    pub fn report(self) -> ExitCode {
        let (message, code) = match self {
            Self::Usage(message) => (format!("error: {message}"), 2),
            Self::Failed(message) => (format!("error: {message}"), 1),
            Self::Stopped { signal, message } => (message, 128u8.wrapping_add(signal as u8)),
            Self::BrokenPipe => return ExitCode::SUCCESS,
        };
        print_error(&shortened(&message, MOST_CHARACTERS));
        ExitCode::from(code)
    }
}

/// Characters of a message that are printed: names in files can be a megabyte long.
const MOST_CHARACTERS: usize = 8000;

/// Prints the help, the version or the usage error that clap returns.
pub fn help_or_usage(output: &clap::Error) -> ExitCode {
    match output.print().and_then(|()| io::stdout().flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Failure::Failed(format!("standard output cannot be written: {e}")).report()
        }
        _ => ExitCode::from(u8::try_from(output.exit_code()).unwrap_or(2)),
    }
}

impl From<train::Error> for Failure {
    fn from(error: train::Error) -> Self {
        let message = words::message(&error);
        match error {
            train::Error::Setting { .. }
            | train::Error::Memory(_)
            | train::Error::OtherNetwork(_)
            | train::Error::Resume { .. } => Self::Usage(message),
            train::Error::Stopped { signal: Some(signal), .. } => Self::Stopped { signal, message },
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

impl From<analysis::Error> for Failure {
    fn from(error: analysis::Error) -> Self {
        match error {
            analysis::Error::Network(error) => error.into(),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl From<layers::Error> for Failure {
    fn from(error: layers::Error) -> Self {
        let message = error.to_string();
        if matches!(error, layers::Error::UnknownModel { .. }) { Self::Usage(message) } else { Self::Failed(message) }
    }
}

impl From<formats::Error> for Failure {
    fn from(error: formats::Error) -> Self {
        train::Error::from(error).into()
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
