//! `dataset`: counts, sizes, colours, near-duplicates, and images of validation in training.

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage, imageops};
use serde_json::Value;

use crate::support::World;

/// An image of coloured patches that depend on the seed.
fn patches(seed: u64, width: u32, height: u32) -> RgbImage {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let small = RgbImage::from_fn(7, 7, |_, _| Rgb([next(), next(), next()]));
    imageops::resize(&small, width, height, imageops::FilterType::Triangle)
}

fn save(world: &World, path: &str, image: &RgbImage) {
    let path = world.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.save(path).unwrap();
}

/// Three cats and two dogs, two cats and a dog for validation; one cat is in both, resized and darker, one dog is stored
/// twice and once more as a cat.
fn photos() -> World {
    let world = World::new();
    for seed in 0..3 {
        save(&world, &format!("photos/cat/{seed}.png"), &patches(seed, 90, 70));
    }
    save(&world, "photos/dog/3.png", &patches(3, 64, 64));
    save(&world, "photos/dog/4.png", &patches(3, 64, 64));
    save(&world, "photos/dog/5.png", &patches(5, 100, 40));
    save(&world, "photos/cat/6.png", &patches(3, 64, 64));
    let mut darker = patches(1, 90, 70);
    darker.pixels_mut().for_each(|pixel| pixel.0 = pixel.0.map(|value| (f32::from(value) * 0.97) as u8));
    save(&world, "photos-val/cat/a.png", &imageops::resize(&darker, 180, 140, imageops::FilterType::Triangle));
    save(&world, "photos-val/cat/b.png", &patches(21, 64, 64));
    save(&world, "photos-val/dog/c.png", &patches(22, 64, 64));
    world
}

fn json(world: &World, args: &[&str]) -> Value {
    serde_json::from_str(&world.ok(&[&["dataset", "--json"], args].concat())).unwrap()
}

/// Copies with much noise are found, as those of CIFAR-10 are; with more of it, they are other images.
#[test]
fn noisy_copies_are_found() {
    let world = World::new();
    let noisy = |amplitude: i16| {
        let mut image = patches(9, 32, 32);
        for (x, y, pixel) in image.enumerate_pixels_mut() {
            let noise = if (x + y) % 2 == 0 { amplitude } else { -amplitude };
            pixel.0 = pixel.0.map(|value| (i16::from(value) + noise).clamp(0, 255) as u8);
        }
        image
    };
    save(&world, "photos/cat/0.png", &noisy(0));
    save(&world, "photos/cat/1.png", &noisy(14));
    save(&world, "photos/cat/2.png", &patches(8, 32, 32));
    save(&world, "photos/dog/3.png", &noisy(-40));
    let report = json(&world, &["photos", "--size", "32", "--out", "report"]);
    assert_eq!(report["duplicates"]["within_train"], 1);
    let table = fs::read_to_string(world.path("report/duplicates.csv")).unwrap();
    let pair = table.lines().find(|line| line.starts_with("train,cat/0.png,cat,train,cat/1.png,cat,")).unwrap();
    let difference: f64 = pair.rsplit(',').next().unwrap().parse().unwrap();
    assert!((0.21..0.29).contains(&difference), "{table}");
}

#[test]
fn a_leak_and_other_duplicates_are_found() {
    let world = photos();
    let report = json(&world, &["photos", "--val", "photos-val", "--size", "64", "--out", "report"]);
    let duplicates = &report["duplicates"];
    let expected = [("within_train", 2), ("within_val", 0), ("val_in_train", 1), ("other_labels", 1)];
    for (key, count) in expected {
        assert_eq!(duplicates[key], count, "{key}: {duplicates}");
    }
    let saved = fs::read_to_string(world.path("report/report.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&saved).unwrap(), report);
    let table = fs::read_to_string(world.path("report/duplicates.csv")).unwrap();
    let leak = table.lines().find(|line| line.starts_with("train,cat/1.png,cat,val,cat/a.png,cat,"));
    let difference: f64 = leak.unwrap().rsplit(',').next().unwrap().parse().unwrap();
    assert!(difference > 0.0 && difference < 0.2, "{table}");
    assert!(table.contains("train,cat/6.png,cat,train,dog/3.png,dog,0.0000"), "{table}");
    assert_eq!(table.lines().count(), 4, "{table}");
    for plot in ["classes", "sizes", "mean-train", "mean-val", "duplicates"] {
        let bytes = fs::read(world.path(format!("report/{plot}.png"))).unwrap();
        assert!(bytes.starts_with(b"\x89PNG"), "{plot}");
    }
    let mean = image::open(world.path("report/mean-train.png")).unwrap();
    assert!(mean.width().min(mean.height()) > 256, "64 pixels are enlarged: {} x {}", mean.width(), mean.height());
    let text = world.ok(&["dataset", "photos", "--val", "photos-val", "--size", "64"]);
    assert!(text.contains("val images that are in train: 1: they make"), "{text}");
    assert!(text.contains("different labels: 1"), "{text}");
}

#[test]
fn classes_sizes_and_colours_are_those_of_the_images() {
    let world = photos();
    let report = json(&world, &["photos", "--size", "64", "--jobs", "1"]);
    let part = &report["parts"][0];
    assert_eq!((&part["images"], report["parts"].as_array().unwrap().len()), (&7.into(), 1));
    let classes: Vec<(&str, u64)> = part["classes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|class| (class["name"].as_str().unwrap(), class["images"].as_u64().unwrap()))
        .collect();
    assert_eq!(classes, [("cat", 4), ("dog", 3)]);
    let extent = |axis: &str| ["min", "median", "max"].map(|key| part[axis][key].as_u64().unwrap());
    assert_eq!([extent("width"), extent("height")], [[64, 90, 100], [40, 64, 70]]);
    // Of a pack of them the same colours, and no sizes.
    world.ok(&["pack", "photos", "photos.pack", "--size", "64"]);
    let packed = json(&world, &["photos.pack"]);
    assert_eq!(packed["parts"][0]["mean_rgb"], part["mean_rgb"]);
    assert_eq!(packed["parts"][0]["std_rgb"], part["std_rgb"]);
    assert_eq!(packed["parts"][0]["width"], Value::Null);
    assert_eq!(packed["duplicates"], report["duplicates"]);
}

#[test]
fn images_without_labels_and_unreadable_ones_are_told() {
    let world = photos();
    let report = json(&world, &["photos/dog", "--size", "32"]);
    assert_eq!(report["parts"][0]["classes"].as_array().unwrap().len(), 0);
    assert_eq!(report["duplicates"]["within_train"], 1);
    // Only those with labels can have different ones.
    let report = json(&world, &["photos", "--val", "photos-val/cat", "--size", "32"]);
    assert_eq!((&report["duplicates"]["val_in_train"], &report["duplicates"]["other_labels"]), (&1.into(), &1.into()));
    let bytes = fs::read(world.path("photos/dog/5.png")).unwrap();
    fs::write(world.path("photos/dog/5.png"), &bytes[..bytes.len() / 2]).unwrap();
    let text = world.ok(&["dataset", "photos", "--size", "32", "--out", "report"]);
    assert!(text.contains("1 image cannot be read:\n    dog/5.png: "), "{text}");
    assert!(Path::new(&world.path("report/classes.csv")).exists());
    let message = world.fails(1, &["dataset", "nothing"]);
    assert!(message.contains("nothing"), "{message}");
    fs::write(world.path("file"), "").unwrap();
    let message = world.fails(1, &["dataset", "photos", "--out", "file/below"]);
    assert!(message.contains("--out"), "{message}");
}
