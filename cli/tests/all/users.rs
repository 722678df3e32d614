//! Folders and files that a user may not read or write: the error says so, and comes before work is lost.
#![cfg(target_os = "linux")]

use std::fs;

use crate::support::World;
use crate::support::users::{command, fails, set_mode};

/// Every command that writes fails before it has done any work.
#[test]
fn a_read_only_folder_fails_first() {
    let world = World::trained();
    // All files of the run can be read, and none can be created or changed.
    set_mode(&world.path(""), 0o555);
    set_mode(&world.path("run"), 0o555);
    set_mode(&world.path("run/lock"), 0o444);
    let train = ["train", "--data", "train.pack", "--model", "tiny.toml", "--out", "new"];
    for (args, named) in [
        (&train[..], "new"),
        (&train[..5], "runs"),
        (&["train", "--resume", "--out", "run", "--epochs", "9"], "run/lock"),
        (&["pack", "train", "new.pack", "--size", "10"], "new.pack"),
        (&["convert", "run", "new.h5"], "new.h5"),
        (&["convert", "run", "new.safetensors"], "new.safetensors"),
        (&["show", "train.pack", "--out", "new.png"], "new.png"),
        (&["demo", "--out", "new"], "new"),
    ] {
        let message = fails(&world, args);
        assert!(message.contains(named) && message.contains("Permission denied"), "{args:?}: {message}");
        assert!(!message.contains("epoch 1"), "{args:?} worked before it failed: {message}");
    }
    // Commands that only read still work.
    for args in [&["eval", "--data", "val.pack", "--weights", "run"][..], &["info", "run"]] {
        let output = command(&world, args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    set_mode(&world.path("run"), 0o755);
    set_mode(&world.path(""), 0o755);
    assert_eq!(world.files(), ["run", "tiny.toml", "train", "train.pack", "val", "val.pack"]);
}

/// A file or folder without permission is not reported as missing or of another kind.
#[test]
fn permission_denied_is_called_so() {
    let world = World::trained();
    set_mode(&world.path(""), 0o755);
    let closed = |path: &str, args: &[&str], named: &str| {
        let path = world.path(path);
        let before = fs::metadata(&path).unwrap().permissions();
        set_mode(&path, 0o000);
        let message = fails(&world, args);
        assert!(message.contains(named) && message.contains("ermission denied"), "{args:?}: {message}");
        fs::set_permissions(&path, before).unwrap();
    };
    closed("train.pack", &["info", "train.pack"], "train.pack");
    closed("train.pack", &["eval", "--data", "train.pack", "--weights", "run"], "train.pack");
    closed("train.pack", &["train", "--data", "train.pack", "--model", "tiny.toml", "--out", "r"], "train.pack");
    closed("train.pack/pack.h5", &["info", "train.pack"], "train.pack/pack.h5");
    closed("train.pack/shard-00000.h5", &["info", "train.pack"], "shard-00000.h5");
    closed("run", &["info", "run"], "run");
    closed("run", &["eval", "--data", "val.pack", "--weights", "run"], "run");
    closed("run", &["train", "--resume", "--out", "run"], "run");
    closed("run/run.toml", &["train", "--resume", "--out", "run"], "run");
    closed("tiny.toml", &["train", "--data", "train.pack", "--model", "tiny.toml", "--out", "r"], "tiny.toml");
    closed("tiny.toml", &["summary", "./tiny.toml"], "tiny.toml");
}

/// An image without read permission is not a bad image: packing stops, and the same command continues once it is
/// readable.
#[test]
fn an_image_that_may_not_be_read_stops_packing() {
    let world = World::new();
    set_mode(&world.path(""), 0o777);
    let image = world.path("train/red/3.png");
    set_mode(&image, 0o000);
    for more in [&[][..], &["--max-bad", "9"]] {
        let args = [&["pack", "train", "out.pack", "--size", "10"][..], more].concat();
        let message = fails(&world, &args);
        assert!(message.contains("red/3.png: cannot be read: Permission denied"), "{message}");
        assert!(!world.path("out.pack/shard-00000.h5").exists() && !world.path("out.pack/bad.csv").exists());
    }
    set_mode(&image, 0o644);
    let output = command(&world, &["pack", "train", "out.pack", "--size", "10"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(world.ok(&["info", "out.pack"]).contains("12 of 10 x 10 pixels"));
}
