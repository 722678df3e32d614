//! `--json` of commands that mostly print text, and of errors.

use serde_json::{Value, json};

use crate::support::World;

const TRAIN: [&str; 9] = ["train", "--data", "train.pack", "--val", "val.pack", "--model", "tiny.toml", "--out", "run"];

fn parsed(world: &World, args: &[&str]) -> Value {
    serde_json::from_str(&world.ok(&[args, &["--json"]].concat())).unwrap()
}

#[test]
fn a_summary_has_layers_with_their_settings_and_totals() {
    let world = World::new();
    let summary = parsed(&world, &["summary", "paper", "--batch", "64", "--freeze", "conv1"]);
    let first = &summary["layers"][0];
    assert_eq!([&first["name"], &first["kind"]], ["conv1", "conv"]);
    assert_eq!(first["output"], json!([55, 55, 96]));
    assert_eq!([&first["settings"]["kernel"], &first["settings"]["stride"], &first["parameters"]], [11, 4, 34_944]);
    assert_eq!([&summary["parameters"], &summary["trainable"]], [60_965_224, 60_965_224 - 34_944]);
    assert_eq!(summary["memory"]["batch"], 64);
    let bytes = |key: &str| summary["memory"][key].as_u64().unwrap();
    assert!(bytes("adam_bytes") > bytes("sgd_bytes") + 4 * 60_000_000 / 2, "{summary}");
    world.fails(2, &["summary", "paper", "--style", "keras", "--json"]);
}

#[test]
fn packs_are_described() {
    let world = World::new();
    let packs = parsed(&world, &["pack", "train", "train.pack", "--size", "10"]);
    let pack = &packs["packs"][0];
    assert_eq!([&pack["images"], &pack["classes"], &pack["left_out"]], [12, 2, 0]);
    assert_eq!([&pack["path"], &pack["list"]], [&json!("train.pack"), &Value::Null]);
    assert_eq!(pack["fingerprint"], parsed(&world, &["info", "train.pack"])["fingerprint"]);
    assert_eq!(parsed(&world, &["pack", "train", "train.pack", "--size", "10"])["packs"][0]["was_complete"], true);
    let both = parsed(&world, &["pack", "train", "both", "--size", "10", "--val-fraction", "0.34"]);
    let paths = ["both/train.pack", "both/val.pack"];
    assert_eq!([&both["packs"][0]["path"], &both["packs"][1]["path"]], paths);
}

#[test]
fn the_end_of_a_training_is_described() {
    let world = World::packed();
    let end = parsed(&world, &TRAIN);
    assert_eq!([&end["steps"], &end["total_steps"]], [6, 6]);
    assert_eq!([&end["run"], &end["checkpoint"]], ["run", "run/checkpoints/step-000000006.h5"]);
    assert_eq!(end["best_weights"], "run/best.h5");
    assert_eq!(end["best"], parsed(&world, &["info", "run"])["best"]);
    assert_eq!(parsed(&world, &["train", "--out", "run", "--resume"])["steps"], 6);
}

#[test]
fn errors_are_json_too() {
    let world = World::packed();
    let error = |args: &[&str]| {
        let output = world.run(&[args, &["--json", "--quiet"]].concat());
        let text = String::from_utf8(output.stderr).unwrap();
        let error: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"));
        assert!(output.stdout.is_empty());
        assert_eq!(error["exit_code"], output.status.code().unwrap());
        error["error"].as_str().unwrap().to_string()
    };
    assert!(error(&["eval", "--data", "val.pack", "--weights", "no run"]).starts_with("no run: "));
    assert!(error(&[&TRAIN[..], &["--set", "optim.lr=-1"]].concat()).contains("optim.lr: must be"));
    assert!(error(&["summary", "nothing"]).contains("no network"));
    // Not parsed, and so nobody has seen --json yet.
    assert!(error(&[&TRAIN[..], &["--epoch", "3"]].concat()).contains("unexpected argument '--epoch'"));
}
