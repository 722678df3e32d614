//! `alexnet sweep`: runs of one file, each in a process of its own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use files::regular_file;
use serde_json::json;
use train::Stop;
use train::config::keys;
use train::plots::save_png;
use train::runs::{RunSummary, State};
use train::sweep::{self, Sweep, Trial, TrialResult};

use super::device::all_threads;
use crate::args;
use crate::console::{count, note, print, print_json, table};
use crate::failure::{Failure, Result};
use crate::signals::stop_on_signals;

/// Time from one look at the running processes to the next.
const POLL_INTERVAL: Duration = Duration::from_millis(30);

pub fn run(args: &args::Sweep) -> Result<()> {
    let stop = stop_on_signals()?;
    let plan = Sweep::read(&args.file)?;
    let trials = plan.trials()?;
    let folder = args.out.clone().unwrap_or_else(|| sweep::default_folder(&args.file));
    claim(&folder, &args.file)?;
    let runner = Runner { folder: &folder, jobs: args.jobs, total: trials.len() };
    runner.run_all(&trials, &stop);
    report(&plan, &trials, &folder, args.json)?;
    let left = trials.iter().filter(|trial| runner.state(trial) != Some(State::Finished)).count();
    match (stop.signal(), left) {
        (_, 0) => Ok(()),
        (Some(signal), _) => {
            let what = format!("stopped by signal {signal}, with {} to go", count(left as u64, "run"));
            Err(Failure::Stopped { signal, message: format!("{what}; the same command goes on") })
        }
        (None, _) => {
            let what =
                format!("{} of {} runs did not finish; see the .log files in {}", left, trials.len(), folder.display());
            Err(Failure::Failed(format!("{what}; the same command tries them again")))
        }
    }
}

/// Makes the folder of a sweep, and copies its file there: another sweep is refused.
fn claim(folder: &Path, file: &Path) -> Result<()> {
    let failed = |path: &Path, e: std::io::Error| Failure::Failed(format!("{}: {e}", path.display()));
    let text = fs::read(file).map_err(|e| failed(file, e))?;
    let copy = folder.join("sweep.toml");
    match fs::read(&copy) {
        Ok(before) if before == text => return Ok(()),
        Ok(_) => {
            let what = format!("holds the runs of another sweep ({} differs from {})", copy.display(), file.display());
            return Err(Failure::Usage(format!("{}: {what}; choose another --out", folder.display())));
        }
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(&copy, e)),
        Err(_) => {}
    }
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let what = "is not empty and holds no sweep; choose another --out";
        return Err(Failure::Usage(format!("{}: {what}", folder.display())));
    }
    files::folder::create_all(folder).map_err(|e| failed(folder, e))?;
    Ok(files::replace_bytes(&copy, &text)?)
}

/// The trials of a sweep in their folder.
struct Runner<'a> {
    folder: &'a Path,
    /// Processes at a time.
    jobs: usize,
    total: usize,
}

impl Runner<'_> {
    fn run_of(&self, trial: &Trial) -> PathBuf {
        self.folder.join(&trial.name)
    }

    /// The state of a trial's run; nothing if it has not begun.
    fn state(&self, trial: &Trial) -> Option<State> {
        RunSummary::read(&self.run_of(trial)).ok().map(|run| run.state)
    }

    /// Runs the trials that are not finished, the unfinished ones from where they are.
    fn run_all(&self, trials: &[Trial], stop: &Stop) {
        let mut waiting = trials.iter().filter(|trial| self.state(trial) != Some(State::Finished)).peekable();
        let mut running: Vec<(&Trial, Child)> = Vec::new();
        let mut is_told = false;
        loop {
            while !stop.is_requested() && running.len() < self.jobs && waiting.peek().is_some() {
                let Some(trial) = waiting.next() else { break };
                match self.start(trial) {
                    Ok(child) => running.push((trial, child)),
                    // The others go on: they are children of this process, which waits for them.
                    Err(error) => note(&format!("{} of {}: did not begin: {error}", trial.name, self.total)),
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
        note(&format!("{} of {}: {end}", trial.name, self.total));
    }
}

/// The last error in the messages of a run.
fn last_error(log: &Path) -> String {
    let text = regular_file::read_text(log).unwrap_or_default();
    let error = text.lines().rev().find_map(|line| line.strip_prefix("error: "));
    error.map_or_else(|| format!("see {}", log.display()), str::to_string)
}

/// Asks a process to stop, as a cluster does.
fn ask_to_stop(child: &Child) {
    #[cfg(unix)]
    // SAFETY: `kill` only sends a signal, to a child that has not been waited for.
    unsafe {
        libc::kill(child.id() as i32, libc::SIGTERM);
    }
}

/// Prints the trials, the best first, and plots them.
fn report(plan: &Sweep, trials: &[Trial], folder: &Path, as_json: bool) -> Result<()> {
    let mut results = Vec::new();
    let mut states = Vec::new();
    let runs: Vec<Option<RunSummary>> =
        trials.iter().map(|trial| RunSummary::read(&folder.join(&trial.name)).ok()).collect();
    // Losses of training do not rank among errors of validation.
    let has_best = runs.iter().flatten().any(|run| run.best.is_some());
    for (trial, run) in trials.iter().zip(runs) {
        states.push(run.as_ref().map_or("not begun".to_string(), |run| run.state.to_string()));
        let best = run.and_then(|run| if has_best { run.best.map(|best| best.value) } else { run.loss });
        results.push(TrialResult { name: trial.name.clone(), values: trial.values.clone(), best });
    }
    let vary = plan.vary()?;
    let path = folder.join("sweep.png");
    let title = format!("Sweep of {}: the darker, the lower", count(trials.len() as u64, "run"));
    save_png(&sweep::plot(&vary, &results, &title), &path)?;
    if as_json {
        return print_json(&json!({ "plot": path.display().to_string(), "trials": results, "states": states }));
    }
    let mut order: Vec<usize> = (0..results.len()).collect();
    let value = |at: usize| results[at].best.unwrap_or(f64::INFINITY);
    order.sort_by(|a, b| value(*a).total_cmp(&value(*b)));
    let mut rows = vec![header(&vary)];
    for at in order {
        let result = &results[at];
        let mut row = vec![result.name.clone()];
        row.extend(
            result.values.iter().map(|(_, value)| value.as_str().map_or_else(|| value.to_string(), str::to_string)),
        );
        row.push(result.best.map_or("-".to_string(), |best| format!("{best:.4}")));
        row.push(states[at].clone());
        rows.push(row);
    }
    print(&table(&rows))?;
    note(&format!("the runs are in {}, plotted in {}", folder.display(), path.display()));
    Ok(())
}

fn header(vary: &[(String, sweep::Values)]) -> Vec<String> {
    let names = vary.iter().map(|(name, _)| name.rsplit('.').next().unwrap_or(name).to_string());
    let ends = ["best", "state"].map(str::to_string);
    std::iter::once("run".to_string()).chain(names).chain(ends).collect()
}
