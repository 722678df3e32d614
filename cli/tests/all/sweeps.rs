//! Sweeps.

use std::fs;

use serde_json::Value;
#[cfg(unix)]
use train::log::{StepLine, read_steps};

use crate::support::World;
#[cfg(unix)]
use crate::support::running::Running;

fn json(world: &World, args: &[&str]) -> Value {
    serde_json::from_str(&world.ok(&[args, &["--json"]].concat())).unwrap()
}

const SWEEP: &str = "
method = 'grid'
[settings]
data.train = 'train.pack'
data.val = 'val.pack'
model.name = 'tiny.toml'
[vary]
'optim.lr' = [0.05, 0.0001]
'run.seed' = [1, 2]
";

#[test]
fn a_sweep_trains_each_combination_and_goes_on_where_it_ended() {
    let world = World::packed();
    fs::write(world.path("rates.toml"), SWEEP).unwrap();
    let text = world.ok(&["sweep", "rates.toml", "--jobs", "2"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(lines[0].starts_with("run") && lines[0].ends_with("state"), "{text}");
    assert!(lines[1..].iter().all(|line| line.ends_with("finished")), "{text}");
    assert_eq!(image::open(world.path("sweeps/rates/sweep.png")).unwrap().width(), 960);

    // A run that did not finish is taken up again, the others are left alone.
    let log = |name: &str| fs::read(world.path(format!("sweeps/rates/{name}/log.jsonl"))).unwrap();
    let before = ["001", "002", "003", "004"].map(log);
    fs::remove_dir_all(world.path("sweeps/rates/002")).unwrap();
    let again = json(&world, &["sweep", "rates.toml"]);
    let steps = |log: &[u8]| log.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(steps(&log("002")), steps(&before[1]));
    assert_eq!([log("001"), log("003"), log("004")], [before[0].clone(), before[2].clone(), before[3].clone()]);
    assert_eq!(again["trials"].as_array().unwrap().len(), 4);
    assert_eq!(again["states"][1], "finished");

    fs::write(world.path("rates.toml"), SWEEP.replace("0.05", "0.06")).unwrap();
    assert!(world.fails(2, &["sweep", "rates.toml"]).contains("another sweep"));
    fs::write(world.path("rates.toml"), SWEEP.replace("optim.lr", "optim.rat")).unwrap();
    assert!(world.fails(2, &["sweep", "rates.toml", "--out", "new"]).contains("optim.rat"));
}

#[test]
fn a_sweep_with_a_run_that_fails_trains_the_others() {
    let world = World::packed();
    let text = SWEEP
        .replace("[0.05, 0.0001]", "[1e30, 0.01]")
        .replace("[1, 2]", "[1]")
        .replace("[vary]", "run.epochs = 40\n[vary]");
    fs::write(world.path("rates.toml"), text).unwrap();
    let output = world.run(&["sweep", "rates.toml"]);
    let notes = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{notes}");
    assert!(notes.contains("001 of 2: failed") && notes.contains("002 of 2: finished"), "{notes}");
    assert!(notes.contains("1 of 2 runs did not finish"), "{notes}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.lines().nth(1).unwrap().starts_with("002"), "{table}");
    // Its training loss does not stand among the validation errors of the others.
    assert_eq!(table.lines().nth(2).unwrap().split_whitespace().nth(3), Some("-"), "{table}");
}

#[test]
fn a_sweep_waits_for_its_runs_if_another_cannot_be_started() {
    let world = World::packed();
    let text = SWEEP.replace("[vary]", "run.epochs = 200\n[vary]").replace("[1, 2]", "[1]");
    fs::write(world.path("rates.toml"), text).unwrap();
    fs::create_dir_all(world.path("sweeps/rates/002.log")).unwrap();
    fs::copy(world.path("rates.toml"), world.path("sweeps/rates/sweep.toml")).unwrap();
    let output = world.run(&["sweep", "rates.toml", "--jobs", "2"]);
    let notes = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{notes}");
    assert!(notes.contains("002 of 2: did not begin: sweeps/rates/002: its log cannot be written"), "{notes}");
    assert_eq!(json(&world, &["runs", "sweeps"])[0]["state"], "finished");
}

#[cfg(unix)]
fn wait_for_steps(world: &World, name: &str) {
    let log = world.path(format!("sweeps/rates/{name}/log.jsonl"));
    let start = std::time::Instant::now();
    while !fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "timed out");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Starts a sweep of two endless runs, one after the other or at once, and waits until `count` of them take steps.
#[cfg(unix)]
fn endless_sweep(world: &World, jobs: &str, count: usize) -> Running {
    let text = SWEEP.replace("[vary]", "run.epochs = 1000000\n[vary]").replace("[1, 2]", "[1]");
    fs::write(world.path("rates.toml"), text).unwrap();
    let mut command = world.command(&["sweep", "rates.toml", "--jobs", jobs]);
    let sweep = Running::start(command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()));
    for name in &["001", "002"][..count] {
        wait_for_steps(world, name);
    }
    sweep
}

#[cfg(unix)]
fn shell(script: &str) {
    assert!(std::process::Command::new("sh").args(["-c", script]).status().unwrap().success());
}

/// Lets the runs of a sweep end one epoch after those that they have begun, and takes it up again.
#[cfg(unix)]
fn finish(world: &World) -> Value {
    for name in ["001", "002"] {
        let folder = world.path(format!("sweeps/rates/{name}"));
        let log: Vec<StepLine> = read_steps(&folder.join("log.jsonl")).unwrap();
        let epochs = format!("epochs = {}", log.last().unwrap().epoch + 1);
        let text = fs::read_to_string(folder.join("run.toml")).unwrap();
        fs::write(folder.join("run.toml"), text.replace("epochs = 1000000", &epochs)).unwrap();
    }
    json(world, &["sweep", "rates.toml"])
}

#[cfg(unix)]
#[test]
fn a_signal_stops_all_runs_of_a_sweep_which_the_same_command_continues() {
    let world = World::packed();
    let mut sweep = endless_sweep(&world, "2", 2);
    shell(&format!("kill -INT {}", sweep.id()));
    let (status, notes) = sweep.end();
    assert_eq!(status.code(), Some(130), "{notes}");
    assert!(notes.contains("stopping: each run finishes its step and saves"), "{notes}");
    assert!(notes.contains("001 of 2: stopped") && notes.contains("002 of 2: stopped"), "{notes}");
    let states: Vec<Value> = json(&world, &["runs", "sweeps"]).as_array().unwrap().clone();
    assert!(states.len() == 2 && states.iter().all(|run| run["state"] == "stopped"), "{states:?}");
    for name in ["001", "002"] {
        assert!(fs::read_dir(world.path(format!("sweeps/rates/{name}/checkpoints"))).unwrap().count() > 0, "{name}");
    }
    assert_eq!(finish(&world)["states"], serde_json::json!(["finished", "finished"]));
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_of_a_sweep_that_is_killed_is_told_and_taken_up_again() {
    let world = World::packed();
    let mut sweep = endless_sweep(&world, "1", 1);
    let children = |id: u32| fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    shell(&format!("kill -KILL {}", children(sweep.id())));
    wait_for_steps(&world, "002");
    shell(&format!("kill -TERM {}", sweep.id()));
    let (status, notes) = sweep.end();
    assert_eq!(status.code(), Some(143), "{notes}");
    assert!(notes.contains("001 of 2: interrupted") && notes.contains("002 of 2: stopped"), "{notes}");
    assert_eq!(finish(&world)["states"], serde_json::json!(["finished", "finished"]));
}
