//! Kills and refused system calls in the middle of a save, injected by strace: what was saved before still loads, and
//! the run goes on. Without strace (CI installs it) there is nothing to run these with, and they say so.
#![cfg(target_os = "linux")]

use std::fs;
use std::process::{Command, Output};

use crate::support::World;

/// Whether strace can be had; says so if not.
fn strace() -> bool {
    let there = Command::new("strace").args(["-o", "/dev/null", "true"]).output().is_ok_and(|o| o.status.success());
    if !there {
        eprintln!("not run: strace is not installed, or may not trace here");
    }
    there
}

/// Goes on with the run for an epoch while strace injects `fault` into `calls`.
fn resume_with(world: &World, calls: &str, fault: &str) -> Output {
    let inject = format!("inject={calls}:{fault}");
    Command::new("strace")
        .args(["-f", "-o", "trace", "-e", &format!("trace={calls}"), "-e", &inject])
        .args([env!("CARGO_BIN_EXE_alexnet"), "train", "--out", "run", "--resume", "--epochs", "3"])
        .current_dir(world.path(""))
        .output()
        .unwrap()
}

fn temporaries(world: &World) -> usize {
    let in_folder = |folder: &str| {
        let entries = fs::read_dir(world.path(folder)).unwrap();
        entries.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with(".alexnet-tmp")).count()
    };
    in_folder("run") + in_folder("run/checkpoints")
}

/// The run can be read and taken to its end, and what an interrupted save left is gone.
fn goes_on(world: &World, after: &str) {
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
            goes_on(&world, &format!("killed at {calls} number {when}"));
        }
    }
    assert!(killed >= 8, "only {killed} runs were killed: the calls have other names here");
}

/// A save that fails on the way is told and passed over; the old checkpoint is kept to the byte.
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
        goes_on(&world, calls);
    }
}

/// The folder's own sync comes after the rename: the checkpoint is there, and the message says what is uncertain.
#[test]
fn a_folder_that_cannot_be_synced_is_told() {
    if !strace() {
        return;
    }
    let world = World::trained();
    // Calls 1 and 2 are run.toml's, 3 is the checkpoint's content, 4 its folder.
    let output = resume_with(&world, "fsync", "error=EIO:when=4+");
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("unconfirmed"), "{message}");
    goes_on(&world, "folder sync");
}
