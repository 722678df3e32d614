//! The demo, stopped and gone on with.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::support::World;
use crate::support::running::Running;

const DEMO: [&str; 7] = ["demo", "--out", "d", "--threads", "1", "--device", "cpu"];

/// Runs the demo until it says something with `words`, then sends SIGTERM; all that it said.
fn stop_at(world: &World, words: &str) -> Vec<String> {
    let mut child = Running::start(world.command(&DEMO).stdout(Stdio::null()).stderr(Stdio::piped()));
    let mut said = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap) {
        let is_there = line.contains(words);
        said.push(line);
        if is_there {
            let script = format!("kill -TERM {}", child.id());
            assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
        }
    }
    assert_eq!(child.wait().unwrap().code(), Some(143), "{said:#?}");
    assert!(said.last().unwrap().ends_with("; the same command resumes it"), "{said:#?}");
    said
}

/// A data set that is small, in the place of the demo's.
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
fn a_stopped_demo_goes_on() {
    let world = World::new();
    // It does not draw to the end first.
    let said = stop_at(&world, "1/5");
    assert!(!said.iter().any(|line| line.contains("2/5")), "{said:#?}");
    assert!(!world.path("d/images").exists() && world.path("d/images.part").exists());

    draw_few(&world);
    stop_at(&world, "4/5");
    assert!(world.path("d/linear/run.toml").exists());
    let said = stop_at(&world, "epoch 1:");
    assert!(said.iter().any(|line| line.contains("resuming from d/linear/checkpoints/")), "{said:#?}");

    let output = world.run(&DEMO);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("resuming from d/network/checkpoints/"), "{text}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("small AlexNet, 10 crops"));
    assert!(world.path("d/predictions.png").exists());
    // One that is done shows its report again.
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
