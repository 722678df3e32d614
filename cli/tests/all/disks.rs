//! Errors of disks, injected by strace: reads of images that fail once or always, and syncs of new folders. Without
//! strace, which CI installs, these tests are skipped with a note.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::World;

/// Runs the command under strace; `None`, with a note, if strace does not work here.
fn traced(world: &World, options: &[&str], args: &[&str]) -> Option<Output> {
    let is_available =
        Command::new("strace").args(["-o", "/dev/null", "true"]).output().is_ok_and(|o| o.status.success());
    if !is_available {
        eprintln!("not run: strace is not installed, or may not trace here");
        return None;
    }
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "trace"]).args(options).arg(env!("CARGO_BIN_EXE_alexnet")).args(args);
    Some(command.current_dir(world.path("")).output().unwrap())
}

fn files_of(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

/// A temporary error of a disk or a network does not make an image bad.
#[test]
fn a_read_that_fails_once_is_tried_again() {
    let world = World::packed();
    for error in ["EIO", "ESTALE", "ETIMEDOUT"] {
        let inject = format!("inject=read:error={error}:when=1");
        let options = ["-P", "train/red/3.png", "-e", "trace=read", "-e", &inject];
        let Some(output) = traced(&world, &options, &["pack", "train", "out.pack", "--size", "10"]) else { return };
        assert!(output.status.success(), "{error}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(fs::read_to_string(world.path("trace")).unwrap().contains("(INJECTED)"), "{error} was not injected");
        assert!(files_of(&world.path("out.pack")) == files_of(&world.path("train.pack")), "{error}");
        fs::remove_dir_all(world.path("out.pack")).unwrap();
    }
}

#[test]
fn a_read_that_keeps_failing_stops_packing_until_it_succeeds() {
    let world = World::packed();
    for (calls, error, more) in [
        ("read", "EIO", &[][..]),
        ("read", "EIO", &["--max-bad", "9"]),
        ("openat", "EACCES", &["--max-bad", "9"]),
        ("openat", "ESTALE", &[]),
    ] {
        let inject = format!("inject={calls}:error={error}:when=1+");
        let trace = format!("trace={calls}");
        let options = ["-P", "train/red/3.png", "-e", &trace, "-e", &inject];
        let args = [&["pack", "train", "out.pack", "--size", "10"][..], more].concat();
        let Some(output) = traced(&world, &options, &args) else { return };
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{calls} {error}: {message}");
        assert!(message.contains("train: red/3.png: cannot be read: "), "{calls} {error}: {message}");
        assert!(files_of(&world.path("out.pack")).is_empty(), "{calls} {error}: a file was finished");
    }
    world.ok(&["pack", "train", "out.pack", "--size", "10"]);
    assert!(files_of(&world.path("out.pack")) == files_of(&world.path("train.pack")));
}

/// The name of a folder is stored in its parent, which is synced when a run or a pack creates folders.
#[test]
fn the_folders_above_new_ones_are_synced() {
    let world = World::packed();
    fs::create_dir(world.path("there")).unwrap();
    let root = world.path("").canonicalize().unwrap();
    let train = ["train", "--data", "train.pack", "--model", "tiny.toml", "--epochs", "1", "--out", "there/a/b/run"];
    for args in [&["pack", "train", "there/a/b/out.pack", "--size", "10"][..], &train] {
        let options = ["-y", "-e", "trace=fsync,fdatasync"];
        let Some(output) = traced(&world, &options, args) else { return };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let trace = fs::read_to_string(world.path("trace")).unwrap();
        // A call that another thread's line splits ends with `<unfinished ...>` in place of `)`.
        let is_synced = |folder: &str| {
            let path = format!("<{}>", root.join(folder).display());
            trace.contains(&format!("{path})")) || trace.contains(&format!("{path} <unfinished"))
        };
        for folder in ["there", "there/a", "there/a/b"] {
            assert!(is_synced(folder), "{folder} is not synced by {args:?}: {trace}");
        }
        assert!(args[0] == "pack" || is_synced("there/a/b/run"), "{trace}");
        fs::remove_dir_all(world.path("there/a")).unwrap();
    }
}

/// A parent folder that cannot be opened for a sync does not stop a command; an error of the disk does.
#[test]
fn folders_that_cannot_be_synced_do_not_stop_a_run() {
    let world = World::packed();
    let options = ["-P", ".", "-e", "trace=fsync", "-e", "inject=fsync:error=EINVAL:when=1"];
    let Some(output) = traced(&world, &options, &["pack", "train", "out.pack", "--size", "10"]) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let options = ["-P", ".", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=1"];
    let Some(output) = traced(&world, &options, &["pack", "train", "other.pack", "--size", "10"]) else { return };
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("other.pack") && message.contains("cannot be synced"), "{message}");
}
