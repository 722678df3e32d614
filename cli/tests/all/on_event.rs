//! `--on-event` and `--quiet`.

use std::fs;

use serde_json::Value;

use crate::support::World;

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
