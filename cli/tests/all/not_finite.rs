//! Weights with values that are not numbers: a note from every command that reads them, no prediction and no errors of a
//! test.

use std::fs;

use layers::weights::Weights;

use crate::support::{MODEL, World};

/// A trained run, and its weights with one NaN as `nan.h5` and `nan.pt`.
fn world() -> World {
    let world = World::trained();
    world.ok(&["convert", "run", "good.h5"]);
    let mut weights = Weights::load(&world.path("good.h5")).unwrap();
    let bias = weights.tensors.iter_mut().find(|(name, _)| name == "fc1.bias").unwrap();
    bias.1[[1]] = f32::NAN;
    for name in ["nan.h5", "nan.pt"] {
        formats::save(&world.path(name), &weights, None).unwrap();
    }
    world
}

#[test]
fn every_command_notes_it_once() {
    let world = world();
    fs::write(world.path("tiny.toml"), MODEL).unwrap();
    for file in ["nan.h5", "nan.pt"] {
        let out = format!("of-{file}");
        let copy = format!("{out}.safetensors");
        let train = ["train", "--data", "train.pack", "--model", "tiny.toml", "--out", &out, "--weights", file];
        let commands: [&[&str]; 4] = [
            &["convert", file, &copy],
            &["eval", "--data", "val.pack", "--weights", file],
            &["info", file],
            &[&train[..], &["--epochs", "1"]].concat(),
        ];
        for command in commands {
            let output = world.run(command);
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8(said).unwrap();
            assert_eq!(said.matches("NaN or infinite: 1 in fc1.bias").count(), 1, "{command:?}: {said}");
        }
    }
}

#[test]
fn nothing_is_predicted_or_measured() {
    let world = world();
    fs::write(world.path("tiny.toml"), MODEL).unwrap();
    for file in ["nan.h5", "nan.pt"] {
        let train = ["train", "--data", "train.pack", "--val", "val.pack", "--model", "tiny.toml", "--out", "none"];
        let commands: [&[&str]; 4] = [
            &["predict", "--weights", file, "val/red/0.png"],
            &["eval", "--data", "val.pack", "--weights", file],
            &["eval", "--data", "val.pack", "--weights", file, "--crops", "10", "--json"],
            &[&train[..], &["--weights", file, "--epochs", "0"]].concat(),
        ];
        for command in commands {
            let message = world.fails(1, command);
            assert!(message.contains(&format!("{file}: the probability of class 0 is NaN")), "{message}");
            assert_eq!(message.matches("NaN or infinite: 1 in fc1.bias").count(), 1, "{message}");
        }
    }
}
