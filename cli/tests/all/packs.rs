//! Packs: made from archives, checked, shown.

use std::fs;

use crate::support::World;

/// A tar of the training images' folder.
fn tar(world: &World) {
    let folders = ["blue", "red"].map(|class| format!("train/{class}"));
    let mut command = std::process::Command::new("tar");
    command.args(["-cf", "train.tar"]).args(folders).current_dir(world.path(""));
    assert!(command.status().unwrap().success());
}

#[test]
fn a_tar_packs_as_its_folder_does() {
    let world = World::packed();
    tar(&world);
    world.ok(&["pack", "train.tar", "tar.pack", "--size", "10"]);
    let info = |pack: &str| {
        let text = world.ok(&["info", pack]);
        text.lines().find(|line| line.starts_with("fingerprint")).unwrap().to_string()
    };
    assert_eq!(info("tar.pack"), info("train.pack"));
    let message = world.fails(1, &["pack", "train.tar", "x.pack", "--from", "cifar"]);
    assert!(message.contains("train.tar: "), "{message}");
    let message = world.fails(2, &["pack", "train.tar", "x.pack", "--quality", "80"]);
    assert!(message.contains("--quality: expected with --storage jpeg"), "{message}");
    world.ok(&["pack", "train.tar", "jpeg.pack", "--size", "10", "--storage", "jpeg", "--quality", "80"]);
    assert!(world.ok(&["info", "jpeg.pack"]).contains("jpeg of quality 80"));
    // Labels that lie beside.
    let list: String = ["blue", "red"].iter().flat_map(|c| (0..6).map(move |i| format!("{c}/{i}.png {c}\n"))).collect();
    fs::write(world.path("labels.txt"), list).unwrap();
    world.ok(&["pack", "train", "labelled.pack", "--size", "10", "--labels", "labels.txt"]);
    assert_eq!(info("labelled.pack"), info("train.pack"));
    assert!(!world.path("x.pack/pack.h5").exists());
    let message = world.fails(2, &["pack", "train"]);
    assert!(message.contains("<OUT>"), "{message}");
}

#[test]
fn columns_of_labels_that_are_not_known_are_shown_and_asked_for() {
    let world = World::new();
    let rows: String =
        ["blue", "red"].iter().flat_map(|c| (0..6).map(move |i| format!("{i},{c}/{i}.png,{},{c}\n", i % 2))).collect();
    fs::write(world.path("l.csv"), format!("nr,photo,kind,colour\n{rows}")).unwrap();
    let pack = ["pack", "train", "l.pack", "--size", "10", "--labels", "l.csv"];
    let message = world.fails(1, &pack);
    assert!(
        message.contains(
            "columns of line 1: 1 \"nr\", 2 \"photo\", 3 \"kind\", 4 \"colour\"; line 2: \"0\", \"blue/0.png\""
        ) && message.contains("--image-column and --label-column"),
        "{message}"
    );
    let message = world.fails(2, &[&pack[..], &["--label-column", "color"]].concat());
    assert!(message.contains("label_column: expected a column of l.csv"), "{message}");
    let output = world.run(&[&pack[..], &["--label-column", "colour", "--image-column", "2"]].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("note: l.csv: images from column 2 (photo), labels from column 4 (colour)"), "{said}");
    assert!(said.contains("l.pack: 12 images of 2 classes"), "{said}");
}

#[test]
fn a_folder_of_train_and_val_is_packed_as_both_and_one_folder_is_split() {
    let world = World::packed();
    fs::create_dir(world.path("sets")).unwrap();
    for part in ["train", "val"] {
        fs::rename(world.path(part), world.path(format!("sets/{part}"))).unwrap();
    }
    world.ok(&["pack", "sets", "both", "--size", "10"]);
    let info = |pack: &str| {
        let text = world.ok(&["info", pack]);
        text.lines().find(|line| line.starts_with("fingerprint")).unwrap().to_string()
    };
    assert_eq!([info("both/train.pack"), info("both/val.pack")], [info("train.pack"), info("val.pack")]);
    let split = ["pack", "sets/train", "split", "--size", "10", "--val-fraction", "0.3"];
    let output = world.run(&split);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("split/train.pack: 8 images of 2 classes") && said.contains("split/val.pack: 4 images"),
        "{said}"
    );
    let again = String::from_utf8(world.run(&split).stderr).unwrap();
    let complete =
        "it was complete already: names and lengths of the source's images were compared, none was read again";
    assert!(!said.contains("complete already") && again.matches(complete).count() == 2, "{again}");
    world.fails(1, &[&split[..], &["--val-seed", "2"]].concat());
    let message = world.fails(2, &["pack", "sets/train", "x", "--val-fraction", "1"]);
    assert!(message.contains("val_fraction: expected more than 0 and less than 1, got 1"), "{message}");
}

#[test]
fn a_part_is_asked_for_only_of_sources_that_hold_two() {
    let world = World::new();
    fs::create_dir(world.path("sets")).unwrap();
    for part in ["train", "val"] {
        fs::rename(world.path(part), world.path(format!("sets/{part}"))).unwrap();
    }
    for split in ["train", "test"] {
        for args in [
            &["pack", "sets", "p", "--split", split][..],
            &["pack", "sets/train", "p", "--from", "folders", "--split", split],
        ] {
            let message = world.fails(2, args);
            let expected =
                format!("--split {split}: expected with CIFAR (cifar) or MNIST (idx), which hold both parts");
            assert!(message.contains(&expected), "{message}");
            assert!(!world.path("p").exists());
        }
    }
}

#[test]
fn a_class_of_one_image_is_noted_where_images_are_held_out() {
    let world = World::new();
    fs::create_dir(world.path("train/green")).unwrap();
    fs::rename(world.path("train/red/0.png"), world.path("train/green/0.png")).unwrap();
    let output = world.run(&["pack", "train", "split", "--size", "10", "--val-fraction", "0.3"]);
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = "note: 1 class has fewer than two images, too few to be in both packs: \"green\"; ";
    assert!(output.status.success() && said.contains(expected), "{said}");
}

#[test]
fn two_sources_are_not_a_source_and_a_folder_to_make() {
    let world = World::new();
    let message = world.fails(2, &["pack", "train", "val"]);
    assert!(
        message.contains("out: expected a new or empty folder, or one with a pack, got val, which holds "),
        "{message}"
    );
    assert_eq!(fs::read_dir(world.path("val")).unwrap().count(), 2);
    assert!(!world.path("val/.lock").exists());
}

#[test]
fn verify_names_what_is_damaged() {
    let world = World::packed();
    let said = world.ok(&["pack", "--verify", "train.pack"]);
    assert_eq!(said.trim(), "train.pack: 12 images in 1 shard, all as they were written");
    let whole = world.ok(&["pack", "--verify", "train.pack", "--json"]);
    let expected = serde_json::json!({ "path": "train.pack", "images": 12, "shards": 1, "damaged": [] });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&whole).unwrap(), expected);
    let shard = world.path("train.pack/shard-00000.h5");
    let mut bytes = fs::read(&shard).unwrap();
    let start = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
    bytes[start + 5] ^= 1;
    bytes[start + 3 * 300 + 5] ^= 1;
    fs::write(&shard, bytes).unwrap();
    let message = world.fails(1, &["pack", "--verify", "train.pack"]);
    assert!(message.contains("record 0 (blue/0.png)") && message.contains("record 3 (blue/3.png)"), "{message}");
    assert!(message.contains("error: train.pack: 2 of 12 images are damaged; copy the pack again"), "{message}");
    let output = world.run(&["pack", "--verify", "train.pack", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let damaged: Vec<_> = found["damaged"].as_array().unwrap().iter().map(|image| image["index"].as_u64()).collect();
    assert_eq!(damaged, [Some(0), Some(3)]);
    assert!(found["damaged"][1]["error"].as_str().unwrap().contains("blue/3.png"), "{found}");
    world.fails(2, &["pack", "--verify", "train.pack", "more"]);
}

#[test]
fn show_draws_a_grid() {
    let world = World::packed();
    let said = world.ok(&["show", "train.pack", "--out", "grid.png", "--images", "4"]);
    assert_eq!(said.trim(), "grid.png: 4 of 12 images, each as stored and with 3 variants (crop 8, flip, colour)");
    let grid = image::open(world.path("grid.png")).unwrap().into_rgb8();
    assert!(grid.width() > 640 && grid.height() > 300, "{:?}", grid.dimensions());
    let has = |wanted: fn(&[u8; 3]) -> bool| grid.pixels().filter(|p| wanted(&p.0)).count() > 10_000;
    assert!(has(|p| p[2] > 150 && p[0] < 60) && has(|p| p[0] > 150 && p[2] < 80), "both classes are there");
    let first = fs::read(world.path("grid.png")).unwrap();
    world.ok(&["show", "train.pack", "--out", "grid.png", "--images", "4"]);
    assert!(fs::read(world.path("grid.png")).unwrap() == first);
    let message = world.fails(2, &["show", "train.pack", "--crop", "11"]);
    assert!(message.contains("crop: expected 1 to 10"), "{message}");
}

#[test]
fn show_draws_the_augmentation_of_a_run() {
    let world = World::packed();
    let train = ["train", "--data", "train.pack", "--model", "tiny.toml", "--out", "run", "--set", "data.mirror=false"];
    world.ok(&train);
    let show = |more: &[&str]| {
        let said = world.ok(&[&["show", "train.pack", "--images", "4"], more].concat());
        (said.trim().to_string(), fs::read(world.path("grid.png")).unwrap())
    };
    let (said, of_run) = show(&["--run", "run"]);
    assert!(said.ends_with("each as stored and with 3 variants (crop 8)"), "{said}");
    let (said, erased) = show(&["--run", "run", "--set", "data.random_erasing=1"]);
    assert!(said.ends_with("(crop 8, erasing)") && erased != of_run, "{said}");
    let (said, plain) = show(&["--set", "data.augment=false", "--crop", "7"]);
    assert!(said.ends_with("(crop 7 of the centre)") && plain != of_run, "{said}");
    let message = world.fails(2, &["show", "train.pack", "--set", "optim.lr=1"]);
    assert!(message.contains("expected settings of data"), "{message}");
    assert!(world.fails(1, &["show", "train.pack", "--run", "val"]).contains("--run: val/run.toml"));
    world.fails(2, &["show", "train.pack", "--set", "data.mirrored=true"]);
}

#[test]
fn bad_images_are_named_at_the_end() {
    let world = World::new();
    fs::write(world.path("train/red/page.jpg"), "<html>").unwrap();
    fs::write(world.path("train/blue/empty.jpg"), "").unwrap();
    let message = world.fails(1, &["pack", "train", "train.pack", "--size", "10"]);
    let bad = message.lines().filter(|line| line.starts_with("bad: ")).collect::<Vec<_>>();
    assert_eq!(bad, ["bad: blue/empty.jpg,empty file", "bad: red/page.jpg,not an image: a web page or XML"]);
    assert!(message.contains("2 of 14 images cannot be used, 0 are allowed"), "{message}");
}
