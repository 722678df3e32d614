//! `--on-event`: a command that is run at the events of a training, with JSON on its standard input.

use std::io::Write;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use train::log::{EpochLine, ValidationLine};

use super::view::RunView;
use crate::console::note;
use crate::words;

/// Time that the command has at the end, and after a signal: a cluster kills what has not ended some seconds after it.
const LAST_WAIT: Duration = Duration::from_secs(10);
const WAIT_AFTER_SIGNAL: Duration = Duration::from_secs(3);
/// Processes at a time: a command that hangs would have one more with each epoch.
const MOST: usize = 16;

/// A command and its processes under way. The training does not wait for them.
pub struct OnEvent {
    command: String,
    folder: String,
    running: Vec<Child>,
    /// The first failure, until it is shown.
    failure: Option<String>,
    has_failed: bool,
}

impl OnEvent {
    /// A command for a shell, for the run in `folder`.
    pub fn new(command: &str, folder: &std::path::Path) -> Self {
        let folder = folder.display().to_string();
        Self { command: command.into(), folder, running: Vec::new(), failure: None, has_failed: false }
    }

    /// An epoch ended.
    pub fn epoch(&mut self, epoch: &EpochLine, validation: Option<&ValidationLine>) {
        let mut value = json!({
            "event": "epoch",
            "run": self.folder,
            "epoch": epoch.epoch,
            "step": epoch.step,
            "train_loss": epoch.train_loss,
            "train_top1_error": epoch.train_top1_error,
            "rate": epoch.rate,
            "images_per_s": epoch.images_per_s,
            "seconds": epoch.seconds,
        });
        if let (Some(line), Some(object)) = (validation, value.as_object_mut()) {
            object.insert("validation_loss".into(), json!(line.loss));
            object.insert("validation_top1_error".into(), json!(line.top1_error));
            object.insert("validation_top5_error".into(), json!(line.top5_error));
        }
        self.reap();
        if self.running.len() < MOST {
            self.start(&value);
        } else {
            self.fail(&format!("is running {MOST} times; epochs are left out until one of these ends"));
        }
    }

    /// The training ended. Waits for the command, but not for long.
    pub fn end(mut self, view: &RunView, outcome: &train::Result<()>) {
        let (event, message) = match outcome {
            Ok(()) => ("end", None),
            Err(error @ train::Error::Stopped { .. }) => ("stopped", Some(words::message(error))),
            Err(error) => ("failure", Some(words::message(error))),
        };
        let best = view.best.map(|(error, epoch)| json!({"validation_top1_error": error, "epoch": epoch}));
        self.start(&json!({
            "event": event, "run": self.folder, "step": view.step, "steps": view.total, "best": best, "message": message,
        }));
        let deadline = Instant::now() + last_wait(outcome);
        while !self.running.is_empty() && Instant::now() < deadline {
            self.reap();
            thread::sleep(Duration::from_millis(10));
        }
        if let Some(text) = self.failure() {
            note(&format!("note: {text}"));
        }
        if !self.running.is_empty() {
            note(&format!("note: --on-event: {} is still running", self.command));
        }
    }

    /// The first failure, once.
    pub fn failure(&mut self) -> Option<String> {
        self.reap();
        self.failure.take()
    }

    fn start(&mut self, value: &Value) {
        let mut shell = shell(&self.command);
        let child = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        match child {
            Ok(mut child) => {
                if let Some(mut input) = child.stdin.take() {
                    // A command that does not read its input is none the worse for it. The text fits into a pipe.
                    let _ = writeln!(input, "{value}");
                }
                self.running.push(child);
            }
            Err(error) => self.fail(&format!("cannot be started: {error}")),
        }
    }

    fn reap(&mut self) {
        let mut ended: Vec<ExitStatus> = Vec::new();
        self.running.retain_mut(|child| match child.try_wait() {
            Ok(Some(status)) => {
                ended.push(status);
                false
            }
            Ok(None) => true,
            Err(_) => false,
        });
        for status in ended.iter().filter(|status| !status.success()) {
            self.fail(&format!("ended with {status}"));
        }
    }

    fn fail(&mut self, what: &str) {
        if !std::mem::replace(&mut self.has_failed, true) {
            self.failure = Some(format!("--on-event: {} {what}", self.command));
        }
    }
}

/// The longest time to wait for the command after a training.
fn last_wait(outcome: &train::Result<()>) -> Duration {
    match outcome {
        Err(train::Error::Stopped { signal: Some(_), .. }) => WAIT_AFTER_SIGNAL,
        _ => LAST_WAIT,
    }
}

/// A shell in a process group of its own: Ctrl-C stops the training, and not the message about an epoch.
#[cfg(unix)]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    std::os::unix::process::CommandExt::process_group(&mut shell, 0);
    shell
}

#[cfg(not(unix))]
fn shell(command: &str) -> Command {
    let mut shell = Command::new("cmd");
    shell.args(["/C", command]);
    shell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_shortens_the_last_wait() {
        let stopped = |signal| Err(train::Error::Stopped { signal, saved: None });
        assert_eq!(last_wait(&stopped(Some(15))), Duration::from_secs(3));
        assert_eq!([last_wait(&stopped(None)), last_wait(&Ok(()))], [Duration::from_secs(10); 2]);
    }
}
