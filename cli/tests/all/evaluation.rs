//! `eval`: its sources, its tables and plots, and several networks.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::{MODEL, World};

fn json(world: &World, args: &[&str]) -> Value {
    serde_json::from_str(&world.ok(&[&["eval", "--json"], args].concat())).unwrap()
}

fn rows(world: &World, path: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(world.path(path)).unwrap();
    text.lines().map(|line| line.split(',').map(String::from).collect()).collect()
}

/// A network of random weights, whose predictions are neither right nor certain.
fn untrained(world: &World, seed: &str) -> String {
    let name = format!("untrained-{seed}");
    let run = ["train", "--data", "train.pack", "--model", "tiny.toml", "--out", &name, "--epochs", "1"];
    let tiny_rate = ["--set", "optim.lr=1e-9", "--set", &format!("run.seed={seed}")];
    world.ok(&[&run[..], &tiny_rate].concat());
    name
}

/// Images need not be packed: a folder and a tar give the figures of a pack of them.
#[test]
fn folders_and_tars_are_tested_as_their_pack_is() {
    let world = World::trained();
    let of_pack = json(&world, &["--data", "val.pack", "--weights", "run"]);
    assert_eq!(of_pack["images"], 6);
    assert_eq!(json(&world, &["--data", "val", "--weights", "run"]), of_pack);
    let packed = Command::new("tar").args(["cf", "val.tar", "-C", "val", "."]).current_dir(world.path("")).status();
    assert!(packed.unwrap().success());
    assert_eq!(json(&world, &["--data", "val.tar", "--weights", "run"]), of_pack);
    assert_eq!(json(&world, &["--data", "val.tar", "--from", "tar", "--weights", "run"]), of_pack);
    world.fails(1, &["eval", "--data", "val.tar", "--from", "hdf5", "--weights", "run"]);
    // Only one of the classes: its label is still that of the training.
    fs::create_dir(world.path("some")).unwrap();
    fs::rename(world.path("val/red"), world.path("some/red")).unwrap();
    let red = json(&world, &["--data", "some", "--weights", "run"]);
    assert_eq!((red["images"].as_u64(), red["classes"][1]["support"].as_u64()), (Some(3), Some(3)));
    fs::rename(world.path("some/red"), world.path("some/green")).unwrap();
    let message = world.fails(1, &["eval", "--data", "some", "--weights", "run"]);
    assert!(message.contains("green"), "{message}");
    fs::write(
        world.path("val-list.csv"),
        "file,class\nval/blue/0.png,blue\ntrain/red/0.png,red\ntrain/red/1.png,red\n",
    )
    .unwrap();
    let listed = json(&world, &["--data", "val-list.csv", "--weights", "run"]);
    assert_eq!((listed["images"].as_u64(), listed["classes"][1]["support"].as_u64()), (Some(3), Some(2)));
    let message = world.fails(2, &["eval", "--data", "val.pack", "--weights", "run", "--out", "val-list.csv"]);
    assert!(message.contains("--out: val-list.csv: is a file, expected a folder"), "{message}");
    let message = world.fails(2, &["eval", "--data", "val.pack", "--labels", "x.csv", "--weights", "run"]);
    assert!(message.contains("--labels"), "{message}");
}

/// The last batch is not dropped, and no image is counted twice.
#[test]
fn figures_do_not_depend_on_the_batch() {
    let world = World::trained();
    let weights = untrained(&world, "3");
    let with = |batch: &str, crops: &str| {
        json(&world, &["--data", "train.pack", "--weights", &weights, "--batch", batch, "--crops", crops])
    };
    for (crops, count) in [("1", 1), ("10", 10), ("dense", 2)] {
        let whole = with("128", crops);
        assert_eq!((&whole["images"], &whole["crops"]), (&12.into(), &count.into()));
        for batch in ["1", "5", "12"] {
            let other = with(batch, crops);
            assert_eq!(other["top1_error"], whole["top1_error"]);
            let losses = [&other, &whole].map(|result| result["loss"].as_f64().unwrap());
            assert!((losses[0] - losses[1]).abs() < 1e-6, "{losses:?}");
        }
    }
}

/// Tables add up, and agree with each other and with what is printed.
#[test]
fn tables_and_plots_are_written() {
    let world = World::trained();
    let weights = untrained(&world, "1");
    let base = ["--data", "train.pack", "--weights", &weights];
    let all = [&base[..], &["--out", "report", "--predictions", "p.csv"]].concat();
    let result = json(&world, &all);
    let saved: Value = serde_json::from_str(&fs::read_to_string(world.path("report/report.json")).unwrap()).unwrap();
    assert_eq!(saved, result);
    let predictions = rows(&world, "p.csv");
    assert_eq!(predictions[0], ["index", "name", "label", "predicted", "blue", "red"]);
    assert_eq!(predictions.len(), 13);
    let confusion = rows(&world, "report/confusion.csv");
    assert_eq!(confusion[0], ["label", "blue", "red"]);
    let mut wrong = 0;
    for (place, row) in predictions[1..].iter().enumerate() {
        assert_eq!(row[0], place.to_string());
        let [blue, red] = [4, 5].map(|column| row[column].parse::<f64>().unwrap());
        assert!((blue + red - 1.0).abs() < 1e-5, "{row:?}");
        assert_eq!(row[3], if red > blue { "red" } else { "blue" });
        assert!(row[1].starts_with(&format!("{}/", row[2])), "{row:?}");
        wrong += usize::from(row[2] != row[3]);
    }
    assert_eq!(result["top1_error"].as_f64().unwrap(), wrong as f64 / 12.0);
    let counts = |label: &str, predicted: &str| {
        predictions[1..].iter().filter(|row| row[2] == label && row[3] == predicted).count().to_string()
    };
    assert_eq!(confusion[1][1..], [counts("blue", "blue"), counts("blue", "red")]);
    assert_eq!(confusion[2][1..], [counts("red", "blue"), counts("red", "red")]);
    let binned: usize =
        rows(&world, "report/calibration.csv")[1..].iter().map(|r| r[2].parse::<usize>().unwrap()).sum();
    assert_eq!(binned, 12);
    assert_eq!(rows(&world, "report/roc.csv").last().unwrap()[1..], ["1", "1"]);
    assert_eq!(rows(&world, "report/classes.csv")[1][..2], ["blue", "6"]);
    for plot in ["confusion", "calibration", "roc", "mistakes", "uncertain"] {
        let image = image::open(world.path(format!("report/{plot}.png"))).unwrap();
        assert!(image.width() > 200 && image.height() > 70, "{plot}");
    }
    // Again into the same folder.
    let text = world.ok(&[&["eval", "--per-class"], &all[..]].concat());
    for part in ["accuracy", "95 %", "ROC area", "calibration", "precision", "blue"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("top-5"), "two classes have no top-5 error: {text}");
}

/// The probabilities of several networks are averaged.
#[test]
fn predictions_of_networks_are_averaged() {
    let world = World::trained();
    let weights = ["1", "2"].map(|seed| untrained(&world, seed));
    let predict = |weights: &[&str], file: &str| {
        let each: Vec<&str> = weights.iter().flat_map(|name| ["--weights", name]).collect();
        let result = json(&world, &[&["--data", "val.pack", "--predictions", file], &each[..]].concat());
        assert_eq!(result["networks"], weights.len());
        let of = |row: &Vec<String>| row[4].parse::<f64>().unwrap();
        rows(&world, file)[1..].iter().map(of).collect::<Vec<f64>>()
    };
    let [one, two] = [0, 1].map(|number: usize| predict(&[&weights[number]], "one.csv"));
    let both = predict(&[&weights[0], &weights[1]], "both.csv");
    assert_ne!(one, two);
    for ((one, two), both) in one.iter().zip(&two).zip(&both) {
        assert!(((one + two) / 2.0 - both).abs() < 1e-6, "{one}, {two}: {both}");
    }
    let images = ["predict", "val/red/0.png", "--weights", &weights[0], "--weights", &weights[1], "--json"];
    let predicted: Value = serde_json::from_str(&world.ok(&images)).unwrap();
    let blue = predicted[0]["top"].as_array().unwrap().iter().find(|class| class["name"] == "blue").unwrap();
    let index = rows(&world, "both.csv").iter().position(|row| row[1] == "red/0.png").unwrap();
    assert!((blue["probability"].as_f64().unwrap() - both[index - 1]).abs() < 1e-6);

    let other = crate::support::MODEL.replace("size = 10", "size = 12");
    fs::write(world.path("other.toml"), other).unwrap();
    world.ok(&["pack", "train", "large.pack", "--size", "12"]);
    world.ok(&["train", "--data", "large.pack", "--model", "other.toml", "--out", "large", "--epochs", "1"]);
    let message = world.fails(2, &["eval", "--data", "val.pack", "--weights", "run", "--weights", "large"]);
    assert!(message.contains("10 and 12 pixels") && message.contains("averaged"), "{message}");
}

/// Ten crops of the size of the image are two, and computed once each.
#[test]
fn ten_crops_of_the_whole_image_are_two() {
    let world = World::packed();
    world.ok(&["pack", "val", "small.pack", "--size", "8", "--classes-of", "train.pack"]);
    fs::write(world.path("whole.toml"), MODEL.replace("size = 10", "size = 8")).unwrap();
    world.ok(&["train", "--data", "small.pack", "--model", "whole.toml", "--out", "whole"]);
    let options = ["--data", "small.pack", "--weights", "whole", "--predictions", "rows.csv"];
    let ten = json(&world, &[&options[..], &["--crops", "10"]].concat());
    assert_eq!(ten["crops"], 2);
    let ten = rows(&world, "rows.csv");
    json(&world, &options);
    let one = rows(&world, "rows.csv");
    let output = world.run(&["eval", "--data", "small.pack", "--weights", "whole", "--crops", "10"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("the image and its mirror image"));
    assert!(one.len() == ten.len() && one != ten, "the mirror images are another half of the predictions");
}

/// A quarter of the labels is wrong, so that a temperature fits best.
#[test]
fn a_temperature_is_found_and_taken() {
    let world = World::trained();
    for (label, other) in [("blue", "red"), ("red", "blue")] {
        fs::create_dir_all(world.path(format!("mixed/{label}"))).unwrap();
        for (copy, from) in [label, label, label, other].iter().enumerate() {
            for entry in fs::read_dir(world.path(format!("val/{from}"))).unwrap() {
                let path = entry.unwrap().path();
                let name = format!("mixed/{label}/{copy}-{}", path.file_name().unwrap().to_str().unwrap());
                fs::copy(&path, world.path(name)).unwrap();
            }
        }
    }
    let options = ["--data", "mixed", "--weights", "run", "--predictions", "rows.csv"];
    let before = json(&world, &options);
    let probability = |row: &Vec<String>| row.last().unwrap().parse::<f64>().unwrap();
    let rows_before: Vec<f64> = rows(&world, "rows.csv").iter().skip(1).map(probability).collect();
    let found = &before["temperature"];
    assert_eq!((before["images"].as_u64(), found["images"].as_u64()), (Some(24), Some(24)));
    let temperature = found["temperature"].as_f64().unwrap();
    assert!((temperature - 1.0).abs() > 0.1, "{found}");
    let text = temperature.to_string();
    let after = json(&world, &[&options[..], &["--temperature", &text]].concat());
    assert_eq!(after["top1_error"], before["top1_error"]);
    let loss = |report: &Value| report["loss"].as_f64().unwrap();
    assert!((loss(&before) - found["loss_before"].as_f64().unwrap()).abs() < 1e-6, "{before}");
    assert!(loss(&after) < loss(&before) - 1e-3, "{after} {before}");
    assert!((after["temperature"]["temperature"].as_f64().unwrap() - 1.0).abs() < 1e-3, "{after}");
    let scaled = |p: &f64| p.powf(1.0 / temperature) / (p.powf(1.0 / temperature) + (1.0 - p).powf(1.0 / temperature));
    for (row, before) in rows(&world, "rows.csv").iter().skip(1).zip(&rows_before) {
        assert!((probability(row) - scaled(before)).abs() < 1e-3, "{row:?} {before}");
    }
    let printed = world.ok(&["eval", "--data", "mixed", "--weights", "run"]);
    assert!(printed.contains(&format!("temperature  {temperature:.3}: with it error")), "{printed}");
    let first = |args: &[&str]| {
        let printed = world.ok(&[&["predict", "--json", "--weights", "run"], args].concat());
        let images: Value = serde_json::from_str(&printed).unwrap();
        images[0]["top"][0]["probability"].as_f64().unwrap()
    };
    let sure = first(&["val/red/0.png"]);
    assert!((first(&["val/red/0.png", "--temperature", &text]) - scaled(&sure)).abs() < 1e-3);
    let message = world.fails(2, &["eval", "--data", "mixed", "--weights", "run", "--temperature", "0"]);
    assert!(message.contains("expected a number from 0.01 to 100"), "{message}");
}

#[test]
fn the_file_of_predictions_has_a_known_ending() {
    let world = World::trained();
    let before = world.files();
    let eval = ["eval", "--data", "val.pack", "--weights", "run", "--predictions", "p.txt"];
    let message = world.fails(2, &eval);
    assert!(message.contains("--predictions: p.txt") && message.contains(".csv"), "{message}");
    assert_eq!(world.files(), before);
    world.ok(&["eval", "--data", "val.pack", "--weights", "run", "--predictions", "p.h5"]);
    assert!(fs::read(world.path("p.h5")).unwrap().starts_with(b"\x89HDF"));
}

/// Kernels of any convolution as an image and as numbers.
#[test]
fn filters_are_drawn_and_written() {
    let world = World::new();
    let model = crate::support::MODEL.replace(
        "[[layer]]\nname = \"fc1\"",
        "[[layer]]\nname = \"conv1\"\nkind = \"conv\"\nfilters = 4\nkernel = 3\n\n[[layer]]\nname = \"conv2\"\nkind = \"conv\"\n\
         filters = 6\nkernel = 3\ngroups = 2\n\n[[layer]]\nname = \"fc1\"",
    );
    fs::write(world.path("conv.toml"), model).unwrap();
    world.ok(&["pack", "train", "train.pack", "--size", "10"]);
    world.ok(&["train", "--data", "train.pack", "--model", "conv.toml", "--out", "run", "--epochs", "1"]);
    assert!(world.ok(&["filters", "run"]).contains("filters.png: 4 kernels of conv1"));
    assert!(image::open(world.path("filters.png")).unwrap().width() > 400);
    let two = ["filters", "run", "--layer", "conv2", "--sort", "layer", "--scale", "shared", "--out", "2.png"];
    world.ok(&[&two[..], &["--data", "2.npy"]].concat());
    let bytes = fs::read(world.path("2.npy")).unwrap();
    let header = String::from_utf8_lossy(&bytes[..128]).into_owned();
    assert!(header.contains("(6, 3, 3, 2,)"), "{header}");
    assert_eq!(bytes.len(), 128 + 4 * 6 * 3 * 3 * 2);
    for (args, part) in [
        (&["run", "--layer", "fc1"][..], "it has conv1, conv2"),
        (&["run", "--out", "x.jpg"], "--out"),
        (&["run", "--data", "x.csv"], "--data"),
    ] {
        let message = world.fails(2, &[&["filters"], args].concat());
        assert!(message.contains(part), "{message}");
    }
}
