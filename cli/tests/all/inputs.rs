//! Inputs that a user may name by mistake or receive from a stranger: pipes, devices, endless files, and names with
//! terminal escape sequences.
#![cfg(unix)]

use std::fs::{self, File};
use std::process::Command;

use crate::support::{self, World};

fn pipe(world: &World, name: &str) {
    assert!(Command::new("mkfifo").arg(world.path(name)).status().unwrap().success());
}

/// Reading a pipe would block forever, and a device has no end.
#[test]
fn pipes_and_devices_are_refused() {
    let world = World::trained();
    pipe(&world, "pipe");
    pipe(&world, "pipe.toml");
    pipe(&world, "pipe.png");
    let train = ["train", "--data", "train.pack", "--model", "tiny.toml", "--out", "r"];
    for (args, code, named) in [
        (&[&train[..], &["--config", "pipe"]].concat()[..], 2, "--config: pipe: "),
        (&[&train[..], &["--config", "/dev/zero"]].concat(), 2, "--config: /dev/zero: "),
        (&[&train[..], &["--set", "data.colour=paper", "--set", "data.pca=pipe"]].concat(), 2, "data.pca: pipe: "),
        (
            &[&train[..], &["--set", "data.colour=paper", "--set", "data.pca=/dev/zero"]].concat(),
            2,
            "data.pca: /dev/zero: ",
        ),
        (&[&train[..], &["--weights", "pipe"]].concat(), 1, "pipe: "),
        (&["train", "--data", "train.pack", "--model", "pipe.toml", "--out", "r"], 1, "pipe.toml: "),
        (&["summary", "/dev/zero"], 1, "/dev/zero: "),
        (&["pack", "train", "p", "--size", "10", "--class-names", "pipe"], 1, "pipe: "),
        (&["pack", "train", "p", "--size", "10", "--class-names", "/dev/zero"], 1, "/dev/zero: "),
        (&["pack", "pipe", "p", "--size", "10"], 1, "pipe: "),
        (&["pack", "/dev/zero", "p", "--size", "10"], 1, "/dev/zero: "),
        (&["pack", "train", "p", "--size", "10", "--labels", "pipe"], 1, "pipe: "),
        (&["eval", "--data", "pipe", "--weights", "run"], 1, "pipe: "),
        (&["eval", "--data", "val.pack", "--weights", "pipe"], 1, "pipe: "),
        (&["convert", "pipe", "out.h5"], 1, "pipe: "),
        (&["info", "pipe"], 1, "pipe: "),
        (&["predict", "--weights", "run", "pipe.png"], 1, "pipe.png: "),
    ] {
        let message = world.fails(code, args);
        assert!(message.contains(named), "{args:?}: {message}");
        assert!(!world.path("r").exists() && !world.path("p").exists(), "{args:?} left a folder");
    }
}

#[test]
fn a_pipe_in_place_of_a_file_of_a_run_or_a_pack_is_an_error() {
    let world = World::trained();
    let newest = "run/checkpoints/step-000000009.h5";
    pipe(&world, newest);
    // A pipe is not a checkpoint: the newest is the one before it.
    assert!(world.ok(&["info", "run"]).contains("run/checkpoints/step-000000006.h5"));
    for file in ["run/best.toml", "run/log.jsonl", "run/run.toml", "run/model.toml"] {
        let away = world.path("away");
        fs::rename(world.path(file), &away).unwrap();
        pipe(&world, file);
        let output = world.run(&["train", "--out", "run", "--resume", "--epochs", "3"]);
        let text = String::from_utf8(output.stderr).unwrap();
        let is_named = text.contains(file.rsplit('/').next().unwrap()) && text.contains("a named pipe");
        assert!(file == "run/best.toml" || (is_named && output.status.code() == Some(1)), "{file}: {text}");
        fs::remove_file(world.path(file)).unwrap();
        fs::rename(&away, world.path(file)).unwrap();
    }
    fs::remove_file(world.path(newest)).unwrap();
    for (pack, file) in [("val.pack", "pack.h5"), ("train.pack", "shard-00000.h5")] {
        let file = format!("{pack}/{file}");
        fs::remove_file(world.path(&file)).unwrap();
        pipe(&world, &file);
        let message = world.fails(1, &["info", pack]);
        assert!(
            message.contains(&format!("{file}: cannot be opened: expected a file, found a named pipe")),
            "{message}"
        );
    }
}

/// A sparse file that claims a terabyte.
#[test]
fn texts_are_read_to_their_limit() {
    let world = World::packed();
    File::create(world.path("large")).unwrap().set_len(1 << 40).unwrap();
    let train = ["train", "--data", "train.pack", "--model", "tiny.toml", "--out", "r"];
    for (args, code) in [
        (&[&train[..], &["--config", "large"]].concat()[..], 2),
        (&[&train[..], &["--set", "data.colour=paper", "--set", "data.pca=large"]].concat(), 2),
        (&["summary", "./large"], 1),
        (&["pack", "train", "p", "--size", "10", "--class-names", "large"], 1),
    ] {
        let message = world.fails(code, args);
        assert!(message.contains("large") && message.contains("at most 4 MiB"), "{args:?}: {message}");
    }
}

/// An escape sequence, and the character that reverses the direction of text.
const ESCAPES: &str = "\u{1b}]0;pwn\u{7}\u{202e}";
const PRINTED: &str = "\\u{1b}]0;pwn\\u{7}\\u{202e}";

fn without_escapes(text: &[u8], name: &str) -> String {
    let text = String::from_utf8(text.to_vec()).unwrap();
    let found = text.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
    assert_eq!(found, None, "{name}: {text:?}");
    text
}

#[test]
fn names_do_not_control_the_terminal() {
    let world = World::new();
    // Classes, a bad image, an image to classify, a pack, a run and a network file, all with escape sequences in their
    // names.
    for part in ["train", "val"] {
        fs::rename(world.path(part).join("red"), world.path(part).join(format!("=red{ESCAPES}"))).unwrap();
    }
    fs::write(world.path(format!("train/=red{ESCAPES}/bad{ESCAPES}.jpg")), "text").unwrap();
    let pack = format!("pack{ESCAPES}");
    let run = format!("run{ESCAPES}");
    let model = format!("tiny{ESCAPES}.toml");
    fs::rename(world.path("tiny.toml"), world.path(&model)).unwrap();
    let image = format!("val/=red{ESCAPES}/0.png");
    let missing = format!("missing{ESCAPES}");
    let weights = format!("out{ESCAPES}.h5");
    for (args, expected) in [
        (&["pack", "train", &pack, "--size", "10"][..], 1),
        (&["pack", "train", &pack, "--size", "10", "--max-bad", "1"], 0),
        (&["info", &pack], 0),
        (&["train", "--data", &pack, "--model", &model, "--out", &run], 0),
        (&["info", &run], 0),
        (&["predict", "--weights", &run, &image], 0),
        (&["predict", "--weights", &run, &format!("train/=red{ESCAPES}/bad{ESCAPES}.jpg")], 1),
        (&["convert", &run, &weights], 0),
        (&["info", &weights], 0),
        (&["info", &missing], 1),
        (&["summary", &format!("{missing}.toml")], 1),
        (&["eval", "--data", &missing, "--weights", &run], 1),
    ] {
        let output = world.run(args);
        let shown = without_escapes(&output.stdout, &format!("{args:?}"))
            + &without_escapes(&output.stderr, &format!("{args:?}"));
        assert_eq!(output.status.code(), Some(expected), "{shown}");
        assert!(shown.contains(PRINTED) || args[0] == "summary", "{args:?}: {shown}");
    }
    let list = fs::read_to_string(world.path(&pack).join("bad.csv")).unwrap().replace("\r\n", "\n");
    without_escapes(list.as_bytes(), "bad.csv");
    assert!(list.contains(&format!("\n'=red{PRINTED}/bad{PRINTED}.jpg,")), "{list}");
    // JSON escapes the characters itself.
    let json = world.ok(&["info", &pack, "--json"]);
    assert!(json.contains(r"=red\u001b]0;pwn\u0007"), "{json}");
}

/// The message once contained the whole header.
#[test]
fn the_message_on_a_damaged_tar_is_short() {
    let world = World::new();
    let mut bytes = vec![0u8; 1024];
    bytes[..5].copy_from_slice(b"a/b.p");
    bytes[100..108].copy_from_slice(b"0000644\0");
    bytes[124..136].copy_from_slice(b"00000000100\0");
    bytes[257..263].copy_from_slice(b"ustar\0");
    bytes[400] = 0x1b;
    // A first member with a correct checksum, then one with a wrong checksum.
    let sum: u32 = bytes[..512].iter().map(|&b| u32::from(b)).sum::<u32>() + 8 * 32;
    let mut second = bytes[..512].to_vec();
    bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    second[148..156].copy_from_slice(b"\x1b\x1b\x1b\x1b\x1b\x1b\0 ");
    bytes.extend(second);
    fs::write(world.path("damaged.tar"), bytes).unwrap();
    let message = world.fails(1, &["pack", "damaged.tar", "p", "--size", "10"]);
    assert!(message.contains("damaged.tar: damaged at offset"), "{message}");
    without_escapes(message.as_bytes(), "the message");
    assert!(message.len() < 500, "{} characters: {message}", message.len());
}

/// The name of the default folder of a run contains the network's name.
#[test]
fn a_networks_name_cannot_lead_to_another_folder() {
    let world = World::packed();
    fs::create_dir(world.path("deep")).unwrap();
    let text = support::MODEL.replace("name = \"tiny\"", "name = \"../../up\"");
    fs::write(world.path("up.toml"), text).unwrap();
    let message = world.fails(1, &["train", "--data", "train.pack", "--model", "up.toml"]);
    assert!(message.contains("up.toml") && message.contains("\"name\" must be"), "{message}");
    assert!(!world.path("runs").exists());
    world.ok(&["train", "--data", "train.pack", "--model", "tiny.toml", "--epochs", "1"]);
    assert!(world.path("runs/tiny-1/run.toml").exists());
}

#[test]
fn epochs_do_not_overflow() {
    let world = World::packed();
    let train = ["train", "--data", "train.pack", "--model", "tiny.toml", "--out", "r"];
    // Times the three batches of an epoch, the first gives 2^64 + 2 steps and the second less than 2^63.
    for epochs in ["6148914691236517206", "2305843009213693952", "1000000001"] {
        let message = world.fails(2, &[&train[..], &["--epochs", epochs]].concat());
        assert!(message.contains("--epochs") && message.contains("0..=1000000000"), "{message}");
        assert!(!world.path("r").exists());
    }
}
