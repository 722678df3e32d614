//! Running the command on small folders of images.
#![allow(dead_code)]

#[path = "../../../data/tests/common/running.rs"]
pub mod running;
#[cfg(target_os = "linux")]
pub mod users;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A linear network on 8 x 8 crops: trains in no time.
pub const MODEL: &str = r#"
name = "tiny"
about = "One layer on small images."
classes = 2
[input]
size = 10
crop = 8
mean = "pack-rgb"
scale = 0.004
[[layer]]
name = "fc1"
kind = "linear"
units = "classes"
init = { kind = "normal", std = 0.01 }
[train.run]
epochs = 2
batch = 4
threads = 1
"#;

/// A folder with images, a model file and a way to run the command in it.
pub struct World(TempDir);

impl World {
    /// With images of two classes under `train` and `val`, and `tiny.toml`.
    pub fn new() -> Self {
        let world = Self(tempfile::tempdir().unwrap());
        for (part, count) in [("train", 6), ("val", 3)] {
            for (class, colour) in [("blue", [20, 40, 200]), ("red", [210, 30, 40])] {
                fs::create_dir_all(world.path(part).join(class)).unwrap();
                for i in 0..count {
                    let image = image::RgbImage::from_fn(14, 11, |x, y| {
                        image::Rgb([colour[0], colour[1] + ((x * y + i) % 30) as u8, colour[2]])
                    });
                    image.save(world.path(part).join(class).join(format!("{i}.png"))).unwrap();
                }
            }
        }
        fs::write(world.path("tiny.toml"), MODEL).unwrap();
        world
    }

    /// With both parts packed.
    pub fn packed() -> Self {
        let world = Self::new();
        world.ok(&["pack", "train", "train.pack", "--size", "10"]);
        world.ok(&["pack", "val", "val.pack", "--size", "10", "--classes-of", "train.pack"]);
        world
    }

    /// With a trained run in `run`.
    pub fn trained() -> Self {
        let world = Self::packed();
        world.ok(&["train", "--data", "train.pack", "--val", "val.pack", "--model", "tiny.toml", "--out", "run"]);
        world
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alexnet"));
        command.args(args).current_dir(self.0.path());
        command
    }

    /// Sorted names of the entries of the folder.
    pub fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that must succeed; its standard output.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail with this code, print nothing to standard output and say one error; the message.
    pub fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {message}");
        assert!(output.stdout.is_empty(), "{args:?} printed a result");
        assert!(message.contains("error: ") || message.contains("{\"error\":"), "{message}");
        assert!(!message.contains("panicked"), "{message}");
        message
    }
}
