//! `explain` and `maps`: a page and the numbers behind it.

use std::fs;

use layers::weights::load_tensors;
use serde_json::{Value, json};

use crate::support::{MODEL, World};

/// A world with a run of a network with a convolution.
fn with_convolution() -> World {
    let world = World::packed();
    let model = MODEL.replacen(
        "[[layer]]\nname = \"fc1\"",
        "[[layer]]\nname = \"conv1\"\nkind = \"conv\"\nfilters = 4\nkernel = 3\n\n[[layer]]\nname = \"relu1\"\nkind = \
         \"relu\"\n\n[[layer]]\nname = \"pool1\"\nkind = \"max-pool\"\nkernel = 2\n\n[[layer]]\nname = \"fc1\"",
        1,
    );
    fs::write(world.path("conv.toml"), model).unwrap();
    world.ok(&["train", "--data", "train.pack", "--model", "conv.toml", "--out", "run"]);
    world
}

#[test]
fn explanations_are_drawn_and_written() {
    let world = with_convolution();
    let base = ["explain", "--weights", "run", "val/red", "val/blue/0.png", "--samples", "3"];
    let text = world.ok(&[&base[..], &["--data", "maps.h5", "--out", "page.png"]].concat());
    assert_eq!(text, "page.png: 4 images\n");
    let page = image::open(world.path("page.png")).unwrap().to_rgb8();
    assert!(page.width() > 5 * 224 && page.height() > 4 * 224, "{:?}", page.dimensions());
    let maps = load_tensors(&world.path("maps.h5")).unwrap();
    let shape = |name: &str| maps[name].shape().to_vec();
    assert_eq!(shape("occlusion"), [4, 8, 8]);
    assert_eq!(shape("input_gradient"), [4, 8, 8, 3]);
    assert_eq!(shape("smooth_grad"), [4, 8, 8, 3]);
    assert_eq!(shape("grad_cam"), [4, 6, 6]);
    // The classes of the images are told apart, and the given one is taken in place of them.
    let predicted = maps["class"].iter().copied().collect::<Vec<f32>>();
    let named = [&base[..], &["--class", "blue", "--data", "blue.safetensors"]].concat();
    world.ok(&named);
    let blue = load_tensors(&world.path("blue.safetensors")).unwrap();
    assert!(blue["class"].iter().all(|&class| class == 0.0));
    world.ok(&[&base[..], &["--class", "1", "--data", "red.h5"]].concat());
    let red = load_tensors(&world.path("red.h5")).unwrap();
    for (number, &class) in predicted.iter().enumerate() {
        let own = if class == 0.0 { &blue } else { &red };
        let row = |of: &std::collections::BTreeMap<String, ndarray::ArrayD<f32>>| {
            of["occlusion"].index_axis(ndarray::Axis(0), number).to_owned()
        };
        assert_eq!(row(&maps), row(own), "image {number}");
        assert_ne!(row(&blue), row(&red), "image {number}");
    }
}

#[test]
fn a_network_without_convolutions_has_no_grad_cam() {
    let world = World::trained();
    world.ok(&["explain", "--weights", "run", "val/red/0.png", "--data", "maps.h5"]);
    let maps = load_tensors(&world.path("maps.h5")).unwrap();
    assert!(!maps.contains_key("grad_cam") && maps.contains_key("occlusion"));
    let layer = ["explain", "--weights", "run", "val/red/0.png", "--layer", "fc1"];
    assert!(world.fails(2, &layer).contains("no maps"));
}

#[test]
fn maps_of_each_layer_are_drawn_and_written() {
    let world = with_convolution();
    let text = world.ok(&["maps", "--weights", "run", "val/red/0.png", "--data", "maps.h5", "--maps", "2"]);
    assert_eq!(text, "maps.png: maps of 3 layers\n");
    let maps = load_tensors(&world.path("maps.h5")).unwrap();
    assert_eq!(maps.keys().map(String::as_str).collect::<Vec<_>>(), ["conv1", "fc1", "pool1"]);
    assert_eq!(maps["conv1"].shape(), [6, 6, 4]);
    // After the ReLU, and so the largest of each window is the pooling's.
    assert!(maps["conv1"].iter().all(|&v| v >= 0.0));
    let first = maps["conv1"].slice(ndarray::s![..2, ..2, 1]).iter().copied().fold(0.0, f32::max);
    assert_eq!(maps["pool1"][[0, 0, 1]], first);
    let few = image::open(world.path("maps.png")).unwrap();
    world.ok(&["maps", "--weights", "run", "val/red/0.png", "--maps", "0", "--layers", "conv1"]);
    let all = image::open(world.path("maps.png")).unwrap();
    assert!(all.height() < few.height());
}

#[test]
fn what_is_drawn_is_printed_as_json() {
    let world = with_convolution();
    let json = |args: &[&str]| serde_json::from_str::<Value>(&world.ok(args)).unwrap();
    let images = ["--weights", "run", "val/red/0.png", "val/blue/0.png", "--class", "red", "--json"];
    let explained = json(&[&["explain", "--samples", "2", "--data", "maps.h5"], &images[..]].concat());
    assert_eq!([&explained["network"], &explained["plot"], &explained["data"]], ["tiny", "explain.png", "maps.h5"]);
    let image = &explained["images"][1];
    assert_eq!([&image["image"], &image["name"], &image["layer"]], ["val/blue/0.png", "red", "conv1"]);
    let falls = load_tensors(&world.path("maps.h5")).unwrap()["occlusion"].clone();
    let largest = falls.index_axis(ndarray::Axis(0), 1).iter().copied().fold(0.0, f32::max);
    assert!((image["largest_fall"].as_f64().unwrap() - f64::from(largest)).abs() < 0.1, "{image}");

    let drawn = json(&["maps", "--weights", "run", "val/red/0.png", "--maps", "2", "--json"]);
    assert_eq!(
        [&drawn["plot"], &drawn["image"], &drawn["data"]],
        [&json!("maps.png"), &json!("val/red/0.png"), &Value::Null]
    );
    let layer = &drawn["layers"][0];
    assert_eq!([&layer["layer"], &layer["after"]], ["conv1", "relu1"]);
    assert_eq!(layer["shape"], json!([6, 6, 4]));
    let means: Vec<f64> = layer["maps"].as_array().unwrap().iter().map(|map| map["mean"].as_f64().unwrap()).collect();
    assert!(means.len() == 2 && means[0] >= means[1], "{layer}");
    assert_eq!(drawn["layers"][2]["maps"], json!([]));
}

#[test]
fn mistakes_name_the_flag_or_the_file() {
    let world = with_convolution();
    let one = ["explain", "--weights", "run", "val/red/0.png"];
    for (more, code, what) in [
        (["--class", "green"], 2, "--class: \"green\""),
        (["--class", "2"], 2, "--class: \"2\""),
        (["--layer", "conv9"], 2, "--layer"),
        (["--square", "9"], 2, "--square"),
        (["--out", "x.jpg"], 2, "--out: x.jpg"),
        (["--data", "x.npy"], 2, "--data: x.npy"),
    ] {
        let message = world.fails(code, &[&one[..], &more].concat());
        assert!(message.contains(what), "{message}");
    }
    // Each word of a class names it.
    for part in ["train", "val"] {
        fs::rename(world.path(part).join("red"), world.path(part).join("red, scarlet red")).unwrap();
    }
    world.ok(&["pack", "train", "words.pack", "--size", "10"]);
    world.ok(&["train", "--data", "words.pack", "--model", "conv.toml", "--out", "words"]);
    for (class, number) in [("scarlet red", 1), ("red", 1), ("blue", 0)] {
        let args = ["explain", "--weights", "words", "val/blue/0.png", "--class", class, "--json"];
        let found: Value = serde_json::from_str(&world.ok(&args)).unwrap();
        assert_eq!(found["images"][0]["class"], number, "{found}");
    }
    world.fails(2, &["explain", "--weights", "words", "val/blue/0.png", "--class", "scarlet"]);
    fs::rename(world.path("val/red, scarlet red"), world.path("val/red")).unwrap();
    let bad = ["explain", "--weights", "run", "tiny.toml"];
    assert!(world.fails(1, &bad).contains("tiny.toml"));
    assert!(world.fails(2, &["maps", "--weights", "run", "val"]).contains("val: expected one image"));
    let layers = ["maps", "--weights", "run", "val/red/0.png", "--layers", "conv1,conv7"];
    assert!(world.fails(2, &layers).contains("--layers"));
    // Images that can be read are drawn.
    let output = world.run(&["explain", "--weights", "run", "tiny.toml", "val/red/0.png"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("1 of 2 images could not be read"));
    assert!(world.path("explain.png").exists());
}

#[test]
fn patches_of_the_strongest_responses() {
    let world = with_convolution();
    let base = ["filters", "run", "--images", "val", "--out", "patches.png"];
    let text = world.ok(&[&base[..], &["--patches", "2", "--kernels", "3", "--data", "patches.csv"]].concat());
    assert!(text.starts_with("patches.png: patches for ") && text.ends_with(" of 6 images\n"), "{text}");
    assert!(image::open(world.path("patches.png")).unwrap().height() > 200);
    let table = fs::read_to_string(world.path("patches.csv")).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0][..5], ["kernel", "rank", "response", "image", "name"]);
    assert!(rows.len() > 2 && (rows.len() - 1).is_multiple_of(2), "{table}");
    for pair in rows[1..].chunks(2) {
        let [first, second] = [&pair[0], &pair[1]].map(|row| row[2].parse::<f32>().unwrap());
        assert!(pair[0][0] == pair[1][0] && first >= second && first > 0.0, "{pair:?}");
        // A kernel of 3 x 3 sees 3 x 3 pixels.
        assert_eq!(pair[0][9..], ["3", "3"]);
        assert_eq!(pair[0][5], pair[0][7], "no padding and stride 1: the part begins at the row");
    }
    // The value is the map's largest.
    world.ok(&["maps", "--weights", "run", &format!("val/{}", rows[1][4]), "--layers", "conv1", "--data", "maps.h5"]);
    let maps = load_tensors(&world.path("maps.h5")).unwrap();
    let kernel: usize = rows[1][0].parse().unwrap();
    let largest = maps["conv1"].index_axis(ndarray::Axis(2), kernel).iter().copied().fold(0.0, f32::max);
    assert!((largest - rows[1][2].parse::<f32>().unwrap()).abs() < 1e-5);
    let message = world.fails(2, &[&base[..], &["--data", "x.npy"]].concat());
    assert!(message.contains(".csv"), "{message}");
    assert!(world.fails(2, &[&base[..], &["--sort", "layer"]].concat()).contains("--sort"));
}
