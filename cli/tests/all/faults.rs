//! Bad input: one clear message, the right exit code, nothing lost.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::running::Running;
use crate::support::{self, World};

#[test]
fn usage_errors_exit_2_and_name_flag_and_range() {
    let world = World::packed();
    let train = ["train", "--data", "train.pack", "--model", "tiny.toml"];
    for (more, words) in [
        (&["--threads", "0"][..], &["--threads", "1..=1024"][..]),
        (&["--batch", "13"], &["run.batch", "12"]),
        (&["--set", "optim.lr=-1"], &["optim.lr", "at least 0"]),
        (&["--set", "optim.rat=1"], &["optim.rat", "optim.lr"]),
        (&["--set", "optim.lr"], &["KEY=VALUE"]),
        (&["--epochs", "1", "--steps", "1"], &["--epochs", "--steps"]),
        (&["--device", "abacus"], &["--device", "abacus"]),
        (&["--resume"], &["--out"]),
    ] {
        let message = world.fails(2, &[&train[..], more].concat());
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
        assert!(!world.path("runs").exists(), "{more:?} left a folder");
    }
    assert!(world.fails(2, &["train"]).contains("--data"));
    assert!(world.fails(2, &["eval", "--data", "x", "--weights", "y", "--crops", "3"]).contains("--crops"));
}

#[test]
fn missing_and_wrong_files_are_named() {
    let world = World::trained();
    for (args, words) in [
        (&["pack", "nowhere", "out.pack"][..], &["nowhere"][..]),
        (&["eval", "--data", "nowhere", "--weights", "run"], &["nowhere"]),
        (&["eval", "--data", "val.pack", "--weights", "nowhere.h5"], &["nowhere.h5"]),
        (&["eval", "--data", "val.pack", "--weights", "tiny.toml"], &["tiny.toml"]),
        (&["eval", "--data", "val.pack", "--weights", "train"], &["train", "run.toml"]),
        (&["predict", "--weights", "run", "tiny.toml"], &["tiny.toml"]),
        (&["train", "--data", "val", "--model", "tiny.toml"], &["val"]),
        (&["train", "--data", "train.pack", "--model", "papper"], &["papper", "paper"]),
        (&["summary", "keras2"], &["keras2", "keras"]),
        (&["convert", "run", "out.txt"], &["out.txt", ".safetensors"]),
        (&["train", "--data", "train.pack", "--model", "tiny.toml", "--out", "run"], &["run", "--resume"]),
        (&["train", "--resume", "--out", "train"], &["train", "run.toml"]),
    ] {
        let output = world.run(args);
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}: {message}");
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
        let mut lines = message.lines().filter(|line| !line.starts_with("device: ") && !line.starts_with("note: "));
        assert!(lines.next().unwrap().starts_with("error: ") && lines.count() <= 1, "{args:?}: {message}");
    }
}

#[test]
fn a_file_that_is_not_an_image_is_listed() {
    let world = World::new();
    fs::write(world.path("train/red/notes.jpg"), "not an image").unwrap();
    let message = world.fails(1, &["pack", "train", "train.pack", "--size", "10"]);
    assert!(message.contains("notes.jpg") || message.contains("bad.csv"), "{message}");
    world.ok(&["pack", "train", "other.pack", "--size", "10", "--max-bad", "1"]);
    assert!(fs::read_to_string(world.path("other.pack/bad.csv")).unwrap().contains("notes.jpg"));
    // The pack is complete, but still has more bad images than are allowed.
    let again = world.fails(1, &["pack", "train", "other.pack", "--size", "10"]);
    assert_eq!(again.replace("other.pack", "train.pack"), message);
}

#[test]
fn an_empty_class_and_an_unknown_class_are_named() {
    let world = World::packed();
    fs::create_dir(world.path("val/green")).unwrap();
    assert!(world.fails(1, &["pack", "val", "a.pack", "--size", "10"]).contains("green"));
    fs::copy(world.path("val/red/0.png"), world.path("val/green/0.png")).unwrap();
    let args = ["pack", "val", "b.pack", "--size", "10", "--classes-of", "train.pack"];
    assert!(world.fails(1, &args).contains("green"));
    world.ok(&["pack", "val", "c.pack", "--size", "10"]);
    let message =
        world.fails(2, &["train", "--data", "train.pack", "--val", "c.pack", "--model", "tiny.toml", "--out", "r"]);
    assert!(message.contains("--val") && message.contains("green"), "{message}");
}

#[test]
fn a_pack_cut_short_is_refused() {
    let world = World::packed();
    let shard = fs::read_dir(world.path("train.pack"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "h5"))
        .max_by_key(|p| fs::metadata(p).unwrap().len())
        .unwrap();
    let bytes = fs::read(&shard).unwrap();
    for len in [0, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&shard, &bytes[..len]).unwrap();
        let message = world.fails(1, &["train", "--data", "train.pack", "--model", "tiny.toml", "--out", "r"]);
        assert!(message.contains(shard.file_name().unwrap().to_str().unwrap()), "{message}");
        assert!(!world.path("r").exists());
    }
}

#[test]
fn weights_of_another_network_are_refused() {
    let world = World::trained();
    let other = support::MODEL.replace("fc1", "fc7");
    fs::write(world.path("other.toml"), other).unwrap();
    let message = world.fails(2, &["convert", "run/checkpoints/step-000000006.h5", "a.h5", "--model", "other.toml"]);
    assert!(message.contains("name = \"fc1\" there, name = \"fc7\" in --model"), "{message}");
    let args = ["train", "--data", "train.pack", "--model", "other.toml", "--weights", "run", "--out", "tuned"];
    let message = world.fails(1, &args);
    assert!(message.contains("fc7.weight") && message.contains("fc1.weight"), "{message}");
    assert!(!world.path("tuned").exists(), "a folder is left");
}

#[test]
fn nobody_reading_is_a_quiet_end() {
    let world = World::new();
    let mut command = world.command(&["summary", "paper"]);
    let mut child = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    drop(child.stdout.take());
    let (status, text) = child.end();
    assert!(text.is_empty(), "{text}");
    assert!(status.success());
}

/// A run that is under way and that nothing but a signal ends, and the lines that it says from then on.
#[cfg(unix)]
fn endless_run(world: &World) -> (Running, impl Iterator<Item = String>) {
    let args = ["train", "--data", "train.pack", "--val", "val.pack", "--model", "tiny.toml", "--out", "run"];
    let mut command = world.command(&args);
    let mut child = Running::start(command.args(["--epochs", "1000000"]).stderr(Stdio::piped()));
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().starts_with("device: "));
    assert!(lines.next().unwrap().starts_with("the first step begins after "));
    // The first validated epoch's line says that training is under way.
    assert!(lines.next().unwrap().contains("epoch 1"));
    (child, lines)
}

#[cfg(unix)]
fn send(signals: &[&str], child: &Running) {
    let script: Vec<String> = signals.iter().map(|signal| format!("kill -{signal} {}", child.id())).collect();
    assert!(std::process::Command::new("sh").args(["-c", &script.join(" && ")]).status().unwrap().success());
}

/// Twice in an instant, as `timeout` sends it to the process and to its group, is once.
#[cfg(unix)]
#[test]
fn signals_save_and_exit_with_their_code() {
    for (signals, code) in [(&["INT"][..], 130), (&["TERM"], 143), (&["INT", "INT"], 130), (&["TERM", "TERM"], 143)] {
        let world = World::packed();
        let (mut child, lines) = endless_run(&world);
        send(signals, &child);
        let rest: Vec<String> = lines.collect();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{rest:?}");
        assert!(rest.iter().any(|line| line.contains("saved in")), "{rest:?}");
        let log = fs::read_to_string(world.path("run/log.jsonl")).unwrap();
        let saved = fs::read_dir(world.path("run/checkpoints")).unwrap().map(|e| e.unwrap().file_name());
        let newest = saved.max().unwrap().into_string().unwrap();
        assert_eq!(newest, format!("step-{:09}.h5", log.lines().count()));
    }
}

/// A user other than root finds out before the first step.
#[cfg(unix)]
#[test]
fn an_output_folder_that_cannot_be_made_fails_first() {
    let world = World::packed();
    fs::write(world.path("file"), "").unwrap();
    let message = world.fails(1, &["train", "--data", "train.pack", "--model", "tiny.toml", "--out", "file/run"]);
    assert!(message.contains("file/run") && message.contains("--out"), "{message}");
}

/// A disk that is full, or a file size limit: the message names the file, the last checkpoint is kept.
#[cfg(target_os = "linux")]
#[test]
fn a_file_size_limit_is_an_error_and_keeps_what_is_there() {
    let world = World::trained();
    let newest = world.path("run/checkpoints/step-000000006.h5");
    let before = fs::read(&newest).unwrap();
    let train = format!("{} train --out run --resume --epochs 4", env!("CARGO_BIN_EXE_alexnet"));
    let script = format!("ulimit -f 4; exec {train}");
    let output = std::process::Command::new("bash").args(["-c", &script]).current_dir(world.path("")).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("checkpoints/step-"), "{message}");
    assert!(fs::read(&newest).unwrap() == before, "the old checkpoint was touched");
    let names = fs::read_dir(world.path("run/checkpoints")).unwrap().map(|e| e.unwrap().file_name());
    assert!(names.map(|n| n.into_string().unwrap()).all(|n| n.starts_with("step-")), "a temporary is left");
    world.ok(&["train", "--out", "run", "--resume"]);
}
