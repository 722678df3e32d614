//! Keras' files: networks and weights, in and out.

use std::fs;

use crate::support::World;

#[test]
fn a_run_goes_to_keras_and_back() {
    let world = World::trained();
    let output = world.run(&["convert", "run", "a.keras"]);
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && notes.contains("a.keras"), "{notes}");
    world.ok(&["convert", "a.keras", "b.h5"]);
    world.ok(&["convert", "run", "c.h5"]);
    world.ok(&["convert", "run", "a.weights.h5"]);
    world.ok(&["convert", "a.weights.h5", "d.weights.h5", "--model", "a.keras"]);
    let bytes = |name: &str| fs::read(world.path(name)).unwrap();
    assert!(bytes("a.weights.h5") == bytes("d.weights.h5"), "nothing is lost");
    let results = |weights: &str| world.ok(&["eval", "--data", "val.pack", "--weights", weights, "--json"]);
    assert_eq!(results("a.keras"), results("run"));

    let summary = world.ok(&["summary", "a.keras"]);
    assert_eq!(summary, world.ok(&["summary", "tiny.toml"]));
    let info = world.ok(&["info", "a.keras"]);
    assert!(info.contains("Keras") && info.contains("tiny"), "{info}");
    let train = ["train", "--data", "train.pack", "--model", "a.keras", "--weights", "a.keras", "--steps", "1"];
    let output = world.run(&[&train[..], &["--out", "b"]].concat());
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && notes.contains("goes on with the state of its optimizer"), "{notes}");
}

#[test]
fn a_file_without_a_network_is_no_model() {
    let world = World::trained();
    world.ok(&["convert", "run", "a.weights.h5"]);
    let message = world.fails(1, &["summary", "a.weights.h5"]);
    assert!(message.contains("a.weights.h5") && message.contains("no network"), "{message}");
    let message = world.fails(2, &["convert", "run", "a.kears"]);
    assert!(message.contains(".keras"), "{message}");
}
