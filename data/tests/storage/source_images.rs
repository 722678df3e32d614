//! Sources that are loaded without a pack.

use std::fs;
use std::path::Path;

use alexnet_data::{CropAndNormalize, Dataset, Loader, LoaderOptions, SourceImages, SourceKind, SourceSettings};

fn ppm(path: &Path, width: usize, height: usize, grey: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, [format!("P6 {width} {height} 255\n").into_bytes(), vec![grey; width * height * 3]].concat())
        .unwrap();
}

#[test]
fn class_folders_are_loaded_as_squares() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..5u8 {
        let class = if number % 2 == 0 { "even" } else { "odd" };
        ppm(&folder.path().join(class).join(format!("{number}.ppm")), 20, 9 + usize::from(number), 10 * number);
    }
    let images = SourceImages::open(folder.path(), 8, SourceSettings::default()).unwrap();
    assert_eq!((images.len(), images.size(), images.classes()), (5, 8, &["even".to_string(), "odd".to_string()][..]));
    assert_eq!(images.name(4), "odd/3.ppm");
    let loader = Loader::new(images, CropAndNormalize::crop_only(6), LoaderOptions::default()).unwrap();
    let batch = loader.batches(0, 0).next().unwrap().unwrap();
    assert_eq!(batch.labels, [0, 0, 0, 1, 1]);
    let crops = loader.crops(&batch).unwrap();
    let values: Vec<f32> = crops.outer_iter().map(|crop| crop[[5, 0, 2]]).collect();
    assert_eq!(values, [0.0, 20.0, 40.0, 10.0, 30.0]);
}

#[test]
fn a_labels_file_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["1.ppm", "2.ppm", "3.ppm"] {
        ppm(&folder.path().join("images").join(name), 8, 8, 9);
    }
    let labels = folder.path().join("labels.csv");
    fs::write(&labels, "file,class\n1.ppm,cat\n2.ppm,dog\n3.ppm,cat\n").unwrap();
    let settings =
        SourceSettings { labels: Some(labels), from: Some(SourceKind::Labelled), ..SourceSettings::default() };
    let images = SourceImages::open(folder.path().join("images"), 8, settings).unwrap();
    assert_eq!((0..3).map(|index| images.label(index)).collect::<Vec<_>>(), [0, 1, 0]);
    assert_eq!(images.classes(), ["cat", "dog"]);
}

#[test]
fn a_broken_image_is_an_error_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    ppm(&folder.path().join("a/1.ppm"), 8, 8, 9);
    fs::create_dir_all(folder.path().join("b")).unwrap();
    fs::write(folder.path().join("b/2.ppm"), "no image").unwrap();
    let images = SourceImages::open(folder.path(), 8, SourceSettings::default()).unwrap();
    let loader = Loader::new(images, CropAndNormalize::crop_only(6), LoaderOptions::default()).unwrap();
    let error = loader.batches(0, 0).next().unwrap().unwrap_err().to_string();
    assert!(error.starts_with("b/2.ppm: not an image"), "{error}");
    assert!(SourceImages::open(folder.path(), 0, SourceSettings::default()).is_err());
    assert!(SourceImages::open(folder.path().join("c"), 8, SourceSettings::default()).is_err());
}

/// Without HDF5, packs and HDF5 files are refused with words about the build.
#[cfg(not(feature = "hdf5"))]
#[test]
fn hdf5_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    fs::write(&path, b"\x89HDF\r\n\x1a\n, and more").unwrap();
    let error = SourceImages::open(&path, 8, SourceSettings::default()).unwrap_err().to_string();
    assert!(error.ends_with("this build cannot read: it lacks the Cargo feature hdf5"), "{error}");
}
