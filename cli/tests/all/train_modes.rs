//! The plan of a run, the range test of the learning rate, the evaluation of starting weights, and batch sizes that fit.

use serde_json::Value;

use crate::support::World;

const TRAIN: [&str; 5] = ["train", "--data", "train.pack", "--model", "tiny.toml"];

fn json(world: &World, more: &[&str]) -> Value {
    serde_json::from_str(&world.ok(&[&TRAIN[..], more, &["--json"]].concat())).unwrap()
}

#[test]
fn a_dry_run_says_what_the_run_takes_and_writes_nothing() {
    let world = World::packed();
    let before = world.files();
    let args = ["--val", "val.pack", "--dry-run", "--epochs", "7", "--batch", "5", "--out", "run"];
    let text = world.ok(&[&TRAIN[..], &args].concat());
    for words in ["21 of 5 images, 3 an epoch", "12 to train, 6 to validate", "images/s", "on disk", "run"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let plan = json(&world, &args);
    assert_eq!([&plan["plan"]["steps"], &plan["plan"]["images"]], [21, 12]);
    assert!(plan["plan"]["memory_bytes"].as_u64().unwrap() > 0);
    // The time is that of steps and loading, which share the CPU.
    let number = |key: &str| plan["plan"][key].as_f64().unwrap();
    let time_of = |images: f64, plan: &Value| {
        let rate = |key: &str| 1.0 / plan["plan"][key].as_f64().unwrap();
        images * (rate("images_per_s") + rate("loader_images_per_s"))
    };
    let expected = 7.0 * 12.0 * (1.0 / number("images_per_s") + 1.0 / number("loader_images_per_s"));
    assert!((number("training_s") / expected - 1.0).abs() < 1e-9, "{plan}");
    // A step of five batches has no more images than an epoch.
    let gathered = json(&world, &["--dry-run", "--epochs", "3", "--batch", "5", "--set", "run.accumulate=5"]);
    let seconds = gathered["plan"]["training_s"].as_f64().unwrap();
    assert!((seconds / time_of(3.0 * 12.0, &gathered) - 1.0).abs() < 1e-9, "{gathered}");
    let started = json(&world, &["--dry-run", "--steps", "1", "--batch", "5", "--set", "run.accumulate=5"]);
    let seconds = started["plan"]["training_s"].as_f64().unwrap();
    assert!((seconds / time_of(12.0, &started) - 1.0).abs() < 1e-9, "{started}");
    let begun = json(&world, &["--dry-run", "--steps", "4", "--batch", "5"]);
    let seconds = begun["plan"]["training_s"].as_f64().unwrap();
    assert!((seconds / time_of(12.0 + 5.0, &begun) - 1.0).abs() < 1e-9, "{begun}");
    assert_eq!(world.files(), before);
    let message = world.fails(2, &[&TRAIN[..], &["--dry-run", "--batch", "13"]].concat());
    assert!(message.contains("run.batch"), "{message}");
}

#[test]
fn a_range_test_suggests_a_rate_and_plots_the_loss() {
    let world = World::packed();
    let args = ["--find-lr", "--batch", "12", "--lr-plot", "rates.png"];
    let test = json(&world, &args);
    let suggestion = test["suggestion"].as_f64().unwrap();
    assert!(1e-7 < suggestion && suggestion < 10.0, "{suggestion}");
    let points = test["test"]["points"].as_array().unwrap();
    let rates: Vec<f64> = points.iter().map(|point| point["rate"].as_f64().unwrap()).collect();
    assert!(rates.len() > 10 && rates.is_sorted(), "{rates:?}");
    assert_eq!(image::open(world.path("rates.png")).unwrap().width(), 960);
    assert!(!world.path("runs").exists(), "a run was made");
    // The same again gives the same numbers: nothing depends on the time.
    assert_eq!(json(&world, &args), test);
    let text = world.ok(&[&TRAIN[..], &args].concat());
    assert!(text.contains("suggested: --set optim.lr="), "{text}");
    for more in [["--out", "x"], ["--epochs", "0"]] {
        let message = world.fails(2, &[&TRAIN[..], &["--find-lr"], &more].concat());
        assert!(message.contains("has no effect with --find-lr"), "{message}");
    }
    world.fails(2, &[&TRAIN[..], &["--find-lr", "--lr-plot", "rates.jpg"]].concat());
    let message = world.fails(2, &[&TRAIN[..], &["--find-lr", "--lr-plot", "no/rates.png"]].concat());
    assert!(message.contains("--lr-plot: no: there is no such folder"), "{message}");
    // A plot that cannot be written does not lose the numbers.
    std::fs::create_dir(world.path("taken.png")).unwrap();
    let output = world.run(&[&TRAIN[..], &["--find-lr", "--lr-plot", "taken.png"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("suggested: --set optim.lr="));
}

#[test]
fn a_schedule_of_another_length_than_the_run_is_noted() {
    let world = World::packed();
    for (number, (set, expected)) in [
        (
            "optim.decay_epochs=1",
            "optim.decay_epochs is 1: the learning rate stays at its end for the rest of the 2 epochs",
        ),
        (
            "optim.decay_epochs=3",
            "optim.decay_epochs is 3: the run ends after 2 epochs, before the learning rate has fallen",
        ),
        ("optim.warmup_epochs=2", "optim.warmup_epochs is 2, and the run ends after 2"),
        ("optim.end_factor=0.1", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let out = format!("run-{number}");
        let args = ["--epochs", "2", "--out", &out, "--set", "optim.schedule=cosine", "--set", set];
        let notes = String::from_utf8(world.run(&[&TRAIN[..], &args].concat()).stderr).unwrap();
        assert!(notes.contains(expected), "{notes}");
        assert_eq!(notes.contains("optim.decay_epochs is"), expected.starts_with("optim.decay"), "{notes}");
    }
    assert!(std::fs::read_to_string(world.path("run-3/run.toml")).unwrap().contains("decay_epochs = 2.0"));
}

#[test]
fn zero_epochs_evaluate_the_starting_weights() {
    let world = World::trained();
    let fresh = json(&world, &["--val", "val.pack", "--epochs", "0"]);
    // An untrained network of two classes has a loss of about ln 2.
    assert!((fresh["loss"].as_f64().unwrap() - 0.7).abs() < 0.2, "{fresh}");
    let trained = json(&world, &["--val", "val.pack", "--epochs", "0", "--weights", "run"]);
    let eval: Value =
        serde_json::from_str(&world.ok(&["eval", "--data", "val.pack", "--weights", "run", "--json"])).unwrap();
    for key in ["images", "crops", "loss", "top1_error", "top5_error"] {
        assert_eq!(trained[key], eval[key], "{key}");
    }
    assert!(!world.path("runs").exists(), "a run was made");
    let message = world.fails(2, &[&TRAIN[..], &["--epochs", "0"]].concat());
    assert!(message.contains("--val"), "{message}");
    world.fails(2, &["train", "--out", "run", "--resume", "--epochs", "0"]);
}

#[test]
fn a_default_batch_is_at_most_the_pack() {
    let world = World::packed();
    let model = std::fs::read_to_string(world.path("tiny.toml")).unwrap().replace("batch = 4\n", "");
    std::fs::write(world.path("default.toml"), model).unwrap();
    let train = ["train", "--data", "train.pack", "--model", "default.toml", "--epochs", "1", "--out"];
    let output = world.run(&[&train[..], &["all"]].concat());
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && notes.contains("the batch is all 12 images of the pack"), "{notes}");
    let settings = std::fs::read_to_string(world.path("all/run.toml")).unwrap();
    assert!(settings.contains("batch = 12"), "{settings}");
    let message = world.fails(2, &[&train[..], &["given", "--batch", "128"]].concat());
    assert!(message.contains("at most the 12 images"), "{message}");
    let output = world.run(&[&train[..], &["largest", "--auto-batch"]].concat());
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(notes.contains("the batch size is 12, all images of the pack"), "{notes}");
    world.fails(2, &[&train[..], &["both", "--auto-batch", "--batch", "4"]].concat());
}

/// The source's files are others, as if the images were encoded anew.
#[test]
fn another_pack_of_as_many_images_is_accepted_by_force() {
    let world = World::trained();
    let image = image::RgbImage::from_fn(14, 11, |x, y| image::Rgb([210, (x * 7 + y * 13) as u8, 40]));
    image.save(world.path("train/red/0.png")).unwrap();
    world.ok(&["pack", "train", "again.pack", "--size", "10"]);
    let resume = ["train", "--out", "run", "--resume", "--epochs", "4", "--data"];
    let message = world.fails(2, &[&resume[..], &["again.pack"]].concat());
    assert!(message.contains("data.train was the pack train.pack (fingerprint "), "{message}");
    assert!(message.contains("now it is the pack again.pack") && message.contains("--force"), "{message}");
    let output = world.run(&[&resume[..], &["again.pack", "--force"]].concat());
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && notes.contains("as --force allows"), "{notes}");
    // It is the run's pack from now on.
    world.ok(&["train", "--out", "run", "--resume", "--epochs", "5"]);

    std::fs::remove_file(world.path("train/red/0.png")).unwrap();
    world.ok(&["pack", "train", "fewer.pack", "--size", "10"]);
    let message = world.fails(2, &[&resume[..], &["fewer.pack", "--force"]].concat());
    assert!(message.contains("has 11 images, the run's pack 12"), "{message}");
    world.fails(2, &[&TRAIN[..], &["--force"]].concat());
}
