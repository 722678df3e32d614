//! The page for those who come from other frameworks: its commands work to the letter, on small files of each.

use std::fs;
use std::path::PathBuf;

use crate::support::World;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../layers/formats/tests/golden")).join(name)
}

/// The commands of the page, without `alexnet`.
fn commands() -> Vec<Vec<String>> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/other-frameworks.md")).unwrap();
    let blocks = page.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().replace("\\\n", " "));
    let lines: Vec<String> = blocks.flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    lines.iter().map(|line| line.split_whitespace().skip(1).map(str::to_owned).collect()).collect()
}

/// The files that the page names: torchvision's network after a step from random weights, and those of Keras and Caffe.
fn world() -> World {
    let world = World::new();
    world.ok(&["pack", "train", "train.pack", "--size", "256"]);
    let train = ["train", "--data", "train.pack", "--model", "one-weird-trick", "--batch", "2", "--steps", "1"];
    world.ok(&[&train[..], &["--out", "first"]].concat());
    world.ok(&["convert", "first", "alexnet-owt-7be5be79.pth"]);
    fs::copy(golden("keras/chain.keras"), world.path("model.keras")).unwrap();
    fs::copy(golden("caffe/layers.caffemodel"), world.path("bvlc_alexnet.caffemodel")).unwrap();
    fs::write(world.path("ilsvrc_2012_mean.npy"), npy([3, 24, 24])).unwrap();
    fs::copy(world.path("train/red/0.png"), world.path("photo.jpg")).unwrap();
    for class in ["a", "b", "c"] {
        fs::create_dir_all(world.path("three").join(class)).unwrap();
        for i in 0..4 {
            fs::copy(world.path("train/blue/0.png"), world.path("three").join(class).join(format!("{i}.png"))).unwrap();
        }
    }
    world
}

/// A numpy file of this shape, all values 100.
fn npy(shape: [usize; 3]) -> Vec<u8> {
    let [a, b, c] = shape;
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({a}, {b}, {c}), }}");
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{header:<117}\n").as_bytes());
    bytes.extend((0..a * b * c).flat_map(|_| 100f32.to_le_bytes()));
    bytes
}

#[test]
fn the_pages_commands_work() {
    let world = world();
    let commands = commands();
    assert!(commands.len() >= 12, "{commands:?}");
    for args in &commands {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        // Keras' small network takes images of its own size and number of classes.
        let is_keras = args.contains(&"model.keras") && args[0] == "train";
        if is_keras {
            fs::rename(world.path("train.pack"), world.path("large.pack")).unwrap();
            world.ok(&["pack", "three", "train.pack", "--size", "9"]);
        }
        match args.iter().position(|arg| *arg == ">") {
            Some(place) => fs::write(world.path(args[place + 1]), world.ok(&args[..place])).unwrap(),
            None => drop(world.ok(&args)),
        }
        if is_keras {
            fs::remove_dir_all(world.path("train.pack")).unwrap();
            fs::rename(world.path("large.pack"), world.path("train.pack")).unwrap();
        }
    }
    // Without --model, a run has the network of its weights.
    for (weights, name) in [("alexnet-owt-7be5be79.pth", "one-weird-trick"), ("tuned", "one-weird-trick")] {
        world.ok(&[
            "train",
            "--data",
            "train.pack",
            "--weights",
            weights,
            "--batch",
            "2",
            "--steps",
            "1",
            "--out",
            name,
        ]);
        let network = fs::read_to_string(world.path(name).join("model.toml")).unwrap();
        assert!(network.contains(&format!("name = \"{name}\"")), "{network}");
        fs::remove_dir_all(world.path(name)).unwrap();
    }
    for file in ["alexnet.safetensors", "tuned.pth", "kept.keras", "bvlc_alexnet.h5", "tuned.onnx"] {
        assert!(world.path(file).is_file(), "{file}");
    }
}
