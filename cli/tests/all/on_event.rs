//! `--on-event` and `--quiet`.

use std::fs;
#[cfg(unix)]
use std::io::{BufRead, BufReader};

use serde_json::Value;

use crate::support::World;
#[cfg(unix)]
use crate::support::running::Running;

const TRAIN: [&str; 7] = ["train", "--data", "train.pack", "--model", "tiny.toml", "--out", "run"];

/// The objects that a command wrote, which may be in another order: the training does not wait for it.
fn events(world: &World) -> Vec<Value> {
    let text = fs::read_to_string(world.path("events")).unwrap();
    let mut events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    events.sort_by_key(|event| event["epoch"].as_u64().unwrap_or(u64::MAX));
    events
}

#[test]
fn a_command_gets_each_epoch_and_the_end() {
    let world = World::packed();
    world.ok(&[&TRAIN[..], &["--val", "val.pack", "--on-event", "cat >> events"]].concat());
    let events = events(&world);
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["epoch", "epoch", "end"]);
    assert_eq!([&events[0]["step"], &events[1]["step"], &events[2]["steps"]], [3, 6, 6]);
    assert_eq!(events[0]["run"], "run");
    assert!(events[1]["validation_loss"].is_number() && events[1]["train_loss"].is_number(), "{events:?}");
    assert!(events[2]["best"]["validation_top1_error"].is_number(), "{events:?}");
}

#[test]
fn a_command_gets_the_failure_of_a_training() {
    let world = World::packed();
    let message = world.fails(1, &[&TRAIN[..], &["--set", "optim.lr=1e30", "--on-event", "cat >> events"]].concat());
    let last = events(&world).pop().unwrap();
    assert_eq!(last["event"], "failure");
    let said = last["message"].as_str().unwrap();
    assert!(said.contains("the loss is") && message.contains(said), "{said}: {message}");
}

/// It is said once, and the training goes on.
#[test]
fn a_command_that_fails_is_told() {
    let world = World::packed();
    let output = world.run(&[&TRAIN[..], &["--on-event", "exit 3"]].concat());
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{notes}");
    assert_eq!(notes.matches("note: --on-event: exit 3 ended with exit status: 3").count(), 1, "{notes}");
    assert!(notes.contains("trained 6 steps"), "{notes}");
}

/// Each command of an epoch waits for that of the end, so that they are all under way at once.
#[cfg(unix)]
#[test]
fn at_most_16_commands_run_at_a_time() {
    let world = World::packed();
    let command = "read line; echo \"$line\" >> events; case $line in *'\"end\"'*) touch gate;; *) while [ -e run ] && \
                   [ ! -e gate ]; do sleep 0.02; done;; esac";
    let output = world.run(&[&TRAIN[..], &["--epochs", "20", "--on-event", command]].concat());
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{notes}");
    assert_eq!(notes.matches("is running 16 times; epochs are left out until one of these ends").count(), 1, "{notes}");
    assert!(!notes.contains("is still running"), "{notes}");
    let epochs: Vec<Option<u64>> = events(&world).iter().map(|event| event["epoch"].as_u64()).collect();
    let expected: Vec<Option<u64>> = (1..=16).map(Some).chain([None]).collect();
    assert_eq!(epochs, expected);
}

/// A cluster kills a process that does not end soon after a signal: a command that hangs does not hold up the training.
#[cfg(unix)]
#[test]
fn a_command_that_hangs_is_left_behind_after_a_signal() {
    let world = World::packed();
    // Its end is that of the test's folder.
    let command = "if grep -q stopped; then while [ -e run ]; do sleep 0.1; done; fi";
    let args = [&TRAIN[..], &["--epochs", "1000000", "--on-event", command]].concat();
    let mut child = Running::start(world.command(&args).stderr(std::process::Stdio::piped()));
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("epoch 1")));
    let kill = format!("kill -TERM {}", child.id());
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(143), "{rest:?}");
    assert!(rest.iter().any(|line| line.ends_with("is still running")), "{rest:?}");
    assert!(rest.last().unwrap().starts_with("continue with: "), "{rest:?}");
}

/// A terminal's Ctrl-C goes to the process group of the training.
#[cfg(target_os = "linux")]
#[test]
fn a_command_has_a_process_group_of_its_own() {
    let world = World::packed();
    let command = "echo $$ $(cut -d ' ' -f 5 /proc/$$/stat) >> groups";
    world.ok(&[&TRAIN[..], &["--on-event", command]].concat());
    let groups = fs::read_to_string(world.path("groups")).unwrap();
    for line in groups.lines() {
        let (process, group) = line.split_once(' ').unwrap();
        assert_eq!(process, group, "{groups}");
    }
    assert_eq!(groups.lines().count(), 3, "{groups}");
}

#[test]
fn quiet_prints_results_and_errors_only() {
    let world = World::packed();
    let printed = |args: &[&str]| {
        let output = world.run(args);
        let texts = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code(), texts)
    };
    let args = [&TRAIN[..], &["--quiet", "--val", "train.pack"]].concat();
    assert_eq!(printed(&args), (Some(0), [String::new(), String::new()]));
    let (code, [result, notes]) = printed(&["eval", "-q", "--data", "val.pack", "--weights", "run"]);
    assert!(code == Some(0) && result.contains("top-1 error") && notes.is_empty(), "{result}{notes}");
    let (code, [result, error]) = printed(&args);
    assert!(code == Some(2) || code == Some(1), "{code:?}");
    assert!(result.is_empty() && error.starts_with("error: ") && error.lines().count() == 1, "{error}");
}
