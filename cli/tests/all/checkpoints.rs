//! The checkpoint of a run that the commands take.

use std::fs;

use crate::support::World;

/// The advice is a command that works.
#[test]
fn a_run_whose_checkpoints_are_all_damaged_points_to_its_best_weights() {
    let world = World::trained();
    for entry in fs::read_dir(world.path("run/checkpoints")).unwrap() {
        fs::write(entry.unwrap().path(), b"damaged").unwrap();
    }
    let message = world.fails(1, &["train", "--out", "run", "--resume", "--epochs", "5"]);
    assert!(message.contains("every checkpoint of the run is damaged, and run/best.h5 is whole"), "{message}");
    let (_, command) = message.trim().split_once("begin a new run from its best weights: alexnet ").unwrap();
    assert_eq!(command, "train --config run/run.toml --weights run/best.h5 --out NEW");
    world.ok(&command.split(' ').collect::<Vec<&str>>());

    fs::write(world.path("run/best.h5"), b"damaged too").unwrap();
    let message = world.fails(1, &["train", "--out", "run", "--resume", "--epochs", "5"]);
    assert!(!message.contains("is whole") && message.contains("step-000000"), "{message}");
}

#[test]
fn commands_take_the_best_checkpoint_or_the_newest_and_say_which() {
    let world = World::trained();
    std::fs::write(world.path("run/best.toml"), "step = 3\ntop1_error = 0.25\n").unwrap();
    let commands: [&[&str]; 3] = [
        &["eval", "--data", "val.pack", "--weights", "run"],
        &["predict", "train/red/0.png", "--weights", "run"],
        &["convert", "run", "out.safetensors"],
    ];
    for command in commands {
        for (flag, expected) in [
            (None, "weights of step 3, the best (validation top-1 error 25.0 %); the newest are of step 6"),
            (Some("--best"), "weights of step 3, the best"),
            (Some("--newest"), "the newest weights, of step 6; the best are of step 3"),
        ] {
            let args: Vec<&str> = command.iter().copied().chain(flag).collect();
            let output = world.run(&args);
            let notes = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success() && notes.contains(expected), "{args:?}: {notes}");
        }
    }
    world.fails(2, &["eval", "--data", "val.pack", "--weights", "run", "--best", "--newest"]);
    let message = world.fails(1, &["eval", "--data", "val.pack", "--weights", "run/best.h5", "--newest"]);
    assert!(message.contains("only the folder of a run"), "{message}");
}
