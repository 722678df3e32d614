//! `features` and `neighbours`: their sources, layers and files.

use std::fs;

use serde_json::Value;

use crate::support::World;

/// A network with a convolution, its ReLU and a hidden layer.
const MODEL: &str = r#"
name = "hidden"
about = "A hidden layer on small images."
classes = 2
[input]
size = 10
crop = 8
mean = "pack-rgb"
scale = 0.004
[[layer]]
name = "conv1"
kind = "conv"
filters = 3
kernel = 3
init = { kind = "normal", std = 0.1 }
[[layer]]
name = "relu1"
kind = "relu"
[[layer]]
name = "fc2"
kind = "linear"
units = 5
init = { kind = "normal", std = 0.1 }
[[layer]]
name = "relu2"
kind = "relu"
[[layer]]
name = "fc3"
kind = "linear"
units = "classes"
init = { kind = "normal", std = 0.1 }
[train.run]
epochs = 1
batch = 4
threads = 1
"#;

/// Packs, and the run `run` of a network with a hidden layer.
pub fn world() -> World {
    let world = World::packed();
    fs::write(world.path("hidden.toml"), MODEL).unwrap();
    world.ok(&["train", "--data", "train.pack", "--model", "hidden.toml", "--out", "run"]);
    world
}

/// The numbers of a .npy of two axes, by rows.
fn npy(world: &World, path: &str) -> Vec<Vec<f32>> {
    let bytes = fs::read(world.path(path)).unwrap();
    let header_len = u16::from_le_bytes([bytes[8], bytes[9]]) as usize;
    let header = std::str::from_utf8(&bytes[10..10 + header_len]).unwrap();
    let columns = header.rsplit_once(", ), }").or(header.rsplit_once("), }")).unwrap().0.trim_end_matches(',');
    let columns: usize = columns.rsplit_once(", ").unwrap().1.trim_end_matches(',').parse().unwrap();
    let values = bytes[10 + header_len..].chunks_exact(4).map(|v| f32::from_le_bytes([v[0], v[1], v[2], v[3]]));
    values.collect::<Vec<_>>().chunks(columns).map(<[f32]>::to_vec).collect()
}

#[test]
fn features_are_those_of_the_layer_after_its_relu() {
    let world = world();
    let base = ["features", "--weights", "run", "--data", "train.pack"];
    let said = world.ok(&[&base[..], &["--out", "f.npy"]].concat());
    assert_eq!(said.trim(), "f.npy: 12 images x 5 values of fc2");
    let hidden = npy(&world, "f.npy");
    assert_eq!((hidden.len(), hidden[0].len()), (12, 5));
    assert!(hidden.iter().flatten().all(|&value| value >= 0.0));
    assert!(hidden.iter().flatten().any(|&value| value > 0.0));
    world.ok(&[&base[..], &["--out", "relu.npy", "--layer", "relu2"]].concat());
    assert_eq!(npy(&world, "relu.npy"), hidden);
    world.ok(&[&base[..], &["--out", "conv.npy", "--layer", "conv1", "--batch", "5"]].concat());
    assert_eq!((npy(&world, "conv.npy").len(), npy(&world, "conv.npy")[0].len()), (12, 6 * 6 * 3));
    // The last layer has no ReLU: its values are the logits.
    world.ok(&[&base[..], &["--out", "last.npy", "--layer", "fc3"]].concat());
    assert!(npy(&world, "last.npy").iter().flatten().any(|&value| value < 0.0));
}

/// A pack, the folder that it was packed from, and a list of its files give the same numbers.
#[test]
fn any_source_of_images_will_do() {
    let world = world();
    let features = |data: &str, out: &str| {
        world.ok(&["features", "--weights", "run", "--data", data, "--out", out, "--batch", "7"]);
        npy(&world, out)
    };
    let of_pack = features("train.pack", "pack.npy");
    assert_eq!(features("train", "folder.npy"), of_pack);
    let names =
        ["blue", "red"].map(|class| (0..6).map(move |i| format!("train/{class}/{i}.png\n")).collect::<String>());
    fs::write(world.path("list.txt"), names.concat()).unwrap();
    assert_eq!(features("list.txt", "list.npy"), of_pack);
    assert_eq!(features("train/red", "red.npy"), of_pack[6..]);
    // A batch of another size rounds in another order.
    let one = features("train/red/2.png", "one.npy").remove(0);
    assert!(one.iter().zip(&of_pack[8]).all(|(one, other)| (one - other).abs() < 1e-5), "{one:?}");
    world.ok(&["features", "--weights", "run", "--data", "train", "--out", "f.h5"]);
    assert!(fs::read(world.path("f.h5")).unwrap().starts_with(b"\x89HDF"));
}

#[test]
fn wrong_use_is_named() {
    let world = world();
    let with = |code: i32, args: &[&str]| world.fails(code, &[&["features", "--weights", "run"], args].concat());
    let message = with(2, &["--data", "train.pack", "--out", "f.csv"]);
    assert!(message.contains("--out") && message.contains(".npy"), "{message}");
    let message = with(2, &["--data", "train.pack", "--layer", "fc7"]);
    assert!(message.contains("--layer") && message.contains("conv1, relu1, fc2"), "{message}");
    let message = with(1, &["--data", "nothing.pack"]);
    assert!(message.contains("nothing.pack"), "{message}");
    fs::write(world.path("list.txt"), "train/red/0.png\ntrain/red/lost.png\n").unwrap();
    fs::write(world.path("f.npy"), "old").unwrap();
    let message = with(1, &["--data", "list.txt", "--out", "f.npy"]);
    assert!(message.contains("lost.png"), "{message}");
    assert_eq!(fs::read_to_string(world.path("f.npy")).unwrap(), "old");
    world.ok(&["train", "--data", "train.pack", "--model", "tiny.toml", "--out", "linear"]);
    let message = world.fails(2, &["features", "--weights", "linear", "--data", "train.pack"]);
    assert!(message.contains("no hidden layer") && message.contains("fc1"), "{message}");
}

/// The class of an image, the first part of its name.
fn class(name: &Value) -> &str {
    let name = name.as_str().unwrap();
    name.trim_start_matches("train/").split('/').next().unwrap()
}

#[test]
fn neighbours_are_the_nearest_by_the_features() {
    let world = world();
    let base = ["neighbours", "--weights", "run", "--data", "train.pack", "--count", "12"];
    let args = [&base[..], &["--queries", "val.pack", "--images", "4", "--table", "t.csv", "--json"]].concat();
    let report: Value = serde_json::from_str(&world.ok(&args)).unwrap();
    assert_eq!(
        (&report["layer"], &report["images"], report["queries"].as_array().unwrap().len()),
        (&"fc2".into(), &12.into(), 4)
    );
    world.ok(&["features", "--weights", "run", "--data", "train.pack", "--out", "t.npy"]);
    world.ok(&["features", "--weights", "run", "--data", "val.pack", "--out", "v.npy"]);
    let searched = npy(&world, "t.npy");
    let queries = npy(&world, "v.npy");
    // Four of six, spread evenly.
    for (found, query) in report["queries"].as_array().unwrap().iter().zip([0, 2, 3, 5]) {
        let mut last = 0.0;
        for neighbour in found["neighbours"].as_array().unwrap() {
            let other = &searched[neighbour["index"].as_u64().unwrap() as usize];
            let square = |(x, y): (&f32, &f32)| (f64::from(*x) - f64::from(*y)).powi(2);
            let expected = queries[query].iter().zip(other).map(square).sum::<f64>().sqrt();
            let distance = neighbour["distance"].as_f64().unwrap();
            assert!((distance - expected).abs() < 1e-5 && distance >= last, "{neighbour}");
            assert_eq!(class(&neighbour["image"]), neighbour["label"].as_str().unwrap());
            last = distance;
        }
    }
    let table = fs::read_to_string(world.path("t.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 4 * 12);
    assert!(table.starts_with("query,query_label,rank,index,neighbour,label,distance\nblue/0.png,blue,1,"), "{table}");
    assert!(fs::read(world.path("neighbours.png")).unwrap().starts_with(b"\x89PNG"));
}

/// Files of features give what images give, and an image that is searched for itself is found first.
#[test]
fn features_may_come_from_files() {
    let world = world();
    for (data, out) in [("train.pack", "t.h5"), ("val.pack", "v.h5")] {
        world.ok(&["features", "--weights", "run", "--data", data, "--out", out]);
    }
    let find = |args: &[&str]| -> Value {
        serde_json::from_str(&world.ok(&[&["neighbours", "--json", "--images", "3"], args].concat())).unwrap()
    };
    let of_images = find(&["--weights", "run", "--data", "train.pack", "--queries", "val.pack"]);
    let of_files = find(&["--features", "t.h5", "--queries", "v.h5"]);
    assert_eq!(of_files["same_label"], of_images["same_label"]);
    for (one, other) in of_files["queries"].as_array().unwrap().iter().zip(of_images["queries"].as_array().unwrap()) {
        assert_eq!((&one["image"], &one["label"]), (&other["image"], &other["label"]));
    }
    // The file names the weights.
    let itself = find(&["--features", "t.h5", "--queries", "train/red/1.png", "train/blue/5.png"]);
    for (query, index) in itself["queries"].as_array().unwrap().iter().zip([7, 5]) {
        assert_eq!(query["label"], Value::Null);
        assert_eq!(query["neighbours"][0]["index"], index);
        assert!(query["neighbours"][0]["distance"].as_f64().unwrap() < 1e-5, "{query}");
    }
    // Images that are gone are not drawn; the rest is found.
    fs::remove_file(world.path("neighbours.png")).unwrap();
    fs::rename(world.path("train.pack"), world.path("moved.pack")).unwrap();
    let output = world.run(&["neighbours", "--features", "t.h5", "--queries", "v.h5"]);
    assert!(output.status.success());
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(notes.contains("no images are drawn") && notes.contains("train.pack"), "{notes}");
    assert!(!world.path("neighbours.png").exists());
    world.ok(&["neighbours", "--features", "t.h5", "--queries", "v.h5", "--data", "moved.pack"]);
    assert!(world.path("neighbours.png").exists());
}

#[test]
fn files_that_hold_no_fitting_features_are_named() {
    let world = world();
    world.ok(&["features", "--weights", "run", "--data", "train.pack", "--out", "t.h5"]);
    world.ok(&["features", "--weights", "run", "--data", "val.pack", "--out", "conv.h5", "--layer", "conv1"]);
    let message = world.fails(2, &["neighbours", "--features", "t.h5", "--queries", "conv.h5"]);
    assert!(message.contains("108 values of conv1") && message.contains("5 values of fc2"), "{message}");
    let message = world.fails(2, &["neighbours", "--data", "train.pack", "--queries", "val.pack"]);
    assert!(message.contains("--weights"), "{message}");
    let bytes = fs::read(world.path("t.h5")).unwrap();
    fs::write(world.path("cut.h5"), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(world.path("text.h5"), "no features").unwrap();
    fs::copy(world.path("train.pack/pack.h5"), world.path("pack.h5")).unwrap();
    for file in ["cut.h5", "text.h5", "pack.h5", "lost.h5"] {
        let message = world.fails(1, &["neighbours", "--features", file, "--queries", "val.pack"]);
        assert!(message.contains(file), "{message}");
    }
}

#[test]
fn codes_are_compared_with_the_exact_neighbours() {
    let world = world();
    world.ok(&["features", "--weights", "run", "--data", "train.pack", "--out", "t.h5", "--layer", "conv1"]);
    let base = ["neighbours", "--features", "t.h5", "--queries", "t.h5", "--images", "12", "--count", "2"];
    let report: Value = serde_json::from_str(&world.ok(&[&base[..], &["--codes", "8", "--json"]].concat())).unwrap();
    let codes = &report["codes"];
    assert_eq!((&codes["bits"], &codes["bytes"], &codes["recall"][0]["among"]), (&8.into(), &96.into(), &2.into()));
    let shares: Vec<f64> = (0..2).map(|place| codes["recall"][place]["share"].as_f64().unwrap()).collect();
    // Each image's own code is nearest to it, or one that equals it.
    assert!(shares[0] > 0.2 && shares[0] <= shares[1] && shares[1] <= 1.0, "{codes}");
    let text = world.ok(&[&base[..], &["--codes", "8"]].concat());
    assert!(text.contains("codes of 8 bits, 0.1 KiB: of the nearest, "), "{text}");
    let message = world.fails(2, &[&base[..], &["--codes", "200"]].concat());
    assert!(message.contains("--codes") && message.contains("1 to 11"), "{message}");
    let images = ["neighbours", "--weights", "run", "--data", "train.pack", "--queries", "val.pack", "--codes", "8"];
    assert!(world.fails(2, &images).contains("--features"));
}

#[test]
fn a_map_has_a_place_for_each_image() {
    let world = world();
    let base = ["embed", "--steps", "60"];
    let said = world.ok(&[&base[..], &["--weights", "run", "--data", "train.pack", "--table", "map.csv"]].concat());
    assert_eq!(said.trim(), "map.png: 12 of 12 images by fc2");
    let table = fs::read_to_string(world.path("map.csv")).unwrap();
    assert!(table.starts_with("x,y,label,name,index\n"), "{table}");
    assert!(table.lines().nth(12).unwrap().ends_with(",red,red/5.png,11"), "{table}");
    assert!(fs::read(world.path("map.png")).unwrap().starts_with(b"\x89PNG"));
    // The same from a file, and of some of the images the same each time.
    world.ok(&["features", "--weights", "run", "--data", "train.pack", "--out", "t.h5"]);
    let some = |seed: &str| {
        let args = ["--features", "t.h5", "--images", "9", "--seed", seed, "--table", "some.csv"];
        world.ok(&[&base[..], &args].concat());
        fs::read_to_string(world.path("some.csv")).unwrap()
    };
    let first = some("1");
    assert_eq!((first.lines().count(), &some("1")), (10, &first));
    assert_ne!(some("2"), first);
    let message = world.fails(1, &["embed", "--weights", "run", "--data", "train/red", "--steps", "9"]);
    assert!(message.contains("at least 8"), "{message}");
    world.fails(2, &["embed", "--features", "t.h5", "--perplexity", "0"]);
    world.fails(2, &["embed", "--data", "train.pack"]);
}
