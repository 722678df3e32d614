//! Running a command with faults, and what must be true afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::support::World;

/// A command and the files that it writes.
pub struct Job {
    pub name: &'static str,
    /// Shell commands that prepare the folder.
    pub prepare: &'static [&'static str],
    pub command: &'static [&'static str],
    /// The command that resumes the job after a failure, if it is another one.
    pub again: Option<&'static [&'static str]>,
    /// Files that must be correct after a success.
    pub files: &'static [&'static str],
    /// Files that may be unchanged after a success with a note.
    pub noted: &'static [&'static str],
    /// Whether the command removes the temporary files of a killed one. It does so in its own folder, not among a
    /// user's files.
    pub removes_temporaries: bool,
}

/// Without `ALEXNET_FAULTS=all`, one of this many faults is tried.
const SAMPLE: usize = 61;

/// Disk sizes in KiB that are tried without `ALEXNET_FAULTS=all`.
const SIZES: [usize; 15] = [4, 8, 16, 24, 32, 48, 56, 64, 96, 192, 256, 320, 384, 512, 2048];

/// The fault injected into a system call.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Error(&'static str),
    Kill,
}

impl Fault {
    fn words(self) -> String {
        match self {
            Self::Error(name) => format!("error={name}"),
            Self::Kill => "signal=KILL".into(),
        }
    }
}

/// Whether all faults are tried, not a sample.
fn all() -> bool {
    std::env::var_os("ALEXNET_FAULTS").is_some_and(|value| value == "all")
}

/// Whether strace works here; prints a note if not.
pub fn can_trace() -> bool {
    available("strace", &["-o", "/dev/null", "true"], "strace is not installed, or may not trace here")
}

/// Whether a disk of a given size can be mounted; prints a note if not.
pub fn can_mount() -> bool {
    let script = "mount -t tmpfs -o size=24k none /tmp";
    available("unshare", &["-rm", "sh", "-c", script], "nothing can be mounted here (unshare -rm, tmpfs)")
}

fn available(program: &str, args: &[&str], otherwise: &str) -> bool {
    let there = Command::new(program).args(args).output().is_ok_and(|o| o.status.success());
    if !there {
        eprintln!("not run: {otherwise}");
    }
    there
}

/// A call that touches a file of the world: its name, and its place among the calls of this name of its thread.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    name: String,
    number: usize,
}

/// The contents of the files of a job; none for a missing file.
type Files = BTreeMap<&'static str, Option<Vec<u8>>>;

impl Job {
    fn files_in(&self, folder: &Path) -> Files {
        self.files.iter().chain(self.noted).map(|name| (*name, fs::read(folder.join(name)).ok())).collect()
    }

    fn prepare(&self, folder: &Path) {
        for line in self.prepare {
            assert!(Command::new("sh").args(["-c", line]).current_dir(folder).status().unwrap().success(), "{line}");
        }
    }

    fn run(&self, folder: &Path, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_alexnet")).args(args).current_dir(folder).output().unwrap()
    }

    /// The command to continue with after a fault: a run without `run.toml` was never started.
    fn next_command(&self, folder: &Path) -> &'static [&'static str] {
        match self.again {
            Some(again) if folder.join("run/run.toml").exists() => again,
            _ => self.command,
        }
    }

    /// Checks the files and the message after a fault, then completes the work and checks it.
    fn check(
        &self,
        folder: &Path,
        case: &str,
        output: &Output,
        before: &Files,
        expected: &Files,
    ) -> Result<(), String> {
        let message = String::from_utf8_lossy(&output.stderr);
        let fail = |problem: &str| Err(format!("{case}: {problem}: {message}"));
        if message.contains("panicked") {
            return fail("a panic");
        }
        let now = self.files_in(folder);
        for (name, bytes) in &now {
            if bytes != &before[name] && bytes != &expected[name] {
                return fail(&format!("{name} is neither what it was nor what it should be"));
            }
        }
        let lacks = |files: &Files| self.files.iter().find(|name| files[**name] != expected[**name]);
        match output.status.code() {
            // The program was not even loaded.
            Some(127) if message.contains("shared libraries") => {}
            Some(0) => {
                if let Some(name) = lacks(&now) {
                    return fail(&format!("success, and {name} is not saved"));
                }
                if now != *expected && !message.contains("note: ") {
                    return fail("not everything is saved, and there is no note");
                }
            }
            Some(code) if code != 1 || !message.contains("error: ") => return fail(&format!("exit code {code}")),
            None if !case.contains("KILL") => return fail("ended by a signal"),
            Some(_) | None => {}
        }
        self.check_next(folder, case, expected)
    }

    /// Checks that the work can be completed.
    fn check_next(&self, folder: &Path, case: &str, expected: &Files) -> Result<(), String> {
        let again = self.run(folder, self.next_command(folder));
        let message = String::from_utf8_lossy(&again.stderr);
        if !again.status.success() {
            return Err(format!("{case}: the work cannot be completed: {message}"));
        }
        let now = self.files_in(folder);
        if let Some(name) = self.files.iter().find(|name| now[**name] != expected[**name]) {
            return Err(format!("{case}: {name} is not what it should be in the end: {message}"));
        }
        let left = temporaries(folder);
        if !left.is_empty() && (self.removes_temporaries || !case.contains("KILL")) {
            return Err(format!("{case}: {left:?} remain"));
        }
        Ok(())
    }
}

/// Names of temporary files in the folder and below it.
fn temporaries(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().unwrap().is_dir() {
            found.extend(temporaries(&entry.path()));
        } else if name.starts_with(".alexnet-tmp-") {
            found.push(name);
        }
    }
    found
}

/// A world with a run, packs, and weights of another run, made once.
fn template() -> &'static World {
    static TEMPLATE: OnceLock<World> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let world = World::packed();
        for (name, seed) in [("trained", "1"), ("other", "2")] {
            let packs = ["train", "--data", "train.pack", "--val", "val.pack", "--model", "tiny.toml", "--seed", seed];
            world.ok(&[&packs[..], &["--out", name]].concat());
        }
        world.ok(&["convert", "other", "old.h5"]);
        world.ok(&["convert", "other", "old.safetensors"]);
        world.ok(&["convert", "other", "old.pt"]);
        world
    })
}

/// A copy of the template, prepared for the job.
fn world_for(job: &Job) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let source = format!("{}/.", template().path("").display());
    assert!(Command::new("cp").args(["-r", &source]).arg(folder.path()).status().unwrap().success());
    job.prepare(folder.path());
    folder
}

/// The contents of the job's files without a fault.
fn expected(job: &Job) -> Files {
    let world = world_for(job);
    let output = job.run(world.path(), job.command);
    assert!(output.status.success(), "{}: {}", job.name, String::from_utf8_lossy(&output.stderr));
    let files = job.files_in(world.path());
    for name in job.files {
        assert!(files[name].is_some(), "{}: {name} is not written", job.name);
    }
    files
}

/// Tries each call of the job with each of the faults, or a sample of them.
pub fn sweep_calls(job: &Job, faults: &[Fault]) {
    let stride = if all() { 1 } else { SAMPLE };
    let expected = expected(job);
    let calls = calls_of(job);
    assert!(calls.len() > 40, "{}: only {} calls were seen", job.name, calls.len());
    let cases = calls.iter().flat_map(|call| faults.iter().map(move |fault| (call, *fault)));
    let mut failed = 0;
    let mut tried = 0;
    let mut wrong = Vec::new();
    for (call, fault) in cases.step_by(stride) {
        let world = world_for(job);
        let before = job.files_in(world.path());
        let inject = format!("inject={}:{}:when={}", call.name, fault.words(), call.number);
        let output = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e", &format!("trace={}", call.name), "-e", &inject])
            .arg(env!("CARGO_BIN_EXE_alexnet"))
            .args(job.command)
            .current_dir(world.path())
            .output()
            .unwrap();
        wrong.extend(job.check(world.path(), &format!("{}: {inject}", job.name), &output, &before, &expected).err());
        failed += usize::from(!output.status.success());
        tried += 1;
    }
    eprintln!(
        "{}: {tried} faults at {} calls, {failed} ended in an error, the others in success",
        job.name,
        calls.len()
    );
    assert!(failed > 0, "{}: no fault had any effect", job.name);
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The calls of a job that touch the world's files.
fn calls_of(job: &Job) -> Vec<Call> {
    let world = world_for(job);
    let trace = world.path().join("trace");
    let status = Command::new("strace")
        .args(["-f", "-y", "-s", "0", "-e", "trace=%file,%desc", "-o"])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_alexnet"))
        .args(job.command)
        .current_dir(world.path())
        .output()
        .unwrap();
    assert!(status.status.success());
    let folder = world.path().to_str().unwrap();
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in fs::read_to_string(&trace).unwrap().lines() {
        let mut words = line.splitn(2, char::is_whitespace);
        let thread = words.next().unwrap_or_default();
        let Some((name, rest)) = words.next().and_then(|call| call.trim_start().split_once('(')) else { continue };
        if name.starts_with('<') {
            continue;
        }
        let count = counts.entry((thread.to_string(), name.to_string())).or_default();
        *count += 1;
        if rest.contains(folder) && !["execve", "close"].contains(&name) {
            calls.push(Call { name: name.to_string(), number: *count });
        }
    }
    calls.sort();
    calls.dedup();
    calls
}

/// Runs the job with its files on a disk of up to 2 MiB, full at another place each time; a sample of the sizes are those at
/// which it just fits, or just does not.
pub fn sweep_disk_sizes(job: &Job) {
    let expected = expected(job);
    let mut failed = 0;
    let mut tried = 0;
    let mut wrong = Vec::new();
    let sizes: Vec<usize> = if all() { (4..=2048).step_by(4).collect() } else { SIZES.to_vec() };
    for size in sizes {
        let world = world_for(job);
        let before = job.files_in(world.path());
        let case = format!("{} on {size} KiB", job.name);
        let Some(output) = run_on_disk(job, world.path(), size) else { continue };
        wrong.extend(job.check(world.path(), &case, &output, &before, &expected).err());
        failed += usize::from(!output.status.success());
        tried += 1;
    }
    eprintln!("{}: {tried} sizes of disk, {failed} too small", job.name);
    assert!(tried > failed && failed > 0, "{}: {failed} of {tried} disks were too small", job.name);
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Runs the job where its files lie on a disk of `size` KiB, and copies them to the world afterwards. Nothing if what was
/// there before does not fit.
fn run_on_disk(job: &Job, world: &Path, size: usize) -> Option<Output> {
    let root = job.files[0].split('/').next().unwrap();
    let script = format!(
        "set -u; mkdir disk; mount -t tmpfs -o size={size}k none disk || exit 99
         if [ -e {root} ]; then cp -r {root} disk/ || exit 98; fi
         \"$@\"; code=$?
         rm -rf {root}; if [ -e disk/{root} ]; then cp -r disk/{root} {root}; fi
         exit $code"
    );
    let on_disk: Vec<String> = job.command.iter().map(|word| on_disk(word, root)).collect();
    let output = Command::new("unshare")
        .args(["-rm", "sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_alexnet")])
        .args(on_disk)
        .current_dir(world)
        .output()
        .unwrap();
    assert_ne!(output.status.code(), Some(99), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code() != Some(98)).then_some(output)
}

fn on_disk(word: &str, root: &str) -> String {
    if word == root { format!("disk/{word}") } else { word.to_string() }
}
