//! The demo, stopped and resumed.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::support::World;
use crate::support::running::Running;

const DEMO: [&str; 7] = ["demo", "--out", "d", "--threads", "1", "--device", "cpu"];

/// Runs the demo until it prints a line with `words`, then sends SIGTERM; returns all lines.
fn stop_at(world: &World, words: &str) -> Vec<String> {
    let mut child = Running::start(world.command(&DEMO).stdout(Stdio::null()).stderr(Stdio::piped()));
    let mut lines = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap) {
        let is_found = line.contains(words);
        lines.push(line);
        if is_found {
            let script = format!("kill -TERM {}", child.id());
            assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
        }
    }
    assert_eq!(child.wait().unwrap().code(), Some(143), "{lines:#?}");
    assert!(lines.last().unwrap().ends_with("; the same command resumes it"), "{lines:#?}");
    lines
}

/// A small data set in place of the demo's.
fn draw_few(world: &World) {
    for (part, count) in [("train", 13), ("val", 2)] {
        for class in 0..10u8 {
            let folder = world.path(format!("d/images/{part}/class{class}"));
            fs::create_dir_all(&folder).unwrap();
            for i in 0..count {
                let image =
                    image::RgbImage::from_fn(40, 40, |x, y| image::Rgb([class * 25, (x * y + i) as u8, y as u8]));
                image.save(folder.join(format!("{i}.png"))).unwrap();
            }
        }
    }
}

#[test]
fn a_stopped_demo_resumes() {
    let world = World::new();
    // The signal stops the drawing.
    let lines = stop_at(&world, "1/5");
    assert!(!lines.iter().any(|line| line.contains("2/5")), "{lines:#?}");
    assert!(!world.path("d/images").exists() && world.path("d/images.part").exists());

    draw_few(&world);
    stop_at(&world, "4/5");
    assert!(world.path("d/linear/run.toml").exists());
    let lines = stop_at(&world, "epoch 1/");
    assert!(lines.iter().any(|line| line.contains("resuming from d/linear/checkpoints/")), "{lines:#?}");

    let output = world.run(&DEMO);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("resuming from d/network/checkpoints/"), "{text}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("small AlexNet, 10 crops"));
    assert!(world.path("d/predictions.png").exists());
    // A finished demo shows its report again.
    assert!(world.ok(&DEMO).contains("small AlexNet, 10 crops"));

    let message = world.fails(1, &[&DEMO[..], &["--seed", "2"]].concat());
    assert!(message.contains("d: holds a demo with --seed 1"), "{message}");
}

#[test]
fn a_folder_of_something_else_is_refused() {
    let world = World::new();
    let message = world.fails(1, &["demo", "--out", "train"]);
    assert!(message.contains("train: is not empty; remove it, or choose another --out"), "{message}");
    assert_eq!(fs::read_dir(world.path("train")).unwrap().count(), 2);
}
