//! Every given setting has an effect, or is an error that says why it has none.

use std::fs;

use crate::support::{self, World};

const TRAIN: [&str; 7] = ["train", "--data", "train.pack", "--model", "plain.toml", "--out", "r"];

/// A world with a network whose file disables augmentation.
fn without_augmentation() -> World {
    let world = World::packed();
    fs::write(world.path("plain.toml"), format!("{}[train.data]\naugment = false\n", support::MODEL)).unwrap();
    world
}

#[test]
fn augmentation_is_not_ignored_where_the_network_has_none() {
    let world = without_augmentation();
    for setting in
        ["data.mixup=0.5", "data.random_erasing=0.5", "data.crop=resized", "data.mirror=true", "data.colour=paper"]
    {
        let message = world.fails(2, &[&TRAIN[..], &["--set", setting]].concat());
        let why = "data.augment = false, as the file of the network plain.toml says; add --set data.augment=true";
        assert!(message.contains(setting.split('=').next().unwrap()) && message.contains(why), "{message}");
        assert!(!world.path("r").exists());
    }
    let message = world.fails(2, &[&TRAIN[..], &["--set", "optim.beta1=0.8"]].concat());
    assert!(message.contains("optim.beta1: 0.8 has no effect while optim.kind = \"sgd\""), "{message}");
    world.ok(&[&TRAIN[..], &["--set", "data.mixup=0.5", "--set", "data.augment=true", "--steps", "1"]].concat());
    // With its own run.toml, a run starts again.
    world.ok(&["train", "--config", "r/run.toml", "--out", "again"]);
}

#[test]
fn a_resumed_run_keeps_its_weights() {
    let world = World::trained();
    let before = fs::read(world.path("run/run.toml")).unwrap();
    let message = world.fails(2, &["train", "--out", "run", "--resume", "--weights", "other"]);
    assert!(message.contains("model.weights was unset, now \"other\""), "{message}");
    assert!(fs::read(world.path("run/run.toml")).unwrap() == before);
    let tuned = ["train", "--data", "train.pack", "--model", "tiny.toml", "--weights", "run", "--out", "tuned"];
    world.ok(&tuned);
    world.ok(&["train", "--out", "tuned", "--resume", "--weights", "run", "--epochs", "3"]);
}

/// A resumed run may change its learning rate, with a note; what it may not change comes with a command that works.
#[test]
fn a_resumed_run_changes_settings_or_says_how_to_begin_anew() {
    let world = World::trained();
    let resume = ["train", "--out", "run", "--resume", "--epochs", "3"];
    let output = world.run(&[&resume[..], &["--set", "optim.lr=0.002"]].concat());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("note: optim.lr was 0.01, now 0.002: the run differs from step 7 on"), "{text}");
    let log = fs::read_to_string(world.path("run/log.jsonl")).unwrap();
    assert!(log.lines().last().unwrap().contains("\"rate\":0.002"), "{log}");
    // A setting without an effect is refused as in a new run.
    let message = world.fails(2, &[&resume[..], &["--set", "optim.beta1=0.5"]].concat());
    assert!(message.contains("optim.beta1") && message.contains("optim.kind"), "{message}");
    let message = world.fails(2, &[&resume[..], &["--batch", "3", "--set", "optim.kind=adam"]].concat());
    assert!(message.contains("run.batch was 4, now 3; "), "{message}");
    let command = message.split("begin a new run from its weights: alexnet ").nth(1).unwrap().trim();
    let expected = "train --config run/run.toml --weights run --out NEW --set optim.kind=adam --set run.batch=3";
    assert_eq!(command, expected);
    world.ok(&command.split(' ').collect::<Vec<_>>());
    assert_eq!(fs::read_to_string(world.path("NEW/log.jsonl")).unwrap().lines().count(), 12);
}

/// Commands take the moving average of a run's weights, say so, and take the last weights if asked.
#[test]
fn the_average_of_weights_is_taken_unless_the_last_ones_are_asked_for() {
    let world = World::packed();
    let config = "[optim]\nema_decay = 0.5\nlr = 0.1\n[[change]]\nat_epoch = 1\noptim.lr = 0.05\n";
    fs::write(world.path("mine.toml"), config).unwrap();
    let train = ["train", "--data", "train.pack", "--val", "val.pack", "--model", "tiny.toml", "--out", "run"];
    let output = world.run(&[&train[..], &["--config", "mine.toml", "--set", "data.class_weights=1,3"]].concat());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && text.contains("after 1.00 epochs, by [[change]]: optim.lr = 0.05"), "{text}");
    let line = text.lines().find(|line| line.starts_with("epoch 2/2: loss ")).unwrap();
    assert!(line.contains("; validation of the weights' average: loss "), "{line}");
    assert!(line.contains("; of the last weights: loss "), "{line}");
    let weights = |name: &str, more: &[&str]| {
        let output = world.run(&[&["convert", "run", name][..], more].concat());
        (fs::read(world.path(name)).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (average, said) = weights("average.safetensors", &[]);
    assert!(said.contains("taking the moving average of the weights; --raw takes"), "{said}");
    let (last, said) = weights("last.safetensors", &["--raw"]);
    assert!(!said.contains("average of the weights"), "{said}");
    assert_ne!(average, last);
    let loss = |more: &[&str]| {
        let json =
            world.ok(&[&["eval", "--weights", "run", "--data", "val.pack", "--newest", "--json"][..], more].concat());
        serde_json::from_str::<serde_json::Value>(&json).unwrap()["loss"].as_f64().unwrap()
    };
    let line = fs::read_to_string(world.path("run/validation.jsonl")).unwrap().lines().last().unwrap().to_string();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!((loss(&[]) - line["loss"].as_f64().unwrap()).abs() < 1e-5);
    assert!((loss(&["--raw"]) - line["last_weights"]["loss"].as_f64().unwrap()).abs() < 1e-5);
    let message = world.fails(2, &[&train[..8], &["again", "--set", "data.class_weights=1,2,3"]].concat());
    assert!(message.contains("3 weights for the 2 classes of the pack"), "{message}");
}

#[test]
fn a_run_of_steps_can_be_resumed_for_epochs() {
    let world = World::packed();
    fs::write(world.path("more.toml"), "[run]\nepochs = 4\n").unwrap();
    let flags: [&[&str]; 3] = [&["--epochs", "4"], &["--set", "run.epochs=4"], &["--config", "more.toml"]];
    for (i, more) in flags.iter().enumerate() {
        let run = format!("run-{i}");
        world.ok(&["train", "--data", "train.pack", "--model", "tiny.toml", "--out", &run, "--steps", "2"]);
        world.ok(&[&["train", "--out", &run, "--resume"][..], more].concat());
        let log = fs::read_to_string(world.path(&run).join("log.jsonl")).unwrap();
        assert_eq!(log.lines().count(), 12, "{more:?}");
    }
    let args = ["train", "--data", "train.pack", "--model", "tiny.toml", "--out", "r", "--epochs", "3"];
    let message = world.fails(2, &[&args[..], &["--set", "run.steps=2"]].concat());
    assert!(message.contains("run.epochs and run.steps: both are given"), "{message}");
    assert!(!world.path("r").exists());
}

#[test]
fn a_network_that_differs_from_that_of_the_weights_is_refused() {
    let world = World::trained();
    world.ok(&["convert", "run", "w.safetensors"]);
    world.ok(&["convert", "run", "w.h5"]);
    fs::write(world.path("scaled.toml"), support::MODEL.replace("scale = 0.004", "scale = 0.008")).unwrap();
    // Another name, image size, number of classes and batch size: none of them changes predictions.
    let same = support::MODEL
        .replace("\"tiny\"", "\"same\"")
        .replace("size = 10", "size = 12")
        .replace("batch = 4", "batch = 5");
    fs::write(world.path("same.toml"), same.replace("classes = 2", "classes = 7")).unwrap();
    let eval = |weights: &str, more: &[&str]| {
        world.ok(&[&["eval", "--data", "val.pack", "--weights", weights, "--json"][..], more].concat())
    };
    for weights in ["run", "run/checkpoints/step-000000006.h5", "w.h5", "w.safetensors"] {
        for args in [
            &["eval", "--data", "val.pack", "--weights", weights, "--model", "scaled.toml"][..],
            &["predict", "val/red/0.png", "--weights", weights, "--model", "scaled.toml"],
            &["convert", weights, "out.h5", "--model", "scaled.toml"],
        ] {
            let message = world.fails(2, args);
            let difference = "input: scale = 0.004 there, scale = 0.008 in --model";
            assert!(message.contains("--model: ") && message.contains(difference), "{message}");
            assert!(!world.path("out.h5").exists());
        }
        assert_eq!(eval(weights, &["--model", "same.toml"]), eval(weights, &[]), "{weights}");
    }
    let message = world.fails(2, &["eval", "--data", "val.pack", "--weights", "run", "--model", "paper"]);
    assert!(
        message.contains("the network \"paper\" differs from \"tiny\", whose weights run/checkpoints/"),
        "{message}"
    );
}

/// The page lists the settings of the program. To update it, run this test with `UPDATE_DOCS=1` set.
#[test]
fn settings_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/settings.md");
    let page = fs::read_to_string(path).unwrap();
    let begin =
        "<!-- The list of settings, written by `UPDATE_DOCS=1 cargo test --workspace --test all settings_page`. -->\n";
    let end = "\n## Augmentation\n";
    let (before, rest) = page.split_once(begin).expect("the comment before the list");
    let (_, after) = rest.split_once(end).expect("the heading after the list");
    let expected = format!("{before}{begin}{}{end}{after}", train::config::docs::markdown());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, &expected).unwrap();
    }
    let current = fs::read_to_string(path).unwrap();
    assert!(
        current == expected,
        "{path} is out of date; run `UPDATE_DOCS=1 cargo test --workspace --test all settings_page`"
    );
}

#[test]
fn completions_have_commands_flags_and_settings() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = world.ok(&["completions", shell]);
        for word in ["summary", "resume", "optim.lr="] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

/// Bash takes `=` for a word of its own.
#[test]
fn bash_completes_the_name_of_a_setting_and_not_its_value() {
    let world = World::new();
    std::fs::write(world.path("alexnet.bash"), world.ok(&["completions", "bash"])).unwrap();
    let complete = |words: &[&str]| {
        let script = "source alexnet.bash; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))
            _alexnet_words alexnet \"${@: -1}\" \"${@: -2:1}\" 2>/dev/null; echo \"${COMPREPLY[*]}\"";
        let mut bash = std::process::Command::new("bash");
        bash.current_dir(world.path("")).args(["-c", script, "bash", "alexnet"]).args(words);
        String::from_utf8(bash.output().unwrap().stdout).unwrap().trim().to_string()
    };
    assert_eq!(complete(&["train", "--set", "optim.l"]), "optim.lr=");
    assert_eq!(complete(&["train", "--set", "optim.lr", "="]), "");
    assert_eq!(complete(&["train", "--set", "optim.lr", "=", "0"]), "");
    assert_eq!(complete(&["train", "--resu"]), "--resume");
}

#[test]
fn the_learning_rate_has_a_flag() {
    let world = World::packed();
    let train = ["train", "--data", "train.pack", "--model", "tiny.toml", "--out", "run", "--lr"];
    world.ok(&[&train[..], &["0.002"]].concat());
    let settings = fs::read_to_string(world.path("run/run.toml")).unwrap();
    assert!(settings.contains("\nlr = 0.002\n"), "{settings}");
    assert!(world.fails(2, &[&train[..], &["-1"]].concat()).contains("optim.lr: must be"));
    let message = world.fails(2, &[&train[..], &["0.1", "--set", "optim.lr=0.1"]].concat());
    assert!(message.contains("--lr and --set optim.lr: both are given"), "{message}");
}
