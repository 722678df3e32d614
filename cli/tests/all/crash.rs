//! Kills and failed system calls in the middle of a save, injected by strace: earlier checkpoints still load, and the
//! run continues. Without strace, which CI installs, these tests are skipped with a note.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::{Command, Output};

use crate::support::World;

/// Whether strace works here; prints a note if not.
fn strace() -> bool {
    let is_available =
        Command::new("strace").args(["-o", "/dev/null", "true"]).output().is_ok_and(|o| o.status.success());
    if !is_available {
        eprintln!("not run: strace is not installed, or may not trace here");
    }
    is_available
}

/// Runs the command while strace injects `fault` into `calls`.
fn run_with(world: &World, calls: &str, fault: &str, arguments: &[&str]) -> Output {
    let inject = format!("inject={calls}:{fault}");
    Command::new("strace")
        .args(["-f", "-o", "trace", "-e", &format!("trace={calls}"), "-e", &inject])
        .arg(env!("CARGO_BIN_EXE_alexnet"))
        .args(arguments)
        .current_dir(world.path(""))
        .output()
        .unwrap()
}

/// Resumes the run for an epoch while strace injects `fault` into `calls`.
fn resume_with(world: &World, calls: &str, fault: &str) -> Output {
    run_with(world, calls, fault, &["train", "--out", "run", "--resume", "--epochs", "3"])
}

fn temporaries_in(world: &World, folder: &str) -> usize {
    let entries = fs::read_dir(world.path(folder)).unwrap();
    entries.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with(".alexnet-tmp")).count()
}

fn temporaries(world: &World) -> usize {
    temporaries_in(world, "run") + temporaries_in(world, "run/checkpoints")
}

/// Checks that the run can be read and completed, and that no temporary file of an interrupted save remains.
fn check_resumes(world: &World, after: &str) {
    let info = world.ok(&["info", "run"]);
    assert!(info.contains("steps"), "{after}: {info}");
    world.ok(&["train", "--out", "run", "--resume", "--epochs", "3"]);
    assert!(world.path("run/checkpoints/step-000000009.h5").exists(), "{after}");
    assert_eq!(temporaries(world), 0, "{after}");
}

#[test]
fn killed_at_any_call_of_a_save() {
    if !strace() {
        return;
    }
    let mut killed = 0;
    for calls in ["pwrite64", "fsync", "/^rename"] {
        for when in (1..=4).chain([8, 16, 32]) {
            let world = World::trained();
            let output = resume_with(&world, calls, &format!("signal=KILL:when={when}"));
            killed += usize::from(!output.status.success());
            check_resumes(&world, &format!("killed at {calls} number {when}"));
        }
    }
    assert!(killed >= 8, "only {killed} runs were killed: the calls have other names here");
}

/// A failed save is an error, and the old checkpoint is unchanged.
#[test]
fn refused_calls_keep_the_old_checkpoint() {
    if !strace() {
        return;
    }
    for (calls, fault, words) in [
        ("pwrite64", "error=ENOSPC:when=1+", "No space left"),
        ("fsync", "error=EIO:when=3+", "durab"),
        ("/^rename", "error=EXDEV:when=2+", "choose another"),
    ] {
        let world = World::trained();
        let newest = world.path("run/checkpoints/step-000000006.h5");
        let before = fs::read(&newest).unwrap();
        let output = resume_with(&world, calls, fault);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{calls}: {message}");
        assert!(message.contains(words) && !message.contains("panicked"), "{calls}: {message}");
        assert!(fs::read(&newest).unwrap() == before, "{calls}: the old checkpoint was touched");
        assert_eq!(temporaries(&world), 0, "{calls}: {message}");
        check_resumes(&world, calls);
    }
}

/// The sync of the folder comes after the rename: the checkpoint exists, and the message says that its durability is
/// unconfirmed.
#[test]
fn a_folder_that_cannot_be_synced_is_noted() {
    if !strace() {
        return;
    }
    let world = World::trained();
    // Calls 1 and 2 sync run.toml, 3 the content of the checkpoint, 4 its folder.
    let output = resume_with(&world, "fsync", "error=EIO:when=4+");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("unconfirmed"), "{message}");
    check_resumes(&world, "folder sync");
}

/// The remains of a killed conversion are removed by the next one; the file in its place is the old one until then.
#[test]
fn a_killed_conversion_is_swept_by_the_next() {
    if !strace() {
        return;
    }
    let world = World::trained();
    for name in ["out.h5", "out.safetensors", "out.pt", "out.keras", "out.onnx"] {
        let convert = ["convert", "run", name];
        let kill = || run_with(&world, "/^rename", "signal=KILL:when=1", &convert);
        assert!(!kill().status.success(), "{name}: the call has another name here");
        assert!(!world.path(name).exists() && temporaries_in(&world, "") > 0, "{name}");
        world.ok(&convert);
        assert_eq!(temporaries_in(&world, ""), 0, "{name}");
        let before = fs::read(world.path(name)).unwrap();
        assert!(!kill().status.success() && temporaries_in(&world, "") > 0, "{name}");
        assert!(fs::read(world.path(name)).unwrap() == before, "{name}: the old file was touched");
        world.ok(&convert);
        assert_eq!(temporaries_in(&world, ""), 0, "{name}");
    }
}
