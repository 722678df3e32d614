//! Tables of runs and their curves.

use std::fs;

use serde_json::Value;

use crate::support::World;
use crate::support::running::Running;

const TRAIN: [&str; 5] = ["train", "--data", "train.pack", "--model", "tiny.toml"];

fn train(world: &World, out: &str, more: &[&str]) {
    world.ok(&[&TRAIN[..], &["--out", out], more].concat());
}

fn json(world: &World, args: &[&str]) -> Value {
    serde_json::from_str(&world.ok(&[args, &["--json"]].concat())).unwrap()
}

/// Two finished runs, one that ends in NaN, and one whose process was killed.
fn world_of_runs() -> World {
    let world = World::packed();
    train(&world, "runs/slow", &["--val", "val.pack", "--set", "optim.lr=0.0001"]);
    train(&world, "runs/fast", &["--val", "val.pack", "--set", "optim.lr=0.05", "--epochs", "3"]);
    world.fails(1, &[&TRAIN[..], &["--out", "runs/nan", "--set", "optim.lr=1e30", "--epochs", "90"]].concat());
    train(&world, "runs/deep/killed", &[]);
    fs::remove_file(world.path("runs/deep/killed/outcome.toml")).unwrap();
    let settings = world.path("runs/deep/killed/run.toml");
    let text = fs::read_to_string(&settings).unwrap().replace("epochs = 2", "epochs = 9");
    fs::write(settings, text).unwrap();
    world
}

#[test]
fn runs_are_listed_with_what_differs_and_how_they_ended() {
    let world = world_of_runs();
    let text = world.ok(&["runs", "--sort", "best"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    for column in ["run", "network", "lr", "epochs", "best", "images/s", "state"] {
        assert!(lines[0].contains(column), "{text}");
    }
    assert!(!lines[0].contains("momentum"), "{text}");
    assert!(lines[1].contains("runs/fast") && lines[1].contains("finished"), "{text}");
    let values = json(&world, &["runs"]);
    let of = |name: &str| {
        let is_it = |run: &&Value| run["folder"].as_str().unwrap().ends_with(name);
        values.as_array().unwrap().iter().find(is_it).unwrap()
    };
    assert_eq!([&of("nan")["state"], &of("killed")["state"]], ["failed", "interrupted"]);
    assert!(of("nan")["message"].as_str().unwrap().contains("the loss is"), "{values}");
    assert_eq!(of("fast")["step"], 9);
    assert!(world.ok(&["info", "runs/slow"]).contains("state        finished"));
    let nan = world.ok(&["info", "runs/nan"]);
    assert!(nan.contains("state        failed: step ") && nan.contains("the loss is"), "{nan}");
    assert_eq!(json(&world, &["info", "runs/deep/killed"])["state"], "interrupted");
    let message = world.fails(2, &["runs", "--sort", "nothing"]);
    assert!(message.contains("--sort: nothing: no such column"), "{message}");
    fs::create_dir(world.path("empty")).unwrap();
    assert!(world.fails(1, &["runs", "empty"]).contains("holds no run"));
    let none = world.fails(1, &["runs", "missing"]);
    assert!(none.contains("missing: there is no such folder; name the folder of the runs"), "{none}");
}

#[cfg(unix)]
#[test]
fn a_run_in_progress_is_running_and_is_not_disturbed() {
    let world = World::packed();
    let mut child = Running::start(world.command(&TRAIN).args(["--out", "run", "--epochs", "1000000"]));
    let start = std::time::Instant::now();
    while json_or_null(&world)[0]["step"].as_u64().unwrap_or(0) == 0 {
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "timed out");
    }
    assert_eq!(json(&world, &["runs", "run"])[0]["state"], "running");
    assert!(child.try_wait().unwrap().is_none());
    let kill = format!("kill -TERM {}", child.id());
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    child.wait().unwrap();
    assert_eq!(json(&world, &["runs", "run"])[0]["state"], "stopped");
}

fn json_or_null(world: &World) -> Value {
    let output = world.run(&["runs", "run", "--json"]);
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

#[test]
fn runs_are_compared_side_by_side_with_their_curves() {
    let world = world_of_runs();
    let text = world.ok(&["compare", "runs/slow", "runs/fast", "--out", "both.png"]);
    let row = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}"));
    let cells: Vec<&str> = row("lr").split_whitespace().collect();
    assert_eq!(cells, ["lr", "0.0001", "0.05"]);
    row("best");
    // Losses above, validation errors below.
    assert_eq!(image::open(world.path("both.png")).unwrap().height(), 1200);
    world.ok(&["compare", "runs/nan", "runs/deep/killed", "--out", "losses.png"]);
    assert_eq!(image::open(world.path("losses.png")).unwrap().height(), 600);
    assert_eq!(json(&world, &["compare", "runs/slow", "runs/fast"])["differing"][0], "optim.lr");
    world.fails(1, &["compare", "runs/slow", "nowhere"]);
    world.fails(2, &["compare", "runs/slow", "--out", "x.jpg"]);
}
