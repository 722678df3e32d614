//! Failures of commands: one message and one exit code each.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::json;

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
        print_failure(&shortened(&message, MOST_CHARACTERS), code);
        ExitCode::from(code)
    }
}

/// Characters of a message that are printed: names in files can be a megabyte long.
const MOST_CHARACTERS: usize = 8000;

/// Prints a message, with `--json` as an object.
fn print_failure(message: &str, code: u8) {
    if !is_json_asked() {
        return print_error(message);
    }
    let message = message.strip_prefix("error: ").unwrap_or(message);
    // In one line, so that a program finds it among notes. JSON escapes control characters itself.
    print_error(&json!({ "error": message, "exit_code": code }).to_string());
}

/// Whether the command line asks for JSON, even where it cannot be parsed.
fn is_json_asked() -> bool {
    std::env::args_os().skip(1).take_while(|arg| arg != "--").any(|arg| arg == "--json")
}

/// Prints the help, the version or the usage error that clap returns.
pub fn help_or_usage(output: &clap::Error) -> ExitCode {
    if output.use_stderr() && is_json_asked() {
        print_failure(output.to_string().trim_end(), 2);
        return ExitCode::from(2);
    }
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
