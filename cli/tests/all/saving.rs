//! Permissions of written files, read-only folders, edited runs and full disks.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::support::World;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// New files have the permissions that the umask leaves; replaced files keep theirs.
#[test]
fn the_umask_is_kept() {
    let world = World::packed();
    let alexnet = env!("CARGO_BIN_EXE_alexnet");
    let script = format!(
        "umask 077 && {alexnet} pack train private.pack --size 10 && {alexnet} train --data private.pack --model tiny.toml \
         --out run --epochs 1 && {alexnet} convert run w.safetensors && {alexnet} convert run w.h5 && umask 027 && \
         {alexnet} convert run shared.h5"
    );
    let output = Command::new("sh").args(["-c", &script]).current_dir(world.path("")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let checkpoint = "run/checkpoints/step-000000003.h5";
    for file in ["private.pack/pack.h5", "private.pack/shard-00000.h5", "run/run.toml", "w.safetensors", checkpoint] {
        assert_eq!(mode(&world.path(file)), 0o600, "{file}");
    }
    assert_eq!(mode(&world.path("shared.h5")), 0o640);
    fs::set_permissions(world.path("w.h5"), fs::Permissions::from_mode(0o664)).unwrap();
    world.ok(&["convert", "run", "w.h5"]);
    assert_eq!(mode(&world.path("w.h5")), 0o664);
}

/// A `checkpoints` folder that cannot be written to is found before the first step, not at the first save.
#[test]
fn a_read_only_folder_of_checkpoints_is_found_before_the_first_step() {
    const NOBODY: u32 = 65_534;
    let world = World::trained();
    let log = fs::read(world.path("run/log.jsonl")).unwrap();
    // The superuser may write anywhere, so the command runs as another user, who must be able to reach the program too.
    let is_root = chown(world.path("run"), Some(NOBODY), Some(NOBODY)).is_ok();
    if is_root {
        fs::set_permissions(world.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        // Another process copies it: a file that this process, or a child forked at that instant, has open for writing
        // cannot be executed.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_alexnet")).arg(world.path("alexnet")).status().unwrap();
        assert!(copied.success());
        for entry in fs::read_dir(world.path("run")).unwrap() {
            chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    fs::set_permissions(world.path("run/checkpoints"), fs::Permissions::from_mode(0o555)).unwrap();
    let program = if is_root { world.path("alexnet") } else { env!("CARGO_BIN_EXE_alexnet").into() };
    let mut command = Command::new(program);
    command.args(["train", "--out", "run", "--resume", "--epochs", "9"]).current_dir(world.path(""));
    if is_root {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    fs::set_permissions(world.path("run/checkpoints"), fs::Permissions::from_mode(0o755)).unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("run/checkpoints: cannot be written to"), "{message}");
    assert!(fs::read(world.path("run/log.jsonl")).unwrap() == log, "steps were made: {message}");
}

/// Edits of a run's settings or network between two resumes are errors that name them.
#[test]
fn an_edited_run_is_refused() {
    let world = World::trained();
    for (file, from, to, expected) in [
        ("run/run.toml", "seed = 1", "seed = 7", "run.seed was 1, now 7"),
        ("run/model.toml", "std = 0.01", "std = 0.02", "model.toml: "),
    ] {
        let text = fs::read_to_string(world.path(file)).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(world.path(file), text.replacen(from, to, 1)).unwrap();
        let message = world.fails(2, &["train", "--out", "run", "--resume", "--epochs", "4"]);
        assert!(message.contains(expected), "{message}");
        fs::write(world.path(file), text).unwrap();
    }
    world.ok(&["train", "--out", "run", "--resume", "--epochs", "3"]);
}

/// On a full disk, the oldest checkpoint is removed to make room for the next.
#[test]
#[cfg(target_os = "linux")]
fn room_is_made_on_a_full_disk() {
    let mounted = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this system does not let a file system be mounted in a namespace");
        return;
    }
    let world = World::packed();
    let script = "mount -t tmpfs -o size=2m none disk || exit 99
        \"$1\" train --data train.pack --model tiny.toml --out disk/run --epochs 2 --set run.keep_checkpoints=2 || exit 98
        dd if=/dev/zero of=disk/fill bs=4k 2>/dev/null
        truncate -s -8k disk/fill
        \"$1\" train --out disk/run --resume --epochs 3; code=$?
        ls disk/run/checkpoints >&2; exit $code";
    fs::create_dir(world.path("disk")).unwrap();
    let output = Command::new("unshare")
        .args(["-rm", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_alexnet")])
        .current_dir(world.path(""))
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{message}");
    assert!(message.contains("No space left") && message.contains("was removed to make room"), "{message}");
    assert!(message.ends_with("step-000000006.h5\nstep-000000009.h5\n"), "{message}");
}
