//! Experiments.

use std::fs;

use serde_json::Value;

use crate::support::World;
#[cfg(target_os = "linux")]
use crate::support::running::Running;

const EXPERIMENT: &str = "
title = 'Rates'
about = 'A linear network with two learning rates.'
source = 'nowhere'
network = 'tiny.toml'
[data]
kind = 'any'
size = 10
[evaluation]
measures = ['top1', 'top1-ten-crops', 'epochs-to-training-error']
threshold = 0.4
[comparison]
base = 'slow'
measure = 'top1'
[budget.small]
seeds = [1, 2]
search_epochs = 1
[budget.full]
seeds = [1, 2, 3]
search_epochs = 1
[[cell]]
name = 'slow'
about = 'a low rate'
settings = { optim.lr = 0.0001 }
published = [{ measure = 'top1', value = 20.0, unit = '%', source = 'a book' }]
[[cell]]
name = 'fast'
about = 'a rate that is searched'
expected = 'lower'
search = { setting = 'optim.lr', values = [0.05, 1e30] }
[cell.edits]
change = { fc1 = { bias = 0.5 } }
[[cell]]
name = 'both'
about = 'their average'
average_of = ['slow', 'fast']
[[cell]]
name = 'again'
about = 'from the weights of the first'
weights_of = 'slow'
";

fn world() -> World {
    let world = World::packed();
    fs::write(world.path("rates.toml"), EXPERIMENT).unwrap();
    world
}

const REPRODUCE: [&str; 8] =
    ["reproduce", "rates.toml", "--data", "train.pack", "--val", "val.pack", "--device", "cpu"];

fn json(world: &World, args: &[&str]) -> Value {
    serde_json::from_str(&world.ok(&[args, &["--json"]].concat())).unwrap()
}

#[test]
fn an_experiment_ends_in_a_table_and_then_finds_nothing_to_do() {
    let world = world();
    let text = world.ok(&REPRODUCE);
    let first: Vec<&str> = text.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(first, ["cell", "slow", "fast", "both", "again"], "{text}");
    let folder = world.path("reproduce/rates");
    let markdown = fs::read_to_string(folder.join("results.md")).unwrap();
    for part in
        ["# Rates", "| `slow` | 2 |", "| `both` | 4 |", "Search of `optim.lr` for `fast`", "a book", "seeds 1, 2"]
    {
        assert!(markdown.contains(part), "{part}: {markdown}");
    }
    assert!(markdown.contains("| 1e30 | failed |") && markdown.lines().all(|line| line.len() <= 120), "{markdown}");
    let csv = fs::read_to_string(folder.join("results.csv")).unwrap();
    assert!(csv.starts_with("cell,measure,unit,runs,mean") && csv.lines().count() == 1 + 4 * 3, "{csv}");
    assert_eq!(image::open(folder.join("results.png")).unwrap().width(), 960);
    let results: Value = serde_json::from_slice(&fs::read(folder.join("results.json")).unwrap()).unwrap();
    assert_eq!(results["searches"][0]["chosen"], 0.05);
    assert_eq!(results["rows"][2]["figures"][1]["values"].as_array().unwrap().len(), 1);
    let config = fs::read_to_string(folder.join("again-2/run.toml")).unwrap();
    assert!(config.contains("weights = \"reproduce/rates/slow-2\""), "{config}");
    let network = fs::read_to_string(folder.join("networks/fast.toml")).unwrap();
    assert!(network.contains("tiny-fast") && network.contains("bias = 0.5"), "{network}");

    let changed = |name: &str| fs::metadata(folder.join(name)).unwrap().modified().unwrap();
    let files = ["slow-1/log.jsonl", "fast-2/log.jsonl", "fast-search-2/log.jsonl", "tests/both-10-crops.json"];
    let before = files.map(changed);
    let again = world.run(&REPRODUCE);
    assert!(again.status.success());
    assert_eq!((files.map(changed), String::from_utf8(again.stdout).unwrap()), (before, text));
    assert!(!String::from_utf8(again.stderr).unwrap().contains(": begins"));

    // A change of what is published leaves the runs as they are; of what runs, does not.
    fs::write(world.path("rates.toml"), EXPERIMENT.replace("20.0", "21.0")).unwrap();
    assert!(world.ok(&REPRODUCE).contains("21"));
    let other_budget = [&REPRODUCE[..], &["--budget", "full"]].concat();
    assert!(world.fails(2, &other_budget).contains("another experiment or budget"));
    world.ok(&["pack", "val", "other.pack", "--size", "10"]);
    let other_images = ["reproduce", "rates.toml", "--data", "other.pack", "--val", "val.pack"];
    assert!(world.fails(2, &other_images).contains("its runs are of other images"));
}

/// Images of these classes, as folders in `train` and `val` below a folder.
fn write_images(world: &World, folder: &str, classes: &[&str]) {
    for (part, count) in [("train", 6), ("val", 3)] {
        for (class, name) in classes.iter().enumerate() {
            let class_folder = world.path(folder).join(part).join(name);
            fs::create_dir_all(&class_folder).unwrap();
            for number in 0..count {
                let shade = (40 * class + number) as u8;
                let image = image::RgbImage::from_pixel(10, 10, image::Rgb([shade, 255 - shade, 90]));
                image.save(class_folder.join(format!("{number}.png"))).unwrap();
            }
        }
    }
}

#[test]
fn a_source_is_packed_once_and_a_budget_takes_some_classes() {
    let world = World::new();
    write_images(&world, "all", &["ant", "bee", "cat", "dog", "elk"]);
    let text = EXPERIMENT.replace("[budget.full]", "classes = 2\nepochs = 1\ncells = ['slow']\n[budget.full]");
    fs::write(world.path("rates.toml"), text).unwrap();
    let reproduce = ["reproduce", "rates.toml", "--data", "all", "--out", "out"];
    let results = &json(&world, &reproduce)["results"];
    assert_eq!(results["provenance"]["classes"], serde_json::json!(["bee", "dog"]));
    assert_eq!((&results["provenance"]["images"], &results["provenance"]["val_images"]), (&12.into(), &6.into()));
    assert_eq!(results["rows"].as_array().unwrap().len(), 1);
    let changed = || fs::metadata(world.path("out/packs-of-2-classes/train.pack/pack.h5")).unwrap().modified().unwrap();
    let before = changed();
    world.ok(&reproduce);
    assert_eq!(changed(), before);
    // A source of one set: a tenth of each class, and at least one image, is held out.
    let results = &json(&world, &["reproduce", "rates.toml", "--data", "all/train", "--out", "held"])["results"];
    assert_eq!((&results["provenance"]["images"], &results["provenance"]["val_images"]), (&10.into(), &2.into()));
    let many = EXPERIMENT.replace("[budget.full]", "classes = 9\n[budget.full]");
    fs::write(world.path("rates.toml"), many).unwrap();
    let error = world.fails(2, &["reproduce", "rates.toml", "--data", "all", "--out", "many"]);
    assert!(error.contains("takes 9 classes, and the packs have 5"), "{error}");
}

#[test]
fn a_network_is_trained_on_other_images_first() {
    let world = World::packed();
    write_images(&world, "first", &["ant", "bee", "cat"]);
    // The last layer is of the classes: another one keeps its weights.
    let edits = "edits = { change = { fc1 = { units = 5 } }, add = [{ after = 'fc1', layer = { name = 'fc2', \
                 kind = 'linear', units = 'classes' } }] }";
    let text = EXPERIMENT
        .replace("network = 'tiny.toml'", "network = 'tiny.toml'\n[pretraining]\nkind = 'any'\nsize = 10")
        .replace("settings = { optim.lr = 0.0001 }", &format!("pretraining = true\n{edits}"))
        .replace("weights_of = 'slow'", &format!("weights_of = 'slow'\n{edits}"))
        .replace("seeds = [1, 2]", "seeds = [1]\ncells = ['slow', 'again']")
        .replace("['slow', 'fast']", "['again', 'fast']")
        .replace("base = 'slow'", "base = 'again'");
    fs::write(world.path("rates.toml"), text).unwrap();
    assert!(world.fails(2, &REPRODUCE).contains("--pretraining-data is needed"));
    assert!(!world.path("reproduce").exists());
    let results = &json(&world, &[&REPRODUCE[..], &["--pretraining-data", "first"]].concat())["results"];
    let [slow, again] = [0, 1].map(|row| &results["rows"][row]);
    assert_eq!((&slow["runs"], &again["runs"]), (&1.into(), &1.into()));
    // Ten crops are tested on the images of the experiment, of which the first network knows nothing.
    let means = |row: &Value| [0, 1].map(|figure| row["figures"][figure]["mean"].is_number());
    assert_eq!([means(slow), means(again)], [[true, false], [true, true]]);
    let read = |name: &str| fs::read_to_string(world.path("reproduce/rates").join(name)).unwrap();
    assert!(read("slow-1/model.toml").contains("classes = 3") && read("again-1/model.toml").contains("classes = 2"));
    assert!(read("again-1/run.toml").contains("weights = \"reproduce/rates/slow-1\""));
}

#[test]
fn the_cost_is_told_without_writing() {
    let world = world();
    let before = world.files();
    let cost = json(&world, &[&REPRODUCE[..], &["--dry-run"]].concat());
    assert_eq!(world.files(), before);
    let cells: Vec<(&str, u64, u64)> = cost["cells"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| {
            let number = |key: &str| cell[key].as_u64().unwrap();
            (cell["cell"].as_str().unwrap(), number("runs"), number("steps"))
        })
        .collect();
    // Three steps an epoch: two searches of one epoch, then two epochs for each seed.
    assert_eq!(cells, [("fast", 4, 18), ("slow", 2, 12), ("again", 2, 12)]);
    assert!(cost["seconds"].as_f64().unwrap() > 0.0 && cost["images"] == 12);
    let text = world.ok(&["reproduce", "fig1", "--dry-run", "--threads", "1", "--device", "cpu"]);
    assert!(text.lines().last().unwrap().starts_with("all"), "{text}");
    let list = json(&world, &["reproduce"]);
    assert_eq!((&list[0]["name"], &list[0]["data"]), (&"fig1".into(), &"CIFAR-10".into()));
    assert!(world.ok(&["reproduce"]).contains("cifar-lrn"));
}

#[test]
fn missing_images_and_unknown_experiments_are_explained() {
    let world = world();
    for (args, expected) in [
        (vec!["reproduce", "fig1"], "Download cifar-10-binary.tar.gz"),
        (vec!["reproduce", "fig1", "--data", "nothing"], "--data nothing: there is no such file"),
        (vec!["reproduce", "fig1", "--data", "train.pack"], "add --val PACK"),
        (vec!["reproduce", "paper", "--data", "train", "--out", "new"], "ILSVRC2012_img_train.tar"),
        (vec!["reproduce", "cifar-lrn", "--data", "train.pack", "--val", "val.pack"], "CIFAR-10 has 10"),
        (vec!["reproduce", "fig2"], "did you mean fig1?"),
        (vec!["reproduce", "none.toml"], "none.toml"),
        (vec!["reproduce", "--dry-run"], "NAME"),
        (vec!["reproduce", "rates.toml", "--data", "train", "--val", "val.pack"], "leave it out"),
    ] {
        let code = if expected == "none.toml" { 1 } else { 2 };
        let error = world.fails(code, &args);
        assert!(error.contains(expected), "{args:?}: {error}");
    }
    assert!(!world.path("reproduce/fig1").exists());
    fs::create_dir(world.path("full")).unwrap();
    fs::write(world.path("full/file"), "").unwrap();
    assert!(world.fails(2, &[&REPRODUCE[..], &["--out", "full"]].concat()).contains("is not empty"));
}

#[cfg(target_os = "linux")]
mod interrupted {
    use super::*;

    /// Starts an experiment and waits until its first run takes steps.
    fn started(world: &World) -> Running {
        let mut command = world.command(&REPRODUCE);
        let running = Running::start(command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()));
        let log = world.path("reproduce/rates/slow-1/log.jsonl");
        let start = std::time::Instant::now();
        while !fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
            assert!(start.elapsed() < std::time::Duration::from_secs(60), "timed out");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        running
    }

    fn shell(script: &str) {
        assert!(std::process::Command::new("sh").args(["-c", script]).status().unwrap().success());
    }

    /// A world whose first run is long, until [`shorten`].
    fn long_world() -> World {
        let world = world();
        let long = EXPERIMENT
            .replace("[budget.full]", "cells = ['slow']\nepochs = 1000000\n[budget.full]")
            .replace("seeds = [1, 2]", "seeds = [1]");
        fs::write(world.path("rates.toml"), long).unwrap();
        world
    }

    /// Lets the run end an epoch after those that it has begun.
    fn shorten(world: &World) {
        let folder = world.path("reproduce/rates/slow-1");
        let log: Vec<train::log::StepLine> = train::log::read_steps(&folder.join("log.jsonl")).unwrap();
        let epochs = format!("epochs = {}", log.last().unwrap().epoch + 1);
        let text = fs::read_to_string(folder.join("run.toml")).unwrap();
        fs::write(folder.join("run.toml"), text.replace("epochs = 1000000", &epochs)).unwrap();
    }

    #[test]
    fn a_signal_stops_an_experiment_which_the_same_command_continues() {
        let world = long_world();
        let mut running = started(&world);
        shell(&format!("kill -INT {}", running.id()));
        let (status, notes) = running.end();
        assert_eq!(status.code(), Some(130), "{notes}");
        assert!(notes.contains("with 1 run to go"), "{notes}");
        assert!(notes.contains("continue with: alexnet reproduce rates.toml --data train.pack"), "{notes}");
        shorten(&world);
        assert_eq!(json(&world, &REPRODUCE)["results"]["rows"][0]["runs"], 1);
    }

    #[test]
    fn an_experiment_that_is_killed_is_taken_up_again() {
        let world = long_world();
        let mut running = started(&world);
        let id = running.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        shell(&format!("kill -KILL {id} {children}"));
        running.end();
        shorten(&world);
        assert_eq!(json(&world, &REPRODUCE)["results"]["rows"][0]["runs"], 1);
    }
}
