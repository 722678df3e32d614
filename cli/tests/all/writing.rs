//! Paths that a command may write to.

use std::fs;

use crate::support::World;

#[test]
fn an_image_is_written_under_a_name_of_a_png() {
    let world = World::packed();
    let table = fs::read(world.path("train.pack/pack.h5")).unwrap();
    for name in ["grid.jpg", "grid", "train.pack/pack.h5"] {
        let message = world.fails(2, &["show", "train.pack", "--out", name]);
        let expected = format!("--out: {name}: expected a name that ends in .png: the image is written as PNG");
        assert!(message.contains(&expected), "{message}");
    }
    assert!(!world.path("grid.jpg").exists() && !world.path("grid").exists());
    assert!(fs::read(world.path("train.pack/pack.h5")).unwrap() == table);
}

#[test]
fn weights_are_not_written_over_a_pack_or_a_checkpoint() {
    let world = World::trained();
    let newest = "run/checkpoints/step-000000006.h5";
    for (name, owner) in [("train.pack/pack.h5", "a pack"), ("train.pack/shard-00000.h5", "a pack"), (newest, "a run")]
    {
        let before = fs::read(world.path(name)).unwrap();
        let message = world.fails(2, &["convert", "run", name]);
        assert!(
            message.contains(&format!("{name}: lies in the folder of {owner}; choose another folder")),
            "{message}"
        );
        assert!(fs::read(world.path(name)).unwrap() == before, "{name}");
    }
    for name in ["run/run.toml", "run/model.toml", "run/log.jsonl"] {
        let before = fs::read(world.path(name)).unwrap();
        let message = world.fails(2, &["convert", "run", name, "--format", "hdf5"]);
        assert!(message.contains(&format!("{name}: lies in the folder of a run")), "{message}");
        assert!(fs::read(world.path(name)).unwrap() == before, "{name}");
    }
    assert!(world.fails(2, &["convert", "run", "run/new.h5"]).contains("lies in the folder of a run"));
}

/// Names longer than a width can be are shortened, in tables and in messages.
#[test]
fn a_name_of_a_megabyte_is_shortened() {
    let world = World::new();
    let name = "n".repeat(1 << 20);
    let header = format!("{{\"{name}\":{{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}}}");
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend([0; 4]);
    fs::write(world.path("long.safetensors"), bytes).unwrap();
    assert!(world.ok(&["info", "long.safetensors"]).len() < 2000);
    let message = world.fails(1, &["convert", "long.safetensors", "x.h5", "--model", "linear"]);
    assert!(message.contains("long.safetensors") && message.len() < 10_000, "{}", message.len());
}

/// Where the target is no file it is kept, also for the superuser; of a link, what it leads to is written.
#[cfg(unix)]
#[test]
fn devices_and_pipes_are_kept_and_links_followed() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let world = World::trained();
    assert!(std::process::Command::new("mkfifo").arg(world.path("pipe")).status().unwrap().success());
    for (name, target) in [("pipe.png", "pipe"), ("pipe.h5", "pipe"), ("full.png", "/dev/full"), ("w.h5", "kept.h5")] {
        symlink(target, world.path(name)).unwrap();
    }
    for (args, found) in [
        (&["show", "train.pack", "--out", "pipe.png"], "a named pipe"),
        (&["show", "train.pack", "--out", "full.png"], "a device"),
    ] {
        let message = world.fails(1, args);
        assert!(
            message.contains(&format!("cannot be replaced; choose another name: expected a file, found {found}")),
            "{message}"
        );
    }
    let message = world.fails(1, &["convert", "run", "pipe.h5"]);
    assert!(
        message.contains("pipe.h5: cannot be replaced; choose another name: expected a file, found a named pipe"),
        "{message}"
    );
    assert!(world.path("pipe").metadata().unwrap().file_type().is_fifo());
    world.ok(&["convert", "run", "w.h5"]);
    assert!(world.path("w.h5").symlink_metadata().unwrap().is_symlink());
    assert!(world.ok(&["info", "kept.h5"]).contains("fc1.weight"));
}
