//! On a signal, every command ends promptly with the signal's exit code, and leaves no incomplete file under its final
//! name.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::running::Running;
use crate::support::{MODEL, World};

const SIGNALS: [(&str, i32); 3] = [("HUP", 1), ("INT", 2), ("TERM", 15)];

/// Starts a command with the default signal handlers, even if the tests run with others.
fn start(command: &mut Command) -> Running {
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    // SAFETY: `signal` is safe between fork and exec.
    unsafe {
        command.pre_exec(|| {
            for (_, number) in SIGNALS {
                libc::signal(number, libc::SIG_DFL);
            }
            Ok(())
        });
    }
    Running::start(command)
}

fn send(signal: &str, child: &Running) {
    let script = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
}

/// The exit code as a shell reports it: 128 + N if signal N killed the process.
fn code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| 128 + signal)).unwrap()
}

/// Waits until `is_there`, as long as the process runs.
fn wait_for(child: &mut Running, is_there: impl Fn(&Running) -> bool) {
    let start = Instant::now();
    while !is_there(child) && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(60), "timed out");
        sleep(Duration::from_micros(200));
    }
}

/// Whether a process has a handler for SIGTERM.
#[cfg(target_os = "linux")]
fn has_handler(child: &Running) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim().to_string();
    let is_there = u64::from_str_radix(&caught, 16).unwrap_or(0) >> (15 - 1) & 1 == 1;
    if is_there {
        // The system knows the handler moments before it has its action, and before the handler of SIGHUP is there.
        sleep(Duration::from_millis(5));
    }
    is_there
}

#[cfg(not(target_os = "linux"))]
fn has_handler(_: &Running) -> bool {
    sleep(Duration::from_millis(100));
    true
}

/// A source of `count` images of two classes, of `side` x `side` pixels.
fn source(world: &World, name: &str, side: u32, count: usize) {
    let image = image::RgbImage::from_fn(side, side, |x, y| image::Rgb([x as u8, y as u8, (x * y % 251) as u8]));
    let first = world.path("one.png");
    image.save(&first).unwrap();
    for class in ["blue", "red"] {
        let folder = world.path(name).join(class);
        fs::create_dir_all(&folder).unwrap();
        for i in 0..count / 2 {
            fs::hard_link(&first, folder.join(format!("{i:05}.png"))).unwrap();
        }
    }
}

#[test]
fn training_saves() {
    for (signal, number) in SIGNALS {
        let world = World::packed();
        let args = ["train", "--data", "train.pack", "--val", "val.pack", "--model", "tiny.toml", "--out", "run"];
        let mut child = start(world.command(&args).args(["--epochs", "1000000"]));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.contains("epoch 1")));
        send(signal, &child);
        let rest: Vec<String> = lines.collect();
        assert_eq!(code(child.wait().unwrap()), 128 + number, "{rest:?}");
        let saved = rest.iter().find(|line| line.contains("saved in")).unwrap();
        // Said within 30 ms; a step of this network may be saved before.
        let announced = rest.iter().position(|line| line.starts_with("finishing this step, then saving; "));
        assert!(announced.is_none_or(|place| rest[place + 1..].contains(saved)), "{rest:?}");
        let info = world.ok(&["info", "run"]);
        assert!(info.contains(saved.rsplit('/').next().unwrap()), "{info}");
        assert_eq!(rest.last().unwrap(), "continue with: alexnet train --out run --resume");
    }
}

/// A checkpoint of 60 MB takes longer to save than the signal to be answered.
#[test]
fn an_end_that_takes_a_while_is_announced() {
    let world = World::packed();
    let layer = "[[layer]]\nname = \"fc1\"";
    let wide = MODEL.replace(layer, &format!("[[layer]]\nname = \"wide\"\nkind = \"linear\"\nunits = 40000\n{layer}"));
    std::fs::write(world.path("wide.toml"), wide).unwrap();
    let args = ["train", "--data", "train.pack", "--model", "wide.toml", "--out", "run", "--epochs", "1000000"];
    let mut child = start(&mut world.command(&args));
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("the first step begins")));
    sleep(Duration::from_millis(200));
    send("INT", &child);
    let rest: Vec<String> = lines.collect();
    assert_eq!(code(child.wait().unwrap()), 130, "{rest:?}");
    let place =
        |part: &str| rest.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {rest:?}"));
    assert!(place("finishing this step, then saving; press Ctrl-C again") < place("saved in"), "{rest:?}");
}

#[test]
fn a_checkpoint_is_saved_on_request_and_training_goes_on() {
    let world = World::packed();
    let args = ["train", "--data", "train.pack", "--model", "tiny.toml", "--out", "run", "--epochs", "1000000"];
    let mut child = start(&mut world.command(&args));
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("the first step begins")));
    send("USR1", &child);
    let saved = lines.find(|line| line.contains("as requested")).unwrap();
    assert!(saved.contains("saved in run/checkpoints/step-"), "{saved}");
    assert!(child.try_wait().unwrap().is_none());
    send("TERM", &child);
    assert_eq!(code(child.wait().unwrap()), 143);
}

/// A cluster ends a process some seconds after it has asked it to end.
#[test]
fn training_ends_in_time_in_a_validation_and_before_the_first_step() {
    let world = World::packed();
    source(&world, "many", 10, 8000);
    world.ok(&["pack", "many", "many.pack", "--size", "10"]);
    let args = ["train", "--data", "train.pack", "--val", "many.pack", "--model", "tiny.toml", "--batch", "1"];
    let mut child = start(world.command(&args).args(["--out", "validating", "--epochs", "1000000"]));
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("the first step begins")));
    // The twelve steps of the epoch are over in no time.
    sleep(Duration::from_millis(100));
    let sent = Instant::now();
    send("TERM", &child);
    let rest: Vec<String> = lines.collect();
    assert_eq!(code(child.wait().unwrap()), 143, "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("saved in")), "{rest:?}");
    assert!(sent.elapsed() < Duration::from_secs(10));

    let mut child = start(world.command(&args).args(["--out", "loading"]));
    wait_for(&mut child, has_handler);
    send("TERM", &child);
    let (status, text) = child.end();
    assert_eq!(code(status), 143, "{text}");
    assert!(text.contains("stopped by signal 15"), "{text}");
}

/// A command under `nohup`: closing the terminal does not end the command.
#[test]
fn a_signal_that_is_ignored_stays_so() {
    let world = World::packed();
    let args = ["train", "--data", "train.pack", "--model", "tiny.toml", "--out", "run", "--epochs", "1000000"];
    let mut command = world.command(&args);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    // SAFETY: `signal` is safe between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
            libc::signal(libc::SIGTERM, libc::SIG_DFL);
            Ok(())
        });
    }
    let mut child = Running::start(&mut command);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("the first step begins")));
    send("HUP", &child);
    sleep(Duration::from_millis(50));
    send("TERM", &child);
    let last = lines.last().unwrap();
    assert_eq!(code(child.wait().unwrap()), 143, "{last}");
}

/// Whether a shard is being written, which begins after the handlers are set.
fn has_temporary(world: &World, folder: &str) -> bool {
    let mut entries = fs::read_dir(world.path(folder)).into_iter().flatten().flatten();
    entries.any(|entry| entry.file_name().to_string_lossy().starts_with(".alexnet-tmp-"))
}

#[test]
fn packing_is_stopped_between_images() {
    let world = World::new();
    source(&world, "many", 300, 3000);
    let args = ["pack", "many", "out.pack", "--size", "10", "--jobs", "1"];
    for (signal, number) in SIGNALS {
        let mut child = start(&mut world.command(&args));
        wait_for(&mut child, |_| has_temporary(&world, "out.pack"));
        send(signal, &child);
        let (status, text) = child.end();
        assert_eq!(code(status), 128 + number, "{text}");
        assert!(text.contains(&format!("stopped by signal {number}")), "{text}");
        let left = fs::read_dir(world.path("out.pack")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let finished: Vec<String> = left.filter(|name| !name.starts_with('.')).collect();
        assert!(finished.is_empty(), "{finished:?}");
    }
}

/// Before the first image is packed, nothing polls the flag of the handler: the signal ends the process at once.
#[test]
fn packing_is_stopped_while_it_lists() {
    let world = World::new();
    source(&world, "many", 8, 20_000);
    for (signal, number) in SIGNALS {
        let mut child = start(&mut world.command(&["pack", "many", "out.pack", "--size", "8"]));
        wait_for(&mut child, has_handler);
        send(signal, &child);
        let (status, text) = child.end();
        assert_eq!(code(status), 128 + number, "{text}");
        assert!(text.contains(&format!("stopped by signal {number}")), "{text}");
    }
}

#[test]
fn evaluation_is_stopped_between_batches() {
    let world = World::trained();
    source(&world, "many", 10, 4000);
    world.ok(&["pack", "many", "many.pack", "--size", "10"]);
    let args = ["eval", "--data", "many.pack", "--weights", "run", "--crops", "10", "--batch", "10", "--threads", "1"];
    for (signal, number) in SIGNALS {
        let mut child = start(world.command(&args).args(["--predictions", "rows.csv"]));
        wait_for(&mut child, |_| has_temporary(&world, "."));
        send(signal, &child);
        let (status, text) = child.end();
        assert_eq!(code(status), 128 + number, "{text}");
        assert!(text.contains(&format!("stopped by signal {number}")), "{text}");
        assert!(!has_temporary(&world, ".") && !world.path("rows.csv").exists());
    }
}

/// Commands that are short or have nothing to save are killed by the signal. A shell reports the same code.
#[test]
fn the_other_commands_leave_whole_files_or_none() {
    let world = World::trained();
    let commands: [(&[&str], Option<&str>); 6] = [
        (&["convert", "run", "out.h5"], Some("out.h5")),
        (&["convert", "run", "out.safetensors"], Some("out.safetensors")),
        (&["show", "train.pack", "--out", "out.png"], Some("out.png")),
        (&["predict", "--weights", "run", "train/red/0.png"], None),
        (&["bench", "predict", "tiny.toml", "--seconds", "1000"], None),
        (&["pack", "--verify", "train.pack"], None),
    ];
    for (args, file) in commands {
        for (at, (signal, number)) in SIGNALS.iter().enumerate() {
            let mut child = start(&mut world.command(args));
            sleep(Duration::from_millis(7 * at as u64));
            send(signal, &child);
            let (status, text) = child.end();
            // Some commands have finished by then.
            let is_done = code(status) == 0 && args[0] != "bench";
            assert!(is_done || code(status) == 128 + number, "{args:?}: {status:?}: {text}");
            assert!(!has_temporary(&world, "."), "{args:?}");
            let Some(path) = file.map(|file| world.path(file)).filter(|path| path.exists()) else { continue };
            if path.extension().unwrap() == "png" {
                drop(image::open(&path).unwrap())
            } else {
                drop(world.ok(&["info", path.to_str().unwrap()]))
            }
            fs::remove_file(path).unwrap();
        }
    }
}
