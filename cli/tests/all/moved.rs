//! Runs that are moved, copied, or resumed after the clock was set back: the checkpoint is chosen by content and step,
//! never by a time.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::World;

const TRAIN: [&str; 7] = ["train", "--data", "train.pack", "--val", "val.pack", "--model", "tiny.toml"];

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Gives all files below a folder times that decrease in the order of their names: the newest checkpoint has the oldest
/// time.
fn set_times_back(folder: &Path, from: SystemTime) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for (day, path) in (0..).zip(entries) {
        if path.is_dir() {
            set_times_back(&path, from);
        } else {
            let time = from - Duration::from_secs(86_400 * day);
            File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
        }
    }
}

/// The lines of the log without the measured speed.
fn log(run: &Path) -> Vec<String> {
    let text = fs::read_to_string(run.join("log.jsonl")).unwrap();
    text.lines().map(|line| line.split(",\"images_per_s\"").next().unwrap().to_string()).collect()
}

#[test]
fn a_moved_run_resumes_exactly_at_any_time() {
    let world = World::packed();
    world.ok(&[&TRAIN[..], &["--out", "whole", "--epochs", "6", "--set", "run.keep_checkpoints=9"]].concat());
    world.ok(&[&TRAIN[..], &["--out", "begun", "--epochs", "3", "--set", "run.keep_checkpoints=9"]].concat());
    let far = SystemTime::now() + Duration::from_secs(86_400 * 3650);
    for (name, time) in [
        ("deep/copied", None),
        ("past", Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 28))),
        ("future", Some(far)),
    ] {
        let run = world.path(name);
        copy(&world.path("begun"), &run);
        if let Some(time) = time {
            set_times_back(&run, time);
            set_times_back(&world.path("train.pack"), time);
        }
        world.ok(&["train", "--out", name, "--resume", "--epochs", "6"]);
        assert_eq!(log(&run), log(&world.path("whole")), "{name}");
        assert_weights_equal(&world, name, "whole");
    }
    fs::rename(world.path("begun"), world.path("moved")).unwrap();
    world.ok(&["train", "--out", "moved", "--resume", "--epochs", "6"]);
    assert_weights_equal(&world, "moved", "whole");
}

/// From another folder, with the packs in another folder too, whose new paths are given.
#[test]
fn a_run_and_its_packs_may_move_apart() {
    let world = World::packed();
    world.ok(&[&TRAIN[..], &["--out", "whole", "--epochs", "4"]].concat());
    world.ok(&[&TRAIN[..], &["--out", "begun", "--epochs", "2"]].concat());
    for (from, to) in [("train.pack", "packs/a"), ("val.pack", "packs/b"), ("begun", "runs/moved")] {
        fs::create_dir_all(world.path(to).parent().unwrap()).unwrap();
        fs::rename(world.path(from), world.path(to)).unwrap();
    }
    let args = ["train", "--out", "runs/moved", "--resume", "--epochs", "4"];
    assert!(world.fails(1, &args).contains("train.pack"));
    world.ok(&[&args[..], &["--data", "packs/a", "--val", "packs/b"]].concat());
    assert_weights_equal(&world, "runs/moved", "whole");
}

/// By the values alone, without what names the folders.
fn assert_weights_equal(world: &World, a: &str, b: &str) {
    let values = |run: &str| {
        world.ok(&["convert", run, "values.safetensors"]);
        fs::read(world.path("values.safetensors")).unwrap()
    };
    assert!(values(a) == values(b), "{a} and {b} differ");
}
