use std::collections::HashSet;

use super::kinds::{Figure, Part};
use super::*;

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for split in ["train", "val"] {
        for class in fs::read_dir(folder.join(split)).unwrap() {
            for file in fs::read_dir(class.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn draw_in(threads: usize, seed: u64) -> Vec<(String, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let drawn = pool.install(|| draw_dataset(folder.path(), seed, 3, 2, 24, &|| false)).unwrap();
    assert_eq!(drawn.train, folder.path().join("train"));
    assert_eq!(drawn.val, folder.path().join("val"));
    assert_eq!(drawn.images, 50);
    files(folder.path())
}

#[test]
fn writes_ten_classes_with_their_counts() {
    let files = draw_in(2, 1);
    assert_eq!(files.len(), 50);
    for kind in Kind::ALL {
        for (split, count) in [("train", 3), ("val", 2)] {
            for number in 0..count {
                let name = format!("{split}/{}/{number:04}.jpg", kind.name());
                let (_, bytes) = files.iter().find(|(path, _)| *path == name).expect(&name);
                let image = image::load_from_memory_with_format(bytes, image::ImageFormat::Jpeg).unwrap();
                assert_eq!((image.width(), image.height()), (24, 24));
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_files_for_any_number_of_threads() {
    let one = draw_in(1, 5);
    assert!(one == draw_in(3, 5));
    let other = draw_in(1, 6);
    assert!(one.iter().zip(&other).all(|(a, b)| a.0 == b.0 && a.1 != b.1));
}

#[test]
fn no_two_images_are_alike() {
    let contents: HashSet<Vec<u8>> = draw_in(2, 9).into_iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(contents.len(), 50);
}

#[test]
fn names_are_unique_and_in_alphabetical_order() {
    assert!(Kind::ALL.windows(2).all(|pair| pair[0].name() < pair[1].name()));
}

/// The fractions of the unit square that are foreground and spectrum, on a fine grid.
fn fractions(kind: Kind, number: u64) -> (f64, f64) {
    let figure = Figure::new(kind, &mut Dice::new(Stream::new(3, purpose::USER, number)));
    let parts: Vec<Part> = (0..64 * 64).map(|i| figure.at((i % 64) as f32 / 63.0, (i / 64) as f32 / 63.0)).collect();
    let fraction = |is_counted: fn(&Part) -> bool| parts.iter().filter(|part| is_counted(part)).count() as f64 / 4096.0;
    (fraction(|part| *part == Part::Foreground), fraction(|part| matches!(part, Part::Spectrum(_))))
}

#[test]
fn every_figure_is_in_the_image_and_leaves_background() {
    for kind in Kind::ALL {
        for number in 0..40 {
            let (foreground, spectrum) = fractions(kind, number);
            let shown = if kind == Kind::Rainbow { spectrum } else { foreground };
            assert!((0.06..0.8).contains(&shown), "{kind:?} {number}: {shown}");
            assert!(if kind == Kind::Rainbow { foreground == 0.0 } else { spectrum == 0.0 });
        }
    }
}

#[test]
fn only_a_ring_is_hollow() {
    for (kind, expected) in
        [(Kind::Circle, Part::Foreground), (Kind::Square, Part::Foreground), (Kind::Ring, Part::Background)]
    {
        for number in 0..20 {
            let figure = Figure::new(kind, &mut Dice::new(Stream::new(4, purpose::USER, number)));
            let [x, y] = figure.centre();
            assert_eq!(figure.at(x, y), expected, "{kind:?}");
        }
    }
}

/// The mean colours of the classes are close, so that a linear classifier cannot rely on them.
#[test]
fn the_mean_image_says_little_about_the_class() {
    let mean = |kind| {
        let values = (0..200).flat_map(|n| image(1, Split::Train, kind, n, 12).into_raw()).map(f64::from);
        values.sum::<f64>() / f64::from(200 * 12 * 12 * 3)
    };
    let means = Kind::ALL.map(mean);
    let low = means.iter().copied().fold(255.0, f64::min);
    let high = means.iter().copied().fold(0.0, f64::max);
    assert!(low > 80.0 && high < 150.0, "{means:?}");
}

#[test]
fn train_and_val_are_drawn_apart() {
    for kind in Kind::ALL {
        assert_ne!(image(1, Split::Train, kind, 0, 16), image(1, Split::Val, kind, 0, 16));
    }
}

#[test]
fn sizes_out_of_range_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for size in [0, 7, 1025, u32::MAX] {
        let error = draw_dataset(folder.path(), 1, 1, 1, size, &|| false).unwrap_err();
        assert!(error.to_string().starts_with(&format!("size {size}: ")), "{error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn old_images_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("val")).unwrap();
    let error = draw_dataset(folder.path(), 1, 1, 1, 16, &|| false).unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    assert!(!folder.path().join("train").exists());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = draw_dataset(&file, 1, 1, 1, 16, &|| false).unwrap_err();
    assert!(error.to_string().starts_with(&file.display().to_string()), "{error}");
}

#[test]
fn the_network_takes_these_images() {
    let model = layers::Model::parse(include_str!("../model.toml"), "model.toml").unwrap();
    assert_eq!((model.input.size, model.classes), (SIZE as usize, Kind::ALL.len()));
    assert_eq!(model.parameters().unwrap()[0].shape, [48, 7, 7, 3]);
}
