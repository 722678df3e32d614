//! A mean image of another size than the network's images names the flag, the file and both sizes.

use std::fs;

use crate::support::{MODEL, World};

/// A numpy image of this size, all values 100.
fn npy(size: usize) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({size}, {size}, 3), }}");
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{header:<117}\n").as_bytes());
    bytes.extend((0..size * size * 3).flat_map(|_| 100f32.to_le_bytes()));
    bytes
}

#[test]
fn a_mean_of_another_size() {
    let world = World::packed();
    fs::write(world.path("image.toml"), MODEL.replace("pack-rgb", "pack-image")).unwrap();
    fs::write(world.path("m.npy"), npy(12)).unwrap();
    let train = ["train", "--data", "train.pack", "--model", "image.toml", "--out"];
    world.ok(&[&train[..], &["run"]].concat());
    world.ok(&["convert", "run", "w.h5"]);
    let commands: [&[&str]; 4] = [
        &["predict", "--weights", "w.h5", "val/red/0.png"],
        &["eval", "--weights", "w.h5", "--data", "val.pack"],
        &["convert", "w.h5", "x.pt"],
        &[&train[..], &["other"]].concat(),
    ];
    for command in commands {
        let message = world.fails(2, &[command, &["--mean", "m.npy"]].concat());
        let expected = "(--mean): m.npy: the mean image is 12 x 12, the images are 10 x 10";
        assert!(message.contains(expected), "{command:?}: {message}");
        assert_eq!(message.contains("pack with --size 12"), command[0] == "train", "{command:?}: {message}");
    }
}
