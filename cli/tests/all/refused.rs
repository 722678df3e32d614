//! Options, settings and files that would give a wrong result, or have no effect, are refused or noted.

use std::fs;
use std::process::Output;

use crate::support::{self, World};

const TRAIN: [&str; 7] = ["train", "--data", "train.pack", "--model", "tiny.toml", "--out", "r"];

/// Standard error of a command that succeeded.
fn notes(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

/// Two layers with parameters and one without.
fn deep(world: &World) {
    let linear =
        "[[layer]]\nname = \"fc0\"\nkind = \"linear\"\nunits = 4\n[[layer]]\nname = \"relu0\"\nkind = \"relu\"\n";
    fs::write(world.path("deep.toml"), support::MODEL.replacen("[[layer]]", &format!("{linear}[[layer]]"), 1)).unwrap();
}

#[test]
fn eval_refuses_images_of_another_size_than_those_of_training() {
    let world = World::trained();
    world.ok(&["pack", "val", "large.pack", "--size", "12", "--classes-of", "train.pack"]);
    world.ok(&["convert", "run", "w.safetensors"]);
    for weights in ["run", "w.safetensors"] {
        let message = world.fails(2, &["eval", "--data", "large.pack", "--weights", weights]);
        let expected = "--data: its images have 12 pixels a side, the network was trained on 10 (its input.size); pack again \
                        with --size 10";
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_note_lists_the_values_that_a_pack_replaces() {
    let world = World::packed();
    let other = support::MODEL.replace("size = 10", "size = 12").replace("classes = 2", "classes = 5");
    fs::write(world.path("other.toml"), other).unwrap();
    let train = ["train", "--data", "train.pack", "--steps", "1", "--out"];
    let text = notes(&world.run(&[&train[..], &["a", "--model", "other.toml"]].concat()));
    let expected = "note: the network is fitted to the pack of --data: its images of 10 pixels a side replace input.size = 12; \
                    its 2 classes replace classes = 5, as other.toml says";
    assert!(text.contains(expected), "{text}");
    // A crop that would be small in the images of the pack.
    world.ok(&["pack", "train", "large.pack", "--size", "25"]);
    let text =
        notes(&world.run(&["train", "--data", "large.pack", "--steps", "1", "--out", "b", "--model", "other.toml"]));
    let expected = "its crop stays 8 pixels, so the network sees little of each image: pack with --size 12";
    assert!(text.contains(expected), "{text}");
    // Values that the file does not give are not replaced.
    let silent = support::MODEL.replace("size = 10\n", "").replace("classes = 2\n", "");
    fs::write(world.path("silent.toml"), silent).unwrap();
    for model in ["tiny.toml", "silent.toml"] {
        let text = notes(&world.run(&[&train[..], &[&format!("of-{model}"), "--model", model]].concat()));
        assert!(!text.contains("fitted"), "{text}");
    }
}

#[test]
fn a_note_compares_the_networks_of_starting_weights() {
    let world = World::trained();
    fs::write(world.path("scaled.toml"), support::MODEL.replace("scale = 0.004", "scale = 0.008")).unwrap();
    let train = ["train", "--data", "train.pack", "--weights", "run", "--steps", "1", "--out"];
    let text = notes(&world.run(&[&train[..], &["a", "--model", "scaled.toml"]].concat()));
    let expected = "was trained in a network that differs: input: scale = 0.004 there, scale = 0.008 here";
    assert!(text.contains(expected), "{text}");
    let text = notes(&world.run(&[&train[..], &["b", "--model", "tiny.toml"]].concat()));
    assert!(!text.contains("that differs: "), "{text}");
    deep(&world);
    world.ok(&["train", "--data", "train.pack", "--model", "deep.toml", "--steps", "1", "--out", "deep"]);
    let fresh = ["train", "--data", "train.pack", "--weights", "deep", "--model", "deep.toml", "--out", "c", "--set"];
    for (layers, expected) in [
        ("model.reinit=[\"relu0\"]", "model.reinit: \"relu0\" has no parameters"),
        ("model.reinit=[\"fc0\", \"fc1\"]", "model.reinit: it names all layers that have parameters"),
    ] {
        let message = world.fails(2, &[&fresh[..], &[layers]].concat());
        assert!(message.contains(expected) && !world.path("c").exists(), "{message}");
    }
    world.ok(&[&fresh[..], &["model.reinit=[\"fc1\"]", "--steps", "1"]].concat());
}

#[test]
fn a_setting_is_given_once_and_a_networks_settings_have_an_effect() {
    let world = World::packed();
    for (flag, value, setting) in [("--epochs", "1", "run.epochs=2"), ("--model", "tiny.toml", "model.name=linear")] {
        let message = world.fails(2, &["train", "--data", "train.pack", "--out", "r", flag, value, "--set", setting]);
        let key = setting.split('=').next().unwrap();
        assert!(message.contains(&format!("{flag} and --set {key}: both are given")), "{message}");
    }
    for (more, expected) in [
        ("[train.optim]\nbeta1 = 0.5\n", "idle.toml: optim.beta1: 0.5 has no effect while optim.kind = \"sgd\""),
        ("[train.optim]\nrat = 0.5\n", "idle.toml: optim.rat: unknown setting"),
        ("steps = 9\n", "idle.toml: run.epochs and run.steps: both are given"),
    ] {
        fs::write(world.path("idle.toml"), format!("{}{more}", support::MODEL)).unwrap();
        let message = world.fails(2, &["train", "--data", "train.pack", "--model", "idle.toml", "--out", "r"]);
        assert!(message.contains(expected), "{message}");
        // A summary trains nothing: names and values alone are checked.
        if expected.contains("unknown") {
            assert!(world.fails(2, &["summary", "idle.toml"]).contains(expected));
        } else {
            world.ok(&["summary", "idle.toml"]);
        }
    }
    let windows = world.fails(2, &[&TRAIN[..], &["--set", "data.window_bytes=5000"]].concat());
    assert!(windows.contains("data.window_bytes: 5000 has no effect: data.shuffle = \"auto\""), "{windows}");
    assert!(!world.path("r").exists());
}

#[test]
fn options_without_effect_are_refused() {
    let world = World::packed();
    for (args, expected) in [
        (&["pack", "--verify", "train.pack", "--size", "9"][..], "--verify <PACK>' cannot be used with"),
        (
            &["summary", "tiny.toml", "--style", "keras", "--batch", "3"],
            "--batch: has an effect on the memory that --style table shows",
        ),
        (&["show", "train.pack", "--variants", "0", "--crop", "3"], "--crop: has no effect with --variants 0"),
        (&["bench", "data", "train.pack", "--set", "run.batch=3"], "--set run.batch: has no effect"),
        (&["bench", "data", "train.pack", "--set", "optim.lr=3"], "--set optim.lr: has no effect"),
    ] {
        let message = world.fails(2, args);
        assert!(message.contains(expected), "{message}");
    }
    fs::create_dir(world.path("mnist")).unwrap();
    let images = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 4][..], &[7; 32]].concat();
    fs::write(world.path("mnist/train-images-idx3-ubyte"), images).unwrap();
    fs::write(world.path("mnist/train-labels-idx1-ubyte"), [0, 0, 8, 1, 0, 0, 0, 2, 0, 1]).unwrap();
    let message = world.fails(2, &["pack", "mnist", "m.pack", "--size", "4", "--exif-orientation"]);
    assert!(message.contains("exif_orientation: expected a source of image files"), "{message}");
    world.ok(&["pack", "mnist", "m.pack", "--size", "4"]);
    world.ok(&["pack", "--verify", "m.pack"]);
}

#[test]
fn errors_repeat_numbers_that_are_too_large() {
    let world = World::packed();
    for (flag, value) in [("--steps", "9223372036854775808"), ("--seed", "9223372036854775808")] {
        let message = world.fails(2, &[&TRAIN[..], &[flag, value]].concat());
        assert!(message.contains(&format!("{flag}: {value} is too large a number")), "{message}");
    }
    let message = world.fails(2, &[&TRAIN[..], &["--batch", "128"]].concat());
    let expected =
        "run.batch: must be at most the 12 images of the pack, got 128; give --batch (without it, it is the network's";
    assert!(message.contains(expected), "{message}");
}

/// A negative number is not taken for an option.
#[test]
fn numbers_out_of_range_name_flag_and_range() {
    let world = World::new();
    for (command, flag, value, range) in [
        ("train", "--epochs", "-3", "expected a whole number in 0..=1000000000"),
        ("train", "--epochs", "18446744073709551615", "expected a whole number in 0..=1000000000"),
        ("train", "--epochs", "2.5", "expected a whole number in 0..=1000000000"),
        ("train", "--steps", "0", "expected a whole number of at least 1"),
        ("train", "--seed", "-1", "expected a whole number of at least 0"),
        ("train", "--batch", "-8", "expected a number in 1..=1048576"),
        ("train", "--threads", "-1", "expected a number in 1..=1024"),
        ("predict", "--top", "-3", "expected a number in 1..=1048576"),
        ("embed", "--images", "-5", "-5 is not in 8..=50000"),
    ] {
        let message = world.fails(2, &[command, flag, value]);
        assert!(message.contains(&format!("invalid value '{value}' for '{flag} <N>': {range}")), "{message}");
    }
}

#[test]
fn other_held_out_images_are_not_a_changed_source() {
    let world = World::new();
    let pack = ["pack", "train", "both", "--size", "10", "--val-fraction"];
    world.ok(&[&pack[..], &["0.34"]].concat());
    world.ok(&[&pack[..], &["0.34"]].concat());
    for more in [&["0.5"][..], &["0.34", "--val-seed", "5"]] {
        let message = world.fails(1, &[&pack[..], more].concat());
        assert!(message.contains("held out by another val_fraction or val_seed"), "{message}");
        assert!(message.contains("give the val_fraction and val_seed of before"), "{message}");
    }
}

#[test]
fn a_finished_run_is_left_as_it_is() {
    let world = World::trained();
    let before = fs::read(world.path("run/run.toml")).unwrap();
    for more in [["--epochs", "1"], ["--steps", "2"]] {
        let args = [&["train", "--out", "run", "--resume"][..], &more].concat();
        let text = notes(&world.run(&args));
        assert!(
            text.contains("nothing was trained, nothing changed: ") && text.contains("6 steps, 2 epochs"),
            "{text}"
        );
        assert!(fs::read(world.path("run/run.toml")).unwrap() == before);
    }
    let text = notes(&world.run(&["train", "--out", "run", "--resume"]));
    assert!(text.contains("run: the run had finished, after 6 steps; --epochs N with more epochs"), "{text}");
    fs::write(world.path("run/best.toml"), "step = ").unwrap();
    assert!(world.ok(&["info", "run"]).contains("best.toml is damaged"));
    fs::create_dir(world.path("elsewhere")).unwrap();
    let mut command = world.command(&["train", "--out", "../run", "--resume", "--epochs", "3"]);
    let output = command.current_dir(world.path("elsewhere")).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let expected = "train.pack: no such pack in the current folder, from which ../run/run.toml names it; resume where the run \
                    began, or say where the pack is by --data PACK";
    assert!(output.status.code() == Some(1) && text.contains(expected), "{text}");
    let mut command =
        world.command(&["train", "--out", "../run", "--resume", "--epochs", "3", "--data", "../train.pack"]);
    let output = command.arg("--val").arg("../val.pack").current_dir(world.path("elsewhere")).output().unwrap();
    assert!(notes(&output).contains("trained 9 steps"));
    assert!(world.ok(&["info", "run"]).contains("top-1 error"), "best.toml was not written again");
}

#[test]
fn padding_is_given_in_words() {
    let world = World::new();
    let pool = "[[layer]]\nname = \"pool\"\nkind = \"max-pool\"\nkernel = 2\npadding = 3\n[[layer]]";
    fs::write(world.path("pool.toml"), support::MODEL.replacen("[[layer]]", pool, 1)).unwrap();
    let message = world.fails(1, &["summary", "pool.toml"]);
    assert!(message.contains("got 3 above, 3 below, 3 on the left, 3 on the right"), "{message}");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::process::{Command, Stdio};

    use super::*;

    /// HDF5 needs paths in UTF-8: a run would train an epoch and then fail to save.
    #[test]
    fn a_folder_that_hdf5_cannot_name_is_refused_first() {
        let world = World::packed();
        let folder = world.path(OsStr::from_bytes(b"a\xffb"));
        fs::create_dir(&folder).unwrap();
        for args in [
            &["train", "--data", "../train.pack", "--model", "../tiny.toml", "--out", "r"][..],
            &["train", "--data", "../train.pack", "--model", "../tiny.toml"],
            &["pack", "../train", "p", "--size", "10"],
        ] {
            let output = world.command(args).current_dir(&folder).output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let is_named = text.contains("HDF5 files need a path in UTF-8") && text.contains("/a\\xFFb/");
            assert!(output.status.code() == Some(1) && is_named, "{args:?}: {text}");
            assert!(!text.contains("first step"), "{text}");
            assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{args:?}");
        }
    }

    /// Opening a pipe for writing blocks until it has a reader.
    #[test]
    fn a_pipe_in_the_place_of_a_lock_is_refused() {
        let world = World::trained();
        fs::create_dir(world.path("p")).unwrap();
        fs::remove_file(world.path("run/lock")).unwrap();
        for pipe in ["run/lock", "p/.lock"] {
            assert!(Command::new("mkfifo").arg(world.path(pipe)).status().unwrap().success());
        }
        for (args, named) in [
            (&["train", "--out", "run", "--resume", "--epochs", "3"][..], "run/lock: "),
            (&["pack", "train", "p", "--size", "10"], "p/.lock: "),
        ] {
            let message = world.fails(1, args);
            assert!(message.contains(named) && message.contains("a named pipe"), "{message}");
        }
    }

    #[test]
    fn help_that_cannot_be_printed_is_an_error() {
        let world = World::new();
        let full = || Stdio::from(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
        for args in [&["--help"][..], &["train", "--help"], &["--version"]] {
            let output = world.command(args).stdout(full()).output().unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.code() == Some(1) && text.contains("standard output cannot be written"), "{text}");
        }
        assert!(world.ok(&["train", "--help"]).contains("20 times"));
    }
}
