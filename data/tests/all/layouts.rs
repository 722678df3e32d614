//! Folders that are no classes, masks among images, and pieces of a data set that are missing.

use std::fs;

use crate::common::place::Place;
use crate::common::{Bytes, image, jpeg, tar_of};
use alexnet_data::{PackOptions, SourceKind, pack};

/// Images in all of the folders `outer` by `inner`, in the folder `root`.
fn grid(root: &str, outer: &[&str], inner: &[&str]) -> Place {
    let place = Place::new();
    let names: Vec<String> = outer
        .iter()
        .flat_map(|outer| inner.iter().flat_map(move |inner| [1, 2].map(|i| format!("{root}/{outer}/{inner}/{i}.png"))))
        .collect();
    place.images(&names.iter().map(String::as_str).collect::<Vec<_>>());
    place
}

/// The same files as a tar, with the folders as members where `with_folders` says so.
fn as_tar(place: &Place, root: &str, with_folders: bool) {
    let mut builder = tar::Builder::new(Vec::new());
    let mut folders = vec![place.path(root)];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let name = path.strip_prefix(place.path(root)).unwrap().to_path_buf();
            if path.is_dir() {
                folders.push(path.clone());
                if with_folders {
                    builder.append_dir(&name, &path).unwrap();
                }
            } else {
                builder.append_path_with_name(&path, &name).unwrap();
            }
        }
    }
    place.write(&format!("{root}.tar"), &builder.into_inner().unwrap());
}

/// The error of the folder, and that of a tar of it.
fn both(place: &Place, root: &str) -> [String; 2] {
    as_tar(place, root, false);
    [root.to_string(), format!("{root}.tar")].map(|source| place.pack(&source, |o| o).unwrap_err())
}

fn from_folders(o: PackOptions) -> PackOptions {
    PackOptions { from: Some(SourceKind::Folders), ..o }
}

#[test]
fn splits_and_versions_are_no_classes() {
    for parts in [
        &["testset", "trainset"][..],
        &["train2017", "val2017"],
        &["train1", "val1"],
        &["fold1", "fold2"],
        &["part1", "part2"],
        &["batch_1", "batch_2"],
        &["labeled", "unlabeled"],
        &["augmented", "original"],
    ] {
        let place = grid("s", parts, &["cat", "dog"]);
        for error in both(&place, "s") {
            let said = format!("holds {}: splits of a data set, not classes", parts.join(", "));
            assert!(error.contains(&said), "{parts:?}: {error}");
        }
        assert_eq!(place.pack("s", from_folders).unwrap().0.classes(), parts);
    }
    // By what they hold, whatever their names.
    let place = grid("s", &["color", "grayscale", "segmented"], &["Apple", "Corn"]);
    for error in both(&place, "s") {
        let said = "its folders color, grayscale, segmented hold the same folders (Apple, Corn): those are the classes, and the \
                    outer ones splits or versions of one data set; give one of them";
        assert!(error.contains(said), "{error}");
    }
    let report = place.pack("s", from_folders).unwrap().1;
    assert!(
        report.notes[0].starts_with("6 folders within the class folders are merged into their classes"),
        "{report:?}"
    );
    // Office-31, whose domains have a folder more.
    let place = grid("s", &["amazon", "dslr"], &["images/bike", "images/mug"]);
    assert!(both(&place, "s")[0].contains("hold the same folders (images/bike, images/mug)"));
    // One folder in each class is no sign, nor are images beside the folders.
    let place = grid("s", &["cat", "dog"], &["images"]);
    assert!(place.pack("s", |o| o).unwrap().1.notes.is_empty());
    place.images(&["s/cat/a/1.png", "s/dog/a/1.png", "s/dog/3.png"]);
    place.pack("s", |o| o).unwrap();
}

#[test]
fn folders_of_classes_that_are_merged_are_noted() {
    let place = Place::new();
    place.images(&["s/animals/cat/1.png", "s/animals/dog/2.png", "s/plants/fern/3.png", "s/plants/rose/4.png"]);
    as_tar(&place, "s", true);
    for source in ["s", "s.tar"] {
        let (pack, report) = place.pack(source, |o| o).unwrap();
        assert_eq!(pack.classes(), ["animals", "plants"]);
        let said = "4 folders within the class folders are merged into their classes, the first is animals/cat; where they are";
        assert!(report.notes.len() == 1 && report.notes[0].starts_with(said), "{source}: {report:?}");
    }
}

#[test]
fn classes_that_are_divided_into_splits_are_refused() {
    let place = grid("s", &["bottle", "cable"], &["test/broken", "train/good"]);
    place.images(&["s/cable/test/scratched/1.png"]);
    for error in both(&place, "s") {
        assert!(error.contains("each of its folders bottle, cable is divided into test, train: splits"), "{error}");
    }
}

#[test]
fn masks_are_no_images() {
    for inner in ["masks", "Mask", "ground_truth", "annotations", "labels", "segmentation"] {
        let place = grid("s", &["covid", "normal"], &["images", inner]);
        for error in both(&place, "s") {
            let said =
                format!("4 of its 8 files are masks or annotations by their names, the first is covid/{inner}/1.png");
            assert!(error.contains(&said), "{error}");
        }
        let notes = place.pack("s", from_folders).unwrap().1.notes;
        assert!(notes[0].starts_with("4 of its 8 files are masks"), "{notes:?}");
    }
    let place = Place::new();
    place.images(&[
        "s/a/b (1).png",
        "s/a/b (1)_mask.png",
        "s/a/b (1)_mask_1.png",
        "s/n/n (1).png",
        "s/n/n (1)_mask.png",
    ]);
    for error in both(&place, "s") {
        let said = "3 of its 5 files are masks or annotations by their names, the first is a/b (1)_mask.png; ";
        assert!(error.contains(said), "{error}");
    }
    // Nothing but files of such names, and a class of such a name.
    let place = Place::new();
    place.images(&["s/a/mask/1.png", "s/b/mask/1.png", "t/face/1_no.png", "t/mask/1_mask.png", "t/mask/2.png"]);
    place.pack("s", |o| o).unwrap();
    place.pack("t", |o| o).unwrap();
}

#[test]
fn images_beside_class_folders_are_counted() {
    let place = Place::new();
    place.images(&["s/cat/1.jpg", "s/dog/1.jpg", "s/a.jpg", "s/b.jpg", "s/c.jpg"]);
    place.write("s/README.md", b"about");
    as_tar(&place, "s", true);
    for source in ["s", "s.tar"] {
        let (pack, report) = place.pack(source, |o| o).unwrap();
        assert_eq!(pack.len(), 2);
        assert!(report.notes.contains(&"3 files beside the class folders are ignored".to_string()), "{report:?}");
    }
}

#[test]
fn an_empty_class_folder_of_a_tar_is_refused_as_in_a_folder() {
    let place = Place::new();
    place.images(&["s/cat/1.jpg", "s/dog/1.jpg"]);
    fs::create_dir(place.path("s/emu")).unwrap();
    as_tar(&place, "s", true);
    let error = place.pack("s", |o| o).unwrap_err();
    assert!(error.ends_with("s/emu: a class folder without images; add some, or remove the folder"), "{error}");
    let error = place.pack("s.tar", |o| o).unwrap_err();
    assert!(error.contains("s.tar: emu: a class folder without images; add some, or remove the folder"), "{error}");
    fs::remove_dir(place.path("s/emu")).unwrap();
    place.write("s/emu/about.txt", b"none yet");
    as_tar(&place, "s", false);
    assert!(place.pack("s.tar", |o| o).unwrap_err().contains("s.tar: emu: a class folder without images"));
    // Folders that hold class folders or are hidden are none.
    fs::remove_dir_all(place.path("s/emu")).unwrap();
    fs::create_dir_all(place.path("s/.cache")).unwrap();
    fs::create_dir_all(place.path("deep/s")).unwrap();
    fs::rename(place.path("s"), place.path("deep/s/photos")).unwrap();
    as_tar(&place, "deep", true);
    assert_eq!(place.pack("deep.tar", |o| o).unwrap().0.classes(), ["cat", "dog"]);
}

#[test]
fn names_in_two_forms_of_unicode_are_noted() {
    let place = Place::new();
    place.images(&["s/caf\u{e9}/1.jpg", "s/cafe\u{301}/1.jpg", "s/dog/1.jpg"]);
    let notes = place.pack("s", |o| o).unwrap().1.notes;
    assert!(notes.iter().any(|note| note.contains("may be one: their letters have accents in two forms")), "{notes:?}");
}

#[test]
fn tars_beside_a_folder_are_not_taken_for_anything() {
    let place = Place::new();
    for class in ["n01440764", "n02119789"] {
        place.write(&format!("s/{class}.tar"), &tar_of(&[("1.JPEG".to_string(), jpeg(12, 11, 1))]));
    }
    place.images(&["s/extra/1.jpg"]);
    let error = place.pack("s", |o| o).unwrap_err();
    assert!(error.contains("s: holds 2 tars and the folder extra; expected tars alone, or class folders"), "{error}");
    let tars = |o| PackOptions { from: Some(SourceKind::ClassTars), ..o };
    assert_eq!(place.pack("s", tars).unwrap().0.classes(), ["n01440764", "n02119789"]);
}

/// A CIFAR batch of `records` records.
fn batch(records: u32) -> Bytes {
    let record = |i: u32| {
        let pixels = image(32, 32, i).into_raw();
        let planes = (0..3).flat_map(|c| pixels.iter().skip(c).step_by(3).copied().collect::<Bytes>());
        [vec![(i % 10) as u8], planes.collect()].concat()
    };
    (0..records).flat_map(record).collect()
}

#[test]
fn batches_of_cifar_that_are_missing_or_short_are_told() {
    let place = Place::new();
    [1, 2, 4].iter().for_each(|i| drop(place.write(&format!("ten/data_batch_{i}.bin"), &batch(3))));
    let error = place.pack("ten", |o| o).unwrap_err();
    assert!(error.contains("ten: data_batch_3 is missing; copy it there"), "{error}");
    assert_eq!(place.pack("ten/data_batch_4.bin", |o| o).unwrap().0.len(), 3);
    place.write("ten/data_batch_3.bin", &batch(2));
    let notes = place.pack("ten", |o| o).unwrap().1.notes;
    let said = |text: &str| notes.iter().any(|note| note.starts_with(text));
    assert!(said("the last of its batches is data_batch_4; CIFAR-10 has 5"), "{notes:?}");
    assert!(said("data_batch_3.bin has 2 images, another batch 3; it may have been cut short"), "{notes:?}");
    [3, 5].iter().for_each(|i| drop(place.write(&format!("ten/data_batch_{i}.bin"), &batch(3))));
    assert!(!place.pack("ten", |o| o).unwrap().1.notes.iter().any(|note| note.contains("batch")));
    fs::remove_file(place.path("ten/data_batch_1.bin")).unwrap();
    assert!(place.pack("ten", |o| o).unwrap_err().contains("data_batch_1 is missing"));
}

#[test]
fn shards_that_are_missing_are_noted() {
    let place = Place::new();
    let shard = |i: u32| {
        let sample = |class: u32| {
            [(format!("{i}{class}.jpg"), jpeg(12, 11, i)), (format!("{i}{class}.cls"), class.to_string().into_bytes())]
        };
        place.write(&format!("w/a-{i:06}.tar"), &tar_of(&[sample(0), sample(1)].concat()));
    };
    [0, 2, 3].into_iter().for_each(shard);
    let notes = place.pack("w", |o| o).unwrap().1.notes;
    assert!(notes[0].contains("of the series a-000000.tar to a-000003.tar the numbers 1 are missing"), "{notes:?}");
    shard(1);
    assert!(place.pack("w", |o| o).unwrap().1.notes.is_empty());
}

#[test]
fn images_that_are_almost_black_are_noted() {
    let place = Place::new();
    let save = |name: &str, most: u32| {
        let value = |x: u32, y: u32, c: u32| ((x * 331 + y * 77 + c * 191) * 13 % most) as u16;
        let pixels = image::ImageBuffer::from_fn(12, 11, |x, y| image::Rgb([0, 1, 2u32].map(|c| value(x, y, c))));
        fs::create_dir_all(place.path(name).parent().unwrap()).unwrap();
        pixels.save(place.path(name)).unwrap();
    };
    ["s/a/1.png", "s/a/2.png", "s/b/1.png"].iter().for_each(|name| save(name, 4096));
    for was_complete in [false, true] {
        let options = PackOptions { size: 8, ..PackOptions::new(place.path("s"), place.path("dark.pack")) };
        let report = pack(&options, |_| ()).unwrap();
        assert!(report.notes.iter().any(|note| note.starts_with("all 3 images are almost black")), "{report:?}");
        assert_eq!(report.was_complete, was_complete);
    }
    save("s/b/1.png", 65_536);
    assert!(place.pack("s", |o| o).unwrap().1.notes.is_empty());
    ["s/a/1.png", "s/a/2.png", "s/b/1.png"].iter().for_each(|name| save(name, 256));
    let notes = place.pack("s", |o| o).unwrap().1.notes;
    assert!(notes[0].contains("their bright pixels have about 0 of 255"), "{notes:?}");
}
