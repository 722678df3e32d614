//! `predict`: where its images come from, and the formats of its output.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::World;

/// Runs `predict` with this standard input.
fn piped(world: &World, input: &[u8], args: &[&str]) -> (Option<i32>, String, String) {
    let mut child = world
        .command(&[&["predict", "--weights", "run"], args].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), out, err)
}

fn files(text: &str) -> Vec<String> {
    let all: Value = serde_json::from_str(text).unwrap();
    all.as_array().unwrap().iter().map(|one| one["file"].as_str().unwrap().to_string()).collect()
}

#[test]
fn folders_patterns_tars_and_standard_input_give_images() {
    let world = World::trained();
    let predict = |inputs: &[&str]| world.ok(&[&["predict", "--weights", "run", "--json"], inputs].concat());
    let six: Vec<String> =
        ["blue", "red"].iter().flat_map(|class| (0..3).map(move |n| format!("val/{class}/{n}.png"))).collect();
    fs::write(world.path("val/notes.txt"), "no image").unwrap();
    let of_folder = predict(&["val"]);
    assert_eq!(files(&of_folder), six);
    assert_eq!(predict(&["val/*/*.png"]), of_folder);
    let names: Vec<&str> = six.iter().map(String::as_str).collect();
    assert_eq!(predict(&names), of_folder);
    let (code, listed, _) = piped(&world, (six.join("\n") + "\n").as_bytes(), &["-", "--json"]);
    assert_eq!((code, &listed), (Some(0), &of_folder));
    // Batches of one differ in rounding.
    let each = predict(&["val", "--batch", "1"]);
    assert_eq!(files(&each), six);
    let most = |text: &str| -> Vec<f64> {
        let all: Value = serde_json::from_str(text).unwrap();
        all.as_array().unwrap().iter().map(|one| one["top"][0]["probability"].as_f64().unwrap()).collect()
    };
    assert!(most(&each).iter().zip(most(&of_folder)).all(|(a, b)| (a - b).abs() < 1e-6));

    let image = fs::read(world.path(&six[4])).unwrap();
    let (code, one, _) = piped(&world, &image, &["-", "--json"]);
    assert_eq!((code, files(&one)), (Some(0), vec!["-".to_string()]));
    // A batch of another size differs in rounding.
    assert!((most(&one)[0] - most(&of_folder)[4]).abs() < 1e-6);

    for (flags, name) in [("cf", "val.tar"), ("czf", "val.tar.gz")] {
        let tar = Command::new("tar").args([flags, name, "--sort=name", "val"]).current_dir(world.path("")).status();
        assert!(tar.unwrap().success());
        let of_tar = predict(&[name]);
        assert_eq!(files(&of_tar), six.iter().map(|file| format!("{name}/{file}")).collect::<Vec<_>>());
        assert_eq!(most(&of_tar), most(&of_folder));
    }
}

#[test]
fn formats_agree() {
    let world = World::trained();
    let predict = |more: &[&str]| world.ok(&[&["predict", "--weights", "run", "val"], more].concat());
    let all: Value = serde_json::from_str(&predict(&["--format", "json"])).unwrap();
    let lines = predict(&["--format", "jsonl"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(all.as_array().unwrap(), &lines);
    let csv = predict(&["--format", "csv", "--top", "1"]);
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["file", "rank", "class", "name", "probability"]);
    assert_eq!(rows.len(), 7);
    for (row, one) in rows[1..].iter().zip(&lines) {
        let top = &one["top"][0];
        assert_eq!((row[0], row[1], row[3]), (one["file"].as_str().unwrap(), "1", top["name"].as_str().unwrap()));
        assert!((row[4].parse::<f64>().unwrap() - top["probability"].as_f64().unwrap()).abs() < 1e-6);
    }
    let likely: Value = serde_json::from_str(&predict(&["--json", "--threshold", "0.5"])).unwrap();
    assert!(likely.as_array().unwrap().iter().all(|one| one["top"].as_array().unwrap().len() == 1), "{likely}");
    assert_eq!(predict(&["--json", "--threshold", "1"]).matches("\"class\"").count(), 0);
    predict(&["--plot", "plot.png"]);
    assert!(image::open(world.path("plot.png")).unwrap().width() > 600);
}

/// Unreadable images are named, the rest is predicted, and the end is an error.
#[test]
fn unreadable_images_are_skipped_and_counted() {
    let world = World::trained();
    fs::write(world.path("val/red/1.png"), "broken").unwrap();
    let output = world.run(&["predict", "--weights", "run", "val", "missing.png", "--json"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for part in ["val/red/1.png", "missing.png", "2 of 7 images could not be read"] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    assert_eq!(files(&String::from_utf8(output.stdout).unwrap()).len(), 5);

    // A tar that ends early.
    let tar = Command::new("tar").args(["cf", "val.tar", "val/blue"]).current_dir(world.path("")).status();
    assert!(tar.unwrap().success());
    let bytes = fs::read(world.path("val.tar")).unwrap();
    fs::write(world.path("cut.tar"), &bytes[..bytes.len() / 8]).unwrap();
    let output = world.run(&["predict", "--weights", "run", "cut.tar"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cut.tar"));
}

/// A plot has the first images, and says so.
#[test]
fn a_plot_of_many_images_says_how_many_it_has() {
    let world = World::trained();
    for copy in 0..121 {
        fs::create_dir_all(world.path("many")).unwrap();
        fs::copy(world.path("val/red/0.png"), world.path(format!("many/{copy}.png"))).unwrap();
    }
    let notes = |images: &str| {
        let output = world.run(&["predict", "--weights", "run", images, "--plot", "plot.png"]);
        String::from_utf8(output.stderr).unwrap()
    };
    let many = notes("many");
    assert!(many.contains("note: plot.png: the first 120 of 121 images"), "{many}");
    fs::remove_file(world.path("many/0.png")).unwrap();
    assert!(!notes("many").contains("the first 120"));
}

#[test]
fn what_names_no_image_is_refused() {
    let world = World::trained();
    fs::create_dir(world.path("empty")).unwrap();
    let before = world.files();
    for (code, inputs, part) in [
        (1, &["empty"][..], "empty: no images"),
        (1, &["*.jpeg"], "no file matches"),
        (2, &["https://example.org/cat.jpg"], "download"),
        (2, &["val", "--plot", "x.jpg"], "--plot"),
        (2, &["val", "--threshold", "2"], "--threshold"),
        (2, &["val", "--json", "--format", "csv"], "--format"),
    ] {
        let message = world.fails(code, &[&["predict", "--weights", "run"], inputs].concat());
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(world.files(), before);
    let (code, out, err) = piped(&world, b"", &["-"]);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("-: there are no images in it"), "{err}");
}
