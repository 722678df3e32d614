//! Runs of `sweep` and `reproduce`, each in a process of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use files::regular_file;
use train::Stop;
use train::config::keys;
use train::runs::{RunSummary, State};
use train::sweep::Trial;

use super::device::all_threads;
use crate::console::note;
use crate::failure::{Failure, Result};

/// Time from one look at the running processes to the next.
const POLL_INTERVAL: Duration = Duration::from_millis(30);

/// Makes a folder of runs, and writes what they are into its file `name`: a folder of other runs is refused.
pub fn claim(folder: &Path, name: &str, text: &[u8], what: &str) -> Result<()> {
    let failed = |path: &Path, e: std::io::Error| Failure::Failed(format!("{}: {e}", path.display()));
    let copy = folder.join(name);
    match fs::read(&copy) {
        Ok(before) if before == text => return Ok(()),
        Ok(_) => {
            let what = format!("holds the runs of another {what} ({} differs)", copy.display());
            return Err(Failure::Usage(format!("{}: {what}; choose another --out", folder.display())));
        }
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(&copy, e)),
        Err(_) => {}
    }
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let what = format!("is not empty and holds no {what}; choose another --out");
        return Err(Failure::Usage(format!("{}: {what}", folder.display())));
    }
    files::folder::create_all(folder).map_err(|e| failed(folder, e))?;
    Ok(files::replace_bytes(&copy, text)?)
}

/// Trials in their folder.
pub struct TrialRuns<'a> {
    /// The folder of their folders.
    pub folder: &'a Path,
    /// Processes at a time.
    pub jobs: usize,
    /// The number of all trials, for messages, where the name of each is its number.
    pub total: Option<usize>,
    /// Whether a note says that a trial begins.
    pub announces_starts: bool,
}

impl TrialRuns<'_> {
    /// The folder of a trial's run.
    pub fn run_of(&self, trial: &Trial) -> PathBuf {
        self.folder.join(&trial.name)
    }

    /// The name of a trial in messages.
    fn label(&self, trial: &Trial) -> String {
        self.total.map_or_else(|| trial.name.clone(), |total| format!("{} of {total}", trial.name))
    }

    /// The state of a trial's run; nothing if it has not begun.
    pub fn state(&self, trial: &Trial) -> Option<State> {
        RunSummary::read(&self.run_of(trial)).ok().map(|run| run.state)
    }

    /// Runs the trials that are not finished, the unfinished ones from where they are.
    pub fn run_all(&self, trials: &[Trial], stop: &Stop) {
        let mut waiting = trials.iter().filter(|trial| self.state(trial) != Some(State::Finished)).peekable();
        let mut running: Vec<(&Trial, Child)> = Vec::new();
        let mut is_told = false;
        loop {
            while !stop.is_requested() && running.len() < self.jobs && waiting.peek().is_some() {
                let Some(trial) = waiting.next() else { break };
                match self.start(trial) {
                    Ok(child) => {
                        if self.announces_starts {
                            note(&format!("{}: begins", self.label(trial)));
                        }
                        running.push((trial, child));
                    }
                    // The others go on: they are children of this process, which waits for them.
                    Err(error) => note(&format!("{}: did not begin: {error}", self.label(trial))),
                }
            }
            if running.is_empty() {
                return;
            }
            if stop.is_requested() && !is_told {
                is_told = true;
                note("stopping: each run finishes its step and saves");
                running.iter().for_each(|(_, child)| ask_to_stop(child));
            }
            let mut still = Vec::new();
            for (trial, mut child) in running {
                match child.try_wait() {
                    Ok(None) => still.push((trial, child)),
                    _ => self.tell(trial),
                }
            }
            running = still;
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Starts or resumes a trial. Its messages go to a file. The error is a message.
    fn start(&self, trial: &Trial) -> std::result::Result<Child, String> {
        let run = self.run_of(trial);
        let failed = |what: &str, e: &dyn std::fmt::Display| format!("{}: {what}: {e}", run.display());
        let settings = run.with_extension("toml");
        let text = toml::to_string(&trial.settings).map_err(|e| failed("its settings cannot be written", &e))?;
        files::replace_bytes(&settings, text.as_bytes()).map_err(|e| e.to_string())?;
        let log = File::options().create(true).append(true).open(run.with_extension("log"));
        let log = log.map_err(|e| failed("its log cannot be written", &e))?;
        let program = std::env::current_exe().map_err(|e| failed("this program cannot be found", &e))?;
        let mut command = Command::new(program);
        command.arg("train").arg("--out").arg(&run);
        if run.join("run.toml").exists() {
            command.arg("--resume");
        } else {
            command.arg("--config").arg(&settings);
        }
        if self.jobs > 1 && keys::value(&trial.settings, "run.threads").is_none() {
            command.arg("--threads").arg((all_threads() / self.jobs).max(1).to_string());
        }
        // A group of its own: a Ctrl-C reaches this process alone, which then asks each run once.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().map_err(|e| failed("cannot be started", &e))
    }

    /// Says how a trial ended.
    fn tell(&self, trial: &Trial) {
        let end = match RunSummary::read(&self.run_of(trial)) {
            Ok(run) => {
                let best = run.best.map_or(String::new(), |best| format!(", {best}"));
                let message = run.message.map_or(String::new(), |message| format!(": {message}"));
                format!("{}{best}{message}", run.state)
            }
            Err(_) => format!("did not begin: {}", last_error(&self.run_of(trial).with_extension("log"))),
        };
        note(&format!("{}: {end}", self.label(trial)));
    }
}

/// The last error in the messages of a run.
fn last_error(log: &Path) -> String {
    let text = regular_file::read_text(log).unwrap_or_default();
    let error = text.lines().rev().find_map(|line| line.strip_prefix("error: "));
    error.map_or_else(|| format!("see {}", log.display()), str::to_string)
}

/// Runs a command to its end; a stop is passed on to it. The command is in a group of its own: a Ctrl-C reaches this
/// process alone.
pub fn run_child(command: &mut Command, stop: &Stop) -> std::io::Result<ExitStatus> {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let mut child = command.spawn()?;
    let mut is_told = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if stop.is_requested() && !is_told {
            is_told = true;
            ask_to_stop(&child);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Asks a process to stop, as a cluster does.
fn ask_to_stop(child: &Child) {
    #[cfg(unix)]
    // SAFETY: `kill` only sends a signal, to a child that has not been waited for.
    unsafe {
        libc::kill(child.id() as i32, libc::SIGTERM);
    }
}
